"""The overflow proof: its intervals are exact, its witnesses reach them."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from edgernn.errors import ModelError, OverflowRefused
from edgernn.model.affine import (
    ACCUMULATOR_LIMIT_W8A8,
    Affine8,
    CodeRange,
    Source,
    Term8,
    Term16,
)
from edgernn.model.formats import Precision
from edgernn_export.quantizer.overflow_proof import breaking_codes, prove, refuse8, refuse16
from tests.support.models.integer import CELLS, random_model

SMALL = (CodeRange(low=-2, high=1), CodeRange(low=-1, high=2), CodeRange(low=0, high=3))


def small_affine(seed: int, shift: int = 3) -> Affine8:
    rng = np.random.default_rng(seed)
    term = Term8(
        source=Source.X,
        weights=rng.integers(-127, 128, (4, 3)).astype(np.int8),
        multiplier=rng.integers(0, 50, 4).astype(np.int32),
    )
    return Affine8(terms=(term,), bias=rng.integers(-900, 900, 4).astype(np.int32), shift=shift)


@pytest.mark.parametrize("seed", range(5))
def test_worst_covers_every_input_and_order_of_summation(seed: int) -> None:
    """Every operand vector of a small domain, every prefix of every order of its columns."""
    affine = small_affine(seed)
    term = affine.terms[0]
    worst = affine.worst({Source.X: SMALL})
    reached = np.zeros(4, dtype=np.int64)
    domain = [range(r.low, r.high + 1) for r in SMALL]
    for codes in itertools.product(*domain):
        products = term.weights.astype(np.int64) * np.array(codes)
        for order in itertools.permutations(range(3)):
            prefix = np.cumsum(products[:, list(order)], axis=1)
            scaled = np.abs(prefix).max(axis=1) * term.multiplier
            final = np.abs(prefix[:, -1] * term.multiplier + affine.bias)
            reached = np.maximum(reached, np.maximum(scaled, final))
    assert np.all(reached + (1 << (affine.shift - 1)) <= worst)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("seed", range(5))
def test_breaking_codes_reach_the_end_of_the_interval(seed: int, sign: int) -> None:
    term = small_affine(seed).terms[0]
    domain = [range(r.low, r.high + 1) for r in SMALL]
    for row in range(4):
        codes = breaking_codes(term.weights, row, SMALL, sign)
        best = max(
            sign * int(term.weights[row].astype(np.int64) @ np.array(q))
            for q in itertools.product(*domain)
        )
        assert sign * int(term.weights[row].astype(np.int64) @ codes) == best


def test_refusal_names_row_and_input_that_really_overflow() -> None:
    term = Term8(
        source=Source.X,
        weights=np.array([[1, 1], [127, -127]], dtype=np.int8),
        multiplier=np.array([1, 20_000], dtype=np.int32),
    )
    affine = Affine8(terms=(term,), bias=np.zeros(2, dtype=np.int32), shift=1)
    ranges = {Source.X: (CodeRange(low=-128, high=127),) * 2}
    total = (127 * 127 + 127 * 128) * 20_000
    assert total >= ACCUMULATOR_LIMIT_W8A8
    with pytest.raises(OverflowRefused, match=rf"got {total} in row 1 .*\[127, -128\]"):
        refuse8("layer.gates", affine, ranges)


def test_refuse8_passes_a_safe_map() -> None:
    refuse8("layer.gates", small_affine(0), {Source.X: SMALL})


def test_refuse16_names_the_step() -> None:
    term = Term16(
        source=Source.H,
        weights=np.array([[127]], dtype=np.int8),
        bias=np.array([1], dtype=np.int32),
        shift=np.array([3], dtype=np.int32),
        multiplier=np.array([32767], dtype=np.int32),
    )
    ranges = (CodeRange(low=-16384, high=16384),)
    with pytest.raises(OverflowRefused, match=r"steps of 0.5, so output code 1.04e\+06 in row 0"):
        refuse16("layer.gates", term, np.array([0.5]), ranges)


@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize("cell", CELLS)
def test_every_map_of_a_model_is_proven(cell: str, precision: Precision) -> None:
    model = random_model(cell, precision, kind="hostile", stack=2)
    proofs = prove(model)
    assert len(proofs) == sum(len(layer.affines) for layer in model.layers)
    assert all(p.worst < p.limit and p.headroom_bits > 0 for p in proofs)


def test_a_model_with_an_unsafe_row_cannot_be_built() -> None:
    model = random_model("simple_rnn", Precision.W8A8)
    layer = model.layers[0]
    gates = layer.affines["gates"]
    assert isinstance(gates, Affine8)
    loud = np.array(gates.terms[0].multiplier)
    loud[5] = 1 << 20

    term = dataclasses.replace(gates.terms[0], multiplier=loud)
    unsafe = dataclasses.replace(layer, gates=dataclasses.replace(gates, terms=(term,)))
    with pytest.raises(ModelError, match=r"1 rows that can overflow \(first: row 5\)"):
        dataclasses.replace(model, layers=(unsafe, *model.layers[1:]))
