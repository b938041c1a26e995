"""The data of an integer model as C99 text: identifiers, comments, arrays, affine maps."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.affine import Affine, Affine8, Source, Term8, Term16
from edgernn.layers import Layer

_COLUMNS: Final = 100


def identifier(text: str) -> str:
    """Turn any text into letters, digits and '_' that may continue a C identifier."""
    return re.sub(r"[^A-Za-z0-9_]", "_", text)


def comment_text(text: str) -> str:
    """Text in ASCII that cannot end, open or break a C comment."""
    plain = json.dumps(text)[1:-1]
    return plain.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?")


def array(ctype: str, name: str, values: npt.NDArray[Any] | Sequence[int]) -> str:
    """A constant C array; rows of a matrix follow each other."""
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


def first_operand(layer: Layer, source: Source) -> int:
    """Where a source begins in the layer's buffer of operands: the input, then the hidden state."""
    return layer.inputs if source in (Source.H, Source.RH) else 0


def affine_map(owner: str, layer: Layer, affine: Affine) -> tuple[str, str]:
    """The arrays of an affine map, and the initializer of its ``edgernn_map8`` or ``_map16``.

    Args:
        owner: C identifier that the names of the arrays begin with.
        layer: whose map it is.
        affine: the map (NUMERICS.md sections 4 and 5).
    """
    blocks, terms = [], []
    for term in affine.terms:
        name = f"{owner}_{term.source.value}"
        names = [f"{name}_{field}" for field, _, _ in _columns(term)]
        blocks += [
            array(ctype, n, values)
            for n, (_, ctype, values) in zip(names, _columns(term), strict=True)
        ]
        head = [str(first_operand(layer, term.source)), str(term.weights.shape[1])]
        terms.append("{" + ", ".join([*head, *names]) + "}")
    width = "8" if isinstance(affine, Affine8) else "16"
    blocks.append(record(f"edgernn_term{width}", f"{owner}_terms[{len(terms)}]", terms))
    tail = [str(len(terms)), f"{owner}_terms"]
    head = [str(affine.rows)]
    if isinstance(affine, Affine8):
        blocks.append(array("int32_t", f"{owner}_bias", affine.bias))
        head += [str(affine.shift), f"{owner}_bias"]
    return "\n".join(blocks), "{" + ", ".join(head + tail) + "}"


def _columns(term: Term8 | Term16) -> list[tuple[str, str, npt.NDArray[Any]]]:
    """Field, C type and values of a term, in the order of the C struct."""
    weights: tuple[str, str, npt.NDArray[Any]] = ("weights", "int8_t", term.weights)
    if isinstance(term, Term8):
        return [weights, ("multiplier", "int32_t", term.multiplier)]
    return [
        weights,
        ("bias", "int32_t", term.bias),
        ("shift", "uint8_t", term.shift),
        ("multiplier", "int16_t", term.multiplier),
    ]
