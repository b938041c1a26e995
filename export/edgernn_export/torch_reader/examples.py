"""What a module may be called with, from readings of the kind that calibration has."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

#: Streams of an example, and the most steps of streams that are no windows.
_STREAMS: Final = 4
_STEPS: Final = 8
#: Windows up to this length are passed as they are.
_LONGEST_WINDOW: Final = 1024


def examples_of(readings: Any, module: Any) -> Iterator[tuple[Any, bool]]:
    """Examples to try, and whether each is as long as the windows that the module reads.

    Args:
        readings: streams [T, I], windows [B, T, I], a list of [T_i, I], a data frame, or a mapping
            of them by the names of the module's arguments, or of channels. One channel may omit I.
        module: the module.
    """
    if isinstance(readings, Mapping):
        names = [str(name) for name in inspect.signature(module.forward).parameters]
        if set(readings) <= set(names):
            found = {str(name): _batch(value) for name, value in readings.items()}
            if all(value is not None for value in found.values()):
                arrays = {name: value[0] for name, value in found.items() if value is not None}
                yield arrays, all(value is None or value[1] for value in found.values())
            return
        readings = _columns(readings)
    batch = _batch(readings)
    if batch is None:
        return
    array, whole = batch
    yield array, whole
    if array.dtype.kind == "f" and np.all(array == np.round(array)):
        yield array.astype(np.int64), whole
        array = array.astype(np.int64)
    if array.dtype.kind in "iu" and array.ndim == 3 and array.shape[2] == 1:
        yield array[..., 0], whole


def _columns(channels: Mapping[str, Any]) -> Any:
    """Channels by name, next to each other: the first stream where there are several."""
    firsts = (
        value[0] if isinstance(value, (list, tuple)) else value for value in channels.values()
    )
    try:
        return np.stack([np.asarray(value) for value in firsts], axis=-1)
    except (TypeError, ValueError, IndexError):
        return None


def _batch(readings: Any) -> tuple[NDArray[Any], bool] | None:
    """A few streams of one length [B, T, ...], and whether they are whole windows."""
    values = readings.to_numpy() if hasattr(readings, "to_numpy") else readings
    if isinstance(values, (list, tuple)):
        values = values[0] if values else np.empty(0)
        values = values.to_numpy() if hasattr(values, "to_numpy") else values
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):
        return None
    array = array[:, None] if array.ndim == 1 else array
    if array.dtype.kind not in "iuf" or array.ndim not in (2, 3) or not array.size:
        return None
    windows = array.ndim == 3 and len(array) > 1 and array.shape[1] <= _LONGEST_WINDOW
    rows = array if array.ndim == 3 else array[None]
    rows = rows[:_STREAMS] if windows else rows[:_STREAMS, :_STEPS]
    made: NDArray[Any] = np.resize(rows, (_STREAMS, *rows.shape[1:]))
    return np.nan_to_num(made) if made.dtype.kind == "f" else made, windows
