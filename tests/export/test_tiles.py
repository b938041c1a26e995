"""Weights in tiles: every weight at its place, zeros everywhere else."""

import numpy as np
import pytest

from edgernn.affine import Source
from edgernn.tiles import first_operand, padded, tiles
from tests.integer_models import random_model


@pytest.mark.parametrize("inputs", [1, 3, 4, 5])
@pytest.mark.parametrize("units", [1, 4, 6, 9])
@pytest.mark.parametrize("common", [True, False])
def test_a_product_of_tiles_is_the_product_of_the_matrix(inputs, units, common):
    model = random_model("gru_after", inputs=inputs, units=units, common=common)
    layer = model.layers[0]
    rng = np.random.default_rng(inputs * units)
    x, h = rng.integers(-128, 128, inputs), rng.integers(-128, 128, units)
    operands = np.full(padded(inputs) + padded(units), 1000)  # what is padding must not matter
    operands[:inputs] = x
    operands[padded(inputs) : padded(inputs) + units] = h
    vectors = {Source.X: x, Source.H: h, Source.XH: np.concatenate([x, h])}
    terms = [term for affine in layer.affines.values() for term in affine.terms]
    assert {term.source for term in terms} >= {Source.X, Source.H}
    for term in terms:
        blocks = tiles(layer, term.source, term.weights)
        rows, count = len(blocks), blocks.shape[1]
        first = first_operand(layer, term.source)
        columns = operands[first : first + 4 * count].reshape(count, 4)
        products = np.einsum("btrc,tc->br", blocks.astype(int), columns).ravel()
        wanted = term.weights.astype(int) @ vectors[term.source]
        assert products[: len(wanted)].tolist() == wanted.tolist()
        assert not products[len(wanted) :].any()
        assert 4 * rows == padded(len(wanted))
        assert np.count_nonzero(blocks) == np.count_nonzero(term.weights)
