"""The data of an integer model as C99 text: identifiers, comments, arrays, affine maps."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.affine import Affine, Affine8, Term8, Term16
from edgernn.layers import Layer
from edgernn.storage import Storage
from edgernn.tiles import TILE, first_operand, kept_tiles, padded, tile_index, tiles

_COLUMNS: Final = 100


def identifier(text: str) -> str:
    """Turn any text into letters, digits and '_' that may continue a C identifier."""
    return re.sub(r"[^A-Za-z0-9_]", "_", text)


def comment_text(text: str) -> str:
    """Text in ASCII that cannot end, open or break a C comment."""
    plain = json.dumps(text)[1:-1]
    return plain.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?")


def array(ctype: str, name: str, values: npt.NDArray[Any] | Sequence[int]) -> str:
    """A constant C array."""
    numbers = [str(int(v)) for v in np.asarray(values).ravel()]
    return f"static const {ctype} {name}[{len(numbers)}] = {{\n{_wrapped(numbers)}\n}};\n"


def record(ctype: str, name: str, members: Iterable[str]) -> str:
    """A constant C struct or array of structs, one member a line."""
    return "\n".join([f"static const {ctype} {name} = {{", *(f"    {m}," for m in members), "};\n"])


def _wrapped(words: Sequence[str]) -> str:
    lines, line = [], "   "
    for word in words:
        if len(line) + len(word) + 2 > _COLUMNS:
            lines.append(line)
            line = "   "
        line += f" {word},"
    return "\n".join([*lines, line])


def _tile_array(macro: str, size: str, name: str, weights: npt.NDArray[np.int8]) -> str:
    """A constant array of weights, one tile of `tiles` a line, by a macro that is `size` bytes."""
    lines = [
        f"    {macro}({', '.join(str(int(w)) for w in tile)}),"
        for tile in weights.reshape(-1, TILE * TILE)
    ]
    count = f"{len(lines)} * {size} + EDGERNN_READ_AHEAD"
    head = f"static const EDGERNN_ALIGNED_WEIGHTS int8_t {name}[{count}] = {{"
    return "\n".join([head, *lines, "};\n"])


def _stored(
    width: str, name: str, filled: npt.NDArray[np.int8], storage: Storage
) -> tuple[list[str], str]:
    """The arrays of a product's weights, and what its term says about them (edgernn_affine.h)."""
    weights = f"{name}_weights"
    if storage is Storage.DENSE4:
        tile = f"EDGERNN_TILE4_{width}", "EDGERNN_TILE4_BYTES"
        return [_tile_array(*tile, weights, filled)], "EDGERNN_DENSE4"
    tile = f"EDGERNN_TILE{width}", "EDGERNN_TILE_BYTES"
    if storage is Storage.DENSE8:
        return [_tile_array(*tile, weights, filled)], "EDGERNN_DENSE8"
    index = array("uint8_t", f"{name}_index", tile_index(filled))
    return [_tile_array(*tile, weights, kept_tiles(filled)), index], (
        f"EDGERNN_SPARSE8({name}_index)"
    )


def _row_array(ctype: str, name: str, values: npt.NDArray[Any], fill: int) -> str:
    """A constant array of one value per row, in full tiles."""
    extra = padded(len(values)) - len(values)
    return array(ctype, name, np.pad(values, (0, extra), constant_values=fill))


def affine_map(owner: str, layer: Layer, affine: Affine) -> tuple[str, str]:
    """The arrays of an affine map, and the initializer of its ``edgernn_map8`` or ``_map16``.

    Args:
        owner: C identifier that the names of the arrays begin with.
        layer: whose map it is.
        affine: the map (NUMERICS.md sections 4 and 5).
    """
    width = "8" if isinstance(affine, Affine8) else "16"
    blocks, terms = [], []
    for term in affine.terms:
        name = f"{owner}_{term.source.value}"
        filled = tiles(layer, term.source, term.weights)
        arrays, storage = _stored(width, name, filled, term.storage)
        blocks += arrays
        fields = _per_row(term)
        blocks += [_row_array(ctype, f"{name}_{f}", v, fill) for f, ctype, v, fill in fields]
        head = [str(first_operand(layer, term.source)), str(filled.shape[1])]
        names = [f"{name}_{field}" for field in ("weights", *(f[0] for f in fields))]
        terms.append("{" + ", ".join([*head, *names, storage]) + "}")
    blocks.append(record(f"edgernn_term{width}", f"{owner}_terms[{len(terms)}]", terms))
    tail = [str(len(terms)), f"{owner}_terms"]
    head = [str(affine.rows)]
    if isinstance(affine, Affine8):
        blocks.append(_row_array("int32_t", f"{owner}_bias", affine.bias, 0))
        head += [str(affine.shift), f"{owner}_bias"]
    return "\n".join(blocks), "{" + ", ".join(head + tail) + "}"


def _per_row(term: Term8 | Term16) -> list[tuple[str, str, npt.NDArray[Any], int]]:
    """Field, C type, values and what fills them up, in the order of the C struct."""
    if isinstance(term, Term8):
        return [("multiplier", "int32_t", term.multiplier, 0)]
    return [
        ("bias", "int32_t", term.bias, 0),
        ("shift", "uint8_t", term.shift, 1),  # half_up needs one
        ("multiplier", "int16_t", term.multiplier, 0),
    ]
