"""Masks, schedule and settings, against plain Python; nothing here needs Keras."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from edgernn.errors import PruningError
from edgernn_export.compress.checks import matrices_asked
from edgernn_export.compress.pruning.allocation import Schedule, densities_asked
from edgernn_export.compress.pruning.masks import PATTERNS, kept_count, renew

BLOCKS = {
    "unstructured": (1, 1),
    "1x4": (1, 4),
    "4x1": (4, 1),
    "4x4": (4, 4),
    "8x4": (8, 4),
    "1x16": (1, 16),
}
#: gates, units, columns: whole blocks, ragged edges on both sides, one unit.
SHAPES = [(1, 8, 16), (3, 10, 7), (4, 1, 1), (2, 17, 18)]


def weights(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Sixteenths, so that sums are exact and ties are many."""
    return np.random.default_rng(seed).integers(-8, 9, shape) / 16


def masked(w, density, name, norm="l1", diagonal=False, before=None):
    return renew(
        w,
        np.ones(w.shape, bool) if before is None else before,
        density=density,
        pattern=PATTERNS[name],
        norm=norm,
        keep_diagonal=diagonal,
    )


def block_oracle(w, density, rows, columns, norm, diagonal):
    """Lists and fractions only: rank blocks by mean size, the earlier first."""
    gates, height, width = w.shape
    blocks = []
    for g in range(gates):
        for top in range(0, height, rows):
            for left in range(0, width, columns):
                cells = [
                    (g, r, c)
                    for r in range(top, min(top + rows, height))
                    for c in range(left, min(left + columns, width))
                    if not (diagonal and r == c)
                ]
                if cells:
                    sizes = [abs(Fraction(float(w[cell]))) for cell in cells]
                    total = sum(s if norm == "l1" else s * s for s in sizes)
                    blocks.append((-total / len(cells), len(blocks), cells))
    kept = math.ceil(Fraction(str(density)) * len(blocks))
    stay = {cell for _, _, cells in sorted(blocks)[:kept] for cell in cells}
    mask = np.zeros(w.shape, bool)
    for g, r, c in np.ndindex(w.shape):
        mask[g, r, c] = (g, r, c) in stay or (diagonal and r == c)
    return mask


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("density", [0.05, 0.3, 0.5, 1.0])
def test_blocks_are_those_of_the_oracle(name, norm, shape, density) -> None:
    w = weights(shape)
    expected = block_oracle(w, density, *BLOCKS[name], norm, False)
    assert np.array_equal(masked(w, density, name, norm), expected)


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("units", [1, 4, 11])
def test_the_diagonal_stays_and_is_not_counted(name, units) -> None:
    w = weights((3, units, units), seed=1)
    mask = masked(w, 0.2, name, diagonal=True)
    assert np.array_equal(mask, block_oracle(w, 0.2, *BLOCKS[name], "l1", True))
    assert np.all(np.einsum("gii->gi", mask))


def test_norms_rank_differently() -> None:
    w = np.array([[[0.5, 0.5, 0.5, 0.5, 1.5, 0.0, 0.0, 0.0]]])
    assert masked(w, 0.5, "1x4", "l1")[0, 0].tolist() == [True] * 4 + [False] * 4
    assert masked(w, 0.5, "1x4", "l2")[0, 0].tolist() == [False] * 4 + [True] * 4


def test_ragged_blocks_are_ranked_by_their_mean() -> None:
    """A lone edge weight of 0.6 outranks four of 0.5, which sum to more."""
    w = np.array([[[0.5, 0.5, 0.5, 0.5, 0.6]]])
    assert masked(w, 0.5, "1x4")[0, 0].tolist() == [False] * 4 + [True]


def test_gates_of_one_matrix_compete_and_blocks_never_span_two() -> None:
    w = np.concatenate([np.full((1, 5, 4), 0.1), np.full((1, 5, 4), 0.9)])
    mask = masked(w, 0.5, "4x1")
    assert not mask[0].any()
    assert mask[1].all()


def n_of_m_oracle(w, density):
    """Two largest of every four columns stay; of the rest the smallest go, the last first."""
    mask = np.ones(w.shape, bool)
    rest = []
    for g, r in np.ndindex(w.shape[:2]):
        for left in range(0, w.shape[2], 4):
            group = [(-abs(w[g, r, c]), c) for c in range(left, min(left + 4, w.shape[2]))]
            rest += [(-size, -g, -r, -c) for size, c in sorted(group)[2:]]
    stay = math.ceil(Fraction(str(density)) * w.size)
    for _, g, r, c in sorted(rest)[: w.size - stay]:
        mask[-g, -r, -c] = False
    return mask


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 6, 7, 16])
@pytest.mark.parametrize("density", [0.5, 0.6, 0.85, 1.0])
def test_two_of_four_is_that_of_the_oracle(width, density) -> None:
    w = weights((2, 9, width), seed=2)
    mask = masked(w, density, "2:4")
    assert np.array_equal(mask, n_of_m_oracle(w, density))
    if density == 0.5:
        padded = np.pad(mask, ((0, 0), (0, 0), (0, -width % 4)))
        groups = padded.reshape(2, 9, -1, 4).sum(axis=3)
        tail = min(2, width % 4 or 4)
        assert np.all(groups[..., :-1] == 2)
        assert np.all(groups[..., -1] == tail)


