"""The C API, written from the headers that the exporter writes for the packaged model."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import edgernn
from edgernn.model.interface import Window
from edgernn_export import export

_MODEL: Final = Path(edgernn.__file__).parent / "data" / "demo.edgernn"
#: A window model of the same network: the last 24 readings, an answer after every sixth.
_WINDOW: Final = Window(steps=24, hop=6)
_TOKEN: Final = re.compile(
    r"/\*(?P<comment>.*?)\*/[ \t]*(?P<end>\n?)"
    r"|#define (?P<macro>\w+)(?P<value>[^\n/]*?)[ \t]*(?:/\*(?P<meaning>[^\n]*?)\*/)?\n"
    r"|(?P<type>typedef (?:struct \{.*?^\} \w+|[^;{]+);)[ \t]*(?:/\*(?P<note>[^\n]*?)\*/)?"
    r"|(?P<function>^[\w ]+ \*?(?P<name>\w+)\([^)]*\);)"
    r"|(?P<blank>\n[ \t]*\n)",
    re.MULTILINE | re.DOTALL,
)
#: What is C in a comment: names with an underscore, and elements of arrays.
_NAME: Final = re.compile(r"\w+\[\w+\]|(?:\w|<\w>)*_(?:\w|<\w>)*(?:\.[ch]\b|\(\w*\))?")


@dataclass(frozen=True, slots=True)
class Declared:
    """One declaration of a header.

    Attributes:
        kind: "macro", "type" or "function".
        name: what it declares.
        text: the C of it; of a macro its value.
        comment: what the header says about it.
    """

    kind: str
    name: str
    text: str
    comment: str


def markdown() -> str:
    """Functions, types and macros of the packaged model, and what a window model adds."""
    model = edgernn.IntegerModel.load(_MODEL)
    endless = declarations(_header(model))
    window = declarations(_header(replace(model, window=_WINDOW)))
    known = {(one.kind, one.name, one.comment) for one in endless}
    more = [
        one
        for one in window
        if (one.kind, one.name, one.comment) not in known and one.kind != "type"
    ]
    return "\n".join(
        [
            *_listed(endless, "##"),
            "## Window models",
            "",
            "A [window model](../guides/windows.md) declares these functions and macros in "
            f"addition to, or instead of, those above. The values are those of a window of "
            f"{_WINDOW.steps} readings with an answer after every {_WINDOW.hop} readings.",
            "",
            *_listed(more, "###", "window-"),
        ]
    )


def declarations(header: str) -> list[Declared]:
    """What a header declares, in its order."""
    body = header.partition('extern "C" {')[2].partition("\n#ifdef __cplusplus")[0]
    found: list[Declared] = []
    comment = ""
    for token in _TOKEN.finditer(body):
        if token["comment"] is not None:
            comment = _sentence(token["comment"])
        elif token["macro"]:
            said = " ".join(filter(None, [comment, _sentence(token["meaning"] or "")]))
            found.append(Declared("macro", token["macro"], token["value"].strip(), said))
            comment = ""
        elif token["type"]:
            name = re.findall(r"\w+", token["type"])[-1]
            said = " ".join(filter(None, [comment, _sentence(token["note"] or "")]))
            found.append(Declared("type", name, token["type"], said))
            comment = ""
        elif token["function"]:
            found.append(Declared("function", token["name"], token["function"], comment))
            comment = ""
    return found


def _header(model: edgernn.IntegerModel) -> str:
    with tempfile.TemporaryDirectory() as folder:
        export(model, folder, formats=("c",))
        return next(Path(folder).rglob("model.h")).read_text(encoding="utf-8")


def _listed(declared: list[Declared], level: str, anchor: str = "") -> Iterator[str]:
    for title, kind in (("Functions", "function"), ("Types", "type")):
        ones = [one for one in declared if one.kind == kind]
        if ones:
            yield from (f"{level} {title} {{ #{anchor}{title.lower()} }}", "")
        for one in ones:
            yield from (f"{level}# {one.name} {{ #{anchor}{one.name} }}", "")
            yield from ("```c", one.text, "```", "", one.comment, "")
    macros = [one for one in declared if one.kind == "macro"]
    if macros:
        yield from (f"{level} Macros {{ #{anchor}macros }}", "")
        yield from ("| macro | value | meaning |", "| --- | --- | --- |")
        yield from (f"| `{one.name}` | `{one.text}` | {one.comment} |" for one in macros)
        yield ""


def _sentence(comment: str) -> str:
    """A comment as one line of Markdown, with C names as code."""
    text = " ".join(re.sub(r"^\s*\*", "", comment, flags=re.MULTILINE).split())
    if not text:
        return ""
    if "_" not in text.partition(" ")[0]:
        text = text[0].upper() + text[1:]
    parts, end = [], 0
    for name in _NAME.finditer(text):
        parts += [_escaped(text[end : name.start()]), f"`{name[0]}`"]
        end = name.end()
    return "".join([*parts, _escaped(text[end:])]) + ("" if text.endswith(".") else ".")


def _escaped(text: str) -> str:
    return re.sub(r"([*<>|\[\]])", r"\\\1", text)
