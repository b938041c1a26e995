"""Products through floating point are the sums of Python's integers, at the ends of every width."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn.model.affine import ACCUMULATOR_LIMIT_W8A16, Affine16, CodeRange, Source, Term16
from edgernn.model.formats import Int8Array, Int32Array, Precision
from edgernn_firmware_sim.reference.affine import ExactProduct, affine_map
from edgernn_firmware_sim.reference.events import Quiet

#: Columns, and the largest code. 1032 is the most that clause 5.5 allows for these codes; 1041 is
#: the first whose sums of 127 * 127 pass 2**24; 131072 is the most of clause 4.1.
WIDTHS = ((1, 128), (7, 32764), (1032, 16384), (1033, 128), (1041, 128), (131_072, 128))


def sums(weights: Int8Array, codes: Int32Array) -> list[list[int]]:
    """W.q in Python's integers."""
    return [
        [sum(w * q for w, q in zip(row, column, strict=True)) for row in weights.tolist()]
        for column in codes.tolist()
    ]


@pytest.mark.parametrize("streams", [1, 3])
@pytest.mark.parametrize(("columns", "largest"), WIDTHS)
def test_extreme_sums_are_exact(columns: int, largest: int, streams: int) -> None:
    rng = np.random.default_rng(columns)
    ends = np.array([-127, 127], dtype=np.int8)
    weights = np.stack(
        [
            np.full(columns, 127, dtype=np.int8),
            np.resize(ends, columns),  # every partial sum falls back
            np.sort(np.resize(ends, columns)),  # the first half of the sum is as far as it goes
            rng.choice(ends, columns),
            rng.integers(-127, 128, columns).astype(np.int8),
        ]
    )
    every = np.stack(
        [
            np.full(columns, largest),
            np.full(columns, -largest),
            np.full(columns, largest - 1),  # sums are odd
            np.resize([largest - 1, -largest], columns),
            rng.integers(-largest, largest + 1, columns),
            rng.choice([-largest, 1 - largest, largest - 1, largest], columns),
        ]
    ).astype(np.int32)
    product = ExactProduct(weights, largest)
    for codes in np.split(every, len(every) // streams):
        got = product(codes)
        assert got.dtype == np.int32
        assert got.tolist() == sums(weights, codes)


def test_sums_just_inside_and_outside_of_single_precision() -> None:
    """A row whose reach is 2**24 - 128, and the same with one more weight of 1 and of 2."""
    inside = np.full(1033, 127, dtype=np.int8)
    inside[-1] = 131_071 - 1032 * 127
    assert int(inside.sum()) * 128 == 2**24 - 128
    for more in (0, 1, 2):
        weights = np.append(inside, np.int8(more))[None]
        rng = np.random.default_rng(more)
        codes = np.where(rng.random((50, 1034)) < 0.01, -127, -128).astype(np.int32)
        assert ExactProduct(weights, 128)(codes).tolist() == sums(weights, codes)


def test_an_accumulator_at_its_bound_gives_the_result_of_its_clauses() -> None:
    """Clause 5.2 at |acc| just below 2**31; a shift of 16 brings it within int16."""
    columns, bias, shift, multiplier = 1032, 65_537, 16, 32_767
    weights = np.stack([np.full(columns, 127), np.full(columns, -127)]).astype(np.int8)
    term = Term16(
        source=Source.H,
        weights=weights,
        bias=np.full(2, bias, dtype=np.int32),
        shift=np.full(2, shift, dtype=np.int32),
        multiplier=np.full(2, multiplier, dtype=np.int32),
    )
    wide = Precision.W8A16
    ranges = (CodeRange(low=wide.operand_low, high=wide.operand_high),) * columns
    assert 0.9999 < term.worst(ranges).max() / ACCUMULATOR_LIMIT_W8A16 < 1.0
    codes = np.full((1, columns), wide.operand_high, dtype=np.int32)
    got = affine_map(Affine16(terms=(term,)), ("gates",))({Source.H: codes}, Quiet())
    wanted = []
    for row in weights.tolist():
        acc = sum(row) * wide.operand_high + bias
        v = min(max((acc + 2 ** (shift - 1)) >> shift, -32768), 32767)
        p = v * multiplier
        wanted.append((p + 2**14 + 1 - 2 * (p < -1)) >> 15)
    assert got.tolist() == [wanted]
