"""Data frames as streams: columns by their names, without importing a library of frames."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgernn.errors import CalibrationError, TableWarning
from edgernn.records.columns import listed
from edgernn_export.float_model.model import FloatModel


def column_names(streams: Any) -> tuple[str, ...] | None:
    """Names of the columns of a frame, or of the first of several; None where there are none."""
    first = streams[0] if isinstance(streams, (list, tuple)) and streams else streams
    if not (hasattr(first, "columns") and hasattr(first, "to_numpy")):
        return None
    names = tuple(first.columns)
    return names if all(isinstance(name, str) for name in names) else None


def named_by_frame(model: FloatModel, streams: Any) -> FloatModel:
    """The model with the channel names of the frame it is calibrated with.

    A model that has names keeps them, and so does one whose names are columns of the frame; a frame
    of as many columns as the model has channels names them.
    """
    names = column_names(streams)
    unnamed = model.input_names == tuple(f"x{channel}" for channel in range(model.inputs))
    if names is None or not unnamed or set(model.input_names) <= set(names):
        return model
    if len(names) != model.inputs:
        return model
    return dataclasses.replace(model, input_names=names)


def without_frames(streams: Any, names: Sequence[str], owner: str) -> Any:
    """Arrays in the place of frames, their columns in the order of the channels.

    Args:
        streams: what users pass; what is no frame stays as it is.
        names: channel names I.
        owner: what the streams are, for messages.

    Raises:
        CalibrationError: a frame without the columns, or with columns that are no numbers.
    """
    if column_names(streams) is None:
        return streams
    if isinstance(streams, (list, tuple)):
        return [_values(frame, names, owner) for frame in streams]
    return _values(streams, names, owner)


def _values(frame: Any, names: Sequence[str], owner: str) -> Any:
    columns = [str(column) for column in getattr(frame, "columns", ())]
    wanted = list(names)
    missing = [name for name in wanted if columns.count(name) != 1]
    if len(missing) == len(wanted) == len(columns):
        # Only names of which none is the model's say nothing about the order of the columns.
        warnings.warn(
            f"{owner}: no column is called as an input of the model, so they are taken in their "
            f"order: {listed([f'{c} -> {n}' for c, n in zip(columns, wanted, strict=True)])}. "
            "Pass input_names, or rename the columns.",
            TableWarning,
            stacklevel=2,
        )
        wanted = columns
    elif missing:
        raise CalibrationError(
            f"{owner}: expected one column for each of {listed(wanted)}, got "
            f"{listed(columns)}. Choose the columns of the channels with input_names=[...]."
        )
    chosen = frame[wanted]
    try:
        try:
            return chosen.to_numpy(dtype=np.float64, na_value=np.nan)
        except TypeError:  # frames of another library than pandas
            return np.asarray(chosen.to_numpy()).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise CalibrationError(
            f"{owner}: expected columns of numbers, got {error!s:.120}."
        ) from error
