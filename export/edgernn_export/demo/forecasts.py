"""Forecasts of the float and the integer models, and what they are worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn_export.demo.data import Co2Record
from edgernn_export.float_model.float_run import run
from edgernn_export.float_model.model import FloatModel
from edgernn_firmware_sim.reference.reference import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Errors of one forecaster over a part of the record.

    Attributes:
        rmse_ppm: root of the mean squared error of the forecast level.
        mae_ppm: mean absolute error of the forecast level.
    """

    rmse_ppm: float
    mae_ppm: float


def score(record: Co2Record, forecast: FloatArray, part: slice) -> Score:
    """Score a forecast change [T]; the error of the change is that of the level it leads to."""
    error = forecast[part] - record.target[part]
    return Score(
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
