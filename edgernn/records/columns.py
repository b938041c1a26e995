"""Which columns feed which channel, and which go through to the output."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from typing import Final

from edgernn.errors import EdgeRnnError
from edgernn.records.port_names import InputNames

ALL: Final = "all"
#: What decoding puts in place of bytes that are not text in the expected encoding.
REPLACED: Final = "\ufffd"
NOT_UTF8: Final = "The text is not UTF-8. Pass its encoding, for example --encoding cp1252"
_SHOWN: Final = 12


def split_names(option: str, text: str) -> tuple[str, ...]:
    """The names of a list such as ``temp,"wind, north",3``.

    Raises:
        EdgeRnnError: an empty name, or none.
    """
    try:
        names = [name.strip() for name in next(csv.reader([text], skipinitialspace=True), [])]
    except csv.Error as error:
        raise EdgeRnnError(f"{option}: expected names of columns, got {error}.") from None
    if not names or not all(names):
        raise EdgeRnnError(f"{option}: expected names or positions of columns, got {text!r:.80}.")
    return tuple(names)


def listed(names: Sequence[str]) -> str:
    """Names for a message."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"{name:.40}" for name in names[:_SHOWN]) + more


class Picker:
    """Columns of one table for the channels of a model.

    Args:
        names: of the channels I.
        columns: what the user says, see `TableOptions.columns`.

    Attributes:
        known: names of the channels.
        inputs: channel names I.
        wanted: one column per channel [I]: a name, or a position from 1.
        said: whether the user said it.

    Raises:
        EdgeRnnError: another number of columns, or a channel that the model has not.
    """

    def __init__(self, names: InputNames, columns: Sequence[str] | None) -> None:
        """Check what can be checked without the table."""
        self.known = names
        self.inputs = names.channels
        self.said = columns is not None
        self.wanted = self.inputs if columns is None else self._from_list(tuple(columns))

    def _from_list(self, columns: tuple[str, ...]) -> tuple[str, ...]:
        pairs = [
            (self.known.channel(name.strip()), equals, column)
            for name, equals, column in (column.partition("=") for column in columns)
        ]
        known = [channel in self.inputs for channel, equals, _ in pairs if equals]
        if len(known) == len(columns) and (any(known) or len(columns) != len(self.inputs)):
            unknown = [name for name, _, _ in pairs if name not in self.inputs]
            if unknown:
                raise EdgeRnnError(
                    f"--columns: expected channels among {listed(self.inputs)}, "
                    f"got {listed(unknown)}."
                )
            renamed = {channel: column.strip() for channel, _, column in pairs}
            return tuple(renamed.get(name, name) for name in self.inputs)
        if len(columns) != len(self.inputs):
            raise EdgeRnnError(
                f"--columns: expected one column for each of the {len(self.inputs)} channels "
                f"({listed(self.inputs)}), got {len(columns)}. List the columns in this order, "
                "or name only those that differ, as channel=column."
            )
        return columns

    def fits(self, header: Sequence[str]) -> bool:
        """Whether a header names every wanted column."""
        header = self._by_channel(header)
        return all(_position(name, header) is not None for name in self.wanted)

    def _by_channel(self, header: Sequence[str]) -> list[str]:
        """A header with the channels' own names."""
        return [cell if cell in self.wanted else self.known.channel(cell) for cell in header]

    def touches(self, header: Sequence[str]) -> bool:
        """Whether a header names a wanted column at all; a position is no name."""
        header = self._by_channel(header)
        return any(name in header for name in self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """The wanted columns that are given by name."""
        if not self.said:
            return self.wanted
        return tuple(name for name in self.wanted if not name.isdecimal())

    def from_header(self, header: Sequence[str], note: Callable[[str], None]) -> tuple[int, ...]:
        """Column indices [I] by the names of a header.

        Args:
            header: the cells of the first line.
            note: takes a sentence where the columns are not called as the channels.

        Raises:
            EdgeRnnError: columns are missing, or there are two of a name.
        """
        found = self._by_channel(header)
        repeated = [name for name in self.wanted if found.count(name) > 1]
        if repeated:
            raise EdgeRnnError(
                f"expected a header with one column per name, got {listed(repeated)} more than "
                "once. Select one by its position, counted from 1, with --columns"
            )
        if self.fits(header):
            return tuple(_position(name, found) or 0 for name in self.wanted)
        missing = [name for name in self.wanted if _position(name, found) is None]
        # Only names of which none is the model's say nothing about the order of the columns.
        if not self.said and len(missing) == len(self.inputs) == len(header):
            pairs = [f"{c:.40} -> {i}" for c, i in zip(header, self.inputs, strict=True)]
            note(
                "the first line looks like a header, but no column has the name of a model "
                f"input, so the columns are used in order: {listed(pairs)}. Name them with "
                "--columns"
            )
            return tuple(range(len(header)))
        raise EdgeRnnError(
            f"expected a header with the columns {listed(self.wanted)}, got one without "
            f"{listed(missing)}. {self._cure(header)}"
        )

    def _cure(self, header: Sequence[str]) -> str:
        """How to fix a header without the wanted columns."""
        if any(REPLACED in name for name in header):
            return NOT_UTF8
        folded = [name.casefold() for name in header]
        like = [name.casefold() for name in self.wanted]
        if len(set(folded)) == len(folded) and set(like) <= set(folded):
            names = quoted([header[folded.index(name)] for name in like])
            return f"The names differ only in case. Pass --columns {names}"
        if len(header) < len(self.inputs):
            return f"The header has {listed(header)}. Add the other columns."
        cure = (
            f"The header has {listed(header)}. List those that feed {listed(self.inputs)}, in "
            "this order, with --columns"
        )
        if self.inputs == tuple(f"x{channel}" for channel in range(len(self.inputs))):
            cure += "; a model quantized with --input-names finds its columns automatically"
        return cure

    def from_width(self, width: int) -> tuple[int, ...] | None:
        """Column indices [I] in a table without a header; None where ``width`` does not fit.

        Raises:
            EdgeRnnError: the user named columns, and there are no names.
        """
        if not self.said:
            return tuple(range(width)) if width == len(self.inputs) else None
        if self.names:
            raise EdgeRnnError(
                "--columns: expected positions in a table without a header, got "
                f"{listed(self.names)}. Pass positions such as 1,2 or add a header line."
            )
        indices = tuple(int(name) - 1 for name in self.wanted)
        return indices if all(0 <= index < width for index in indices) else None


def quoted(names: Sequence[str]) -> str:
    """Names as one argument of a command line."""
    text = ",".join(f'"{name}"' if "," in name else name for name in names)
    return text if text.replace(",", "").replace("_", "").isalnum() else f"'{text}'"


def _position(name: str, header: Sequence[str]) -> int | None:
    """The index of a column called so, or at this position from 1."""
    if name in header:
        return header.index(name)
    if name.isdecimal() and 1 <= int(name) <= len(header):
        return int(name) - 1
    return None


def passed_columns(
    wanted: Sequence[str], header: Sequence[str] | None, width: int
) -> dict[str | int, int]:
    """What goes through: index by name, by position from 1 where there is no header.

    Raises:
        EdgeRnnError: a missing column.
    """
    if tuple(wanted) == (ALL,) and (header is None or ALL not in header):
        indices = list(range(width))
    else:
        found = [_position(name, header if header is not None else [""] * width) for name in wanted]
        missing = [name for name, index in zip(wanted, found, strict=True) if index is None]
        if missing:
            there = f"{width} columns without names" if header is None else listed(header)
            raise EdgeRnnError(
                f"expected a table with the columns {listed(missing)}, got one with {there}."
            )
        indices = [index for index in found if index is not None]
    if header is None:
        return {index + 1: index for index in indices}
    return {header[index] or str(index + 1): index for index in indices}
