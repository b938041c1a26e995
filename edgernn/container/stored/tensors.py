"""The tensors of an .edgernn file, and the weights they hold (FORMAT.md section 5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.container.defects import FormatDefect, format_error
from edgernn.model.affine import Term8, Term16
from edgernn.model.formats import Int8Array
from edgernn.model.layers import Layer
from edgernn.model.storage import (
    MAX_SPARSE_TILES,
    TILE,
    Storage,
    arranged,
    kept_tiles,
    matrix,
    padded,
    tile_columns,
    tile_index,
)

NamedTensors = dict[str, npt.NDArray[Any]]

#: Element types of a file by the names of safetensors.
DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "F64": np.dtype("<f8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
}
DTYPE_NAMES: Final = {dtype: name for name, dtype in DTYPES.items()}

#: Tiles of all sparse products of a file, kept or not: what a reader allocates for them is 64 MiB.
MAX_SPARSE_FILE_TILES: Final = 1 << 22
_TILE_BYTES: Final = TILE * TILE


def program_prefix(name: str) -> str:
    """What the names of a program's tensors begin with (FORMAT.md 4.14)."""
    return f"{name}/"


class TensorTable:
    """Returns tensors by name and remembers which were used."""

    def __init__(self, tensors: NamedTensors) -> None:
        """Start with no tensor used."""
        self._tensors = tensors
        self._used: set[str] = set()
        self._prefix = ""

    def of_program(self, name: str) -> TensorTable:
        """The tensors of one program, by the names they have in a separate model."""
        table = TensorTable(self._tensors)
        table._used, table._prefix = self._used, program_prefix(name)
        return table

    def take(
        self, name: str, dtype: npt.DTypeLike, shape: tuple[int | None, ...]
    ) -> npt.NDArray[Any]:
        """The tensor of this name, which must have this dtype and shape; None fits any length.

        Raises:
            FormatError: MISSING_TENSOR, WRONG_DTYPE or SHAPE_MISMATCH.
        """
        name = f"{self._prefix}{name}"
        self._used.add(name)
        if name not in self._tensors:
            raise format_error(
                FormatDefect.MISSING_TENSOR, "header", expected=f"tensor {name!r:.120}", got="none"
            )
        tensor, owner, wanted = self._tensors[name], f"tensor {name!r:.120}", np.dtype(dtype)
        if tensor.dtype != wanted:
            raise format_error(
                FormatDefect.WRONG_DTYPE, owner, expected=wanted.name, got=tensor.dtype.name
            )
        if not _fits(tensor.shape, shape):
            text = str(shape).replace("None", "any")
            raise format_error(
                FormatDefect.SHAPE_MISMATCH, owner, expected=f"shape {text}", got=f"{tensor.shape}"
            )
        return tensor

    def check_all_used(self) -> None:
        """Refuse tensors that are not used.

        Raises:
            FormatError: UNEXPECTED_TENSOR.
        """
        unused = self._tensors.keys() - self._used
        if unused:
            raise format_error(
                FormatDefect.UNEXPECTED_TENSOR,
                "header",
                expected="only tensors that the model record uses",
                got=f"{min(unused)!r:.60} and {len(unused) - 1} more",
            )


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        length in (None, own) for own, length in zip(shape, wanted, strict=True)
    )


class SparseBudget:
    """Counts the tiles of sparse products: a small file must not become a large model."""

    def __init__(self) -> None:
        """Start with no tiles."""
        self._tiles = 0

    def spend(self, owner: str, rows: int, parts: tuple[int, ...]) -> tuple[int, int]:
        """Groups of rows and tiles in each, counted before anything is allocated for them.

        Raises:
            FormatError: FILE_TOO_LARGE, or BAD_RECORD where a group has too many tiles.
        """
        groups, columns = padded(rows) // TILE, tile_columns(parts)
        if columns > MAX_SPARSE_TILES:
            raise format_error(
                FormatDefect.BAD_RECORD,
                owner,
                expected=f"at most {MAX_SPARSE_TILES} tiles of columns in a sparse product",
                got=str(columns),
            )
        self._tiles += groups * columns
        if self._tiles > MAX_SPARSE_FILE_TILES:
            raise format_error(
                FormatDefect.FILE_TOO_LARGE,
                owner,
                expected=f"at most {MAX_SPARSE_FILE_TILES} tiles in all sparse products",
                got=str(self._tiles),
            )
        return groups, columns


