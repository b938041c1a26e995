"""Declarations: frozen records of settings that TOML tables, JSON and Python build alike.

A record lists its fields with `setting`; `Declaration` checks them all and reports every problem.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

from edgernn.errors import DeclarationError

_Declared = TypeVar("_Declared", bound="Declaration")
_REQUIRED: Final = dataclasses.MISSING


def setting(
    help: str,
    *,
    default: Any = _REQUIRED,
    low: float = -math.inf,
    high: float = math.inf,
    choices: tuple[str, ...] = (),
) -> Any:
    """A field of a declaration.

    Args:
        help: what it says, for documents and messages.
        default: its value where it is omitted; none for a field that must be given.
        low: least number.
        high: greatest number.
        choices: the texts that are possible; none for any.
    """
    rules = {"help": help, "low": low, "high": high, "choices": choices}
    if default is _REQUIRED:
        return dataclasses.field(metadata=rules)
    return dataclasses.field(default=default, metadata=rules)


class Declaration:
    """Base of the frozen dataclasses of settings.

    Types of fields: str, bool, int, float, ``float | None``, ``tuple[str, ...]`` and
    ``tuple[float, ...]``.
    """

    __slots__ = ()
    #: What names the record in a table: ``kind = "..."``. "" where the place of the table says it.
    kind: ClassVar[str] = ""

    def __post_init__(self) -> None:
        """Check every field, then what they say together.

        Raises:
            DeclarationError: with all the reasons.
        """
        reasons = []
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            if "help" in field.metadata:
                value, problem = _checked(getattr(self, field.name), field)
                object.__setattr__(self, field.name, value)
                reasons += [f"{field.name}: {problem}"] if problem else []
        reasons = reasons or list(self.problems())
        if reasons:
            name = self.kind or type(self).__name__.lower()
            raise DeclarationError([f"{name}.{reason}" for reason in reasons])

    def problems(self) -> Iterator[str]:
        """What is wrong with the fields together: "field: expected ..., got ...."."""
        yield from ()

    def to_table(self) -> dict[str, Any]:
        """The record as a table: what `read_table` reads; fields at their default are omitted."""
        table: dict[str, Any] = {"kind": self.kind} if self.kind else {}
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if "help" in field.metadata and value != field.default:
                table[field.name] = list(value) if isinstance(value, tuple) else value
        return table


def _checked(value: Any, field: dataclasses.Field[Any]) -> tuple[Any, str]:
    """A value in the type of its field, and what is wrong with it, "" for nothing."""
    kind = str(field.type)
    if kind.endswith(" | None") and value is None:
        return None, ""
    kind = kind.removesuffix(" | None")
    if kind.startswith("tuple["):
        if not isinstance(value, (list, tuple)):
            return value, f"expected a list, got {value!r:.60}."
        inner = kind[6:].partition(",")[0]
        items = [_checked_one(item, inner, field) for item in value]
        return tuple(item for item, _ in items), next((text for _, text in items if text), "")
    return _checked_one(value, kind, field)


def _checked_one(value: Any, kind: str, field: dataclasses.Field[Any]) -> tuple[Any, str]:
    rules = field.metadata
    if kind == "str":
        if type(value) is not str:
            return value, f"expected a text, got {value!r:.60}."
        if rules["choices"] and value not in rules["choices"]:
            choices = rules["choices"]
            return value, f"expected {one_of(choices)}, got {value!r:.60}.{like(value, choices)}"
        return value, ""
    if kind == "bool":
        return value, "" if type(value) is bool else f"expected true or false, got {value!r:.60}."
    whole = kind == "int"
    if type(value) not in ((int,) if whole else (int, float)):
        return value, f"expected a {'whole ' * whole}number, got {value!r:.60}."
    if not rules["low"] <= value <= rules["high"] or not abs(value) <= sys.float_info.max:
        return value, f"expected {_bounds(rules['low'], rules['high'])}, got {value!r:.60}."
    return (value if whole else float(value)), ""


def _bounds(low: float, high: float) -> str:
    if math.isinf(low) and math.isinf(high):
        return "a finite number"
    if math.isinf(high):
        return f"at least {low:g}"
    return f"at most {high:g}" if math.isinf(low) else f"{low:g} to {high:g}"


def one_of(names: Iterable[str]) -> str:
    """Names for a message: ``"mean", "last" or "linear"``."""
    *first, last = [f'"{name}"' for name in names]
    return f"{', '.join(first)} or {last}" if first else last


def like(name: object, names: Iterable[str]) -> str:
    """The question whether a similar name was meant; "" where none is similar."""
    import difflib  # only for messages

    found = difflib.get_close_matches(str(name), list(names), 1)
    return f' Did you mean "{found[0]}"?' if found else ""


def read_table(
    cls: type[_Declared], table: object, where: str, reasons: list[str], **given: Any
) -> _Declared | None:
    """Build a declaration from a table of TOML or JSON.

    Args:
        cls: the declaration.
        table: its fields by name; a member ``kind`` is ignored.
        where: place of the table, for messages.
        reasons: gets one sentence for every problem.
        given: fields that were read already.

    Returns:
        The declaration; None where there is a problem.
    """
    if not isinstance(table, Mapping):
        reasons.append(f"{where}: expected a table, got {table!r:.60}.")
        return None
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    known = [name for name, f in fields.items() if "help" in f.metadata]
    before = len(reasons)
    ignored = {*known, *given, *["kind"] * bool(cls.kind)}
    reasons += [
        f"{where}: expected {', '.join(known)}, got {key!r:.60}.{like(key, known)}"
        for key in table
        if key not in ignored
    ]
    for name in known:
        if fields[name].default is _REQUIRED and name not in table:
            help = fields[name].metadata["help"]
            reasons.append(f"{where}: expected {name} ({help}), got none. Add it.")
    values = {name: table[name] for name in known if name in table}
    if len(reasons) > before:
        return None
    try:
        return cls(**values, **given)
    except DeclarationError as error:
        # A record without a kind is named by its place alone.
        own = "" if cls.kind else f"{cls.__name__.lower()}."
        reasons += [f"{where}: {reason.removeprefix(own)}" for reason in error.reasons]
        return None


class StreamDeclaration(Declaration):
    """Base of the declarations that streams are made of: they have a hash and a JSON text."""

    __slots__ = ("_sha256", "_state_sha256")
    _sha256: str
    _state_sha256: str

    def to_json(self) -> str:
        """Canonical JSON: equal declarations, equal texts."""
        return canonical_json(self.to_table())

    @property
    def sha256(self) -> str:
        """Hash that identifies the declaration (hex)."""
        found = getattr(self, "_sha256", "")
        if not found:
            found = hashlib.sha256(self.to_json().encode()).hexdigest()
            object.__setattr__(self, "_sha256", found)
        return found


def file_table(path: str | Path, name: str) -> Any:
    """The table of a TOML file, or the one of this name in it.

    Raises:
        DeclarationError: the file cannot be read, or is no TOML.
    """
    import tomllib

    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"{error!s:.120}"
        raise DeclarationError([f"{path}: expected a TOML file, got {reason}."]) from error
    return table[name] if set(table) == {name} and isinstance(table[name], dict) else table


def canonical_json(table: Mapping[str, Any]) -> str:
    """One text for one table: sorted keys, no white space, floats that lose no bit."""
    return json.dumps(
        table, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def json_table(text: str, what: str) -> Any:
    """What a JSON text holds.

    Raises:
        DeclarationError: it is no JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DeclarationError([f"{what}: expected JSON, got {error!s:.120}."]) from error
