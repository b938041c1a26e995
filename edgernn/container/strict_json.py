"""Canonical JSON out, strict JSON in (FORMAT.md section 3).

`json.loads` forgives duplicate keys, NaN, floats, endless digits and deep nesting. A reader of
untrusted files accepts none of them: each is a separate defect.
"""

from __future__ import annotations

import enum
import json
import math
import re
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from edgernn.container.defects import FormatDefect, format_error

#: Deepest nesting of arrays and objects; the format itself needs 4 levels.
MAX_DEPTH: Final = 8
#: Integers are those of int64.
INT64: Final = range(-(2**63), 2**63)

# Strings are skipped whole, an unterminated one to the end of the text. Possessive quantifiers
# keep the scan linear for any input.
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)

_Choice = TypeVar("_Choice", bound=enum.Enum)


def dumps(value: Any) -> bytes:
    """Canonical JSON: sorted keys, no white space, UTF-8, no escapes that JSON does not demand.

    Raises:
        FormatError: the value contains something that JSON or UTF-8 cannot represent.
    """
    try:
        text = json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        return text.encode("utf-8")
    except (TypeError, ValueError) as error:
        raise format_error(
            FormatDefect.BAD_RECORD,
            "record",
            expected="only text, integers and booleans",
            got=f"{error!s:.120}",
        ) from error


def loads(data: bytes | str, owner: str, *, reals: bool = False) -> Node:
    """Parse strict JSON.

    Args:
        data: UTF-8 bytes or text.
        owner: the part of the file the JSON is, for messages.
        reals: accept finite decimal numbers too.

    Raises:
        FormatError: NOT_JSON, JSON_TOO_DEEP, BAD_NUMBER or DUPLICATE_KEY.
    """

    def refused_number(digits: str) -> Any:
        raise format_error(
            FormatDefect.BAD_NUMBER, owner, expected="64-bit integers", got=f"{digits:.40}"
        )

    def decimal(digits: str) -> float:
        return float(digits) if math.isfinite(float(digits)) else refused_number(digits)

    def integer(digits: str) -> int:
        # The length is tested first: converting a million digits takes quadratic time.
        if len(digits) > 20 or int(digits) not in INT64:
            refused_number(digits)
        return int(digits)

    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for key, value in pairs:
            if key in members:
                raise format_error(
                    FormatDefect.DUPLICATE_KEY,
                    owner,
                    expected="distinct keys",
                    got=f"{key!r:.60} twice",
                )
            members[key] = value
        return members

    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        _check_depth(text, owner)
        value = json.loads(
            text,
            object_pairs_hook=distinct,
            parse_int=integer,
            parse_float=decimal if reals else refused_number,
            parse_constant=refused_number,
        )
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise format_error(
            FormatDefect.NOT_JSON, owner, expected="JSON text in UTF-8", got=f"{error!s:.120}"
        ) from error
    return Node(owner, value)


def _check_depth(text: str, owner: str) -> None:
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        first = text[match.start()]
        if first in "[{":
            depth += 1
        elif first in "]}":
            depth -= 1
        if depth > MAX_DEPTH:
            raise format_error(
                FormatDefect.JSON_TOO_DEEP,
                owner,
                expected=f"at most {MAX_DEPTH} levels of nesting",
                got="more",
                where=f"character {match.start()}",
            )


@dataclass(frozen=True, slots=True)
class Node:
    """A parsed JSON value that knows its place and checks types.

    Every method raises FormatError BAD_RECORD, naming the place, unless the value is of the
    expected type.

    Attributes:
        owner: place of the value, for messages.
        value: what `json.loads` made of it.
    """

    owner: str
    value: Any

    def refuse(self, expected: str, cure: str = "") -> Exception:
        """The error that says what is expected here, and how to fix it."""
        got = f"{self.value!r:.60}"
        return format_error(
            FormatDefect.BAD_RECORD, self.owner, expected=expected, got=got, cure=cure
        )

    def keys(self) -> list[str]:
        """Keys of an object."""
        if type(self.value) is not dict:
            raise self.refuse("an object")
        return list(self.value)

    def member(self, key: str) -> Node:
        """One member of an object; the others are not looked at."""
        if type(self.value) is not dict or key not in self.value:
            raise self.refuse(f"a member {key!r}")
        return Node(f"{self.owner}.{key}", self.value[key])

    def members(self, *keys: str) -> dict[str, Node]:
        """All members of an object that has exactly these keys."""
        if sorted(self.keys()) != sorted(keys):
            raise self.refuse(f"an object with exactly the members {', '.join(sorted(keys))}")
        return {key: self.member(key) for key in keys}

    def items(self, low: int = 0, high: int | None = None) -> list[Node]:
        """The elements of an array of ``low`` to ``high`` elements."""
        if type(self.value) is not list or len(self.value) < low:
            raise self.refuse(f"an array of at least {low} elements")
        if high is not None and len(self.value) > high:
            raise self.refuse(f"an array of at most {high} elements")
        return [Node(f"{self.owner}[{i}]", item) for i, item in enumerate(self.value)]

    def text(self) -> str:
        """A string."""
        if type(self.value) is not str:
            raise self.refuse("a string")
        return self.value

    def texts(self) -> tuple[str, ...]:
        """An array of strings."""
        return tuple(item.text() for item in self.items())

    def integer(self, low: int = INT64.start, high: int = INT64.stop - 1) -> int:
        """An integer in [low, high]; true and false are none."""
        if type(self.value) is not int or not low <= self.value <= high:
            raise self.refuse(f"an integer in [{low}, {high}]")
        return self.value

    def flag(self) -> bool:
        """True or false."""
        if type(self.value) is not bool:
            raise self.refuse("true or false")
        return self.value

    def real(self) -> float:
        """A double written as a hexadecimal string, so that not one bit is lost."""
        try:
            return float.fromhex(self.text())
        except (ValueError, OverflowError) as error:
            raise self.refuse("a hexadecimal floating-point string") from error

    def choice(self, kind: type[_Choice]) -> _Choice:
        """A member of an enumeration, by value."""
        for choice in kind:
            if type(self.value) is str and choice.value == self.value:
                return choice
        raise self.refuse(f"one of {', '.join(str(choice.value) for choice in kind)}")
