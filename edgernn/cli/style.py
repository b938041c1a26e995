"""The look of everything the command prints: color, tables, notes on stderr.

Color is on when the stream is a terminal. `--no-color`, NO_COLOR and TERM=dumb turn it off,
FORCE_COLOR turns it on for a pipe. Outside a command, as in a Python session, it is off, so reports
that use these helpers are plain text there.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TextIO

_SGR: Final = re.compile(r"\x1b\[[0-9;]*m")
#: A figure, perhaps with a unit; or the dash of a cell without one.
_NUMBER: Final = re.compile(r"(?:[-+−±≤<>~]? ?\d[\d,._]*(?:e[-+]?\d+)?(?: ?[%\w/µ²]{1,6})?|[-–—]?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """The choices of one run of the command.

    Attributes:
        color: whether stdout is colored.
        error_color: whether stderr is colored.
        quiet: whether notes and warnings on stderr are left out.
    """

    color: bool = False
    error_color: bool = False
    quiet: bool = False


#: The style in use; the last one counts. Not a context variable: threads are to see it, too.
_IN_USE: Final = [Style()]


def wants_color(stream: TextIO, environment: Mapping[str, str] | None = None) -> bool:
    """Whether text for a stream is to be colored.

    Args:
        stream: stdout or stderr.
        environment: the variables that decide; os.environ by default.
    """
    found = os.environ if environment is None else environment
    if found.get("NO_COLOR"):
        return False
    if found.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return found.get("TERM") != "dumb" and stream.isatty()


@contextlib.contextmanager
def styled(style: Style) -> Iterator[None]:
    """Use a style for the duration of a `with` block."""
    _IN_USE.append(style)
    try:
        yield
    finally:
        _IN_USE.pop()


def heading(text: str) -> str:
    """Text in bold, for headings of tables and sections."""
    return _painted(text, "1", _IN_USE[-1].color)


def good(text: str) -> str:
    """Text in green, for checks that pass."""
    return _painted(text, "32", _IN_USE[-1].color)


def bad(text: str, *, on_stderr: bool = False) -> str:
    """Text in red, for checks that fail and for errors."""
    style = _IN_USE[-1]
    return _painted(text, "31", style.error_color if on_stderr else style.color)


def muted(text: str) -> str:
    """Text in gray, for hints and side notes."""
    return _painted(text, "2", _IN_USE[-1].color)


def _painted(text: str, code: str, wanted: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if wanted and text else text


def say(text: str) -> None:
    """Print a note on stderr, unless the command runs with `--quiet`."""
    if not _IN_USE[-1].quiet:
        print(text, file=sys.stderr)


def is_watched() -> bool:
    """Whether a person watches stderr: it is a terminal, and `--quiet` is not given."""
    return sys.stderr.isatty() and not _IN_USE[-1].quiet


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[object] | None],
    align: str = "",
    *,
    indent: int = 0,
) -> list[str]:
    """The lines of a table: headings in bold, a rule under each, one line per row.

    Columns are as wide as their widest cell and two spaces apart. Columns of figures lean to the
    right, all others to the left.

    Args:
        headings: one per column.
        rows: the cells of each row; None draws a rule, as above a total. A row may have fewer cells
            than there are columns; its last cell may then be wider than its column.
        align: "<" or ">" for each column, as in "<>>"; chosen by the cells where it is empty.
        indent: spaces before each line.

    >>> for line in table(["layer", "units"], [("gru", 24), ("out", 1), None, ("total", 25)]):
    ...     print(line)
    layer  units
    -----  -----
    gru       24
    out        1
    -----  -----
    total     25
    """
    cells = [None if row is None else [str(cell) for cell in row] for row in rows]
    full = [row for row in cells if row is not None and len(row) == len(headings)]
    sides = align or "".join(
        ">" if _is_numeric(row[index] for row in full) else "<" for index in range(len(headings))
    )
    widths = [
        max(width_of(text) for text in (title, *(row[index] for row in full)))
        for index, title in enumerate(headings)
    ]
    for row in cells:  # all but the last cell of a short row keep to their columns
        for index, text in enumerate(row[:-1] if row is not None else ()):
            widths[index] = max(widths[index], width_of(text))
    margin = " " * indent
    dashes = [("-" if title else " ") * w for title, w in zip(headings, widths, strict=True)]
    rule = margin + muted("  ".join(dashes).rstrip())
    titles = [heading(title) for title in headings]
    lines = [margin + _line(titles, sides, widths), rule]
    lines += [rule if row is None else margin + _line(row, sides, widths) for row in cells]
    return [line.rstrip() for line in lines]


def width_of(text: str) -> int:
    """Columns that text takes on a terminal, without the codes of its color."""
    plain = _SGR.sub("", text)
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in plain)
    return len(plain) + wide


def _is_numeric(column: Iterable[str]) -> bool:
    cells = [_SGR.sub("", cell).strip() for cell in column]
    return any(any(map(str.isdigit, cell)) for cell in cells) and all(
        _NUMBER.fullmatch(cell) for cell in cells
    )


def _line(row: Sequence[str], sides: str, widths: Sequence[int]) -> str:
    parts = []
    for index, (text, side, width) in enumerate(zip(row, sides, widths, strict=False)):
        short = index == len(row) - 1 < len(widths) - 1
        space = " " * max(0, width - width_of(text))
        parts.append(text if short else space + text if side == ">" else text + space)
    return "  ".join(parts).rstrip()
