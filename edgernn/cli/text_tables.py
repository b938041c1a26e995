"""Tables of plain text: cells under one another, columns of a given width or as wide as needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def text_table(rows: Iterable[Sequence[object]], *columns: str) -> list[str]:
    """The lines of a table, without space at their ends.

    Args:
        rows: cells, those of the headings first. A row with fewer cells than there are columns ends
            in one that is not aligned, two spaces after the previous column.
        columns: "<" or ">", the side that cells lean to, and the width, as in "<20"; without a
            width the widest cell decides. "" does not align cells, two spaces after the previous
            column.

    >>> for line in text_table(
    ...     [("layer", "units", "curve"), ("gru", 24, "tanh"), ("out", "none")], "<", ">8", ""
    ... ):
    ...     print(line)
    layer   units  curve
    gru        24  tanh
    out    none
    """
    table = [[str(cell) for cell in row] for row in rows]
    forms = [
        f"{column}{_widest(table, index)}" if column in ("<", ">") else column
        for index, column in enumerate(columns)
    ]
    lines = []
    for row in table:
        ends = forms if len(row) == len(forms) else [*forms[: len(row) - 1], ""]
        lines.append("".join(map(_cell, row, ends)).rstrip())
    return lines


def _widest(table: list[list[str]], index: int) -> int:
    return max((len(row[index]) for row in table if index < len(row)), default=0)


def _cell(text: str, form: str) -> str:
    return f"{text:{form}}" if form else f"  {text}"
