"""Fields of a record that are no channels: the key, the time, the number of the reading."""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Final

from edgernn.connections.options import ConnectionOption, OptionValues
from edgernn.prepare.times import LocalClock

#: Names that are found without being told.
_AUTO: Final = {
    "key_field": ("key",),
    "time_field": ("time", "timestamp", "t", "ts", "datetime"),
    "sequence_field": ("sequence", "seq"),
}
_PER_S: Final = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
#: End of the year 9999, the last one that Python's calendar has.
_LAST_S: Final = 253_402_300_799.0
_LONGEST_KEY: Final = 200
#: Streams whose last local times are known.
_MOST_CLOCKS: Final = 100_000
#: From this number on, a time without a unit is in milliseconds, microseconds, nanoseconds.
_UNITS_BY_SIZE: Final = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
#: Levels of lists and objects in a field that is passed on.
_DEEPEST: Final = 32

FIELD_OPTIONS: Final = (
    ConnectionOption(
        name="columns",
        help="Fields that are not called as their channel: channel = field.",
        kind="table",
        default={},
        example={"temperature": "temp_c"},
    ),
    ConnectionOption(
        name="key_field",
        help='Field with the name of the stream; "auto" takes "key" if there is one, "" none.',
        default="auto",
    ),
    ConnectionOption(
        name="time_field",
        help='Field with the time; "auto" takes time, timestamp, t, ts or datetime, "" none.',
        default="auto",
    ),
    ConnectionOption(
        name="time_unit",
        help='Unit of times that are numbers; "auto" judges by their size.',
        default="auto",
        choices=("auto", *_PER_S),
    ),
    ConnectionOption(
        name="time_format",
        help='Form of times that are texts, as Python\'s strptime has it; "" for ISO 8601.',
        default="",
        example="%d.%m.%Y %H:%M:%S",
    ),
    ConnectionOption(
        name="time_zone",
        help="Zone of times that are texts without one.",
        default="UTC",
        example="Europe/Berlin",
    ),
    ConnectionOption(
        name="sequence_field",
        help='Field with the number of the reading; "auto" takes sequence or seq, "" none.',
        default="auto",
    ),
)
KEY_OPTION: Final = ConnectionOption(
    name="key",
    help="Name of the stream where the readings have none; by default that of the source.",
    default="",
    example="pump-1",
)


def field_problems(values: OptionValues, channels: Sequence[str]) -> list[str]:
    """What is wrong with the options of fields."""
    problems = []
    unknown = [name for name in values.table("columns") if name not in channels]
    if unknown and channels:
        problems.append(
            f"columns: expected channels among {', '.join(channels)}, got {', '.join(unknown)}."
        )
    try:
        _zone(values.text("time_zone"))
    except ValueError:
        problems.append(
            'time_zone: expected a name of the tz database such as "UTC" or "Europe/Berlin", '
            f'got "{values.text("time_zone"):.40}".'
        )
    return problems


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        raise ValueError(name) from error


