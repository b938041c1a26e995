"""Microseconds per step of the integer .tflite compared with the stock Keras float step.

    python benchmarks/tflite_step.py [--rounds N] [--json] [--out FILE]

For each network: the integer file of both precisions and the Keras float step converted by
TFLiteConverter (state as explicit input and output, same sizes), in one process per runtime,
one thread, in interleaved rounds. The forms are driven through views of the runtime's memory, the
float step also with set_tensor and get_tensor ("float, public") and with a signature runner
("float, runner").
*step* is the whole Python step (reading and state in, output and state out), *invoke* the
runtime's part. A network is measured only after its integer files gave the reference's codes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata, util
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
#: name -> (cell, units, inputs); every network ends in a Dense layer of 4.
NETWORKS = {
    "LSTM-64/8": ("lstm", 64, 8),
    "GRU-128/64": ("gru_after", 128, 64),
    "GRU-32/8": ("gru_after", 32, 8),
}
OUTPUTS = 4
RUNTIMES = ("tflite_runtime", "ai_edge_litert")
PACKAGES = {"tflite_runtime": "tflite-runtime", "ai_edge_litert": "ai-edge-litert"}
PRECISIONS = ("w8a8", "w8a16")
STEPS_PER_ROUND = 50
CHECKED_STEPS = 200


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60, help="turns of 50 steps each")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--out", type=Path, help="write the figures here, as JSON")
    parser.add_argument("--prepare", help=argparse.SUPPRESS)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.prepare:
        prepare(Path(args.prepare))
    elif args.measure:
        print(json.dumps(measure(Path(args.measure[0]), args.measure[1], args.rounds)))
    else:
        report(args.rounds, args.json, args.out)
    return 0


def report(rounds: int, as_json: bool, out: Path | None) -> None:
    """Prepare files, measure in one process per runtime, print."""
    with tempfile.TemporaryDirectory() as folder:
        _child(["--prepare", folder])
        results = {
            runtime: json.loads(_child(["--measure", folder, runtime, "--rounds", str(rounds)]))
            for runtime in RUNTIMES
            if util.find_spec(runtime)
        }
    record = {"machine": platform.machine(), "python": platform.python_version()}
    record |= {"versions": {r: metadata.version(PACKAGES[r]) for r in results}}
    whole = {**record, "rounds": rounds, "microseconds": results}
    if out is not None:
        out.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    if as_json:
        print(json.dumps(whole))
        return
    print(record)
    print(f"{'runtime':16}{'network':12}{'form':15}{'step µs [p10]':>18}{'invoke µs [p10]':>18}")
    for runtime, networks in results.items():
        for network, forms in networks.items():
            for form, times in forms.items():
                cells = (f"{m:.1f} [{p:.1f}]" for m, p in (times["step"], times["invoke"]))
                print(f"{runtime:16}{network:12}{form:15}" + "".join(f"{c:>18}" for c in cells))


def _child(arguments: list[str]) -> str:
    env = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}
    paths = [str(ROOT), str(ROOT / "export"), str(ROOT / "firmware_sim")]
    env["PYTHONPATH"] = os.pathsep.join(paths)
    done = subprocess.run(
        [sys.executable, __file__, *arguments], env=env, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout.splitlines()[-1] if done.stdout else ""


def prepare(folder: Path) -> None:
    """Write integer files with the reference's outputs, and the float files."""
    from edgernn.model.formats import Precision
    from edgernn_export.writers.tflite.writer import write_tflite
    from edgernn_firmware_sim.reference.reference import Reference
    from tests.support.models.integer import random_codes, random_model

    for network, (cell, units, inputs) in NETWORKS.items():
        stem = network.replace("/", "_")
        for name in PRECISIONS:
            model = random_model(cell, Precision(name), inputs=inputs, units=units, outputs=OUTPUTS)
            (folder / f"{stem}.{name}.tflite").write_bytes(write_tflite(model))
            q_xs = random_codes(model, CHECKED_STEPS)
            reference = Reference(model)
            q_ys, _ = reference.run(q_xs, reference.initial_state())
            np.savez(folder / f"{stem}.{name}.npz", q_xs=q_xs, q_ys=q_ys)
        (folder / f"{stem}.float.tflite").write_bytes(_float_step(cell, units, inputs))


def _float_step(cell: str, units: int, inputs: int) -> bytes:
    """The stock path: a Keras cell and Dense as one step, through TFLiteConverter."""
    from edgernn_export.bench.step_network import convert, keras_step
    from tests.support.models.float import float_model

    return convert(keras_step(float_model(cell, inputs=inputs, units=units, outputs=OUTPUTS)))


