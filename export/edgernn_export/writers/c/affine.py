"""An affine map of an integer model as C99 text, and what checks it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.model.affine import Affine, Affine8, Term8, Term16
from edgernn.model.formats import Int8Array
from edgernn.model.layers import Layer
from edgernn.model.storage import TILE, Storage, arranged, kept_tiles, padded, tile_index
from edgernn_export.writers.c.constants import (
    Check,
    array,
    check_array,
    check_map,
    check_term,
    check_weights,
    record,
)
from edgernn_export.writers.c.kernels.tile_layouts import tile_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CMap:
    """An affine map in C.

    Attributes:
        arrays: their definitions.
        initializer: of its ``edgernn_map8`` or ``_map16``.
        checks: of all its constants.
    """

    arrays: str
    initializer: str
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class _Block:
    """The definition of an array, and its check."""

    text: str
    check: Check


def affine_map(layer_name: str, name: str, layer: Layer, affine: Affine) -> CMap:
    """Write an affine map.

    Args:
        layer_name: C identifier of the layer's record.
        name: of the map in it.
        layer: whose map it is.
        affine: the map (NUMERICS.md sections 4 and 5).
    """
    width = "8" if isinstance(affine, Affine8) else "16"
    owner, member = f"{layer_name}_{name}", f"{layer_name}.{name}"
    blocks: list[_Block] = []
    terms: list[str] = []
    checks: list[Check] = []
    for term in affine.terms:
        prefix, place = f"{owner}_{term.source.value}", f"{owner}_terms[{len(terms)}]"
        filled = arranged(term.weights, layer.parts(term.source))
        stored, storage = _stored(width, prefix, place, filled, term.storage)
        fields = _per_row(term)
        blocks += stored
        blocks += [_row_array(c, f"{prefix}_{f}", f"{place}.{f}", v, e) for f, c, v, e in fields]
        head = [layer.first_operand(term.source), filled.shape[1]]
        names = [f"{prefix}_{field}" for field in ("weights", *(f[0] for f in fields))]
        terms.append("{" + ", ".join([*map(str, head), *names, storage]) + "}")
        sparse = term.storage is Storage.SPARSE8
        bits = 4 if term.storage is Storage.DENSE4 else 8
        checks.append(check_term(width, place, head, sparse=sparse, bits=bits))
    records = record(f"edgernn_term{width}", f"{owner}_terms[{len(terms)}]", terms)
    if isinstance(affine, Affine8):
        bias = _row_array("int32_t", f"{owner}_bias", f"{member}.bias", affine.bias, 0)
        numbers = [affine.rows, affine.shift]
        middle = [str(affine.shift), f"{owner}_bias"]
        texts, blocks = [*(b.text for b in blocks), records, bias.text], [*blocks, bias]
    else:
        numbers, middle = [affine.rows], []
        texts = [*(b.text for b in blocks), records]
    checks.append(check_map(width, member, f"{owner}_terms", [*numbers, len(terms)]))
    initializer = [str(affine.rows), *middle, str(len(terms)), f"{owner}_terms"]
    return CMap(
        arrays="\n".join(texts),
        initializer="{" + ", ".join(initializer) + "}",
        checks=(*(b.check for b in blocks), *checks),
    )


def _tile_array(macro: str, size: str, name: str, weights: Int8Array) -> str:
    """A constant array of weights, one tile of `tiles` a line, by a macro that is `size` bytes."""
    lines = [
        f"    {macro}({', '.join(str(int(w)) for w in tile)}),"
        for tile in weights.reshape(-1, TILE * TILE)
    ]
    count = f"{len(lines)} * {size} + EDGERNN_READ_AHEAD"
    head = f"static const EDGERNN_ALIGNED_WEIGHTS int8_t {name}[{count}] = {{"
    return "\n".join([head, *lines, "};\n"])


def _tiles(width: str, name: str, place: str, weights: Int8Array, bits: int) -> _Block:
    """The array of a product's weights; bytes to read ahead are in no check."""
    macro, size = {
        8: (f"EDGERNN_TILE{width}", "EDGERNN_TILE_BYTES"),
        4: (f"EDGERNN_TILE4_{width}", "EDGERNN_TILE4_BYTES"),
    }[bits]
    content = functools.partial(
        tile_bytes, tiles=weights, operand_bits=int(width), weight_bits=bits
    )
    count = weights.size // TILE**2
    check = check_weights(f"{place}.weights", name, f"{count} * {size}", content)
    return _Block(_tile_array(macro, size, name, weights), check)


def _stored(
    width: str, name: str, place: str, filled: Int8Array, storage: Storage
) -> tuple[list[_Block], str]:
    """The arrays of a product's weights, and what its term says about them (edgernn_affine.h)."""
    weights = f"{name}_weights"
    if storage is Storage.DENSE4:
        return [_tiles(width, weights, place, filled, 4)], "EDGERNN_DENSE4"
    if storage is Storage.DENSE8:
        return [_tiles(width, weights, place, filled, 8)], "EDGERNN_DENSE8"
    places = tile_index(filled)
    index = f"{name}_index"
    block = _Block(
        array("uint8_t", index, places), check_array("uint8_t", f"{place}.index", index, places)
    )
    return [_tiles(width, weights, place, kept_tiles(filled), 8), block], (
        f"EDGERNN_SPARSE8({index})"
    )


def _row_array(ctype: str, name: str, member: str, values: npt.NDArray[Any], fill: int) -> _Block:
    """A constant array of one value per row, in full tiles."""
    extra = padded(len(values)) - len(values)
    full = np.pad(values, (0, extra), constant_values=fill)
    return _Block(array(ctype, name, full), check_array(ctype, member, name, full))


def _per_row(term: Term8 | Term16) -> Sequence[tuple[str, str, npt.NDArray[Any], int]]:
    """Field, C type, values and what fills them up, in the order of the C struct."""
    if isinstance(term, Term8):
        return [("multiplier", "int32_t", term.multiplier, 0)]
    return [
        ("bias", "int32_t", term.bias, 0),
        ("shift", "uint8_t", term.shift, 1),  # half_up needs one
        ("multiplier", "int16_t", term.multiplier, 0),
    ]
