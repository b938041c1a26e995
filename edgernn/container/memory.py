"""What a model's weights take in the memory of a device: tiles of 4 by 4, and their index.

Constants that vectors are scaled by, and lose (clauses 7.9 and 7.23), and functions that are tables
(3.6) are weights, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgernn.model.affine import Term8, Term16
from edgernn.model.formats import Int8Array
from edgernn.model.layers import Layer
from edgernn.model.scales import ScaleVector
from edgernn.model.storage import TILE, Storage, arranged, kept

#: Bytes of a tile with a byte for each weight.
_TILE_BYTES: Final = TILE * TILE


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightMemory:
    """Bytes of weights as the C programs hold them, edges filled up to whole tiles.

    Attributes:
        dense_bytes: were all weights stored in a byte each.
        stored_bytes: of the weights as they are stored.
        index_bytes: in addition, for the places of sparse tiles.
        tiles: in all products; tables of embeddings have none.
        kept_tiles: those that are stored.
        scale_bytes: of multipliers and offsets that scale vectors, of constants of leaky sums, and
            of functions that are tables.
    """

    dense_bytes: int
    stored_bytes: int
    index_bytes: int
    tiles: int
    kept_tiles: int
    scale_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """Weights, index and constants."""
        return self.stored_bytes + self.index_bytes + self.scale_bytes

    @property
    def density(self) -> float:
        """Share of the tiles that is stored; 1 where there are none."""
        return self.kept_tiles / self.tiles if self.tiles else 1.0


def term_memory(layer: Layer, term: Term8 | Term16) -> WeightMemory:
    """Memory of one product in its own storage."""
    mask = kept(arranged(term.weights, layer.parts(term.source)))
    sparse = term.storage is Storage.SPARSE8
    held = int(np.count_nonzero(mask)) if sparse else mask.size
    return WeightMemory(
        dense_bytes=mask.size * _TILE_BYTES,
        stored_bytes=held * _TILE_BYTES * term.storage.weight_bits // 8,
        index_bytes=mask.shape[0] + held if sparse else 0,
        tiles=mask.size,
        kept_tiles=held,
    )


def sparse_bytes(weights: Int8Array, parts: tuple[int, ...]) -> tuple[int, int]:
    """Bytes of 8-bit weights [R, N], stored sparse (with their index) and dense."""
    mask = kept(arranged(weights, parts))
    held = int(np.count_nonzero(mask))
    return held * (_TILE_BYTES + 1) + mask.shape[0], mask.size * _TILE_BYTES


def scale_bytes(scale: ScaleVector) -> int:
    """Bytes of multipliers, and of offsets where there are any."""
    return scale.multiplier.nbytes + (scale.bias.nbytes if scale.has_bias else 0)


def curve_bytes(layer: Layer) -> int:
    """Bytes of the functions of a layer that are tables, and of its constants of leaky sums."""
    leaks = sum(
        leak.high.nbytes + leak.low.nbytes + leak.shift.nbytes for leak in layer.leaks.values()
    )
    return leaks + sum(curve.entries.nbytes for curve in layer.curves.values())


def table_bytes(layer: Layer) -> int:
    """Bytes of the tables of a layer, in files and on devices."""
    return sum(int(getattr(layer, name).nbytes) for name in layer.tables)


def weight_memory(layers: Iterable[Layer]) -> WeightMemory:
    """Memory of all products and tables of some layers, and of what scales their vectors."""
    layers = tuple(layers)
    parts = [
        term_memory(layer, term)
        for layer in layers
        for affine in layer.affines.values()
        for term in affine.terms
    ]
    tables = sum(table_bytes(layer) for layer in layers)
    return WeightMemory(
        dense_bytes=tables + sum(p.dense_bytes for p in parts),
        stored_bytes=tables + sum(p.stored_bytes for p in parts),
        index_bytes=sum(p.index_bytes for p in parts),
        tiles=sum(p.tiles for p in parts),
        kept_tiles=sum(p.kept_tiles for p in parts),
        scale_bytes=sum(
            curve_bytes(layer) + sum(map(scale_bytes, layer.scales.values())) for layer in layers
        ),
    )
