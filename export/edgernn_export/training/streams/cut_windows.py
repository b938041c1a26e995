"""Windows cut from a stream, as a window model sees them on the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.errors import TrainingError
from edgernn.model.formats import FloatArray
from edgernn.model.interface import MAX_WINDOW_STEPS
from edgernn_export.compress.checks import is_whole
from edgernn_export.training.recipe import check_count


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WindowExamples:
    """Windows of a stream and their targets.

    Attributes:
        x: readings float64 [N, T, I].
        ends: row of the stream with the last reading of each window, [N].
        y: targets [N] or [N, O], those ``horizon`` rows after the ends; None without targets.
    """

    x: FloatArray
    ends: npt.NDArray[np.intp]
    y: npt.NDArray[Any] | None


def windows(
    stream: npt.ArrayLike,
    window: int,
    *,
    hop: int = 1,
    horizon: int = 0,
    targets: npt.ArrayLike | None = None,
    pad: bool = False,
) -> WindowExamples:
    """Cut a stream into the windows that a session of a window model sees.

    A model that is quantized with this ``window`` and ``hop`` has an output at the rows ``ends``,
    and its output there is that of the window: `edgernn.run_many(model, x, last=True)` equals
    `Session.run(stream)[ends]` bit for bit, as long as ``horizon`` is 0.

    Args:
        stream: readings [T, I], or [T] of one channel, in time order.
        window: readings in a window.
        hop: readings between the ends of two windows.
        horizon: rows from the last reading of a window to its target; windows whose target would
            be beyond the end of the stream are left out.
        targets: [T] or [T, O], one for each reading.
        pad: begin at the first reading, which fills the missing places, as sessions with
            ``warm_up="pad"`` do.

    Raises:
        TrainingError: a number that cannot be one, other than T targets, or a stream that is too
            short for one window.
    """
    for owner, value in (("window", window), ("hop", hop)):
        check_count(f"windows {owner}", value)
        if value > MAX_WINDOW_STEPS:
            raise TrainingError(
                f"windows {owner}: expected at most {MAX_WINDOW_STEPS} readings, got {value}."
            )
    if not is_whole(horizon) or horizon < 0:
        raise TrainingError(f"windows horizon: expected a whole number >= 0, got {horizon!r:.40}.")
    x = as_stream(stream)
    readings = len(x)
    if pad:
        x = padded(x, window)
    y = None if targets is None else np.asarray(targets)
    if y is not None and (y.ndim not in (1, 2) or len(y) != readings):
        raise TrainingError(
            f"windows targets: expected [{readings}] or [{readings}, O], one for each reading, got "
            f"{list(y.shape)}."
        )
    ends = np.arange(0 if pad else window - 1, readings - horizon, hop)
    if not len(ends):
        raise TrainingError(
            f"windows stream: expected at least {(1 if pad else window) + horizon} readings for a "
            f"window of {window} and a horizon of {horizon}, got {readings}. Pass a longer stream, "
            "or a shorter window."
        )
    views = np.lib.stride_tricks.sliding_window_view(x, window, axis=0)
    starts = ends if pad else ends - (window - 1)
    return WindowExamples(
        x=np.ascontiguousarray(views[starts].swapaxes(1, 2)),
        ends=ends,
        y=None if y is None else y[ends + horizon],
    )


def as_stream(stream: npt.ArrayLike) -> FloatArray:
    """Readings float64 [T, I].

    Raises:
        TrainingError: something else, or values that are not finite.
    """
    x = np.asarray(stream)
    if x.dtype.kind not in "biuf" or x.ndim not in (1, 2):
        raise TrainingError(
            f"stream: expected numbers [T, I] or [T], got {x.dtype} {list(x.shape)}. Pass one "
            "stream at a time."
        )
    x = x.astype(np.float64)
    if not np.isfinite(x).all():
        raise TrainingError(
            f"stream: expected finite values, got {np.count_nonzero(~np.isfinite(x))} NaN or "
            "infinite. Drop or fill these readings."
        )
    return x[:, None] if x.ndim == 1 else x


def padded(x: FloatArray, window: int) -> FloatArray:
    """A stream [T, I] with its first reading repeated before it, [window - 1 + T, I]."""
    return np.concatenate([np.repeat(x[:1], window - 1, axis=0), x])
