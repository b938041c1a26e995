"""Payloads of one or many readings: JSON, or raw numbers in the byte order of small machines."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from edgernn.connections.arrival import Arrival
from edgernn.connections.fields import Fields, strange_names, writable

FORMATS: Final = ("json", "float32", "float64")
#: Member of an object that holds several readings.
_READINGS: Final = "readings"
_RAW: Final[dict[str, np.dtype[Any]]] = {"float32": np.dtype("<f4"), "float64": np.dtype("<f8")}


class PayloadReader:
    """Turns payloads into readings.

    A JSON payload is a number, a list of the channels' values, an object with fields by name, a
    list of such lists or objects, or an object with these under "readings"; its other members
    then hold for every reading. A raw payload is float32 or float64, little-endian, one reading
    after another.

    Args:
        fields: of the readings.
        form: a name in `FORMATS`.
        most_bytes: length of the longest payload that is read.
    """

    def __init__(self, fields: Fields, form: str, most_bytes: int) -> None:
        """Keep them."""
        self._fields, self._raw, self._most_bytes = fields, _RAW.get(form), most_bytes
        self._width = len(fields.channels)

    def arrivals(self, payload: bytes, key: str = "") -> list[Arrival]:
        """The readings of a payload; one arrival with a problem where there are none.

        Args:
            payload: as received.
            key: of all its readings where it is known otherwise; "" if they name it.
        """
        if len(payload) > self._most_bytes:
            got = f"{len(payload)} bytes"
            return [Arrival(key, [], None, None, self._longer(got))]
        if self._raw is not None:
            return self._of_raw(payload, self._raw, key)
        try:
            value = json.loads(payload)
        except (ValueError, RecursionError) as error:
            reason = str(error).partition(":")[0]
            got = f"{bytes(payload[:40])!r} ({reason:.60})" if payload else "an empty payload"
            return [self._unreadable(f"expected a JSON value, got {got}", key)]
        return self._of_value(value, key)

    def _longer(self, got: str) -> str:
        return f"expected a payload of at most {self._most_bytes} bytes, got {got}"

    def _unreadable(self, problem: str, key: str) -> Arrival:
        """A payload without a reading; the stream, if it is known, misses one."""
        values = [math.nan] * self._width if key else []
        return Arrival(key, values, None, None, problem)

    def _of_raw(self, payload: bytes, dtype: np.dtype[Any], key: str) -> list[Arrival]:
        size = self._width * dtype.itemsize
        if not payload or len(payload) % size:
            wanted = f"{self._width} {dtype.name} values of {size} bytes for each reading"
            return [self._unreadable(f"expected {wanted}, got {len(payload)} bytes", key)]
        rows = np.frombuffer(payload, dtype).astype(np.float64).reshape(-1, self._width)
        name = key or self._fields.take({})[0]
        finite = np.isfinite(rows).all(axis=1)
        arrivals = [Arrival(name, row) for row in rows.tolist()]
        for index in np.flatnonzero(~finite).tolist():
            values = arrivals[index].values
            arrivals[index].values = [v if math.isfinite(v) else math.nan for v in values]
            arrivals[index].problem = "expected finite numbers, got NaN or infinity"
        return arrivals

    def _of_value(self, value: object, key: str) -> list[Arrival]:
        if isinstance(value, list) and value and isinstance(value[0], (list, dict)):
            return [self._one(item, key, {}) for item in value]
        if isinstance(value, dict) and isinstance(value.get(_READINGS), list):
            shared = dict(value)
            readings = shared.pop(_READINGS)
            return [self._one(item, key, shared) for item in readings]
        return [self._one(value, key, {})]

    def _one(self, value: object, key: str, shared: dict[str, object]) -> Arrival:
        if isinstance(value, dict):
            return self.of_object(shared | value if shared else value, key)
        cells = value if isinstance(value, list) else [value]
        if not shared and len(cells) == self._width and (key or not self._fields.named):
            values, problem = self._numbers(cells)  # the most frequent form
            return Arrival(key or self._fields.default_key, values, problem=problem)
        if len(cells) != self._width:
            names = ", ".join(self._fields.channels)
            problem = f"expected {self._width} values ({names:.200}), got {len(cells)}"
            return self._placed(cells, shared, key, problem)
        return self._placed(cells, shared, key)

    def _placed(
        self, cells: list[object], fields: dict[str, object], key: str, problem: str = ""
    ) -> Arrival:
        passed = dict(fields)
        key, time_s, sequence, wrong = self._fields.take(passed, key)
        passed = writable(passed)
        if wrong:
            return Arrival(key, [], time_s, sequence, wrong, passed)
        values = [math.nan] * self._width
        if not problem:
            values, problem = self._numbers(cells)
        return Arrival(key, values, time_s, sequence, problem, passed)

    def of_object(self, value: dict[str, object], key: str = "") -> Arrival:
        """The reading of an object with fields by name."""
        passed = dict(value)
        cells = [passed.pop(name, _ABSENT) for name in self._fields.columns]
        if _ABSENT in cells:
            pairs = zip(cells, self._fields.columns, strict=True)
            cells = [_nested(value, name) if cell is _ABSENT else cell for cell, name in pairs]
        if _ABSENT not in cells:
            return self._placed(cells, passed, key)
        columns = self._fields.columns
        missing = [name for name, cell in zip(columns, cells, strict=True) if cell is _ABSENT]
        problem = (
            f"expected the fields {', '.join(columns):.200}, got a reading without "
            f"{', '.join(missing):.200} (it has {strange_names(value)})"
        )
        if len(missing) == len(columns):
            return self._placed(cells, passed, key, problem)
        arrival = self._placed([None if c is _ABSENT else c for c in cells], passed, key)
        arrival.problem = problem if arrival.values else arrival.problem
        return arrival

    def _numbers(self, cells: Sequence[object]) -> tuple[list[float], str]:
        kinds = set(map(type, cells))
        if kinds <= _NUMBERS:
            try:
                finite = math.isfinite(sum(cells))  # type: ignore[arg-type]
            except OverflowError:
                finite = False
            if finite:
                return [float(cell) for cell in cells], ""  # type: ignore[arg-type]
        values, problem = [], ""
        for cell, channel in zip(cells, self._fields.channels, strict=True):
            value = finite_number(cell)
            if value is None:
                got = "null" if cell is None else f"{cell!r:.40}"
                problem = problem or f"expected a number for {channel!r:.60}, got {got}"
                value = math.nan
            values.append(value)
        return values, problem


_ABSENT: Final = object()
_NUMBERS: Final = {float, int}


def _nested(value: object, name: str) -> object:
    """The member of an object in an object, as in "ENERGY.Power"."""
    for part in name.split("."):
        value = value.get(part, _ABSENT) if isinstance(value, dict) else _ABSENT
    return value


def finite_number(cell: object) -> float | None:
    """The finite number that a cell holds, as a number or as text; None where it holds none."""
    if isinstance(cell, bool):
        return None
    try:
        if isinstance(cell, str):
            value = math.nan if "_" in cell or len(cell) > 100 else float(cell)
        elif isinstance(cell, (int, float)):
            value = float(cell)
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None
