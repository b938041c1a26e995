"""Microseconds per step of the exact .onnx compared with ONNX's own float operators at T = 1.

    python benchmarks/onnx_step.py [--rounds N] [--json] [--out FILE]

All forms run in one process on one thread, in interleaved rounds of 50 steps: the exact file of
both precisions through the backend (*step*: readings and state in, output and state out; *run*: a
stream inside one call), and the float LSTM or GRU file driven the same way, through arrays bound
once. The last column is `InferenceSession.run` with dictionaries, as most programs call it. Nothing
is printed before the exact files gave the reference's codes and the float files the float model's
values.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from edgernn.backends.onnx import OnnxBackend, open_onnx
from edgernn.model.formats import Precision
from edgernn_export.bench.onnx_steps import BoundStep, open_session
from edgernn_export.float_model.float_run import run as run_float
from edgernn_export.writers.onnx.float_operators import write_onnx_float
from edgernn_export.writers.onnx.writer import write_onnx_exact
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.float import float_model, stream
from tests.support.models.integer import random_codes, random_model

#: name -> (cell, units, inputs); every network ends in a Dense layer of 4.
NETWORKS = {
    "LSTM-64/8": ("lstm", 64, 8),
    "GRU-128/64": ("gru_after", 128, 64),
    "GRU-32/8": ("gru_after", 32, 8),
}
OUTPUTS = 4
STEPS_PER_ROUND = 50
CHECKED_STEPS = 200
WAYS = ("step", "run", "dictionaries")
#: A way of taking STEPS_PER_ROUND steps.
Turn = Callable[[], Any]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60, help="turns of 50 steps each")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--out", type=Path, help="write the figures here, as JSON")
    args = parser.parse_args(argv)
    sizes: dict[str, dict[str, int]] = {}
    times: dict[str, dict[str, dict[str, tuple[float, float]]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        turns = {name: prepare(name, Path(folder), sizes.setdefault(name, {})) for name in NETWORKS}
        for name, forms in turns.items():
            times[name] = measure(forms, args.rounds)
    record = {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "onnxruntime": ort.__version__,
        "rounds": args.rounds,
    }
    whole = {**record, "bytes": sizes, "microseconds": times}
    if args.out is not None:
        args.out.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    if args.json:
        print(json.dumps(whole))
        return 0
    print(record)
    print(f"{'network':12}{'form':8}{'bytes':>9}" + "".join(f"{w + ' µs [p10]':>24}" for w in WAYS))
    for name, forms in times.items():
        for form, ways in forms.items():
            cells = "".join(f"{f'{m:.1f} [{p:.1f}]':>24}" for m, p in (ways[w] for w in WAYS))
            print(f"{name:12}{form:8}{sizes[name][form]:9}{cells}")
    return 0


def prepare(name: str, folder: Path, sizes: dict[str, int]) -> dict[str, dict[str, Turn]]:
    """Checked turns of every form and way of one network."""
    cell, units, inputs = NETWORKS[name]
    turns = {}
    for precision in Precision:
        model = random_model(cell, precision, inputs=inputs, units=units, outputs=OUTPUTS)
        path = folder / "exact.onnx"
        path.write_bytes(write_onnx_exact(model))
        sizes[precision.value] = path.stat().st_size
        backend = open_onnx(path)
        q_xs = random_codes(model, CHECKED_STEPS)
        q_ys, _ = backend.run(q_xs, backend.interface.initial_state())
        if not np.array_equal(q_ys, Reference(model).run(q_xs)[0]):
            raise SystemExit(f"{name} {precision.value}: codes differ from the reference")
        turns[precision.value] = exact_turns(backend, open_session(path), q_xs[:STEPS_PER_ROUND])
    turns["float"] = float_turns(name, folder / "float.onnx", sizes)
    return turns


def exact_turns(
    backend: OnnxBackend, session: ort.InferenceSession, q_xs: np.ndarray
) -> dict[str, Turn]:
    zero = backend.interface.initial_state()
    names = [s.name for s in backend.interface.states]

    def step() -> None:
        state = zero
        for q_x in q_xs:
            _, state = backend.step(q_x, state)

    return {
        "step": step,
        "run": lambda: backend.run(q_xs, zero),
        "dictionaries": dictionary_turn(session, q_xs[:, None], names, [s[None] for s in zero]),
    }


def dictionary_turn(
    session: ort.InferenceSession, xs: np.ndarray, names: list[str], zero: list[np.ndarray]
) -> Turn:
    def turn() -> np.ndarray:
        state, ys = zero, []
        for x in xs:
            y, *state = session.run(None, {"x": x, **dict(zip(names, state, strict=True))})
            ys.append(y.reshape(-1))
        return np.array(ys)

    return turn


def float_turns(name: str, path: Path, sizes: dict[str, int]) -> dict[str, Turn]:
    """The float operators, driven as the backend drives the exact file."""
    cell, units, inputs = NETWORKS[name]
    model = float_model(cell, inputs=inputs, units=units, outputs=OUTPUTS)
    path.write_bytes(write_onnx_float(model))
    sizes["float"] = path.stat().st_size
    session = open_session(path)
    xs = stream(CHECKED_STEPS, inputs).astype(np.float32)
    names = [v.name for v in session.get_inputs()[1:]]
    zero = [np.zeros((1, 1, units), np.float32) for _ in names]
    part = xs[:STEPS_PER_ROUND]
    bound = BoundStep(session)

    def step() -> None:
        state = zero
        for x in part:
            _, state = bound.step(x, state)

    turns: dict[str, Turn] = {
        "step": step,
        "run": lambda: bound.run(part, zero),
        "dictionaries": dictionary_turn(session, part[:, None, None], names, zero),
    }
    expected, _ = run_float(model, xs[None].astype(np.float64))
    everything = dictionary_turn(session, xs[:, None, None], names, zero)
    for got in (bound.run(xs, zero), everything()):
        if np.abs(got - expected[0]).max() > 1e-5:
            raise SystemExit(f"{name} float: values differ from the float model")
    return turns


def measure(
    forms: dict[str, dict[str, Turn]], rounds: int
) -> dict[str, dict[str, tuple[float, float]]]:
    """Median and 10th percentile of µs per step, all forms and ways in turns."""
    samples: dict[tuple[str, str], list[float]] = {(f, w): [] for f in forms for w in WAYS}
    for index in range(rounds + 2):
        for (form, way), times in samples.items():
            start = time.perf_counter()
            forms[form][way]()
            if index >= 2:  # the first turns warm caches
                times.append((time.perf_counter() - start) / STEPS_PER_ROUND * 1e6)
    result: dict[str, dict[str, tuple[float, float]]] = {form: {} for form in forms}
    for (form, way), times in samples.items():
        p10 = float(np.percentile(times, 10))
        result[form][way] = (round(statistics.median(times), 2), round(p10, 2))
    return result


if __name__ == "__main__":
    sys.exit(main())
