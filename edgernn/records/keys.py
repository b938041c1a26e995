"""Columns that identify sensors: one stream must not mix them silently."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from edgernn.errors import EdgeRnnError

_SOURCES: Final = (
    "asset", "client", "device", "engine", "host", "logger", "machine", "meter", "node", "patient",
    "probe", "pump", "sensor", "station", "subject", "turbine", "user", "vehicle",
)  # fmt: skip
_ENDINGS: Final = ("", "id", "key", "name", "no", "nr", "number", "num", "uid", "uuid", "serial")
#: Names of a source: a change of value is a change of stream.
_STRONG: Final = frozenset(
    {source + ending for source in _SOURCES for ending in _ENDINGS}
    | {"deveui", "entityid", "imei", "mac", "macaddress", "serial", "serialno", "serialnumber"}
    | {"symbol", "ticker", "topic", "unitid", "unitnr", "unitnumber"}
)
#: Names of a source or of a row: only a value that comes back tells, for rows are counted up.
_WEAK: Final = frozenset({"channel", "guid", "id", "key", "name", "uid", "uuid"})
#: More different values than this without one coming back are those of rows.
_MOST_SOURCES: Final = 64
_FRACTION: Final = re.compile(r"[+-]?\d*[.,]\d+")


def _plain(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


class KeyWatch:
    """Watches the columns that the model is not fed, by name and by what they hold."""

    def __init__(self) -> None:
        """Nothing seen."""
        self._seen: dict[str, dict[str, None]] = {}
        self._last: dict[str, str] = {}
        self._settled: set[str] = set()

    def candidates(self, names: list[str]) -> list[str]:
        """The names that may identify sensors."""
        return [name for name in names if _plain(name) in _STRONG | _WEAK]

    def check(self, values: Mapping[str, object]) -> None:
        """Look at the candidates of one row.

        Raises:
            EdgeRnnError: the row is of another sensor than the one before.
        """
        for name, value in values.items():
            text = "" if value is None else str(value).strip()
            if not text or name in self._settled or isinstance(value, (dict, list)):
                continue
            seen, last = self._seen.setdefault(name, {}), self._last.get(name, text)
            if _FRACTION.fullmatch(text) or len(seen) > _MOST_SOURCES:
                self._settled.add(name)  # a measurement, or a number of the row
                continue
            if text != last and (_plain(name) in _STRONG or text in seen):
                raise EdgeRnnError(
                    f"expected the readings of one sensor, got those of {text!r:.40} after "
                    f"those of {last!r:.40} (column '{name:.40}'). One stream has one state: "
                    "use a separate file and a separate run for each sensor, or edgernn serve, "
                    "which keeps a state for each; pass --one-stream if all rows belong to one "
                    "stream"
                )
            seen[text] = None
            self._last[name] = text
