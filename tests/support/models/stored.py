"""Integer models whose weights are stored in other ways than a byte for each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import Layer
from edgernn.model.storage import Storage


def stored(
    model: IntegerModel, *storages: Storage, density: float = 0.3, seed: int = 0
) -> IntegerModel:
    """The model with its products stored in these ways, in turn.

    Sparse products lose the weights of random blocks of 4 by 4; those of 4 bits are scaled.
    """
    rng = np.random.default_rng(seed)
    turn = 0
    layers: list[Layer] = []
    for layer in model.layers:
        maps: dict[str, Any] = {}
        for name, affine in layer.affines.items():
            terms = []
            for term in affine.terms:
                storage = storages[turn % len(storages)]
                turn += 1
                weights = term.weights
                if storage is Storage.DENSE4:
                    weights = np.rint(weights * (7 / 127)).astype(np.int8)
                if storage is Storage.SPARSE8:
                    rows, columns = weights.shape
                    blocks = rng.random((-(-rows // 4), -(-columns // 4))) < density
                    weights = weights * np.kron(blocks, np.ones((4, 4), np.int8))[:rows, :columns]
                terms.append(replace(term, weights=weights, storage=storage))
            maps[name] = replace(affine, terms=tuple(terms))
        layers.append(replace(layer, **maps))
    return replace(model, layers=tuple(layers))


def densified(model: IntegerModel) -> IntegerModel:
    """The same weights, a byte for each."""
    layers = []
    for layer in model.layers:
        maps: dict[str, Any] = {
            name: replace(
                affine, terms=tuple(replace(t, storage=Storage.DENSE8) for t in affine.terms)
            )
            for name, affine in layer.affines.items()
        }
        layers.append(replace(layer, **maps))
    return replace(model, layers=tuple(layers))
