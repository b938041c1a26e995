"""Does the integer state drift away from the float64 state over a million steps?

    python -m benchmarks.drift [--out FILE] [--json]

One network per cell kind is trained on real 50 Hz readings (HAPT, `EDGERNN_DATA`) to say how six
accelerometer and gyroscope channels change within 0.2 s. Then one single stream of 10^6 real
readings (the experiments in a seeded random order) runs through the float64 network and through
the `w8a8` and `w8a16` integer networks, none of which is ever reset. The integer steps are
executed by the TFLite backend, after it gave the reference's codes on the head of the stream.
Per state vector and tenth of the stream: the root mean square of integer minus float64 state, and
the same where both start afresh every 20,000 steps. The first depends on what people did in that
tenth; the ratio of the two does not: it is what age adds. The trend is the Theil-Sen slope of the
ratio over the 50 segments with its 95 % interval, per stream.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm, trange

from edgernn.backends import open_backend
from edgernn.backends.base import Backend
from edgernn.errors import DataUnavailable
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layer_record import StateSpec
from edgernn_export.datasets.activity.hapt_activities import load_hapt_stream
from edgernn_export.float_model import float_run
from edgernn_export.float_model.model import FloatModel
from edgernn_firmware_sim.reference.reference import Reference

CELLS = ("GRU", "LSTM")
PRECISIONS = ("w8a8", "w8a16")
STEPS = 1_000_000
SEGMENTS = 50
TENTHS = 10
CHECKED_STEPS = 2_000
UNITS = 24
HORIZON_STEPS = 10
WINDOW_STEPS = 300
SEED = 11
#: Training and calibration see this head of the stream.
HEAD_STEPS = 200_000
_STATE_TENSORS = ("h", "c")


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratedModel:
    """A trained network, its integer forms and their files, by precision."""

    model: FloatModel
    integers: dict[str, IntegerModel]
    files: dict[str, Path]


def prepare(cell: str, xs: FloatArray, folder: Path) -> CalibratedModel:
    """Train, quantize, write; in a separate process, as TensorFlow excludes TFLite runtimes."""
    from edgernn_export.keras_reader import read_keras
    from edgernn_export.quantizer.quantizer import quantize
    from edgernn_export.writers.tflite.writer import write_tflite

    model = read_keras(train(cell, xs[:HEAD_STEPS]))
    calibration = xs[:HEAD_STEPS].reshape(10, HEAD_STEPS // 10, -1)
    integers, files = {}, {}
    for precision in PRECISIONS:
        integer = quantize(model, calibration, precision, progress=False)
        path = folder / f"{cell}-{precision}.tflite"
        path.write_bytes(write_tflite(integer))
        files[precision] = path
        integers[precision] = integer
    return CalibratedModel(model=model, integers=integers, files=files)


def train(cell: str, xs: FloatArray) -> Any:
    """A small network for the change of all channels ``HORIZON_STEPS`` ahead."""
    from benchmarks.accuracy.train import keras_on_one_thread

    keras = keras_on_one_thread()
    keras.utils.set_random_seed(SEED)
    mean, deviation = xs.mean(axis=0), xs.std(axis=0)
    network = keras.Sequential(
        [
            keras.Input((None, xs.shape[1])),
            keras.layers.Normalization(mean=mean, variance=deviation**2),
            getattr(keras.layers, cell)(UNITS, return_sequences=True),
            keras.layers.Dense(xs.shape[1]),
        ]
    )
    network.compile(optimizer=keras.optimizers.Adam(5e-3, clipnorm=1.0), loss="mse")
    rng = np.random.default_rng(SEED)
    for _ in range(400):
        start = rng.integers(len(xs) - WINDOW_STEPS - HORIZON_STEPS, size=32)[:, None]
        rows = start + np.arange(WINDOW_STEPS)
        change = (xs[rows + HORIZON_STEPS] - xs[rows]) / deviation
        network.train_on_batch(xs[rows].astype(np.float32), change.astype(np.float32))
    return network


def float_states(model: FloatModel, xs: FloatArray, state: float_run.State) -> tuple[Any, Any]:
    """States of every step as [T, S * H], h before c, and the state to go on from."""
    kept: dict[str, list[FloatArray]] = {name: [] for name in _STATE_TENSORS}

    def observe(index: int, name: str, values: FloatArray) -> None:
        if index == 0 and name in kept:
            kept[name].append(values[:, 0])

    _, state = float_run.run(model, xs[None], state, observe=observe)
    return np.concatenate([np.concatenate(rows) for rows in kept.values() if rows], axis=1), state


def integer_states(backend: Backend, q_xs: Any, state: Any) -> tuple[FloatArray, Any]:
    """States of every step in real values, as `float_states` gives them."""
    rows = []
    for q_x in q_xs:
        _, state = backend.step(q_x, state)
        rows.append(np.concatenate(state))
    units = [np.full(s.units, s.format.scale) for s in backend.interface.states]
    return np.stack(rows) * np.concatenate(units), state


class Comparison:
    """Differences of one integer run's states, segment by segment."""

    def __init__(self, specs: Sequence[StateSpec]) -> None:
        """Nothing seen yet."""
        self._specs = specs
        self._squares: list[list[float]] = [[] for _ in specs]
        self._clipped: list[list[float]] = [[] for _ in specs]
        self._power: list[list[float]] = [[] for _ in specs]

    def add(self, got: FloatArray, original: FloatArray) -> None:
        """One segment's states, [T, S * H] each."""
        cuts = np.cumsum([spec.units for spec in self._specs])[:-1]
        halves = zip(np.split(got, cuts, axis=1), np.split(original, cuts, axis=1), strict=True)
        for k, (integer, real) in enumerate(halves):
            self._squares[k].append(float(np.mean(np.square(integer - real))))
            self._power[k].append(float(np.mean(np.square(real))))
            limit = 32768 * self._specs[k].format.scale
            self._clipped[k].append(float(np.mean(np.abs(real) >= limit)))

    def figures(self, fresh: FloatArray) -> dict[str, Any]:
        """Per state vector: `trend`, the float state's size, and what its format cannot hold.

        Args:
            fresh: what `fresh_squares` gives for this precision.
        """
        return {
            spec.name.rsplit(".", 1)[-1]: {
                **trend(self._squares[k], fresh[k]),
                "float_rms": float(np.sqrt(np.mean(self._power[k]))),
                "frac_bits": spec.format.frac_bits,
                "outside_format_by_tenth": np.reshape(self._clipped[k], (TENTHS, -1))
                .mean(axis=1)
                .tolist(),
            }
            for k, spec in enumerate(self._specs)
        }


