"""A commented configuration that runs unchanged, and the reference of all settings."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any, Final

from edgernn.connections.registry import SINKS, SOURCES, example_toml
from edgernn.service.config.settings import TABLES, DeliverySettings

_HEAD: Final = """\
# A service of edgernn: sources -> preparation -> model -> decisions -> sinks.
#   check it:  edgernn serve --check {name}
#   run it:    edgernn serve {name}
#   watch it:  http://127.0.0.1:8765/  or, in a terminal:  edgernn watch {name}
# A setting behind a # shows its default; ... stands for none.
"""
_DECISION: Final = """\
# What is decided from the outputs, in the place of what the model itself records.
[[decision]]
kind = "threshold"
name = "rising"
of = "co2_change_in_13_weeks"
on = 3.0
off = 2.0
"""
#: Settings that the example gives, by table.
_GIVEN: Final[dict[str, dict[str, Any]]] = {
    "model": {"path": "demo"},
    "store": {"path": "states.db"},
    "http": {"truth": "change_over_13_weeks", "truth_after": 13},
}


def example_config(name: str = "serve.toml") -> str:
    """A configuration with every setting: the packaged model over the packaged readings.

    Args:
        name: of the file, for the comments.
    """
    lines = [_HEAD.format(name=name)]
    for table, kind in TABLES.items():
        lines += [f"# {_about(kind)}", f"[{table}]"]
        for entry in dataclasses.fields(kind):
            given = _GIVEN.get(table, {})
            lines += [f"# {_help(entry)}", *_line(entry, given)]
        lines.append("")
    lines += [
        "# Where readings come from; kinds: " + ", ".join(sorted(SOURCES)),
        example_toml("demo"),
        _DECISION,
        "# Where results go; kinds: " + ", ".join(sorted(SINKS)),
        example_toml("stdout", sink=True).rstrip(),
    ]
    for entry in dataclasses.fields(DeliverySettings):
        lines += [f"# {_help(entry)}", *_line(entry, {})]
    return "\n".join(lines) + "\n"


def settings_tables() -> Iterator[tuple[str, str, list[tuple[str, str, str]]]]:
    """Every table of a configuration, for the guide.

    Yields:
        The title, what the table is about, and name, default and meaning of each setting.
    """
    kinds = {f"[{name}]": kind for name, kind in TABLES.items()} | {"[[sink]]": DeliverySettings}
    for title, kind in kinds.items():
        rows = [
            (entry.name, _value(entry.default) or "none", _help(entry))
            for entry in dataclasses.fields(kind)
        ]
        yield title, _about(kind), rows


def _about(kind: type[Any]) -> str:
    """What a table is about, from the sentence behind its name."""
    text = (kind.__doc__ or "").partition(": ")[2] or kind.__doc__ or ""
    return text[0].upper() + text[1:]


def _help(entry: dataclasses.Field[Any]) -> str:
    text = str(entry.metadata["help"])
    choices = entry.metadata["choices"]
    return f"{text[0].upper()}{text[1:]}." + (f" ({', '.join(choices)})" if choices else "")


def _line(entry: dataclasses.Field[Any], given: dict[str, Any]) -> list[str]:
    if entry.name in given:
        return [f"{entry.name} = {_value(given[entry.name])}"]
    value = _value(entry.default)
    return [f"# {entry.name} = {value}"] if value else [f"# {entry.name} = ..."]


def _value(value: Any) -> str:
    """A value as TOML; "" where there is none."""
    return "" if value is None else json.dumps(value)
