"""What an evaluation found, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.model.formats import FloatArray
from edgernn.model.interface import Window
from edgernn_export.evaluation.departure import Departure, Moment, OverTime
from edgernn_export.evaluation.metrics import IntArray, Score
from edgernn_export.evaluation.recording import Recording
from edgernn_export.evaluation.saturation import Clipped, Saturation


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answered:
    """Answers of both models, one row each.

    Attributes:
        stream: int64 [N], number of the stream.
        row: int64 [N], reading in its stream.
        float_y: float64 [N, O], NaN before the float network's first window; None without one.
        integer_y: float64 [N, O].
    """

    stream: IntArray
    row: IntArray
    float_y: FloatArray | None
    integer_y: FloatArray

    @property
    def compared(self) -> npt.NDArray[np.bool_]:
        """Bool [N]: every model that there is has answered."""
        if self.float_y is None:
            return np.ones(len(self.row), dtype=np.bool_)
        there: npt.NDArray[np.bool_] = ~np.isnan(self.float_y).any(axis=1)
        return there


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Confusion:
    """How often each class [row] was answered by each class [column].

    Attributes:
        names: of the classes.
        of_float: of the float network, None without one.
        of_integer: of the integer model.
    """

    names: tuple[str, ...]
    of_float: IntArray | None
    of_integer: IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """A float network and its integer model on one recording.

    Attributes:
        model: name of the integer model.
        model_sha256: its hash.
        precision: `IntegerModel.precision_label`.
        window: what the integer model runs on; None for an endless stream.
        with_float: there is a float network.
        float_window: what the float network runs on; None for an endless stream.
        streams: streams of the recording.
        readings: readings of all streams.
        answers: answers that are compared.
        left_out: answers that are not compared or not scored, by reason.
        notes: what the figures cannot say.
        task: "regression" or "classification".
        metric: which metric decides.
        scores: metrics against the target; none without targets.
        kept: share of the float network's quality that the integer model keeps by the deciding
            metric, 1.0 for all; of several outputs the least. None where there is none.
        kept_by_float_on_clipped: the same for the float network when its readings are clipped to
            the integer model's input range; None where nothing is clipped.
        agreement: share of answers of one class by both models; None unless there are classes.
        departures: integer minus float, per output.
        over_time: how the difference develops.
        worst: where it is largest.
        clipped: readings beyond the input range, per channel.
        saturation: values that saturate inside the integer model.
        confusion: classes taken for one another.
        output_names: of the outputs.
        answered: the answers themselves.
        target: of every answer, see `Judge`.
        recording: what was run.
    """

    model: str
    model_sha256: str
    precision: str
    window: Window | None
    with_float: bool
    float_window: Window | None
    streams: int
    readings: int
    answers: int
    left_out: Mapping[str, int]
    notes: tuple[str, ...]
    task: str
    metric: str
    scores: tuple[Score, ...]
    kept: float | None
    kept_by_float_on_clipped: float | None
    agreement: float | None
    departures: tuple[Departure, ...]
    over_time: OverTime | None
    worst: tuple[Moment, ...]
    clipped: tuple[Clipped, ...]
    saturation: Saturation
    confusion: Confusion | None
    output_names: tuple[str, ...]
    answered: Answered
    target: npt.NDArray[Any] | None
    recording: Recording

    def to_json(self) -> str:
        """All figures as one JSON object; what is undefined is null."""
        return json.dumps(self.record(), allow_nan=False)

    def record(self) -> dict[str, Any]:
        """All figures as JSON values."""
        plain = (
            "model", "model_sha256", "precision", "with_float", "streams", "readings",
            "answers", "task", "metric", "kept", "kept_by_float_on_clipped", "agreement",
        )  # fmt: skip
        record: dict[str, Any] = {name: getattr(self, name) for name in plain}
        for name in ("window", "float_window"):
            window = getattr(self, name)
            record[name] = None if window is None else asdict(window)
        record["left_out"] = dict(self.left_out)
        record["notes"] = list(self.notes)
        for name in ("scores", "departures", "worst", "clipped"):
            record[name] = [asdict(entry) for entry in getattr(self, name)]
        record["over_time"] = None if self.over_time is None else asdict(self.over_time)
        record["saturation"] = asdict(self.saturation) | {"shares": dict(self.saturation.shares)}
        record["confusion"] = None
        if self.confusion is not None:
            of_float = self.confusion.of_float
            record["confusion"] = {
                "classes": list(self.confusion.names),
                "float": None if of_float is None else of_float.tolist(),
                "integer": self.confusion.of_integer.tolist(),
            }
        return record

    def table(self) -> str:
        """Plain text for people."""
        from edgernn_export.evaluation.table import text

        return text(self)

    def plot(self, path: str | PathLike[str]) -> Path:
        """Draw the answers, their difference, and the errors or the confusion into a .png file."""
        from edgernn_export.evaluation.plot import draw

        return draw(self, Path(path))


def way(window: Window | None) -> str:
    """What a model runs on, for people."""
    return "an endless stream" if window is None else str(window)
