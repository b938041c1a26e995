"""Which weights get 4 bits, and which products leave out tiles of zeros."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

from edgernn.container.memory import sparse_bytes
from edgernn.errors import QuantizationError
from edgernn.model.affine import Affine, Source, Term8, Term16
from edgernn.model.formats import Precision
from edgernn.model.storage import MAX_SPARSE_TILES, Storage, tile_columns

#: What may be asked for: precision of operands and bits of weights, by name.
PRECISIONS: Final[Mapping[str, tuple[Precision, int]]] = {
    "w8a8": (Precision.W8A8, 8),
    "w8a16": (Precision.W8A16, 8),
    "w4a8": (Precision.W8A8, 4),
    "w4a16": (Precision.W8A16, 4),
}
SPARSE: Final = ("auto", "never", "always")
#: How weights of so many bits are stored, zeros included.
DENSE: Final[Mapping[int, Storage]] = {8: Storage.DENSE8, 4: Storage.DENSE4}


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


def bits_by_layer(names: Sequence[str], bits: int, changes: Any) -> dict[str, int]:
    """Bits of weights of every layer.

    Args:
        names: of all layers.
        bits: where nothing else is said.
        changes: layer name -> 8 or 4, or None.

    Raises:
        QuantizationError: no mapping, an unknown layer, or other bits.
    """
    if not isinstance(changes, Mapping | None):
        raise QuantizationError(
            f"quantize weight_bits: expected a mapping of layer names to 8 or 4, "
            f"got {changes!r:.40}."
        )
    for name, asked in (changes or {}).items():
        if name not in names:
            raise QuantizationError(
                f"quantize weight_bits: expected names among {', '.join(names)}, got {name!r:.60}."
            )
        if type(asked) is not int or asked not in DENSE:
            raise QuantizationError(
                f"quantize weight_bits: expected 8 or 4 bits for {name}, got {asked!r:.20}."
            )
    return {name: (changes or {}).get(name, bits) for name in names}


def check_sparse(choice: Any, bits: Mapping[str, int]) -> None:
    """Refuse what is no choice, or one that could not be followed.

    Raises:
        QuantizationError: an unknown choice; sparse weights where all layers have 4 bits.
    """
    if choice not in SPARSE:
        raise QuantizationError(
            f"quantize sparse: expected one of {', '.join(map(repr, SPARSE))}, got {choice!r:.40}."
        )
    if choice == "always" and 8 not in bits.values():
        raise QuantizationError(
            "quantize sparse: expected a layer of 8-bit weights to store sparse, got 4 bits in "
            "every layer. Leave sparse at 'auto', or set weight_bits of a layer to 8."
        )


def settings(bits: Mapping[str, int], sparse: str) -> tuple[tuple[str, str], ...]:
    """Provenance of choices that are not the default."""
    made = []
    if set(bits.values()) != {8}:
        made.append(("weight_bits", ",".join(f"{name}={n}" for name, n in bits.items())))
    if sparse != "auto":
        made.append(("sparse", sparse))
    return tuple(made)


def with_storage(affine: Affine, inputs: int, bits: int, sparse: str) -> Affine:
    """The map with the storage of each of its products.

    Args:
        affine: quantized to these bits.
        inputs: of its layer.
        bits: of its weights; products of 4 bits are never sparse.
        sparse: one of `SPARSE`; "auto" takes the smaller storage, index included.
    """
    terms = tuple(
        dataclasses.replace(term, storage=_storage(term, inputs, bits, sparse))
        for term in affine.terms
    )
    made: Affine = dataclasses.replace(affine, **dict[str, Any](terms=terms))
    return made


def _storage(term: Term8 | Term16, inputs: int, bits: int, sparse: str) -> Storage:
    dense = DENSE[bits]
    if dense is not Storage.DENSE8 or sparse == "never":
        return dense
    columns = term.weights.shape[1]
    parts = term.source.parts(inputs, columns - inputs if term.source is Source.XH else columns)
    if sparse == "always":
        return Storage.SPARSE8
    if tile_columns(parts) > MAX_SPARSE_TILES:
        return dense
    small, full = sparse_bytes(term.weights, parts)
    return Storage.SPARSE8 if small < full else dense
