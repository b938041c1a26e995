"""Weights in tiles: every weight at its place, zeros everywhere else."""

import numpy as np
import pytest

from edgernn.model.affine import Source
from edgernn.model.storage import arranged, kept_tiles, matrix, padded, tile_columns, tile_index
from tests.support.models.integer import random_model

pytestmark = pytest.mark.device


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
        blocks = arranged(term.weights, layer.parts(term.source))
        rows, count = len(blocks), blocks.shape[1]
        first = layer.first_operand(term.source)
        columns = operands[first : first + 4 * count].reshape(count, 4)
        products = np.einsum("btrc,tc->br", blocks.astype(int), columns).ravel()
        wanted = term.weights.astype(int) @ vectors[term.source]
        assert products[: len(wanted)].tolist() == wanted.tolist()
        assert not products[len(wanted) :].any()
        assert 4 * rows == padded(len(wanted))
        assert np.count_nonzero(blocks) == np.count_nonzero(term.weights)


@pytest.mark.parametrize("inputs", [1, 4, 6])
@pytest.mark.parametrize("units", [1, 5, 8])
def test_tiles_hold_the_whole_matrix(inputs, units):
    layer = random_model("lstm", inputs=inputs, units=units).layers[0]
    (term,) = layer.gates.terms
    blocks = arranged(term.weights, layer.parts(term.source))
    parts = term.source.parts(inputs, units)
    assert blocks.shape[1] == tile_columns(parts) == -(-inputs // 4) + -(-units // 4)
    assert matrix(blocks, 4 * units, parts).tolist() == term.weights.tolist()


def test_an_index_lists_the_tiles_that_are_not_zero():
    blocks = np.zeros((4, 256, 4, 4), np.int8)
    blocks[0, [3, 7, 255]] = [[[1]], [[2]], [[3]]]
    blocks[1, 0, 3, 3] = -1
    blocks[3] = 5
    index = tile_index(blocks)
    assert index.dtype == np.uint8
    # Group 2 is all zeros and keeps tile 0; group 3 keeps all 256.
    assert index.tolist() == [2, 3, 7, 255, 0, 0, 0, 0, 255, *range(256)]
    kept = kept_tiles(blocks)
    assert kept.shape == (3 + 1 + 1 + 256, 4, 4)
    assert [int(tile[3, 3]) for tile in kept[:6]] == [1, 2, 3, -1, 0, 5]
