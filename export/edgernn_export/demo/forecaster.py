"""The demo's forecaster: trained with Keras, asked as float and as integer model, and scored."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn_export.demo.data import HORIZON_WEEKS, Co2Record
from edgernn_export.float_model.float_run import run
from edgernn_export.float_model.model import FloatModel
from edgernn_firmware_sim.reference.reference import Reference

UNITS: Final = 24
#: Passes over the training windows.
EPOCHS: Final = 60
#: Training windows: four years, of which the first only brings the state up to date.
_WINDOW_WEEKS, _WARM_UP_WEEKS, _STRIDE_WEEKS = 208, 52, 4
_BATCH: Final = 32
_LEARNING_RATE: Final = 0.01
#: Fresh noise on the readings of every batch keeps a small record from being learnt by heart.
_NOISE_PPM: Final = 0.2


def forecaster() -> Any:
    """An untrained Keras model: a GRU over weekly changes and one linear output, both in ppm."""
    import keras

    return keras.Sequential(
        [
            keras.Input((None, 1)),
            keras.layers.GRU(UNITS, return_sequences=True, name="gru"),
            keras.layers.Dense(1, name="forecast"),
        ],
        name="co2_forecaster",
    )


def windows(record: Co2Record) -> tuple[FloatArray, FloatArray]:
    """Readings and targets [N, window, 1] that lie, horizon included, in the training part."""
    last = record.train_weeks - HORIZON_WEEKS - _WINDOW_WEEKS
    starts = range(0, last + 1, _STRIDE_WEEKS)
    x = np.stack([record.readings[s : s + _WINDOW_WEEKS] for s in starts])
    y = np.stack([record.target[s : s + _WINDOW_WEEKS, None] for s in starts])
    return x, y


def _prepare(seed: int) -> None:
    """Seed everything and ask TensorFlow for operations that repeat their bits."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def train(record: Co2Record, epochs: int, seed: int, progress: bool | None = None) -> Any:
    """Train a forecaster of the change over the next `HORIZON_WEEKS`.

    Runs repeat bit for bit on one machine; another processor or TensorFlow build may differ in
    the last bits, and training amplifies them.

    Args:
        record: only its training part is seen.
        epochs: passes over the training windows.
        seed: of initial weights, batch order and noise.
        progress: show a bar on stderr; None where it is a terminal.

    Returns:
        A `keras.Model` without optimizer state.
    """
    import keras
    from tqdm import tqdm

    _prepare(seed)
    x, y = windows(record)
    weight = np.ones(y.shape[:2])
    weight[:, :_WARM_UP_WEEKS] = 0.0
    batches = len(x) // _BATCH
    model = forecaster()
    schedule = keras.optimizers.schedules.CosineDecay(_LEARNING_RATE, epochs * batches)
    model.compile(keras.optimizers.Adam(schedule, clipnorm=1.0), loss="mse")
    rng = np.random.default_rng(seed)
    with tqdm(range(epochs), desc="training", unit=" epochs", file=sys.stderr,
              disable=None if progress is None else not progress, leave=False) as bar:  # fmt: skip
        for _ in bar:
            order = rng.permutation(len(x))[: batches * _BATCH]
            for chosen in order.reshape(batches, _BATCH):
                noisy = x[chosen] + _NOISE_PPM * rng.standard_normal(x[chosen].shape)
                loss = model.train_on_batch(noisy, y[chosen], sample_weight=weight[chosen])
            bar.set_postfix(mean_squared_error=f"{float(np.ravel(loss)[0]):.3f}")
    trained = forecaster()
    trained.set_weights(model.get_weights())
    return trained


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastErrors:
    """Errors of one forecaster over a part of the record.

    Attributes:
        rmse_ppm: root of the mean squared error of the forecast level.
        mae_ppm: mean absolute error of the forecast level.
    """

    rmse_ppm: float
    mae_ppm: float


def score(record: Co2Record, forecast: FloatArray, part: slice) -> ForecastErrors:
    """Score a forecast change [T]; the error of the change is that of the level it leads to."""
    error = forecast[part] - record.target[part]
    return ForecastErrors(
        rmse_ppm=float(np.sqrt(np.mean(error**2))),
        mae_ppm=float(np.mean(np.abs(error))),
    )


def float_forecast(model: FloatModel, record: Co2Record) -> FloatArray:
    """Forecast change [T] of the float64 model, run statefully over the whole record."""
    ys, _ = run(model, record.readings[None])
    forecast: FloatArray = ys[0, :, 0]
    return forecast


def integer_forecast(model: IntegerModel, record: Co2Record) -> FloatArray:
    """Forecast change [T] of the integer reference, run statefully over the whole record."""
    interface = model.interface()
    q_ys, _ = Reference(model).run(interface.quantize(record.readings))
    forecast: FloatArray = interface.dequantize(q_ys)[:, 0]
    return forecast
