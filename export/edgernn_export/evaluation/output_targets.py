"""What targets are, output by output: numbers for each channel, or one class.

Of several outputs, the columns of the targets follow one another in the order of the outputs:
a column for each channel, or one with the class where the output ends in a softmax.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import EdgeRnnError, ShapeError
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Port, port_slices
from edgernn.model.layers import Dense, DenseActivation
from edgernn_export.evaluation.metrics import CLASSIFICATION, REGRESSION, IntArray
from edgernn_export.evaluation.recording import Targets

TASKS: Final = ("auto", REGRESSION, CLASSIFICATION)
#: The class of an answer without a target.
_NO_CLASS: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OutputTarget:
    """What one output should have answered.

    Attributes:
        output: its name; "" where the model has one.
        channels: which of the model's output channels are its own.
        names: of these channels.
        task: "regression" or "classification".
        values: float64 [N, W] of numbers, NaN where there is none; class numbers [N], -1 where
            there is none; None without targets.
    """

    output: str
    channels: slice
    names: tuple[str, ...]
    task: str
    values: npt.NDArray[Any] | None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that it tells apart; of one channel, no and yes."""
        return self.names if len(self.names) > 1 else ("0", "1")

    def known(self, answers: int) -> npt.NDArray[np.bool_]:
        """Bool [N]: which answers have a target."""
        if self.values is None:
            return np.zeros(answers, dtype=np.bool_)
        there: npt.NDArray[np.bool_]
        if self.task == CLASSIFICATION:
            there = self.values != _NO_CLASS
        else:
            there = np.isfinite(self.values).all(axis=1)
        return there


def output_targets(
    model: IntegerModel, truth: Targets | None, task: str
) -> tuple[OutputTarget, ...]:
    """The targets of every output.

    Args:
        model: has the outputs.
        truth: [N] or [N, K] as given; NaN or "" where there is none. None without targets.
        task: "auto" tells it output by output.

    Raises:
        EdgeRnnError: names or numbers that are no classes, or text for numbers.
        ShapeError: columns that the outputs do not fit.
    """
    output = model.output
    if not output.ports:
        only = Port(name="", width=output.width, softmax=output.softmax)
        return (_target(model, only, slice(0, output.width), truth, task),)
    columns = [None] * len(output.ports) if truth is None else _split(output.ports, truth, task)
    slices = port_slices(output.ports)
    return tuple(
        _target(model, port, slices[port.name], own, task)
        for port, own in zip(output.ports, columns, strict=True)
    )


def _target(
    model: IntegerModel, port: Port, channels: slice, truth: Targets | None, task: str
) -> OutputTarget:
    names = model.output.names[channels]
    owner = f"evaluate target{port.name and f' of {port.name!r:.60}'}"
    if task == "auto":
        task = _task(model, port, channels.start, truth)
    values: npt.NDArray[Any] | None = None
    if truth is not None and task == CLASSIFICATION:
        values = _class_numbers(owner, truth, names)
    elif truth is not None:
        values = _numbers(owner, truth, len(names))
    return OutputTarget(output=port.name, channels=channels, names=names, task=task, values=values)


def _split(ports: Sequence[Port], truth: Targets, task: str) -> list[Targets]:
    """The columns of each output."""
    wide = truth.reshape(len(truth), -1)
    every = [port.width for port in ports]
    classes = [
        1 if task == CLASSIFICATION or (task == "auto" and port.softmax) else port.width
        for port in ports
    ]
    for widths in (every, classes):
        if wide.shape[1] == sum(widths):
            ends = np.cumsum(widths)
            return [
                _column_values(wide[:, end - width : end])
                for end, width in zip(ends, widths, strict=True)
            ]
    names = [port.name for port in ports]
    wanted = " or ".join(
        f"{sum(widths)} columns ({', '.join(map('{} {}'.format, names, widths))})"
        for widths in ([every] if classes == every else [classes, every])
    )
    raise ShapeError(
        f"evaluate target: expected {wanted}, got {wide.shape[1]}. Name the columns in the "
        "order of the outputs: one per channel, or one with the class for a softmax."
    )