def weight_tensors(
    layer: Layer, prefix: str, term: Term8 | Term16, budget: SparseBudget
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """The tensors of one term's weights by name.

    Args:
        layer: whose term it is.
        prefix: ``<layer>/<affine>/<term>``.
        term: the term.
        budget: of the file.

    Raises:
        FormatError: the file would hold more sparse tiles than a file may.
    """
    if term.storage is Storage.DENSE8:
        yield f"{prefix}/weights", term.weights
    elif term.storage is Storage.DENSE4:
        yield f"{prefix}/weights", packed(term.weights)
    else:
        parts = layer.parts(term.source)
        budget.spend(prefix, term.weights.shape[0], parts)
        filled = arranged(term.weights, parts)
        yield f"{prefix}/weights", kept_tiles(filled).reshape(-1, _TILE_BYTES)
        yield f"{prefix}/tiles", tile_index(filled)


def file_bytes(layer: Layer, term: Term8 | Term16) -> int:
    """Bytes that the weights of one term take in a file, the index of sparse ones included."""
    return sum(tensor.nbytes for _, tensor in weight_tensors(layer, "", term, SparseBudget()))


def read_weights(
    table: TensorTable,
    prefix: str,
    storage: Storage,
    rows: int,
    parts: tuple[int, ...],
    budget: SparseBudget,
) -> Int8Array:
    """The weights int8 [R, N] of one term, whatever its storage.

    Args:
        table: tensors of the file.
        prefix: ``<layer>/<affine>/<term>``.
        storage: what the record says.
        rows: R.
        parts: `Source.parts` of the term.
        budget: of the file.

    Raises:
        FormatError: a tensor is missing or has another dtype or shape; BAD_TILES.
    """
    name, columns = f"{prefix}/weights", sum(parts)
    if storage is Storage.DENSE8:
        return table.take(name, np.int8, (rows, columns))
    if storage is Storage.DENSE4:
        return unpacked(table.take(name, np.uint8, (rows, -(-columns // 2))), columns)
    groups, across = budget.spend(prefix, rows, parts)
    index = table.take(f"{prefix}/tiles", np.uint8, (None,))
    group, place = tile_places(f"tensor '{prefix}/tiles'", index, groups, across)
    held = table.take(name, np.int8, (len(place), _TILE_BYTES))
    filled = np.zeros((groups, across, TILE, TILE), np.int8)
    filled[group, place] = held.reshape(-1, TILE, TILE)
    return matrix(filled, rows, parts)


def packed(weights: Int8Array) -> npt.NDArray[np.uint8]:
    """Two weights a byte, the one of the even column in the low half.

    Args:
        weights: int8 [R, N] in [-8, 7].

    Returns:
        uint8 [R, ceil(N / 2)]; behind an odd N the last high half is 0.
    """
    halves = np.zeros((weights.shape[0], -(-weights.shape[1] // 2) * 2), np.uint8)
    halves[:, : weights.shape[1]] = weights.view(np.uint8) & 15
    return halves[:, 0::2] | halves[:, 1::2] << np.uint8(4)


def unpacked(halves: npt.NDArray[np.uint8], columns: int) -> Int8Array:
    """The weights int8 [R, N] that `packed` put into uint8 [R, ceil(N / 2)]."""
    weights = np.empty((halves.shape[0], 2 * halves.shape[1]), np.int8)
    weights[:, 0::2] = (halves << 4).view(np.int8) >> 4  # an arithmetic shift brings the sign
    weights[:, 1::2] = halves.view(np.int8) >> 4
    return weights[:, :columns]


def tile_places(
    owner: str, index: npt.NDArray[np.uint8], groups: int, columns: int
) -> tuple[npt.NDArray[np.int_], npt.NDArray[np.int_]]:
    """Group and place of every tile that an index of `storage.tile_index` lists.

    Args:
        owner: for messages.
        index: uint8 [L], as a file holds it.
        groups: groups of four rows.
        columns: tiles in each.

    Raises:
        FormatError: BAD_TILES: the index ends early or late, leaves its matrix or does not rise.
    """
    counts, starts = np.empty(groups, np.int64), np.empty(groups, np.int64)
    data, at = index.tobytes(), 0
    for group in range(groups):
        if at >= len(data):
            raise _bad_tiles(owner, f"{groups} groups", f"the end in group {group}")
        starts[group], counts[group] = at, data[at] + 1
        at += data[at] + 2
    if at != len(data):
        raise _bad_tiles(owner, f"{at} bytes for its groups", str(len(data)))
    listed = np.ones(len(data), bool)
    listed[starts] = False
    place = index[listed].astype(np.int64)
    group_of = np.repeat(np.arange(groups), counts)
    if int(place.max()) >= columns:
        raise _bad_tiles(owner, f"tiles 0..{columns - 1}", str(int(place.max())))
    falls = (np.diff(place) <= 0) & (np.diff(group_of) == 0)
    if falls.any():
        where = int(np.flatnonzero(falls)[0])
        got = f"{place[where]} before {place[where + 1]} in group {group_of[where]}"
        raise _bad_tiles(owner, "tiles in ascending order", got)
    return group_of, place


def _bad_tiles(owner: str, expected: str, got: str) -> Exception:
    return format_error(FormatDefect.BAD_TILES, owner, expected=expected, got=got)
