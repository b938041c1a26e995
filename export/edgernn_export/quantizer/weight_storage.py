"""Names of precisions, and which products leave out tiles of zeros."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from edgernn.container.memory import sparse_bytes
from edgernn.errors import QuantizationError
from edgernn.model.affine import Affine, Source, Term8, Term16
from edgernn.model.formats import Precision
from edgernn.model.storage import MAX_SPARSE_TILES, Storage, tile_columns
from edgernn_export.quantizer.weights.bits import DENSE, WIDE, ModelBits

#: What may be asked for: precision of operands and bits of weights, by name.
PRECISIONS: Final[Mapping[str, tuple[Precision, int]]] = {
    "w8a8": (Precision.W8A8, 8),
    "w8a16": (Precision.W8A16, 8),
    "w4a8": (Precision.W8A8, 4),
    "w4a16": (Precision.W8A16, 4),
}
NEVER: Final = "never"
SPARSE: Final = ("auto", NEVER, "always")


def parse_precision(value: str | Precision) -> tuple[Precision, int]:
    """Precision of operands and bits of weights.

    Raises:
        QuantizationError: none of `PRECISIONS`.
    """
    name = value.value if isinstance(value, Precision) else value
    if name not in PRECISIONS:
        raise QuantizationError(
            f"quantize precision: expected one of {', '.join(map(repr, PRECISIONS))}, "
            f"got {value!r:.40}."
        )
    return PRECISIONS[name]


def check_sparse(choice: Any, bits: ModelBits) -> None:
    """Refuse what is no choice, or one that could not be followed.

    Raises:
        QuantizationError: an unknown choice; sparse weights where all layers have 4 bits.
    """
    if choice not in SPARSE:
        raise QuantizationError(
            f"quantize sparse: expected one of {', '.join(map(repr, SPARSE))}, got {choice!r:.40}."
        )
    if choice == "always" and WIDE not in _every(bits):
        raise QuantizationError(
            "quantize sparse: expected a layer with 8-bit weights to store sparse, got 4 bits "
            "in every layer. Pass sparse='auto', or set weight_bits of a layer to 8."
        )


def _every(bits: ModelBits) -> set[int]:
    return {count for own in bits.values() for count in own.by_matrix.values()}


def settings(bits: ModelBits, sparse: str) -> tuple[tuple[str, str], ...]:
    """Provenance of choices that are not the default."""
    made = []
    # The storage of the products says what holds for all of them.
    if len(_every(bits)) > 1:
        made.append(("weight_bits", ",".join(f"{name}={n}" for name, n in bits.items())))
    if sparse != "auto":
        made.append(("sparse", sparse))
    return tuple(made)


def bits_of(affine: Affine) -> dict[Source, int]:
    """Bits of the weights of each product of a map, by its source."""
    return {term.source: term.storage.weight_bits for term in affine.terms}


def with_storage(affine: Affine, inputs: int, bits: Mapping[Source, int], sparse: str) -> Affine:
    """The map with the storage of each of its products.

    Args:
        affine: quantized to these bits.
        inputs: of its layer.
        bits: of the weights of a product, by its source; those of 4 bits are never sparse.
        sparse: one of `SPARSE`; "auto" takes the smaller storage, index included.
    """
    terms = tuple(
        dataclasses.replace(term, storage=_storage(term, inputs, bits[term.source], sparse))
        for term in affine.terms
    )
    made: Affine = dataclasses.replace(affine, **dict[str, Any](terms=terms))
    return made


def _storage(term: Term8 | Term16, inputs: int, bits: int, sparse: str) -> Storage:
    dense = DENSE[bits]
    if dense is not Storage.DENSE8 or sparse == NEVER:
        return dense
    columns = term.weights.shape[1]
    parts = term.source.parts(inputs, columns - inputs if term.source is Source.XH else columns)
    if sparse == "always":
        return Storage.SPARSE8
    if tile_columns(parts) > MAX_SPARSE_TILES:
        return dense
    small, full = sparse_bytes(term.weights, parts)
    return Storage.SPARSE8 if small < full else dense
