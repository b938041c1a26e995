"""Streams by name: data frames, without importing a library of frames, and mappings of arrays."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgernn.errors import CalibrationError, TableWarning
from edgernn.model.interface import Port, port_slices
from edgernn.records.columns import listed
from edgernn_export.float_model.model import FloatModel, channel_names


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
    if names is None or is_named(model) or set(model.input_names) <= set(names):
        return model
    if len(names) != model.inputs:
        return model
    return dataclasses.replace(model, input_names=names)


def is_named(model: FloatModel) -> bool:
    """Whether the input channels have other names than the default ones."""
    return model.input_names != channel_names("x", model.inputs, model.input_ports)


def without_frames(streams: Any, names: Sequence[str], owner: str) -> Any:
    """Arrays in the place of frames, their columns in the order of the channels.

    Args:
        streams: what users pass; other types than frames are returned unchanged.
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
            f"{owner}: no column has the name of a model input, so the columns are used in "
            f"order: {listed([f'{c} -> {n}' for c, n in zip(columns, wanted, strict=True)])}. "
            "Pass input_names, or rename the columns.",
            TableWarning,
            stacklevel=2,
        )
        wanted = columns
    elif missing:
        raise CalibrationError(
            f"{owner}: expected one column for each of {listed(wanted)}, got "
            f"{listed(columns)}. Select the channels' columns with input_names=[...]."
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


def by_name(streams: Any, names: Sequence[str], ports: Sequence[Port], owner: str) -> Any:
    """Arrays of all channels in the place of mappings.

    Args:
        streams: what users pass; other types than mappings and lists of mappings are returned
            unchanged.
        names: channel names I; an array of one of them is [T] or [B, T].
        ports: of several inputs; an array of one is [T, W] or [B, T, W], a frame has its channels.
        owner: what the streams are, for messages.

    Raises:
        CalibrationError: a name is missing or unknown, or the arrays do not stand side by side.
    """
    if isinstance(streams, Mapping):
        return _side_by_side(streams, names, ports, owner)
    mappings = isinstance(streams, (list, tuple)) and [isinstance(s, Mapping) for s in streams]
    if not mappings or not all(mappings):
        return streams
    return [_side_by_side(stream, names, ports, owner) for stream in streams]


def _side_by_side(
    stream: Mapping[Any, Any], names: Sequence[str], ports: Sequence[Port], owner: str
) -> Any:
    by_port = {name: tuple(names[own]) for name, own in port_slices(tuple(ports)).items()}
    ports_named = bool(by_port) and set(stream) == set(by_port)
    wanted = by_port if ports_named else {name: (name,) for name in names}
    if set(stream) != set(wanted):
        either = f" or inputs {listed(list(by_port))}" if by_port else ""
        raise CalibrationError(
            f"{owner}: expected an array for each of the channels "
            f"{listed(list(names))}{either}, got {listed([str(name) for name in stream])}. "
            "Pass exactly these arrays."
        )
    arrays = {}
    for name, channels in wanted.items():
        width = len(channels)
        array = np.asarray(without_frames(stream[name], channels, owner))
        if width == 1 and (array.ndim == 1 or (array.ndim == 2 and not ports_named)):
            array = array[..., None]
        if array.ndim not in (2, 3) or array.shape[-1] != width:
            raise CalibrationError(
                f"{owner}: expected [T, {width}] or [B, T, {width}] for {name!r}, got shape "
                f"{list(array.shape)}."
            )
        arrays[name] = array
    lengths = {name: list(array.shape[:-1]) for name, array in arrays.items()}
    if len({tuple(length) for length in lengths.values()}) > 1:
        raise CalibrationError(
            f"{owner}: expected the same number of readings for every name, got {lengths}. All "
            "inputs have the same steps."
        )
    return np.concatenate(list(arrays.values()), axis=-1)
