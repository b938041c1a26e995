"""Training arithmetic of wide states and curves: forward the clauses, backward what they are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from edgernn.graph.ops import Gate, Value
from edgernn.model.formats import PREACTIVATION, UNIT
from edgernn.model.functions.curves import CURVE_STEP_BITS, CurveTable
from edgernn.model.scales import LeakConstants
from edgernn_export.compress.qat.arithmetic import wide_states
from edgernn_export.compress.qat.arithmetic.straight_through import complement
from edgernn_firmware_sim.reference import tables, wide

N = 20_000
ALL_CODES = np.arange(-32768, 32768)
Codes = npt.NDArray[np.int32]


def _gate(*, fine: bool, complement: bool) -> Gate:
    value = Value(name="a", width=N, format=PREACTIVATION if fine else UNIT)
    return Gate(value=value, fine=fine, complement=complement)


def _codes(rng: np.random.Generator) -> Codes:
    """Any int16, the ends among them."""
    ends = rng.choice([-32768, -32767, 32767, 0, -1, 1], N)
    return np.where(rng.random(N) < 0.2, ends, rng.integers(-32768, 32768, N)).astype(np.int32)


def _gate_codes(rng: np.random.Generator, gate: Gate) -> Codes:
    return _codes(rng) if gate.fine else np.maximum(_codes(rng), 0)


def _tensor(codes: Codes) -> tf.Tensor:
    return tf.constant(codes.astype(np.float32))


def _equal(got: tuple[tf.Tensor, ...], wanted: tuple[Codes, ...]) -> None:
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(np.asarray(one).astype(np.int64), other)


@pytest.mark.parametrize("fine", [True, False])
@pytest.mark.parametrize("less", [True, False])
def test_blends_are_those_of_the_reference(fine: bool, less: bool) -> None:
    rng = np.random.default_rng(1)
    gate = _gate(fine=fine, complement=less)
    high, low, target, code = _codes(rng), _codes(rng), _codes(rng), _gate_codes(rng, gate)
    got = wide_states.blended(*map(_tensor, (high, low, target, code)), gate)
    _equal(got, wide.blend(high, low, target, wide.share_of(gate)(code)))


@pytest.mark.parametrize("fine", [True, False])
@pytest.mark.parametrize("shift", [0, 1, 2, 5, 15, 20, 29])
def test_gated_sums_are_those_of_the_reference(fine: bool, shift: int) -> None:
    rng = np.random.default_rng(2)
    loss, gain = _gate(fine=fine, complement=True), _gate(fine=fine, complement=False)
    high, low, candidate = _codes(rng), _codes(rng), _codes(rng)
    lost, gained = _gate_codes(rng, loss), _gate_codes(rng, gain)
    got = wide_states.gated_sum(
        _tensor(high), _tensor(low), (loss, _tensor(lost)), _tensor(candidate),
        (gain, _tensor(gained)), shift,
    )  # fmt: skip
    shares = wide.share_of(loss)(lost), wide.share_of(gain)(gained)
    _equal(got, wide.saturated(wide.gated_sum(high, low, shares[0], candidate, shares[1], shift)))


def _leak(rng: np.random.Generator) -> LeakConstants:
    return LeakConstants(
        high=rng.integers(0, 32768, N).astype(np.int16),
        low=rng.integers(0, 32768, N).astype(np.int16),
        shift=rng.integers(0, 16, N).astype(np.int16),
    )


@pytest.mark.parametrize("rectified", [True, False])
def test_leaky_sums_are_those_of_the_reference(rectified: bool) -> None:
    rng = np.random.default_rng(3)
    high, low, entry, leak = _codes(rng), _codes(rng), _codes(rng), _leak(rng)
    got = wide_states.leaky_sum(*map(_tensor, (high, low, entry)), leak, rectified=rectified)
    least = 0 if rectified else -(1 << 30)
    _equal(got, wide.saturated(wide.leaky_sum(high, low, entry, leak), least))


@pytest.mark.parametrize("shift", [0, 1, 2, 10, 30])
def test_wide_values_are_rescaled_as_in_the_reference(shift: int) -> None:
    rng = np.random.default_rng(4)
    high, low = _codes(rng), np.maximum(_codes(rng), 0)
    got = wide_states.wide_rescaled(_tensor(high), _tensor(low), shift)
    wanted = wide.round_product(wide.whole(high, low), shift)
    _equal((got,), (np.clip(wanted, -32768, 32767),))


@pytest.mark.parametrize("bits", CURVE_STEP_BITS)
def test_curves_are_those_of_the_reference_at_every_code(bits: int) -> None:
    rng = np.random.default_rng(bits)
    entries = rng.integers(-32768, 32768, (1 << (16 - bits)) + 1).astype(np.int16)
    table = CurveTable(entries=entries, low=-20_000, high=30_000)
    got = wide_states.curve(_tensor(ALL_CODES), table)
    _equal((got,), (tables.curve(table)[ALL_CODES],))


@pytest.mark.parametrize("bits", range(16))
def test_complements_of_every_format(bits: int) -> None:
    got = complement(_tensor(ALL_CODES), 1 << bits)
    _equal((got,), (np.clip((1 << bits) - ALL_CODES, -32768, 32767),))


def _gradients(
    function: Callable[..., tf.Tensor], given: list[npt.NDArray[np.float32]]
) -> list[npt.NDArray[np.float64]]:
    tensors = [tf.constant(values) for values in given]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        made = function(*tensors)
    return [np.asarray(found, np.float64) for found in tape.gradient(made, tensors)]


def test_gradients_of_a_gated_sum_are_those_of_the_real_one() -> None:
    rng = np.random.default_rng(5)
    loss, gain = _gate(fine=True, complement=True), _gate(fine=True, complement=False)
    high, candidate = (rng.integers(-8000, 8000, N).astype(np.float32) for _ in range(2))
    low = rng.integers(0, 32768, N).astype(np.float32)
    lost, gained = (rng.integers(-4000, 4000, N).astype(np.float32) for _ in range(2))
    given = [high, low, lost, candidate, gained]

    def integers(*values: tf.Tensor) -> tf.Tensor:
        h, low_part, a, g, b = values
        return wide_states.gated_sum(h, low_part, (loss, a), g, (gain, b), 2)[0]

    def real(*values: tf.Tensor) -> tf.Tensor:
        h, low_part, a, g, b = values
        kept = h * tf.sigmoid(a / 1024.0) + 0.0 * low_part
        return kept + tf.sigmoid(b / 1024.0) * g / 4.0

    for got, wanted in zip(_gradients(integers, given), _gradients(real, given), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=0.02, atol=2e-3)


def test_gradients_of_a_blend_are_those_of_the_real_one() -> None:
    rng = np.random.default_rng(6)
    gate = _gate(fine=True, complement=True)
    high, target = (rng.integers(-30000, 30000, N).astype(np.float32) for _ in range(2))
    low, code = rng.integers(0, 32768, N), rng.integers(-4000, 4000, N)
    given = [high, low.astype(np.float32), target, code.astype(np.float32)]

    def real(h: tf.Tensor, low_part: tf.Tensor, n: tf.Tensor, a: tf.Tensor) -> tf.Tensor:
        z = tf.sigmoid(a / 1024.0)
        return z * h + (1.0 - z) * n + 0.0 * low_part

    got = _gradients(lambda *values: wide_states.blended(*values, gate)[0], given)
    for one, wanted in zip(got, _gradients(real, given), strict=True):
        np.testing.assert_allclose(one, wanted, rtol=0.02, atol=2e-3)


def test_nothing_passes_where_a_sum_saturates() -> None:
    leak = LeakConstants(
        high=np.zeros(3, np.int16), low=np.zeros(3, np.int16), shift=np.full(3, 15, np.int16)
    )
    high = np.array([32000.0, 100.0, -100.0], np.float32)
    entry = np.array([32000.0, 5.0, 5.0], np.float32)

    def summed(h: tf.Tensor, u: tf.Tensor) -> tf.Tensor:
        return wide_states.leaky_sum(h, tf.zeros(3), u, leak, rectified=True)[0]

    to_high, to_entry = _gradients(summed, [high, entry])
    assert to_high.tolist() == [0.0, 1.0, 0.0]
    assert to_entry.tolist() == [0.0, 1.0, 0.0]