def test_two_of_four_gives_one_of_the_two_places_to_the_diagonal() -> None:
    w = weights((2, 8, 8), seed=3) + 1.0
    for i in range(8):
        w[:, i, i] = 0.0
    mask = masked(w, 0.5, "2:4", diagonal=True)
    assert np.all(np.einsum("gii->gi", mask))
    assert np.all(mask.reshape(2, 8, 2, 4).sum(axis=3) == 2)


@pytest.mark.parametrize("name", PATTERNS)
def test_what_is_masked_stays_masked(name) -> None:
    """Even where the weights that are left are zero, and ties with the masked ones."""
    w = weights((2, 12, 12), seed=4)
    mask = masked(w, 0.8, name)
    later = masked(np.zeros(w.shape), 0.6, name, before=mask)
    assert not np.any(later & ~mask)
    if PATTERNS[name].at_most is None:
        rows, columns = BLOCKS[name]
        count = 2 * math.ceil(12 / rows) * math.ceil(12 / columns)
        assert later[:, ::rows, ::columns].sum() == math.ceil(0.6 * count)


@pytest.mark.parametrize("count", [1, 7, 10, 100, 4096])
@pytest.mark.parametrize("percent", [1, 7, 29, 30, 57, 70, 100])
def test_counts_round_up(count, percent) -> None:
    """Fractions meet whole products: 0.07 * 100 is 7.000000000000001 in floats."""
    assert kept_count(percent / 100, count) == -(-percent * count // 100)


def test_schedule_values() -> None:
    """s = 0.8 + (0 - 0.8)(1 - t/n)^3 by hand: at 1/4, 27/64 of the way is left; at 1/2, 1/8."""
    schedule = Schedule(begin_step=100, end_step=500, frequency=50, power=3)
    values = {99: 1.0, 100: 1.0, 200: 0.2 + 0.8 * 27 / 64, 300: 0.3, 400: 0.2 + 0.8 / 64, 500: 0.2}
    for step, density in (values | {9999: 0.2}).items():
        assert schedule.density(step, 1.0, 0.2) == pytest.approx(density, abs=1e-15)
    linear = Schedule(begin_step=0, end_step=10, frequency=1, power=1)
    assert linear.density(5, 0.9, 0.1) == pytest.approx(0.5)


def test_schedule_is_due_at_its_steps_and_at_its_end() -> None:
    schedule = Schedule(begin_step=10, end_step=45, frequency=10, power=3)
    assert [s for s in range(100) if schedule.due(s)] == [10, 20, 30, 40, 45]
    once = Schedule(begin_step=0, end_step=0, frequency=7, power=3)
    assert [s for s in range(20) if once.due(s)] == [0]
    assert once.density(0, 1.0, 0.3) == 0.3


@pytest.mark.parametrize(
    "initial, final, pattern, words",
    [
        (1.0, 0.0, "4x1", "final_density: expected a density above 0 and at most 1, got 0"),
        (1.0, {"i": 0.5, "f": 0}, "4x1", r"final_density\['f'\].* got 0"),
        (1.0, -0.1, "4x1", "got -0.1"),
        (1.0, 1.1, "4x1", "got 1.1"),
        (1.0, float("nan"), "4x1", "got nan"),
        (1.0, True, "4x1", "got True"),
        (1.0, "0.5", "4x1", "got '0.5'"),
        (0.4, 0.5, "4x1", "at most the initial density 0.4, got 0.5"),
        (0.0, 0.5, "4x1", "initial_density: .* got 0"),
        (1.0, 0.4, "2:4", "expected 0.5 with the pattern 2:4, got 0.4"),
        (1.0, {}, "4x1", "empty dict"),
    ],
)
def test_refused_densities(initial, final, pattern, words) -> None:
    with pytest.raises(PruningError, match=words):
        densities_asked(initial, final, pattern)


@pytest.mark.parametrize(
    "steps, words",
    [
        ({"begin_step": -1}, "begin_step: expected a whole number of at least 0, got -1"),
        ({"begin_step": 9}, "end_step: expected a whole number of at least 9, got 8"),
        ({"frequency": 0}, "frequency"),
        ({"end_step": 8.0}, "end_step"),
        ({"power": True}, "power"),
    ],
)
def test_refused_steps(steps, words) -> None:
    with pytest.raises(PruningError, match=words):
        Schedule(**{"begin_step": 0, "end_step": 8, "frequency": 1, "power": 3} | steps)


@pytest.mark.parametrize("names", [(), "kernel", ("bias",)])
def test_refused_matrices(names) -> None:
    with pytest.raises(PruningError, match="matrices: expected"):
        matrices_asked(names)
