"""Checks of a pool's arguments: limits, keys, numbers of readings, flags."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.backends.rows import Int64Array
from edgernn.errors import EdgeRnnError, ReadingError, ShapeError, StreamKeyError
from edgernn.model.formats import BoolArray, FloatArray
from edgernn.model.interface import Interface
from edgernn.session.readings import read_many


def check_limits(capacity: int | None, idle_s: float | None) -> None:
    """Refuse limits that no pool has.

    Raises:
        EdgeRnnError: not 1 or more keys, or not above 0 seconds.
    """
    if capacity is not None and (type(capacity) is not int or capacity < 1):
        raise EdgeRnnError(f"pool: expected a capacity of 1 or more keys, got {capacity!r:.40}.")
    if idle_s is not None and not (isinstance(idle_s, (int, float)) and idle_s > 0):
        raise EdgeRnnError(f"pool: expected idle_s above 0 seconds, got {idle_s!r:.40}.")


def checked_keys(keys: Iterable[Hashable]) -> Sequence[Any]:
    """A list or tuple of keys.

    Raises:
        StreamKeyError: not a sequence.
    """
    if isinstance(keys, (list, tuple)):
        return keys
    if isinstance(keys, (str, bytes)) or not isinstance(keys, Iterable):
        raise StreamKeyError(
            f"pool: expected a sequence of keys, got {type(keys).__name__}. Pass [key] for one."
        )
    return keys.tolist() if isinstance(keys, np.ndarray) else list(keys)


class ReadingsOf:
    """Makes arrays of the readings of a model."""

    __slots__ = ("_input", "_width")

    def __init__(self, interface: Interface) -> None:
        """Take the channels."""
        self._input, self._width = interface.input, interface.input.width

    def __call__(self, xs: object, count: int) -> FloatArray:
        """Contiguous float64 [B, I].

        Args:
            xs: array-like [B, I], or what `edgernn.session.readings.read_many` takes.
            count: B.

        Raises:
            ShapeError: no readings of this model, or not as many as keys.
        """
        if type(xs) is np.ndarray and xs.shape == (count, self._width) and xs.dtype == np.float64:
            flags = xs.flags
            if flags.c_contiguous and flags.aligned:
                return xs
        x = read_many(xs, self._input.names, self._input.ports)
        if len(x) != count:
            raise ShapeError(
                f"pool: expected {count} readings for {count} keys, got {len(x)}. Pass one "
                "reading per key."
            )
        return np.require(x, np.float64, ["C", "A"])


def reading_numbers(sequence: npt.ArrayLike, count: int) -> Int64Array:
    """Contiguous int64 [B].

    Raises:
        ShapeError: other numbers, or not as many.
        ReadingError: a number below 1.
    """
    numbers = np.asarray(sequence)
    if numbers.shape != (count,) or (count and numbers.dtype.kind not in "iu"):
        raise ShapeError(
            f"pool: expected sequence as integers [{count}], got {numbers.dtype} "
            f"{list(numbers.shape)}. Pass one number per reading."
        )
    if count and numbers.min() < 1:
        raise ReadingError(
            f"pool: expected sequence numbers from 1, got {numbers.min()}. Add 1 to a count that "
            "begins at 0."
        )
    return np.ascontiguousarray(numbers, np.int64)


def bad_flags(bad: BoolArray, count: int) -> BoolArray:
    """The array that a batch writes its flags to, bool [B].

    Raises:
        ShapeError: not such an array.
    """
    if type(bad) is not np.ndarray or bad.dtype != np.bool_ or bad.shape != (count,):
        raise ShapeError(f"pool: expected bad as a bool array [{count}], got {bad!r:.40}.")
    if not (bad.flags.c_contiguous and bad.flags.writeable):
        raise ShapeError("pool: expected bad to be contiguous and writable. Pass np.empty(B, bool)")
    return bad


def bad_key(keys: Sequence[Hashable]) -> StreamKeyError:
    """What is wrong with one of these keys."""
    seen = set[Any]()
    for b, key in enumerate(keys):
        try:
            hash(key)
        except TypeError:
            return StreamKeyError(
                f"pool: expected hashable keys, got {type(key).__name__} (key {b}). Pass names, "
                "numbers or tuples of them."
            )
        if key != key:
            return StreamKeyError(
                f"pool: expected keys that equal themselves, got {key!r:.40} (key {b})."
            )
        if key in seen:
            return StreamKeyError(f"pool: expected distinct keys, got {key!r:.60} twice (key {b}).")
        seen.add(key)
    return StreamKeyError("pool: expected hashable keys.")