def measure(cell: str, calibrated: CalibratedModel, xs: FloatArray) -> dict[str, Any]:
    """RMS state difference per segment, one single stream."""
    backends = {p: open_backend(path) for p, path in calibrated.files.items()}
    for precision, backend in backends.items():
        q_head = backend.interface.quantize(xs[:CHECKED_STEPS])
        q_ys, _ = backend.run(q_head, backend.interface.initial_state())
        q_expected, _ = Reference(calibrated.integers[precision]).run(q_head)
        differing = int(np.count_nonzero(q_ys != q_expected))
        if differing:
            raise SystemExit(
                f"{cell} {precision}: expected the reference's codes, {differing} differ"
            )
    state = float_run.initial_state(calibrated.model, 1)
    states: dict[str, Any] = {p: b.interface.initial_state() for p, b in backends.items()}
    runs = {p: Comparison(backend.interface.states) for p, backend in backends.items()}
    for segment in tqdm(np.split(xs, SEGMENTS), desc=cell, unit=f"x{STEPS // SEGMENTS} steps"):
        original, state = float_states(calibrated.model, segment, state)
        for precision, backend in backends.items():
            q_xs = backend.interface.quantize(segment)
            got, states[precision] = integer_states(backend, q_xs, states[precision])
            runs[precision].add(got, original)
    fresh = fresh_squares(calibrated, np.stack(np.split(xs, SEGMENTS)), cell)
    return {precision: run.figures(fresh[precision]) for precision, run in runs.items()}