def measure(folder: Path, runtime: str, rounds: int) -> dict[str, Any]:
    """Median and 10th percentile of the step and of the runtime's part, per network and form."""
    from edgernn.backends.tflite import open_tflite

    results: dict[str, Any] = {}
    for network in NETWORKS:
        stem = network.replace("/", "_")
        forms = {}
        for name in PRECISIONS:
            backend = open_tflite(folder / f"{stem}.{name}.tflite", runtime)
            checked = np.load(folder / f"{stem}.{name}.npz")
            state = backend.interface.initial_state()
            q_ys, _ = backend.run(checked["q_xs"], state)
            if not np.array_equal(q_ys, checked["q_ys"]):
                raise SystemExit(f"{network} {name} {runtime}: codes differ from the reference")
            forms[name] = (backend.step, backend._views.invoke, checked["q_xs"][0], state)
        path = folder / f"{stem}.float.tflite"
        forms["float"] = _float_form(path, runtime)
        forms["float, public"] = _public_float_form(path, runtime)
        forms["float, runner"] = _runner_float_form(path, runtime)
        results[network] = _interleaved(forms, rounds)
    return results


def _float_form(path: Path, runtime: str) -> tuple[Any, Any, Any, Any]:
    """A float step driven in the way `TfliteBackend.step` drives the integer file."""
    from edgernn.backends.tflite import load_runtime

    _, module = load_runtime(runtime)
    interpreter = module.Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.invoke()
    inputs = [interpreter.tensor(d["index"])()[0] for d in interpreter.get_input_details()]
    outputs = [interpreter.tensor(d["index"])()[0] for d in interpreter.get_output_details()]
    invoke = interpreter._interpreter.Invoke
    values = [np.full_like(v, 0.25) for v in inputs]

    def step(q_x: Any, state: Any) -> Any:
        if q_x.shape != inputs[0].shape or q_x.dtype != np.float32:
            raise SystemExit("float step: unexpected input")
        for view, value in zip(inputs, (q_x, *state), strict=True):
            np.copyto(view, value)
        invoke()
        y, *new = [v.copy() for v in outputs]
        return y, tuple(new)

    step.owner = interpreter  # type: ignore[attr-defined]
    return step, invoke, values[0], tuple(values[1:])


def _public_float_form(path: Path, runtime: str) -> tuple[Any, Any, Any, Any]:
    """A float step with set_tensor, invoke and get_tensor, as the runtimes' manuals show it."""
    from edgernn.backends.tflite import load_runtime

    _, module = load_runtime(runtime)
    interpreter = module.Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    inputs = [(d["index"], d["shape"]) for d in interpreter.get_input_details()]
    outputs = [d["index"] for d in interpreter.get_output_details()]
    values = [np.full(shape, 0.25, np.float32) for _, shape in inputs]

    def step(q_x: Any, state: Any) -> Any:
        for (index, _), value in zip(inputs, (q_x, *state), strict=True):
            interpreter.set_tensor(index, value)
        interpreter.invoke()
        y, *new = [interpreter.get_tensor(index) for index in outputs]
        return y, tuple(new)

    return step, interpreter.invoke, values[0], tuple(values[1:])


def _runner_float_form(path: Path, runtime: str) -> tuple[Any, Any, Any, Any]:
    """A float step with a signature runner, the manuals' way for several named inputs."""
    from edgernn.backends.tflite import load_runtime

    _, module = load_runtime(runtime)
    interpreter = module.Interpreter(model_path=str(path), num_threads=1)
    runner = interpreter.get_signature_runner()
    details = runner.get_input_details()
    values = {name: np.full(d["shape"], 0.25, np.float32) for name, d in details.items()}

    def step(q_x: Any, state: Any) -> Any:
        return runner(**q_x, **state)

    return step, interpreter._interpreter.Invoke, values, {}


def _interleaved(forms: dict[str, Any], rounds: int) -> dict[str, Any]:
    samples: dict[str, dict[str, list[float]]] = {f: {"step": [], "invoke": []} for f in forms}
    for _ in range(rounds):
        for form, (step, invoke, q_x, state) in forms.items():
            samples[form]["step"].append(_per_call(lambda s=step, x=q_x, h=state: s(x, h)))
            samples[form]["invoke"].append(_per_call(invoke))
    return {
        form: {part: _summary(values) for part, values in parts.items()}
        for form, parts in samples.items()
    }


def _per_call(call: Any) -> float:
    start = time.perf_counter()
    for _ in range(STEPS_PER_ROUND):
        call()
    return (time.perf_counter() - start) / STEPS_PER_ROUND * 1e6


def _summary(values: list[float]) -> tuple[float, float]:
    return statistics.median(values), statistics.quantiles(values, n=10)[0]


if __name__ == "__main__":
    sys.exit(main())
