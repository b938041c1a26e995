"""Calibration streams: one shape for all that users pass, and what missing values become."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from edgernn.errors import CalibrationError
from edgernn.model.formats import BoolArray, FloatArray
from edgernn.model.interface import Port, Window
from edgernn.session.policies import Policy
from edgernn_export.calibration.frames import by_name, without_frames

#: Steps of all windows that are cut out of streams, as far as every reading is in one of them.
_MOST_WINDOW_STEPS: Final = 1 << 19


def missing_policy(name: str) -> Policy:
    """The policy of that name.

    Raises:
        CalibrationError: no policy has this name.
    """
    wanted = [policy.value for policy in Policy]
    if name not in wanted:
        raise CalibrationError(
            f"on_missing: expected one of {', '.join(wanted)}, got {name!r:.40}."
        )
    return Policy(name)


def without_missing(stream: FloatArray, policy: Policy) -> tuple[FloatArray, BoolArray]:
    """A stream as a session of this policy would have advanced with it.

    Args:
        stream: float64 [T, I]; values that are not finite are missing.
        policy: HOLD gives a channel its last value and leaves out what comes before each channel
            has had one; SKIP leaves out readings that are not complete; RAISE changes nothing.

    Returns:
        float64 [T', I], T' <= T, and which readings are in it, bool [T].
    """
    there = np.isfinite(stream)
    kept = np.ones(len(stream), dtype=np.bool_)
    if policy is Policy.RAISE or there.all():
        return stream, kept
    if policy is Policy.SKIP:
        kept = there.all(axis=1)
        return stream[kept], kept
    steps = np.arange(len(stream))[:, None]
    last = np.maximum.accumulate(np.where(there, steps, -1), axis=0)
    kept = (last >= 0).all(axis=1)
    held: FloatArray = np.take_along_axis(stream, np.maximum(last, 0), axis=0)
    return held[kept], kept


def as_streams(
    streams: Any,
    inputs: int,
    owner: str = "calibration",
    *,
    names: Sequence[str] | None = None,
    ports: Sequence[Port] = (),
    on_missing: str = "raise",
) -> list[FloatArray]:
    """Normalize to float64 blocks [B, T, I]; streams of one length share a block.

    Args:
        streams: [T, I], [B, T, I] or a sequence of [T_i, I]; [T] is accepted when I is 1. Data
            frames are [T, I]. Mappings of arrays by the names of inputs or channels stand for any
            of these, see `by_name`.
        inputs: number of channels I.
        owner: what the streams are, for messages.
        names: channel names I, by which the columns of data frames are picked; by default they are
            taken in their order.
        ports: of several inputs, their names and widths.
        on_missing: what NaN and infinite values do, see `calibration.missing.without_missing`.

    Raises:
        CalibrationError: empty, not numeric, not finite, or of another width.
    """
    policy = missing_policy(on_missing)
    if names is not None:
        streams = without_frames(by_name(streams, names, ports, owner), names, owner)
    try:
        if isinstance(streams, (list, tuple)) and streams and np.ndim(streams[0]) == 2:
            blocks = [_real(s)[None] for s in streams]
        else:
            whole = _real(streams)
            if whole.ndim == 1 and inputs == 1:
                whole = whole[:, None]
            blocks = [whole[None] if whole.ndim == 2 else whole]
    except (TypeError, ValueError) as error:
        raise CalibrationError(f"{owner}: expected numbers, got {error}.") from error
    named = ", ".join(f"{port.name!r}: [T, {port.width}]" for port in ports)
    for block in blocks:
        if block.ndim != 3 or block.shape[-1] != inputs or block.size == 0:
            cure = f" Of several inputs, pass a mapping: {{{named}}}." if ports else ""
            raise CalibrationError(
                f"{owner}: expected non-empty [T, {inputs}], [B, T, {inputs}] or a list of "
                f"[T, {inputs}], got shape {list(block.shape)}.{cure}"
            )
    if policy is not Policy.RAISE:
        complete = [
            without_missing(stream, policy)[0][None] for block in blocks for stream in block
        ]
        blocks = [stream for stream in complete if stream.size]
        if not blocks:
            raise CalibrationError(f"{owner}: expected finite values, got streams without any.")
    _refuse_missing(blocks, owner)
    return merged(blocks)


def _refuse_missing(blocks: Sequence[FloatArray], owner: str) -> None:
    bad = sum(int(np.count_nonzero(~np.isfinite(block))) for block in blocks)
    before = 0
    for block in blocks:
        missing = np.argwhere(~np.isfinite(block))
        if missing.size:
            stream, step, channel = (int(v) for v in missing[0])
            raise CalibrationError(
                f"{owner}: expected finite values, got {bad} NaN or infinite (first at stream, "
                f"step, channel {[before + stream, step, channel]}). Drop or fill these "
                "readings, or pass on_missing='hold' or 'skip' (--on-bad-reading)."
            )
        before += block.shape[0]


def as_windows(
    blocks: Sequence[FloatArray], window: Window, owner: str = "calibration"
) -> FloatArray:
    """Windows [N, T, I] of streams, each of which has at least one.

    Of long streams not every window is taken, but every reading is in one that is. The hop makes no
    difference: where in a stream a device begins to count, nobody knows.

    Args:
        blocks: from `as_streams`.
        window: of the model.
        owner: what the streams are, for messages.

    Raises:
        CalibrationError: a stream is shorter than a window.
    """
    steps = window.steps
    shortest = min(block.shape[1] for block in blocks)
    if shortest < steps:
        raise CalibrationError(
            f"{owner}: expected streams of at least {steps} readings, one window of the model, "
            f"got one of {shortest}. Remove this stream, or join consecutive streams."
        )
    possible = sum(block.shape[0] * (block.shape[1] - steps + 1) for block in blocks)
    stride = min(-(-possible * steps // _MOST_WINDOW_STEPS), steps)
    cut = []
    for block in blocks:
        views = np.lib.stride_tricks.sliding_window_view(block, steps, axis=1)
        last = views.shape[1] - 1
        cut.append(views[:, [*range(0, last, stride), last]])
    windows: FloatArray = np.concatenate(
        [views.reshape(-1, *views.shape[2:]).swapaxes(1, 2) for views in cut]
    )
    return windows


def _real(values: Any) -> FloatArray:
    array = np.asarray(values)
    if array.dtype.kind == "c":  # NumPy would drop the imaginary part with a warning
        raise TypeError(f"{array.dtype.name} values")
    return array.astype(np.float64)


def merged(blocks: list[FloatArray]) -> list[FloatArray]:
    """Stack single streams of equal length so that they run as one batch."""
    by_length: dict[int, list[FloatArray]] = {}
    for block in blocks:
        by_length.setdefault(block.shape[1], []).append(block)
    return [np.concatenate(group) for _, group in sorted(by_length.items())]


def streams_sha256(blocks: Sequence[FloatArray]) -> str:
    """Hash of shapes and values (hex)."""
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(repr(block.shape).encode())
        digest.update(np.ascontiguousarray(block, dtype="<f8").tobytes())
    return digest.hexdigest()