def fresh_squares(
    calibrated: CalibratedModel, segments: FloatArray, cell: str
) -> dict[str, FloatArray]:
    """Mean squared differences [S, SEGMENTS] per state, every segment from the zero state."""
    integers = calibrated.integers
    references = {p: Reference(integer) for p, integer in integers.items()}
    q_xs = {p: integer.interface().quantize(segments) for p, integer in integers.items()}
    batch, steps, _ = segments.shape
    state = float_run.initial_state(calibrated.model, batch)
    q_states = {p: reference.initial_state(batch) for p, reference in references.items()}
    totals = {p: np.zeros((len(q_states[p]), batch)) for p in PRECISIONS}
    for t in trange(steps, desc=f"{cell}, {batch} fresh starts", unit="step"):
        _, state = float_run.step(calibrated.model, segments[:, t], state)
        for precision, reference in references.items():
            _, q_state = reference.step(q_xs[precision][:, t], q_states[precision])
            q_states[precision] = q_state
            for k, spec in enumerate(integers[precision].states):
                difference = q_state[k] * spec.format.scale - state[0][k]
                totals[precision][k] += np.mean(np.square(difference), axis=1)
    return {precision: total / steps for precision, total in totals.items()}


def trend(squares: Sequence[float], fresh: Sequence[float]) -> dict[str, Any]:
    """Figures about the growth of a mean squared difference per segment.

    Args:
        squares: of the run that is never reset.
        fresh: of runs that start afresh with each segment.

    Returns:
        ``rms_by_tenth``, ``fresh_rms_by_tenth``, their ratio ``age_ratio_by_tenth``;
        ``last_over_first`` tenth of the ratio; ``growth`` of the ratio over the whole stream with
        its 95 % interval; ``growth_trend``: the interval lies above 0.
    """
    from scipy.stats import theilslopes

    tenths, fresh_tenths = (
        np.sqrt(np.mean(np.reshape(values, (TENTHS, -1)), axis=1)) for values in (squares, fresh)
    )
    ratio = tenths / fresh_tenths
    segments = np.sqrt(np.divide(squares, fresh))
    slope, _, low, high = theilslopes(segments, np.linspace(0.0, 1.0, segments.size), 0.95)
    return {
        "rms_by_tenth": tenths.tolist(),
        "fresh_rms_by_tenth": fresh_tenths.tolist(),
        "age_ratio_by_tenth": ratio.tolist(),
        "last_over_first": float(ratio[-1] / ratio[0]),
        "growth": float(slope),
        "growth_interval_95": [float(low), float(high)],
        "growth_trend": bool(low > 0.0),
    }


def sentence(title: str, found: dict[str, Any]) -> str:
    """One line for people."""
    low, high = found["growth_interval_95"]
    verdict = "GROWTH TREND" if found["growth_trend"] else "no growth trend"
    tenths = " ".join(f"{v:.4f}" for v in found["rms_by_tenth"])
    ratios = " ".join(f"{v:.3f}" for v in found["age_ratio_by_tenth"])
    outside = float(np.mean(found["outside_format_by_tenth"]))
    return (
        f"{title}: {verdict}; RMS difference by tenth {tenths} (float RMS "
        f"{found['float_rms']:.3f}); relative to fresh starts {ratios}; growth "
        f"{found['growth']:+.2%} [{low:+.2%}, {high:+.2%}]; outside the format {outside:.4%}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; 0 without, 1 with a growth trend, 2 when the data is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    args = parser.parse_args(argv)
    try:
        xs = load_hapt_stream(np.random.default_rng(SEED))[:STEPS]
    except DataUnavailable as error:
        print(error, file=sys.stderr)
        return 2
    results: dict[str, Any] = {"steps": STEPS, "units": UNITS, "segments": SEGMENTS, "cells": {}}
    with tempfile.TemporaryDirectory() as folder:
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(max_workers=1, mp_context=spawn) as pool:
            jobs = [pool.submit(prepare, cell, xs, Path(folder)) for cell in CELLS]
            ready = {cell: job.result() for cell, job in zip(CELLS, jobs, strict=True)}
        for cell, calibrated in ready.items():
            results["cells"][cell] = measure(cell, calibrated, xs)
    found = [
        (f"{cell} {precision} {name}", figures)
        for cell, runs in results["cells"].items()
        for precision, states in runs.items()
        for name, figures in states.items()
    ]
    text = json.dumps(results, indent=1, sort_keys=True) + "\n"
    print(text if args.json else "\n".join(sentence(*row) for row in found))
    if args.out is not None:
        args.out.write_text(text, encoding="utf-8")
    return int(any(record["growth_trend"] for _, record in found))


if __name__ == "__main__":
    sys.exit(main())
