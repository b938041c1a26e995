"""Section 3 of NUMERICS.md over all 65,536 inputs: twin, reference, and real functions."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pytest

from edgernn_firmware_sim.reference import tables
from tests.exactness.twin import scalar

mpmath = pytest.importorskip("mpmath", reason="needs mpmath: pip install 'edgernn[dev]'")
mp, mpf = mpmath.mp, mpmath.mpf

CODES: Final = np.arange(-32768, 32768, dtype=np.int32)
#: Measured largest distance from 2^15 * f(z / 2^10), in LSB of Q0.15, and the code where it lies.
WORST_LSB: Final = {
    "sigmoid": (1.0157, -1408),
    "tanh": (1.2905, -803),
    "hard_sigmoid": (1.0, 3072),
}
#: Smallest and largest result; Q0.15 has no 1.0, and the table's sigmoid never reaches 0.
RANGE: Final = {"sigmoid": (1, 32767), "tanh": (-32767, 32767), "hard_sigmoid": (0, 32767)}
REAL: Final[dict[str, Callable[[Any], Any]]] = {
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "tanh": mp.tanh,
    "hard_sigmoid": lambda x: min(max(x / 6 + mpf(1) / 2, mpf(0)), mpf(1)),
}


def from_twin(name: str) -> np.ndarray:
    return np.array([getattr(scalar, name)(z) for z in CODES.tolist()])


def from_reference(name: str) -> np.ndarray:
    return getattr(tables, name)(CODES)


BOTH: Final = pytest.mark.parametrize("results_of", (from_twin, from_reference))
EACH: Final = pytest.mark.parametrize("name", sorted(REAL))


def test_table_entries_equal_the_twin():
    assert tables.sigmoid_table().tolist() == list(scalar.T)


def test_table_is_the_known_one_at_its_ends():
    # The first and last entries of the table that TFLite and CMSIS-NN ship.
    assert scalar.T[:3] == (32768, 33451, 34133)
    assert scalar.T[-3:] == (65534, 65534, 65535)


def test_no_table_entry_is_near_a_tie():
    """Clause 3.1 promises 1e-4; the nearest is entry 174 with 0.0039."""
    half = Decimal("0.5")
    distance = [abs(scalar.real_entry(i) % 1 - half) for i in range(255)]
    assert min(distance) >= Decimal("1e-4")
    assert distance.index(min(distance)) == 174
    assert float(min(distance)) == pytest.approx(0.0039235, abs=1e-6)


@EACH
def test_reference_equals_twin_on_every_input(name):
    expected, got = from_twin(name), from_reference(name)
    assert np.count_nonzero(expected != got) == 0
    assert got.dtype == np.int32
    assert got.shape == (65536,)


@EACH
@BOTH
def test_error_against_real_function_is_the_stated_one(name, results_of):
    bound, where = WORST_LSB[name]
    with mp.workdps(30):
        real = [32768 * REAL[name](mpf(z) / 1024) for z in CODES.tolist()]
        error = [abs(int(q) - r) for q, r in zip(results_of(name), real, strict=True)]
        worst = max(error)
    assert float(worst) == pytest.approx(bound, abs=1e-4)
    assert error[where + 32768] == worst


@EACH
@BOTH
def test_results_never_decrease(name, results_of):
    assert np.diff(results_of(name)).min() >= 0


@EACH
@BOTH
def test_range(name, results_of):
    results = results_of(name)
    assert (int(results.min()), int(results.max())) == RANGE[name]


@BOTH
def test_tanh_is_odd_and_zero_at_zero(results_of):
    results = results_of("tanh")
    assert np.array_equal(results[1:], -results[1:][::-1])
    assert results[32768] == 0
    # -32768 has no mirror image; it saturates like its neighbour.
    assert results[0] == -32767


@BOTH
def test_sigmoid_and_its_mirror_image_add_up_to_one(results_of):
    results = results_of("sigmoid")
    assert np.all(results[1:] + results[1:][::-1] == 32768)


@BOTH
def test_complement_of_a_sigmoid_never_saturates(results_of):
    """Clause 7.5 needs w = 32768 - z in int16: true for every sigmoid, not for hard sigmoid."""
    assert (32768 - results_of("sigmoid")).max() == 32767
    assert (32768 - results_of("hard_sigmoid")).max() == 32768
