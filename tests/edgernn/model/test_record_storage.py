"""Records refuse weights that their storage cannot hold."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn.errors import ModelError
from edgernn.model.affine import Affine8, Source
from edgernn.model.layers import CellActivation, SimpleRNN
from edgernn.model.storage import Storage
from tests.support.models.small_records import int8, term8, term16

pytestmark = pytest.mark.device


def sparse_rnn(inputs: int, units: int):
    """A SimpleRNN with one sparse product over [x; h]."""
    weights = np.zeros((units, inputs + units), np.int8)
    zeros = np.zeros(units, np.int32)
    term = term8(source=Source.XH, weights=weights, multiplier=zeros, storage=Storage.SPARSE8)
    return SimpleRNN(
        name="rnn",
        inputs=inputs,
        units=units,
        activation=CellActivation.TANH,
        state_exponent=15,
        gates=Affine8(terms=(term,), bias=zeros, shift=8),
    )


REFUSALS = {
    "4-bit weights": (
        lambda: term8(weights=int8([-8, 7]), storage=Storage.DENSE4),
        r"term x.weights: expected values in \[-7, 7\], got \[-8, 7\]",
    ),
    "4-bit weights of w8a16": (
        lambda: term16(weights=int8([0, 8]), storage=Storage.DENSE4),
        r"term x.weights: expected values in \[-7, 7\], got \[0, 8\]",
    ),
    "storage": (
        lambda: term8(storage="dense8"),
        "term x.storage: expected a Storage, got 'dense8'",
    ),
    "sparse and wide": (
        lambda: sparse_rnn(inputs=1021, units=1),
        r"rnn.gates: expected at most 256 tiles of 4 columns in a sparse product, got 257 for "
        r"source xh\. Store it dense, in 8 or 4 bits\.",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refused_by_name(name):
    build, message = REFUSALS[name]
    with pytest.raises(ModelError, match=f"^{message}"):
        build()


def test_the_largest_weights_of_four_bits():
    for magnitude in (7, -7):
        term = term8(weights=int8([magnitude, 0]), storage=Storage.DENSE4)
        assert term.weights.tolist() == [[magnitude, 0]]


def test_the_widest_sparse_product():
    # 1020 inputs are 255 tiles, and the one unit takes another: parts are padded each on its own.
    assert sparse_rnn(inputs=1020, units=1).gates.terms[0].storage is Storage.SPARSE8
    assert sparse_rnn(inputs=4, units=1020).gates.terms[0].storage is Storage.SPARSE8
