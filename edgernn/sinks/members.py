"""Results as flat objects of JSON, and as cells of a table."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from edgernn.connections.arrival import Result

#: Members that every result has.
FIXED: Final = ("time", "key", "sequence", "bad")


def time_text(time_s: float) -> str:
    """A time as ISO 8601 in UTC, with milliseconds."""
    try:
        moment = datetime.fromtimestamp(time_s, UTC)
    except (ValueError, OverflowError, OSError):
        return ""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def result_members(result: Result, names: Sequence[str] = ()) -> dict[str, Any]:
    """A result as flat JSON: numbers that are not finite are null.

    Args:
        result: of one reading.
        names: of the prepared channels, to write their values too.
    """
    members: dict[str, Any] = {
        "time": time_text(result.time_s),
        "key": result.key,
        "sequence": result.sequence,
    }
    values = dict(zip(names, result.x, strict=True)) if names else {}
    for more in (values, result.outputs, result.decisions, result.passed):
        for name, value in more.items():
            finite = not isinstance(value, float) or math.isfinite(value)
            while name in members:
                name += "_output"
            members[name] = value if finite else None
    members["bad"] = result.bad
    return members


def flags(result: Result) -> dict[str, bool]:
    """The decisions that are true or false, such as alarms."""
    return {name: value for name, value in result.decisions.items() if isinstance(value, bool)}


def newest(results: Iterable[Result]) -> list[Result]:
    """The last result of each key."""
    return list({result.key: result for result in results}.values())


def pairs(members: dict[str, Any]) -> str:
    """Names and values on one line, for people."""
    text = " ".join(f"{name}={cell(value) or '-'}" for name, value in members.items())
    return text if text.isprintable() else ascii(text)[1:-1]  # what would steer a terminal


def row(cells: Sequence[str]) -> str:
    """A line of a table, without its end."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()


def cell(value: object) -> str:
    """A value in a cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int, float)) else json.dumps(value)
