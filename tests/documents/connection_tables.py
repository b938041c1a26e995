"""Tables of options in docs/guides/sources-and-sinks.md, generated from what the kinds declare.

python -m tests.documents.connection_tables     write them into the page
"""

from __future__ import annotations

import re
from pathlib import Path

from edgernn.connections.fields import FIELD_OPTIONS, KEY_OPTION
from edgernn.connections.mqtt_client import MQTT_OPTIONS
from edgernn.connections.options import ConnectionOption, toml_value
from edgernn.connections.registry import SINKS, SOURCES, all_options, find_kind
from edgernn.sinks.home_assistant import HOME_ASSISTANT_OPTIONS
from edgernn.sources.polling import POLLING_OPTIONS
from edgernn.sources.tables import LINE_OPTIONS

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "sources-and-sinks.md"
_BLOCK = re.compile(r"<!-- options: ([\w ]+) -->\n.*?<!-- end -->", re.DOTALL)
#: Options that several kinds share, by the name of their table.
SHARED = {
    "fields": (KEY_OPTION, *FIELD_OPTIONS),
    "broker": MQTT_OPTIONS,
    "lines": LINE_OPTIONS,
    "polling": tuple(option for option in POLLING_OPTIONS if option is not KEY_OPTION),
    "home assistant": HOME_ASSISTANT_OPTIONS,
}


def kinds(*, sinks: bool) -> str:
    """The table of all kinds."""
    rows = [
        "| kind | reads | extra |" if not sinks else "| kind | writes | extra |",
        "|---|---|---|",
    ]
    table = SINKS if sinks else SOURCES
    for kind in table:
        cls = find_kind(table, kind)
        extra = f"`{cls.EXTRA}`" if cls.EXTRA else ""
        rows.append(
            f"| [`{kind}`](#{kind}-{'sink' if sinks else 'source'}) | {cls.HELP} | {extra} |"
        )
    return "\n".join(rows)


def options(name: str) -> str:
    """The table of a group of shared options, or of the other options of a kind."""
    if name in SHARED:
        return _table(SHARED[name])
    kind, _, what = name.partition(" ")
    cls = find_kind(SINKS if what == "sink" else SOURCES, kind)
    shared = [option for group in SHARED.values() for option in group]
    own = [option for option in all_options(cls) if option not in shared and option.name != "name"]
    return _table(own) if own else "It has no other options."


def _table(rows: tuple[ConnectionOption, ...] | list[ConnectionOption]) -> str:
    lines = ["| option | meaning | default |", "|---|---|---|"]
    for option in rows:
        choices = ", ".join(f"`{toml_value(choice)}`" for choice in option.choices)
        text = option.help + (f" One of {choices}." if choices else "")
        if option.required:
            default = f"required, such as `{toml_value(option.example)}`"
        elif option.default in (None, "", {}, []):
            default = f"none; such as `{toml_value(option.example)}`" if option.example else "none"
        else:
            default = f"`{toml_value(option.default)}`"
        lines.append(f"| `{option.name}` | {text} | {default} |".replace("{key}", "`{key}`"))
    return "\n".join(lines)


def written(text: str) -> str:
    """The page with its tables."""

    def table(match: re.Match[str]) -> str:
        name = match[1]
        body = kinds(sinks=name == "all sinks") if name.startswith("all ") else options(name)
        return f"<!-- options: {name} -->\n{body}\n<!-- end -->"

    return _BLOCK.sub(table, text)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
