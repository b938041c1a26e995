"""Phrases that read like a translation, found by the rules of prose_rules.toml.

Run it on files or folders: ``python -m tests.documents.prose README.md edgernn/session``.
It reads Markdown (no code), Python (docstrings and texts of three words or more) and C comments.
"""

from __future__ import annotations

import ast
import bisect
import functools
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
RULES = Path(__file__).with_name("prose_rules.toml")
SUFFIXES = (".md", ".py", ".h", ".c")

_FENCE = re.compile(r"^ *(`{3,}|~{3,})[^\n]*\n.*?^ *\1 *$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_TARGET = re.compile(r"(?<=\])\([^)\n]*\)|<!--.*?-->|https?://[^\s)>]+|<[a-z/][^>\n]*>", re.DOTALL)
_PARAMETER = re.compile(r"^ *\*{0,2}\w+(?:, \w+)*(?=:)", re.MULTILINE)
_C_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A phrase to avoid.

    Attributes:
        find: the phrase; a space matches any white space within a paragraph.
        use: the replacement that the finding suggests.
        allow: longer phrases in which it is right.
    """

    find: re.Pattern[str]
    use: str
    allow: re.Pattern[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A phrase that a rule found.

    Attributes:
        line: of the text, from 1.
        phrase: as it was found, on one line.
        use: what to write instead.
    """

    line: int
    phrase: str
    use: str


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


@functools.cache
def rules(path: Path = RULES) -> tuple[Rule, ...]:
    """Read the rules.

    Args:
        path: TOML, an array ``rule`` of tables with ``find``, ``use`` and perhaps ``allow``.
    """
    table = tomllib.loads(path.read_text(encoding="utf-8"))["rule"]
    return tuple(
        Rule(
            find=_pattern(entry["find"]),
            use=entry["use"],
            allow=_pattern("|".join(entry["allow"])) if "allow" in entry else None,
        )
        for entry in table
    )


def findings(text: str) -> list[Finding]:
    """Check prose without code.

    Args:
        text: the prose; phrases may run over line ends.

    Returns:
        Findings in order of their places.
    """
    words = list(re.finditer(r"\S+", text))
    flat, starts = "", []
    for previous, word in zip([None, *words], words, strict=False):
        between = text[previous.end() : word.start()] if previous else ""
        flat += "\n" if between.count("\n") > 1 else " " if previous else ""
        starts.append(len(flat))
        flat += word.group()
    found = []
    for rule in rules():
        allowed = [m.span() for m in rule.allow.finditer(flat)] if rule.allow else []
        for match in rule.find.finditer(flat):
            if any(start <= match.start() and match.end() <= end for start, end in allowed):
                continue
            place = words[bisect.bisect_right(starts, match.start()) - 1].start()
            line = text.count("\n", 0, place) + 1
            found.append((place, Finding(line=line, phrase=match.group(), use=rule.use)))
    return [finding for _, finding in sorted(found, key=lambda pair: pair[0])]


def _blank(match: re.Match[str]) -> str:
    """A placeholder of the same length, with the same line ends."""
    return re.sub(r"[^\n]", "§", match.group())


def prose_of_markdown(text: str) -> str:
    """Replace code, links and tags; lines keep their numbers."""
    for pattern in (_FENCE, _INLINE, _TARGET):
        text = pattern.sub(_blank, text)
    return text


def _literal(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_literal(part) or "§" for part in node.values)
    return None


def texts_of_python(source: str) -> Iterator[tuple[int, str]]:
    """First line and text of each docstring and of each literal of three words or more."""
    inner: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            inner.update(id(part) for part in node.values)
        if id(node) not in inner and isinstance(node, ast.expr):
            text = _literal(node)
            if text is not None and len(text.split()) >= 3:
                yield node.lineno, prose_of_markdown(_PARAMETER.sub(_blank, text))


def findings_in(path: Path) -> list[Finding]:
    """Check one file.

    Args:
        path: Markdown, Python or C, by its suffix.

    Returns:
        Findings with lines of the file; in a text put together from several literals the line is
        that of the first.
    """
    content = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return findings(prose_of_markdown(content))
    if path.suffix == ".py":
        parts = texts_of_python(content)
    else:
        parts = (
            (content.count("\n", 0, m.start()) + 1, re.sub(r"(?m)^ \* ?", "   ", m.group()))
            for m in _C_COMMENT.finditer(content)
        )
    return [
        Finding(line=first + finding.line - 1, phrase=finding.phrase, use=finding.use)
        for first, text in parts
        for finding in findings(text)
    ]


def main(names: list[str]) -> int:
    """Print ``file:line: phrase -> suggestion``; 1 if there is any."""
    places = [Path(name) for name in names]
    files = [
        file
        for place in places
        for file in (sorted(place.rglob("*")) if place.is_dir() else [place])
        if file.suffix in SUFFIXES
    ]
    lines = [f"{f}:{x.line}: {x.phrase} -> {x.use}" for f in files for x in findings_in(f)]
    print("\n".join(lines) if lines else f"{len(files)} files: no phrase found")
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