def _column_values(columns: Targets) -> Targets:
    """Convert numbers that became text next to class names back to numbers."""
    if columns.dtype.kind != "U":
        return columns
    try:
        return np.where(columns == "", "nan", columns).astype(np.float64)
    except ValueError:
        return columns


def _task(model: IntegerModel, port: Port, start: int, truth: Targets | None) -> str:
    """What the targets of an output seem to be."""
    if truth is None:
        return CLASSIFICATION if port.softmax else REGRESSION
    if truth.dtype.kind == "U":
        return CLASSIFICATION
    one_column = truth.ndim == 1 or truth.shape[1] == 1
    known = truth[np.isfinite(truth)]
    if port.softmax:
        return CLASSIFICATION if one_column or _one_hot(truth) else REGRESSION
    if port.width == 1:
        sigmoid = _ends_in_sigmoid(model, start)
        return CLASSIFICATION if sigmoid and np.isin(known, (0, 1)).all() else REGRESSION
    numbers = one_column and known.size and np.isin(known, np.arange(port.width)).all()
    return CLASSIFICATION if numbers else REGRESSION


def _ends_in_sigmoid(model: IntegerModel, channel: int) -> bool:
    """Whether a sigmoid computes an output channel."""
    sources = [part.source for part in model.wiring[-1] for _ in range(part.width)]
    last = model.layers[sources[channel]]
    return isinstance(last, Dense) and last.activation is DenseActivation.SIGMOID


def _one_hot(truth: Targets) -> bool:
    known = truth[np.isfinite(truth).all(axis=1)]
    return bool(np.isin(known, (0, 1)).all() and (known.sum(axis=1) == 1).all())


def _class_numbers(owner: str, truth: Targets, names: Sequence[str]) -> IntArray:
    """Class numbers [N] of numbers, names or one-hot rows; -1 where there is none."""
    count = max(2, len(names))
    if truth.ndim == 2 and truth.shape[1] > 1:
        if truth.dtype.kind != "f" or truth.shape[1] != len(names) or not _one_hot(truth):
            raise ShapeError(
                f"{owner}: expected one class per output, or {len(names)} one-hot columns, got "
                f"{truth.shape[1]} columns."
            )
        known = np.isfinite(truth).all(axis=1)
        return np.where(known, np.argmax(np.nan_to_num(truth), axis=1), _NO_CLASS)
    flat = truth.reshape(-1)
    if flat.dtype.kind == "U":
        known_names = {name: k for k, name in enumerate(names)}
        unknown = sorted({str(v) for v in flat} - set(known_names) - {""})
        if unknown:
            raise EdgeRnnError(
                f"{owner}: expected names of outputs ({', '.join(names):.200}), got "
                f"{', '.join(unknown):.200}. Pass class numbers 0..{count - 1}, or quantize "
                "with these output names (--output-names)."
            )
        return np.array([known_names.get(str(v), _NO_CLASS) for v in flat], dtype=np.int64)
    known = np.isfinite(flat)
    wrong = flat[known & ~np.isin(flat, np.arange(count))]
    if wrong.size:
        raise EdgeRnnError(
            f"{owner}: expected class numbers 0..{count - 1}, got {wrong[0]:g}. Class numbers "
            "follow the order of the outputs. For numeric targets, pass task='regression' "
            "(--task regression)."
        )
    return np.where(known, np.nan_to_num(flat), _NO_CLASS).astype(np.int64)


def _numbers(owner: str, truth: Targets, outputs: int) -> FloatArray:
    """Targets [N, O]."""
    if truth.dtype.kind == "U":
        raise EdgeRnnError(
            f"{owner}: expected numbers for regression, got text. For class names, pass "
            "task='classification' (--task classification)."
        )
    wide: FloatArray = truth.reshape(len(truth), -1)
    if wide.shape[1] != outputs:
        raise ShapeError(
            f"{owner}: expected {outputs} values per row, one for each output, got "
            f"{wide.shape[1]}. Name a column for each output."
        )
    return wide
