"""One record for a data set: three parts, the names of all channels, how it is scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.decide.decisions import Decisions
from edgernn.model.formats import FloatArray
from edgernn.prepare.preparation import Preparation
from edgernn_export.datasets.sources import DataSource
from edgernn_export.datasets.splits import Part

#: Metrics where more is better; of all others less is.
RISING: Final = frozenset(
    {"accuracy", "auc", "average_precision", "caught", "exact_words", "f1", "nab_score"}
)
#: The metric of models of text.
BITS: Final = "bits_per_character"
#: The file of `Dataset.files` with the word of every token, a line each.
VOCABULARY: Final = "vocabulary.txt"

#: Further metrics of model outputs [B, T, O] over a part, as `Dataset.score` takes them.
Scorer = Callable[[FloatArray, Part], dict[str, float]]


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


def bits(logits: FloatArray, part: Part) -> dict[str, float]:
    """Cross-entropy of the true classes in bits per step, and `accuracy`."""
    scored = part.scored(logits)
    largest = scored.max(axis=-1, keepdims=True)
    whole = np.log2(np.sum(np.exp(scored - largest), axis=-1)) + largest[..., 0] / np.log(2)
    truth = part.scored(part.target).astype(np.int64)
    own = np.take_along_axis(scored, truth, axis=-1)[..., 0] / np.log(2)
    return {BITS: float(np.mean(whole - own)), **accuracy(logits, part)}


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
        metric: the primary metric: "accuracy", "bits_per_character", "mse", "rmse", "mae", or one
            of the ``scorer``.
        metric_unit: unit of errors.
        target_scale: standard deviation of target - base in training, of all outputs together or
            float64 [O]; 1 for classes.
        metric_scale: float64 [O] (or [1]), what errors are divided by.
        input_names, input_units: of the I channels.
        output_names, output_units: of the O outputs.
        step_ms: time between two readings; None where no clock sets it, as for words of a text.
        calibration_stride: every how many-th train stream calibrates the quantizer.
        symbols: of a model of text, which reads tokens and says the next one: what they stand for.
        scorer: gives further metrics; None where there are none.
        files: texts that are written beside the model, by their names, such as a vocabulary.
        naive: rules without a model, by name: what a model that follows the rule would answer over
            ``test``, float64 [B, T, O]; scored as models are.
        preparation: how raw readings become ``x``; models record it.
        decisions: what is decided from the outputs; models record it.
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
    target_scale: float | FloatArray
    metric_scale: FloatArray
    input_names: tuple[str, ...]
    input_units: tuple[str, ...]
    output_names: tuple[str, ...]
    output_units: tuple[str, ...]
    step_ms: float | None
    calibration_stride: int
    symbols: tuple[str, ...] = ()
    scorer: Scorer | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    naive: Mapping[str, FloatArray] = field(default_factory=dict)
    preparation: Preparation | None = None
    decisions: Decisions | None = None

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
        own = {} if self.scorer is None else self.scorer(output, part)
        if self.metric == BITS:
            return bits(output, part) | own
        if self.classes:
            return accuracy(output, part) | own
        return forecast_errors(part.base + output, part, self.metric_scale) | own

    def calibration(self) -> FloatArray | Sequence[FloatArray]:
        """Streams for the quantizer: train streams, begun as they are in use.

        Returns:
            float64 [B, T, I], or a list of [T_i, I] where the streams differ in length.
        """
        x = self.train.x[:: self.calibration_stride]
        if self.train.lengths is None:
            return x
        lengths = self.train.lengths[:: self.calibration_stride]
        return [stream[:length] for stream, length in zip(x, lengths, strict=True)]

    def labels(self) -> dict[str, Any]:
        """What a model records of its data, as `edgernn_export.quantize` takes it."""
        around = {"preparation": self.preparation, "decisions": self.decisions}
        return {name: given for name, given in around.items() if given is not None} | {
            "input_names": self.input_names,
            "input_units": self.input_units,
            "output_names": self.output_names,
            "output_units": self.output_units,
        }


def class_part(
    x: FloatArray,
    label: npt.NDArray[np.int64],
    classes: int,
    lengths: npt.NDArray[np.int64] | None = None,
) -> Part:
    """Streams of one class each, judged at their last step.

    Args:
        x: float64 [B, T, I].
        label: int64 [B].
        classes: number of classes, O.
        lengths: int64 [B], steps of each stream; None where all have T.
    """
    batch, steps, _ = x.shape
    truth = np.broadcast_to(label.astype(np.float64)[:, None, None], (batch, steps, 1))
    base = np.broadcast_to(np.zeros(1), (batch, steps, classes))
    return Part(x=x, target=truth, base=base, scored_from=0, lengths=lengths, last_only=True)
