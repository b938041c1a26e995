"""One record for a data set: three parts, the names of all channels, how it is scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.model.formats import FloatArray
from edgernn_export.datasets.sources import DataSource
from edgernn_export.datasets.splits import Part

#: Metrics where more is better; of all others less is.
RISING: Final = frozenset({"accuracy"})


def forecast_errors(prediction: FloatArray, part: Part, scale: FloatArray) -> dict[str, float]:
    """MSE, RMSE and MAE over the scored steps, errors divided by ``scale``.

    Args:
        prediction: float64 [B, T, O].
        part: holds the truth and says which steps are scored.
        scale: float64 [O] or [1].
    """
    difference = part.scored(prediction - part.target) / scale
    mse = float(np.mean(np.square(difference)))
    return {"mse": mse, "rmse": mse**0.5, "mae": float(np.mean(np.abs(difference)))}


def accuracy(logits: FloatArray, part: Part) -> dict[str, float]:
    """Share of scored steps whose largest logit is the true class's."""
    chosen = part.scored(logits).argmax(axis=-1)
    return {"accuracy": float(np.mean(chosen == part.scored(part.target)[..., 0]))}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """A task on real readings.

    Attributes:
        name: short, for messages.
        source: public home, terms of use, citation.
        protocol: split, target and scoring, a sentence each.
        train: the only part that statistics, ranges and weights come from.
        validation: chooses the epoch to keep, and hyperparameters.
        test: what is reported.
        classes: names of the classes; empty for a forecast.
        metric: the primary metric: "accuracy", "mse", "rmse" or "mae".
        metric_unit: unit of errors.
        target_scale: standard deviation of target - base in training; 1 for classes.
        metric_scale: float64 [O] (or [1]), what errors are divided by.
        input_names, input_units: of the I channels.
        output_names, output_units: of the O outputs.
        step_ms: time between two readings.
        calibration_stride: every how many-th train stream calibrates the quantizer.
    """

    name: str
    source: DataSource
    protocol: str
    train: Part
    validation: Part
    test: Part
    classes: tuple[str, ...]
    metric: str
    metric_unit: str
    target_scale: float
    metric_scale: FloatArray
    input_names: tuple[str, ...]
    input_units: tuple[str, ...]
    output_names: tuple[str, ...]
    output_units: tuple[str, ...]
    step_ms: float
    calibration_stride: int

    @property
    def rising(self) -> bool:
        """Whether more of the primary metric is better."""
        return self.metric in RISING

    def score(self, output: FloatArray, part: Part) -> dict[str, float]:
        """Metrics of model outputs over a part.

        Args:
            output: float64 [B, T, O]; logits, or changes in physical units that are added to
                ``part.base``.
            part: `train`, `validation` or `test`.
        """
        if self.classes:
            return accuracy(output, part)
        return forecast_errors(part.base + output, part, self.metric_scale)

    def calibration(self) -> FloatArray:
        """Streams for the quantizer, float64 [B, T, I]: train streams, begun as they are in use."""
        return self.train.x[:: self.calibration_stride]

    def labels(self) -> dict[str, Any]:
        """Names and units of inputs and outputs, as `edgernn_export.quantize` takes them."""
        return {
            "input_names": self.input_names,
            "input_units": self.input_units,
            "output_names": self.output_names,
            "output_units": self.output_units,
        }


def class_part(x: FloatArray, label: npt.NDArray[np.int64], classes: int) -> Part:
    """Streams of one class each, judged at their last step.

    Args:
        x: float64 [B, T, I].
        label: int64 [B].
        classes: number of classes, O.
    """
    batch, steps, _ = x.shape
    truth = np.broadcast_to(label.astype(np.float64)[:, None, None], (batch, steps, 1))
    base = np.broadcast_to(np.zeros(1), (batch, steps, classes))
    return Part(x=x, target=truth, base=base, scored_from=steps - 1)
