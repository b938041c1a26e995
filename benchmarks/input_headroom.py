"""How much room the input ranges need beyond what calibration saw, per precision.

    python -m benchmarks.input_headroom [--out FILE]

Forecasters are trained and calibrated on the first part of a series and run on the rest, where
some readings lie beyond anything calibration saw. Each is quantized with input ranges that are
wider than the calibrated ones by 0, 10 % ... of their span on each side. Real data, found through
`EDGERNN_DATA`: the oil temperature and loads of ETTh1, 13 soil-moisture probes, NAB's ambient
temperature. In addition, the textbook's stacked forecaster of a rising price, in windows of 60
(synthetic, seeded).

*Share kept* is the float network's RMSE over the integer model's, both against what came; over the
steps whose last `RECENT_STEPS` readings (the window, for the price) all lay within the calibrated
range, and over the others. *Noise* is the RMS of integer minus float output over the standard
deviation of the float output. Prints a table, writes all figures as JSON.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from edgernn.errors import DataUnavailable
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn_export.datasets.series.csv_series import load_etth1, load_soil
from edgernn_export.datasets.sources import DataSource, find
from edgernn_export.float_model.float_run import run
from edgernn_export.float_model.model import FloatModel
from edgernn_export.quantizer.quantizer import quantize
from edgernn_firmware_sim.reference.reference import Reference

RESULTS = Path(__file__).parent / "results" / "input_headroom.json"
HEADROOMS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0)
PRECISIONS = ("w8a8", "w8a16")
RECENT_STEPS = 24
UPDATES = 600
SEED = 0
NAB = DataSource(
    home="github.com/numenta/NAB, data/realKnownCause/ambient_temperature_system_failure.csv",
    licence="MIT",
    citation="Lavin & Ahmad 2015, Evaluating Real-Time Anomaly Detection Algorithms, ICMLA",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A trained network and what it is tried on.

    Attributes:
        model: the float model.
        calibration: [B, T, I], the part it was trained on.
        test: [B, T, I], each stream (or window) run from the zero state.
        target: [B, S, 1], what should be answered at the last S steps of each.
    """

    model: FloatModel
    calibration: FloatArray
    test: FloatArray
    target: FloatArray


