"""4-bit weights on readings with heavy tails: `python -m benchmarks.heavy_tails [--out FILE]`.

A synthetic air-quality station measures particulate matter, dew point, temperature, pressure, wind
(log-normal), rain (exponential above a threshold) and the hour. Networks forecast the particulate
matter three hours ahead.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import warnings
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from benchmarks.pages.heavy_tails import page
from benchmarks.pages.markdown import Record, store
from edgernn.container.file import to_bytes
from edgernn.errors import EdgeRnnWarning
from edgernn_export import quantize
from edgernn_export.float_model import float_run
from edgernn_export.float_model.model import FloatModel
from edgernn_export.guards.saturation import watched_run

Array = npt.NDArray[np.float64]
CHANNELS: Final = ("pm", "dew_point", "temperature", "pressure", "wind", "rain", "hour")
CELLS: Final = ("LSTM", "GRU")
SEEDS: Final = range(5)
UNITS: Final = 24
_HOURS: Final = 9000
_AHEAD: Final = 3
_SEQUENCE: Final = 48
#: Answers after the zero state that no figure counts.
_BEGINNING: Final = 48
_CALIBRATION: Final = 4000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Standardised readings and targets.

    Attributes:
        readings: [T, 7].
        targets: [T, 1].
        trained: how many of the first hours training sees.
    """

    readings: Array
    targets: Array
    trained: int


def _wandering(rng: np.random.Generator, hours: int, keeps: float, spread: float) -> Array:
    """A first-order autoregressive series [hours] with this standard deviation."""
    steps = rng.normal(size=hours) * spread * np.sqrt(1 - keeps**2)
    values = np.zeros(hours)
    for hour in range(1, hours):
        values[hour] = keeps * values[hour - 1] + steps[hour]
    return values


def station(hours: int = _HOURS, seed: int = 0) -> Array:
    """Hourly readings [hours, 7] in physical units, the same for the same seed."""
    rng, hour = np.random.default_rng(seed), np.arange(hours)
    season, day = np.sin(2 * np.pi * hour / 1440), np.sin(2 * np.pi * (hour - 8) / 24)
    temperature = 12 + 10 * season + 4 * day + _wandering(rng, hours, 0.98, 3)
    dew_point = temperature - 8 + _wandering(rng, hours, 0.97, 5)
    pressure = 1016 - 8 * season + _wandering(rng, hours, 0.99, 5)
    wind = np.exp(1.0 + _wandering(rng, hours, 0.9, 1.5))
    rain = np.expm1(3.0 * np.maximum(_wandering(rng, hours, 0.93, 1.0) - 1.2, 0.0))
    humid = np.clip((dew_point - temperature + 15) / 15, 0, 2)
    source = 40 + 15 * np.sin(2 * np.pi * (hour - 18) / 24) + _wandering(rng, hours, 0.95, 12)
    matter = np.full(hours, 80.0)
    for now in range(1, hours):
        left = 0.95 - 0.25 * np.tanh(wind[now] / 8) - 0.3 * np.tanh(rain[now] / 3)
        matter[now] = max(2.0, matter[now - 1] * left + source[now] * (1 + 0.6 * humid[now]) / 4)
    return np.stack([matter, dew_point, temperature, pressure, wind, rain, day], axis=1)


def series(seed: int = 0) -> Series:
    """The station's readings and what is forecast, over mean and deviation of the trained hours."""
    raw = station(seed=seed)
    readings, targets = raw[:-_AHEAD], raw[_AHEAD:, :1]
    trained = int(0.7 * len(readings))

    def standard(values: Array) -> Array:
        seen = values[:trained]
        scaled: Array = (values - seen.mean(axis=0)) / seen.std(axis=0)
        return scaled

    return Series(readings=standard(readings), targets=standard(targets), trained=trained)


def trained_network(cell: str, seed: int, data: Series, epochs: int = 12) -> FloatModel:
    """A cell and a Dense layer, trained on sequences of 48 hours."""
    import keras

    from edgernn_export.keras_reader.reader import read_keras

    keras.utils.set_random_seed(seed)
    layer = getattr(keras.layers, cell)(UNITS, return_sequences=True, name=cell.lower())
    output = keras.layers.Dense(1, name="forecast")
    network = keras.Sequential([keras.Input((None, len(CHANNELS))), layer, output])
    network.compile(keras.optimizers.Adam(3e-3), "mse")
    count = data.trained // _SEQUENCE

    def cut(values: Array) -> Array:
        return values[: count * _SEQUENCE].reshape(count, _SEQUENCE, -1)

    network.fit(cut(data.readings), cut(data.targets), batch_size=16, epochs=epochs, verbose=0)
    return read_keras(network, input_names=list(CHANNELS))


def explained(answers: Array, targets: Array) -> float:
    """R² of answers [T, 1], the beginning left out."""
    answers, targets = answers[_BEGINNING:], targets[_BEGINNING:]
    return float(1 - np.mean(np.square(answers - targets)) / np.var(targets))


def choices(cell: str) -> dict[str, tuple[str, dict[str, int] | None]]:
    """Precision and bits by the name of a choice."""
    layer, four = cell.lower(), {cell.lower(): 4, "forecast": 4}
    return {
        "w8a8": ("w8a8", None),
        "all 4": ("w4a8", four),
        "w4a8": ("w4a8", None),
        "recurrent 8": ("w4a8", {**four, f"{layer}.recurrent": 8}),
    }


def measured(cell: str, seed: int, data: Series) -> Record:
    """Figures of one network: R² of the float network, and R², SQNR and bytes of every choice."""
    network = trained_network(cell, seed, data)
    readings, targets = data.readings[data.trained :], data.targets[data.trained :]
    answers = float_run.answers(network, readings[None])[0]
    float_r2 = explained(answers, targets)
    found: Record = {}
    for choice, (precision, bits) in choices(cell).items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EdgeRnnWarning)
            integer = quantize(
                network, data.readings[:_CALIBRATION], precision, weight_bits=bits,
                stream="endless", progress=False,
            )  # fmt: skip
        got = watched_run(integer, [readings[None]])[1][0][0] * integer.output.scale
        noise = np.mean(np.square(got - answers)[_BEGINNING:])
        found[choice] = {
            "explained": explained(got, targets),
            "kept": explained(got, targets) / float_r2,
            "sqnr_db": float(10 * np.log10(np.var(answers[_BEGINNING:]) / noise)),
            "bytes": len(to_bytes(integer)),
        }
    return {"network": cell, "seed": seed, "float": float_r2, "choices": found}


def main(argv: list[str] | None = None) -> int:
    """Train, quantize, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="write the figures here, as JSON")
    args = parser.parse_args(argv)
    data = series()
    pairs = tqdm([(c, s) for c in CELLS for s in SEEDS], leave=False, disable=None)
    record = {"units": UNITS, "runs": [measured(cell, seed, data) for cell, seed in pairs]}
    if args.out:
        store(args.out, record)
    print(page(record), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
