"""Which products the native backend holds as they are stored, and which in a byte for each weight.

AVX-512 and AVX2 read enough weights at a time that leaving tiles out, or halving them, often costs
more than it saves. Where it does, the backend takes the dense form, which has the same results
(NUMERICS.md clause 4.5). The limits below were measured by ``python -m benchmarks.native_layout``.
Other instruction sets have none, and every product stays as it is stored: Arm processors, and those
that use portable C, could not be timed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from edgernn.container.memory import term_memory, weight_memory
from edgernn.model.affine import Affine, Term8, Term16
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import Layer
from edgernn.model.storage import MAX_SPARSE_TILES, TILE, Storage, padded

#: Values of the option ``layout``: whatever takes least time, or the storage of the model.
LAYOUTS: Final = ("fast", "stored")


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseLimit:
    """A sparse map is the faster one if it has fewer tiles than this.

    Attributes:
        share: of the tiles of its dense form,
        per_group: minus this many for every 4 rows of a product;
        model_bytes: and only in a model with this many dense weights, in bytes: fewer stay in the
            first cache from step to step.
    """

    share: float
    per_group: float
    model_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Int4Limit:
    """A map of 4-bit weights is the faster one where these hold.

    Attributes:
        model_bytes: least dense weights of the model, in bytes.
        at_once: tiles side by side that a load takes; every product has a multiple of them.
    """

    model_bytes: int
    at_once: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageLimits:
    """Of one instruction set, for operands of one width.

    Attributes:
        one_product: maps of one sparse product, which have a separate kernel.
        most_columns: tiles side by side that this kernel takes.
        sparse: other maps of sparse products.
        int4: maps of 4-bit products; None: the dense form is always faster.
    """

    one_product: SparseLimit
    most_columns: int
    sparse: SparseLimit
    int4: Int4Limit | None


#: (instruction set, bits of an operand) -> limits.
LIMITS: Final = {
    ("avx512", 8): StorageLimits(
        one_product=SparseLimit(share=0.6, per_group=8, model_bytes=64 * 1024),
        most_columns=64,
        sparse=SparseLimit(share=0.25, per_group=5, model_bytes=64 * 1024),
        int4=Int4Limit(model_bytes=72 * 1024, at_once=1),
    ),
    ("avx512", 16): StorageLimits(
        one_product=SparseLimit(share=0.4, per_group=8),
        most_columns=64,
        sparse=SparseLimit(share=0.25, per_group=5),
        int4=None,
    ),
    ("avx2", 8): StorageLimits(
        one_product=SparseLimit(share=0.55, per_group=0),
        most_columns=MAX_SPARSE_TILES,
        sparse=SparseLimit(share=0.6, per_group=12),
        int4=Int4Limit(model_bytes=48 * 1024, at_once=4),
    ),
    ("avx2", 16): StorageLimits(
        one_product=SparseLimit(share=0.5, per_group=6),
        most_columns=MAX_SPARSE_TILES,
        sparse=SparseLimit(share=0.5, per_group=10),
        int4=Int4Limit(model_bytes=512 * 1024, at_once=2),
    ),
}  # fmt: skip


class StorageChoice:
    """The storages in which one model's weights are handed to the kernels."""

    def __init__(self, model: IntegerModel, isa: str, layout: str) -> None:
        """Choose for a model, the name of an instruction set and one of `LAYOUTS`."""
        bits = 8 * model.precision.operand_dtype.itemsize
        self._limits = LIMITS.get((isa, bits)) if layout == "fast" else None
        self._layers = model.layers

    @cached_property
    def _model_bytes(self) -> int:
        """Of all weights in the dense form; few models need to know."""
        return weight_memory(self._layers).dense_bytes

    def storages(self, layer: Layer, affine: Affine) -> tuple[Storage, ...]:
        """One for each product of a map: their own ones, or dense ones with a byte a weight."""
        own = tuple(term.storage for term in affine.terms)
        dense = (Storage.DENSE8,) * len(own)
        if self._limits is None or own == dense or self._keeps(self._limits, layer, affine.terms):
            return own
        return dense

    def _keeps(
        self, limits: StorageLimits, layer: Layer, terms: tuple[Term8, ...] | tuple[Term16, ...]
    ) -> bool:
        """Whether a map is the faster one as it is stored. One of several storages never is."""
        storages = {term.storage for term in terms}
        memories = [term_memory(layer, term) for term in terms]
        groups = padded(terms[0].weights.shape[0]) // TILE
        columns = [memory.tiles // groups for memory in memories]
        if storages == {Storage.DENSE4}:
            return self._keeps_int4(limits.int4, columns)
        if storages != {Storage.SPARSE8}:
            return False
        alone = len(terms) == 1 and columns[0] <= limits.most_columns
        limit = limits.one_product if alone else limits.sparse
        most = limit.share * groups * sum(columns) - limit.per_group * groups * len(terms)
        return self._model_bytes >= limit.model_bytes and sum(m.kept_tiles for m in memories) < most

    def _keeps_int4(self, limit: Int4Limit | None, columns: list[int]) -> bool:
        return (
            limit is not None
            and self._model_bytes >= limit.model_bytes
            and all(count % limit.at_once == 0 for count in columns)
        )