def price() -> Trial:
    """LSTM 64-64-32, Dense 16-1 on windows of 60 of a rising series."""
    from benchmarks.accuracy.train import keras_on_one_thread

    keras = keras_on_one_thread()
    keras.utils.set_random_seed(SEED)
    rng, steps, window = np.random.default_rng(SEED), 1000, 60
    p = np.linspace(11000, 22000, steps) + 500 * np.sin(np.linspace(0, 8 * np.pi, steps))
    p += rng.normal(size=steps) * 200
    p = (p - p.min()) / (p.max() - p.min())
    x = np.stack([p[i - window : i] for i in range(window, steps)])[..., None]
    y, cut, lstm, drop = p[window:], 750, keras.layers.LSTM, keras.layers.Dropout
    network = keras.Sequential(
        [
            keras.Input((window, 1)),
            *(lstm(64, return_sequences=True), drop(0.2)),
            *(lstm(64, return_sequences=True), drop(0.2)),
            *(lstm(32), drop(0.2)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(1),
        ]
    )
    network.compile("adam", "mse")
    network.fit(x[:cut], y[:cut], epochs=6, batch_size=32, verbose=0)
    return Trial(
        model=_read(network), calibration=x[:cut], test=x[cut:], target=y[cut:, None, None]
    )


def etth1() -> Trial:
    """OT in 24 hours from all seven channels; a year for training, eight months to try."""
    table = load_etth1()
    return _forecaster("GRU", table.values[None, :14400], 8640, ahead=24)


def soil() -> Trial:
    """A probe's moisture in 24 hours from the probe alone, 13 streams; the first half trains."""
    values = load_soil().values.T[..., None]
    return _forecaster("GRU", values, values.shape[1] // 2, ahead=24)


def ambient() -> Trial:
    """The temperature of an office in 6 hours; the first half trains."""
    values = _ambient_temperature()
    return _forecaster("LSTM", values[None, :, None], len(values) // 2, ahead=6)


#: name -> what makes the trial
TRIALS: dict[str, Callable[[], Trial]] = {
    "price": price,
    "etth1": etth1,
    "soil": soil,
    "ambient": ambient,
}


def _ambient_temperature() -> FloatArray:
    member = "data/realKnownCause/ambient_temperature_system_failure.csv"
    with tarfile.open(find("nab/nab_real.tar", NAB)) as archive:
        file = archive.extractfile(member)
        if file is None:
            raise DataUnavailable(f"nab_real.tar: expected the file {member}, got none.")
        rows = csv.DictReader(io.TextIOWrapper(file, encoding="utf-8"))
        return np.array([float(row["value"]) for row in rows])


def _forecaster(cell: str, xs: FloatArray, cut: int, ahead: int) -> Trial:
    """A cell of 32 units that says how the last channel changes, from unchanged readings."""
    from benchmarks.accuracy.train import keras_on_one_thread

    keras, steps, warm = keras_on_one_thread(), 120, 24
    keras.utils.set_random_seed(SEED)
    rng, train = np.random.default_rng(SEED), xs[:, :cut]
    change = xs[:, ahead:, -1:] - xs[:, :-ahead, -1:]
    deviation = float(np.std(change[:, : cut - ahead]))
    flat = train.reshape(-1, xs.shape[2])
    network = keras.Sequential(
        [
            keras.Input((None, xs.shape[2])),
            keras.layers.Normalization(mean=flat.mean(axis=0), variance=flat.var(axis=0)),
            getattr(keras.layers, cell)(32, return_sequences=True),
            keras.layers.Dense(1),
        ]
    )
    schedule = keras.optimizers.schedules.CosineDecay(3e-3, UPDATES)
    network.compile(keras.optimizers.AdamW(schedule, weight_decay=1e-2, clipnorm=1.0), "mse")
    for _ in range(UPDATES):
        stream = rng.integers(len(train), size=32)[:, None]
        rows = rng.integers(cut - ahead - steps + 1, size=32)[:, None] + np.arange(steps)
        weight = np.broadcast_to(np.arange(steps) >= warm, (32, steps)).astype(np.float32)
        network.train_on_batch(
            train[stream, rows].astype(np.float32),
            (change[stream, rows] / deviation).astype(np.float32),
            sample_weight=weight,
        )
    kernel, bias = network.layers[-1].get_weights()
    network.layers[-1].set_weights([kernel * deviation, bias * deviation])
    scored = change[:, cut:]
    return Trial(model=_read(network), calibration=train, test=xs[:, :-ahead], target=scored)


def _read(network: Any) -> FloatModel:
    from edgernn_export.keras_reader import read_keras

    return read_keras(network)


def measure(trial: Trial) -> dict[str, Any]:
    """Figures by precision and headroom."""
    low = trial.calibration.min(axis=(0, 1))
    high = trial.calibration.max(axis=(0, 1))
    scored = trial.target.shape[1]
    truth = run(trial.model, trial.test)[0][:, -scored:]
    beyond = _recently_beyond(trial, low, high)[:, -scored:]
    found: dict[str, Any] = {
        "beyond_share": float(beyond.mean()),
        "float_rmse": _rms(truth - trial.target),
        "precisions": {},
    }
    for precision in PRECISIONS:
        rows = found["precisions"][precision] = {}
        for headroom in tqdm(HEADROOMS, desc=precision, file=sys.stderr, leave=False):
            room = headroom * (high - low)
            ranges = list(zip((low - room).tolist(), (high + room).tolist(), strict=True))
            model = quantize(
                trial.model, trial.calibration, precision, input_range=ranges, progress=False
            )
            answer = _answers(model, trial.test)[:, -scored:]
            rows[str(headroom)] = _figures(answer, truth, trial.target, beyond)
    return found


def _recently_beyond(trial: Trial, low: FloatArray, high: FloatArray) -> Any:
    """Steps [B, T] with a reading beyond the calibrated range not long ago."""
    outside = _outside(trial.test, low, high)
    count = np.cumsum(np.pad(outside, ((0, 0), (1, 0))), axis=1)
    recent = trial.test.shape[1] if trial.target.shape[1] == 1 else RECENT_STEPS
    start = np.maximum(np.arange(outside.shape[1]) + 1 - recent, 0)
    return count[:, 1:] - count[:, start] > 0


def _outside(xs: FloatArray, low: FloatArray, high: FloatArray) -> Any:
    return ((xs < low) | (xs > high)).any(axis=2)


def _answers(model: IntegerModel, xs: FloatArray) -> FloatArray:
    interface = model.interface()
    answers: FloatArray = interface.dequantize(Reference(model).run(interface.quantize(xs))[0])
    return answers


def _figures(
    answer: FloatArray, truth: FloatArray, target: FloatArray, beyond: Any
) -> dict[str, float]:
    shares = {"kept": np.full(beyond.shape, True), "kept_within": ~beyond, "kept_beyond": beyond}
    figures = {
        name: _rms((truth - target)[where]) / _rms((answer - target)[where])
        for name, where in shares.items()
        if where.any()
    }
    for name, where in (("noise_within", ~beyond), ("noise_beyond", beyond)):
        if where.any():
            figures[name] = _rms((answer - truth)[where]) / float(np.std(truth))
    return figures


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def table(results: dict[str, Any]) -> list[str]:
    """Markdown: noise within / beyond the calibrated range, and the share kept of all steps."""
    names = list(results)
    lines: list[str] = []
    for precision in PRECISIONS:
        lines += ["", f"| `{precision}`, headroom on each side | {' | '.join(names)} |"]
        lines.append("|---" * (len(names) + 1) + "|")
        for headroom in map(str, HEADROOMS):
            cells = [_cell(results[n]["precisions"][precision][headroom]) for n in names]
            lines.append(f"| {float(headroom):.0%} | {' | '.join(cells)} |")
    return lines[1:]


def _cell(figures: dict[str, float]) -> str:
    noise = [
        f"{figures[name]:.1%}" if name in figures else "–"
        for name in ("noise_within", "noise_beyond")
    ]
    return f"{' / '.join(noise)}, kept {figures['kept']:.1%}"


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; 0, or 2 when the data is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args(argv)
    results: dict[str, Any] = {}
    try:
        for name, make in TRIALS.items():
            print(f"{name}: train, quantize, run", file=sys.stderr, flush=True)
            results[name] = measure(make())
    except DataUnavailable as error:
        print(error, file=sys.stderr)
        return 2
    args.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print("\n".join(table(results)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
