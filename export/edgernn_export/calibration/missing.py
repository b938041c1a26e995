"""Streams in which channels have no value at times."""

from __future__ import annotations

import numpy as np

from edgernn.errors import CalibrationError
from edgernn.model.formats import BoolArray, FloatArray
from edgernn.session.policies import Policy


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
        stream: float64 [T, I]; what is not finite is missing.
        policy: HOLD gives a channel its last value and leaves out what comes before each channel
            has had one; SKIP leaves out readings that are not complete; RAISE leaves all as it is.

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
