"""Options of sources and sinks: declared once, checked all together, shown as an example."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edgernn.errors import SourceError

#: What kinds of values are called in messages.
_WANTED: Final = {
    "text": "a text",
    "integer": "a whole number",
    "number": "a number",
    "flag": "true or false",
    "texts": "a list of texts",
    "table": "a table of texts",
    "tables": "a list of tables",
    "secret": '{ env = "NAME" } or { file = "PATH" }',
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOption:
    """One option of a source or a sink.

    Attributes:
        name: the key in the table.
        help: one sentence.
        kind: "text", "integer", "number", "flag", "texts", "table", "tables" or "secret".
        default: where it is not given; None: it must be given, or it is a secret.
        choices: texts that are allowed; all where there are none.
        low: smallest number.
        high: largest number.
        example: what a commented example shows; the default where it is None.
    """

    name: str
    help: str
    kind: str = "text"
    default: Any = None
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    example: Any = None

    @property
    def required(self) -> bool:
        """Whether a table without it is refused."""
        return self.default is None and self.kind != "secret"

    def problem(self, value: object) -> str:
        """What is wrong with a value: "expected …, got …"; "" if nothing."""
        fits = _fits(self.kind, value)
        wanted = _WANTED[self.kind]
        if self.choices:
            wanted = "one of " + ", ".join(f'"{choice}"' for choice in self.choices)
            fits = value in self.choices
        elif fits and self.kind in ("integer", "number"):
            wanted, fits = self._bounded(wanted, value)
        return "" if fits else f"expected {wanted}, got {_shown(self.kind, value)}"

    def _bounded(self, wanted: str, value: Any) -> tuple[str, bool]:
        low, high = self.low, self.high
        if low is not None and high is not None:
            return f"{wanted} from {low} to {high}", low <= value <= high
        if low is not None:
            return f"{wanted} of at least {low}", low <= value < float("inf")
        return wanted, abs(value) < float("inf")


def _fits(kind: str, value: object) -> bool:
    match kind:
        case "text":
            return isinstance(value, str)
        case "integer":
            return type(value) is int
        case "number":
            return type(value) in (int, float)
        case "flag":
            return isinstance(value, bool)
        case "texts":
            return isinstance(value, list) and all(isinstance(item, str) for item in value)
        case "table":
            return isinstance(value, dict) and all(isinstance(v, str) for v in value.values())
        case "tables":
            return isinstance(value, list) and all(isinstance(item, dict) for item in value)
        case _:
            if not isinstance(value, dict) or len(value) != 1:
                return False
            ((where, name),) = value.items()
            return where in ("env", "file") and isinstance(name, str) and bool(name)


def _shown(kind: str, value: object) -> str:
    """A value in a message; a secret is never shown."""
    if kind == "secret" and not isinstance(value, dict):
        return "the value itself. Put it into an environment variable or a file"
    return toml_value(value)[:60]


class OptionValues:
    """The options of one source or sink, with their defaults.

    Args:
        values: checked by `check_options`.
        where: what messages call the table, as in "serve.toml, [[source]] 2".
    """

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        """Keep them."""
        self._values, self.where = dict(values), where

    def text(self, name: str) -> str:
        """A text."""
        return str(self._values[name])

    def integer(self, name: str) -> int:
        """A whole number."""
        return int(self._values[name])

    def number(self, name: str) -> float:
        """A number."""
        return float(self._values[name])

    def flag(self, name: str) -> bool:
        """True or false."""
        return bool(self._values[name])

    def texts(self, name: str) -> list[str]:
        """A list of texts."""
        return list(self._values[name])

    def table(self, name: str) -> dict[str, str]:
        """Texts by name."""
        return dict(self._values[name])

    def tables(self, name: str) -> list[dict[str, Any]]:
        """A list of tables."""
        return [dict(table) for table in self._values[name]]

    def secret(self, name: str) -> str | None:
        """What the environment or the file holds; None where the option is not given.

        Raises:
            SourceError: the variable is not set, or the file cannot be read.
        """
        if self._values[name] is None:
            return None
        ((kind, place),) = self._values[name].items()
        if kind == "env":
            if place not in os.environ:
                raise SourceError(
                    f"{self.where}, {name}: expected the environment variable {place}, got none. "
                    "Set it for the service."
                )
            return os.environ[place]
        try:
            return Path(place).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeError) as error:
            raise SourceError(
                f"{self.where}, {name}: expected a file that this user can read, got {error}."
            ) from error


def check_options(
    table: Mapping[str, object],
    options: Sequence[ConnectionOption],
    where: str,
    errors: list[str],
) -> OptionValues:
    """The values of a table with the defaults of what it omits.

    Args:
        table: as a TOML reader gives it.
        options: that it may have.
        where: what messages call it.
        errors: takes one sentence for each problem.
    """
    known = {option.name: option for option in options}
    for name in table:
        if name not in known:
            like = difflib.get_close_matches(name, known, n=1)
            cure = f"Did you mean {like[0]}?" if like else f"Options are {', '.join(known)}."
            errors.append(f"{where}: expected a known option, got {name!r:.60}. {cure}")
    values: dict[str, Any] = {}
    for option in options:
        values[option.name] = option.default
        if option.name not in table:
            if option.required:
                line = f"{option.name} = {toml_value(option.example)}"
                errors.append(f"{where}: expected {option.name}, got none. Add {line}.")
            continue
        value = table[option.name]
        if problem := option.problem(value):
            errors.append(f"{where}, {option.name}: {problem}.")
        else:
            values[option.name] = value
    return OptionValues(values, where)


def toml_value(value: object) -> str:
    """A value as TOML writes it."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            return f'"{escaped}"'
        case dict():
            members = ", ".join(f"{_toml_key(str(k))} = {toml_value(v)}" for k, v in value.items())
            return f"{{ {members} }}" if members else "{}"
        case list() | tuple():
            return f"[{', '.join(map(toml_value, value))}]"
        case _:
            return str(value)


def _toml_key(key: str) -> str:
    bare = bool(key) and all(c.isascii() and (c.isalnum() or c in "_-") for c in key)
    return key if bare else toml_value(key)


def example_lines(options: Sequence[ConnectionOption]) -> list[str]:
    """A line for each option, behind a comment that explains it; optional ones are comments."""
    lines: list[str] = []
    for option in options:
        value = option.default if option.example is None else option.example
        choices = f" ({', '.join(map(toml_value, option.choices))})" if option.choices else ""
        mark = "" if option.required else "# "
        lines += [f"# {option.help}{choices}", f"{mark}{option.name} = {toml_value(value)}"]
    return lines
