"""Short forms of records for Python sessions and notebooks: one line of text, or an HTML table."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

import numpy as np

_WIDTH: Final = 60
_SHOWN: Final = 6
_ROWS: Final = 30


def record_repr(record: Any) -> str:
    """The class and the fields of a dataclass on one line; arrays by dtype and shape.

    >>> @dataclasses.dataclass
    ... class Term:
    ...     source: str
    ...     weights: object
    >>> record_repr(Term("x", np.zeros((72, 24), np.int8)))
    "Term(source='x', weights=int8[72, 24])"
    """
    pairs = ((field.name, getattr(record, field.name)) for field in dataclasses.fields(record))
    told = ", ".join(f"{name}={short(value)}" for name, value in pairs)
    return f"{type(record).__name__}({told})"


def short(value: Any) -> str:
    """A value in at most about 60 letters."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype}[{', '.join(map(str, value.shape))}]"
    if isinstance(value, enum.Enum):
        return repr(value.value)
    if isinstance(value, (tuple, list)):
        inside = ", ".join(map(short, value[: _SHOWN + 1]))
        if len(value) > _SHOWN or len(inside) > _WIDTH:
            kinds = {type(item).__name__ for item in value}
            return f"<{len(value)} x {kinds.pop() if len(kinds) == 1 else 'items'}>"
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' * (len(value) == 1)})"
    if isinstance(value, Mapping):
        return f"<{len(value)} entries>"
    if dataclasses.is_dataclass(value):
        told = repr(value)
        return told if len(told) <= _WIDTH else f"{type(value).__name__}(...)"
    told = repr(value)
    return told if len(told) <= _WIDTH else f"{told[: _WIDTH - 3]}..."


def listed(names: Iterable[str]) -> str:
    """Names in brackets, the first ones if there are many.

    >>> listed("abcdefgh")
    '[a, b, c, d, e, f, ... 2 more]'
    """
    found = list(names)
    more = [f"... {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return f"[{', '.join([*found[:_SHOWN], *more])}]"


def html_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table for notebooks; all texts are escaped.

    Args:
        title: the caption.
        headings: one per column.
        rows: the cells of each row; the first 30 are shown.
    """
    head = "".join(f"<th>{escape(str(cell))}</th>" for cell in headings)
    lines = list(rows)
    if len(lines) > _ROWS:
        lines[_ROWS:] = [(f"... {len(lines) - _ROWS} more",)]
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in lines
    )
    caption = f'<caption style="text-align:left"><b>{escape(title)}</b></caption>'
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def report_html(report: Any) -> str:
    """The table of a report, for notebooks."""
    return f"<pre>{escape(report.table())}</pre>"