class Fields:
    """Finds the key, the time and the number of readings among the fields of records.

    Args:
        values: with `FIELD_OPTIONS`.
        channels: names of the raw channels.
        key: of readings that have none.

    Attributes:
        channels: as given.
        columns: field of each channel, in the order of the channels.
        default_key: of readings that have none.
        named: the options name a field that every reading must have.
    """

    def __init__(self, values: OptionValues, channels: Sequence[str], key: str) -> None:
        """Look up the names."""
        renamed = values.table("columns")
        self.channels = tuple(channels)
        self.columns = tuple(renamed.get(channel, channel) for channel in channels)
        self.default_key = key
        self._unit, self._format = values.text("time_unit"), values.text("time_format")
        self._zone = _zone(values.text("time_zone"))
        self._clocks: dict[str, LocalClock] = {}
        self._names = {
            option: tuple(n for n in auto if n not in self.columns)
            if values.text(option) == "auto"
            else (values.text(option),) * bool(values.text(option))
            for option, auto in _AUTO.items()
        }
        self._said = {option for option in _AUTO if values.text(option) not in ("auto", "")}
        self.named = bool(self._said)

    def take(
        self, fields: MutableMapping[str, object], key: str = ""
    ) -> tuple[str, float | None, int | None, str]:
        """Take the key, the time and the number out of the fields of one reading.

        Args:
            fields: of the reading; what is found is removed.
            key: of the stream where it is known otherwise; the field then stays.

        Returns:
            The key, "" where it is missing or invalid; the time; the number; what is wrong with
            them, "" if nothing. With a problem the reading cannot be used.
        """
        problem = ""
        if not key:
            found, value = self._pop("key_field", fields)
            key, problem = (
                _key_of(value) if found else (self.default_key, self._absent("key_field"))
            )
        time_s, sequence = None, None
        found, value = self._pop("time_field", fields)
        if found:
            time_s, wrong = self.time_s(value, key)
            problem = problem or wrong
        else:
            problem = problem or self._absent("time_field")
        found, value = self._pop("sequence_field", fields)
        if found:
            sequence, wrong = _sequence_of(value)
            problem = problem or wrong
        else:
            problem = problem or self._absent("sequence_field")
        return key, time_s, sequence, problem

    def _pop(self, option: str, fields: MutableMapping[str, object]) -> tuple[bool, object]:
        for name in self._names[option]:
            if name in fields:
                return True, fields.pop(name)
        return False, None

    def _absent(self, option: str) -> str:
        if option not in self._said:
            return ""
        return f"expected the field {self._names[option][0]!r:.60}, got a reading without it"

    def time_s(self, value: object, key: str) -> tuple[float | None, str]:
        """A time of a stream in seconds since 1970-01-01 UTC, or what is wrong with it."""
        if isinstance(value, str):
            return self._time_of_text(value.strip(), key)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None, f"expected a time, got {value!r:.40}"
        return self._time_of_number(value)

    def _time_of_text(self, text: str, key: str) -> tuple[float | None, str]:
        if not self._format:
            try:
                number = float(text)
            except ValueError:
                pass
            else:
                return self._time_of_number(number)
        try:
            if self._format:
                moment = datetime.strptime(text, self._format)
            else:
                moment = datetime.fromisoformat(text)
            if moment.tzinfo is None and self._zone is not UTC:
                time_s = self._clock(key).seconds(moment, self._zone)
            else:
                time_s = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
        except (ValueError, OverflowError):
            wanted = f"of the form {self._format}" if self._format else "as ISO 8601 or a number"
            return None, f"expected a time {wanted}, got {text!r:.40}"
        return _bounded(time_s, text)

    def _clock(self, key: str) -> LocalClock:
        if len(self._clocks) >= _MOST_CLOCKS and key not in self._clocks:
            self._clocks.clear()
        return self._clocks.setdefault(key, LocalClock())

    def _time_of_number(self, value: int | float) -> tuple[float | None, str]:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if self._unit != "auto":
            return _bounded(number / _PER_S[self._unit], value)
        for least, per_s in _UNITS_BY_SIZE:
            if number >= least:
                return _bounded(number / per_s, value)
        return _bounded(number, value)


def _bounded(time_s: float, value: object) -> tuple[float | None, str]:
    if 0.0 <= time_s <= _LAST_S:
        return time_s, ""
    return None, f"expected a time from 1970 to 9999, got {value!r:.40}"


def _key_of(value: object) -> tuple[str, str]:
    text = str(value).strip() if isinstance(value, (str, int)) else ""
    if text and len(text) <= _LONGEST_KEY and text.isprintable():
        return text, ""
    return "", f"expected a key of 1 to {_LONGEST_KEY} printable characters, got {value!r:.40}"


def valid_key(text: str) -> bool:
    """Whether a text may name a stream."""
    return bool(_key_of(text)[0])


def _sequence_of(value: object) -> tuple[int | None, str]:
    number: object = value
    if isinstance(value, str):
        try:
            number = int(value) if len(value) < 30 else None
        except ValueError:
            number = None
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if type(number) is int and 0 <= number < 2**63:
        return number, ""
    return None, f"expected the number of the reading, got {value!r:.40}"


def writable(fields: Mapping[str, object]) -> dict[str, object]:
    """Fields that are passed on, as every sink can write them: as JSON in UTF-8.

    Half of a surrogate pair becomes a question mark. Inside lists and objects, a number that is not
    finite becomes None, and so does what lies deeper than `_DEEPEST`.
    """
    return {
        _encodable(name): value if isinstance(value, float) else _plain(value, _DEEPEST)
        for name, value in fields.items()
    }


def _plain(value: object, levels: int) -> object:
    if isinstance(value, str):
        return _encodable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (list, dict)) and not levels:
        return None
    if isinstance(value, list):
        return [_plain(entry, levels - 1) for entry in value]
    if isinstance(value, dict):
        return {_encodable(name): _plain(entry, levels - 1) for name, entry in value.items()}
    return value


def _encodable(text: str) -> str:
    return text if text.isascii() else text.encode(errors="replace").decode()


def strange_names(fields: Mapping[str, object]) -> str:
    """Names of fields for a message."""
    names = ", ".join(f"{name:.30}" for name in list(fields)[:6])
    return names + (", …" if len(fields) > 6 else "") if fields else "none"
