"""Every clause as TensorFlow computes it in training, against the reference."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn.graph.ops import OPS, Function
from edgernn.model.affine import Affine8, Affine16, Source, Term8, Term16
from edgernn.model.formats import Precision
from edgernn_firmware_sim.reference import affine as affine_map
from edgernn_firmware_sim.reference import arithmetic, tables
from edgernn_firmware_sim.reference.events import Quiet
from tests.support.models.float import float_model, stream

pytestmark = pytest.mark.tf
EVERY_CODE = np.arange(-32768, 32768, dtype=np.int32)
PRECISIONS = [Precision.W8A8, Precision.W8A16]


def tensor(codes):
    import tensorflow as tf

    return tf.constant(codes, tf.float32)


def integers(codes):
    made = np.asarray(codes)
    assert np.array_equal(made, np.rint(made))
    return made.astype(np.int64)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("name", ["sigmoid", "tanh", "hard_sigmoid"])
def test_tables_at_every_code(name, jit):
    import tensorflow as tf

    from edgernn_export.compress.qat.arithmetic import straight_through

    made = tf.function(getattr(straight_through, name), jit_compile=jit)(tensor(EVERY_CODE))
    assert np.array_equal(integers(made), getattr(tables, name)(EVERY_CODE))


def test_every_operation_and_function_trains():
    from edgernn_export.compress.qat.interpreter import FUNCTIONS, RUN

    assert set(FUNCTIONS) == set(Function)
    assert set(RUN) == set(OPS)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_operand_of_every_value(precision):
    from edgernn_export.compress.qat.arithmetic.straight_through import operand

    wanted = affine_map.operand(precision, EVERY_CODE, Quiet(), "v")
    assert np.array_equal(integers(operand(tensor(EVERY_CODE), precision)), wanted)


def test_products_and_sums():
    from edgernn_export.compress.qat.arithmetic.straight_through import (
        complement,
        product,
        rescaled,
        saturating_sum,
    )

    rng = np.random.default_rng(1)
    a, b = rng.integers(-32768, 32768, (2, 20_000)).astype(np.int32)
    a[:4], b[:4] = [-32768, -32768, 32767, 32767], [32767, -32767, 32767, -32768]
    x, y = tensor(a), tensor(b)
    for k in (15, 16, 20):
        assert np.array_equal(integers(product(x, y, k)), arithmetic.round_product(a * b, k))
    for k in range(5):
        assert np.array_equal(integers(rescaled(x, k)), arithmetic.round_product(a, k))
    assert np.array_equal(integers(saturating_sum(x, y)), arithmetic.sat16(a + b))
    gates = np.arange(32768, dtype=np.int32)
    assert np.array_equal(
        integers(complement(tensor(gates), 1 << 15)), arithmetic.sat16(32768 - gates)
    )


@pytest.mark.parametrize("precision", ["w8a8", "w8a16"])
def test_input_codes_are_those_of_the_interface(precision):
    from edgernn_export import quantize
    from edgernn_export.compress.qat.arithmetic.input_codes import InputCodes

    model = quantize(float_model("lstm"), stream(200, 3), precision)
    xs = np.random.default_rng(2).normal(size=(500, 3)).astype(np.float32) * 4
    wanted = model.interface().quantize(xs.astype(np.float64))
    coder = InputCodes(model.input.scale, model.input.offset, model.precision)
    made = coder(tensor(xs))
    assert np.array_equal(integers(made), wanted)
    assert np.abs(integers(made)).max() >= model.precision.input_high  # readings beyond the range


def test_affine_map_of_8_bit_operands():
    import tensorflow as tf

    from edgernn_export.compress.qat.arithmetic.requantization import requantized8

    rng = np.random.default_rng(3)
    rows, shift = 40, 9
    weights = rng.integers(-127, 128, (2, rows, 7)).astype(np.int8)
    multipliers = rng.integers(0, 1 << 11, (2, rows)).astype(np.int32)
    # A multiple of 32: all that float32 holds of such a bias.
    bias = 32 * rng.integers(-(1 << 22), 1 << 22, rows).astype(np.int32)
    x, h = rng.integers(-128, 128, (2, 300, 7)).astype(np.int32)
    terms = tuple(
        Term8(source=s, weights=w, multiplier=m)
        for s, w, m in zip((Source.X, Source.H), weights, multipliers, strict=True)
    )
    record = affine_map.AffineMap8(Affine8(terms=terms, bias=bias, shift=shift), ("z",))
    wanted = record({Source.X: x, Source.H: h}, Quiet())
    sums = [tensor(v @ w.T.astype(np.int32)) for v, w in zip((x, h), weights, strict=True)]
    whole = [tf.constant(m) for m in multipliers]
    made = requantized8(sums, whole, tensor(bias), tf.constant(shift))
    assert np.array_equal(integers(made), wanted)
    assert 0.01 < np.mean(np.abs(wanted + 0.5) > 32767) < 0.99  # some saturate, some do not


def test_affine_map_of_16_bit_operands():
    import tensorflow as tf

    from edgernn_export.compress.qat.arithmetic.requantization import requantized16
    from edgernn_export.compress.qat.arithmetic.straight_through import saturating_sum

    rng = np.random.default_rng(4)
    rows = 40
    weights = rng.integers(-127, 128, (2, rows, 7)).astype(np.int8)
    multipliers = rng.integers(0, 32768, (2, rows)).astype(np.int32)
    shifts = rng.integers(3, 12, (2, rows)).astype(np.int32)
    quarters = rng.integers(-(1 << 20), 1 << 20, (2, rows)).astype(np.int32)
    x, h = 4 * rng.integers(-4096, 4097, (2, 300, 7)).astype(np.int32)
    terms = tuple(
        Term16(source=s, weights=w, bias=4 * q + 1, shift=k, multiplier=m)
        for s, w, q, k, m in zip(
            (Source.X, Source.H), weights, quarters, shifts, multipliers, strict=True
        )
    )
    record = affine_map.AffineMap16(Affine16(terms=terms), ("z",))
    wanted = record({Source.X: x, Source.H: h}, Quiet())
    parts = [
        requantized16(
            tf.constant(v @ w.T.astype(np.int32), tf.float64),
            tensor(q),
            tf.constant(k),
            tf.constant(m),
        )
        for v, w, q, k, m in zip((x, h), weights, quarters, shifts, multipliers, strict=True)
    ]
    assert np.array_equal(integers(saturating_sum(*parts)), wanted)
    assert np.mean(np.abs(wanted + 0.5) > 32767) > 0.01


def test_sums_that_float32_cannot_hold():
    from edgernn_export.compress.qat.arithmetic.exact_sums import matrix_product

    rng = np.random.default_rng(5)
    codes = 4 * rng.integers(-4096, 4097, (2, 50, 600)) + 0.0
    weights = rng.integers(-127, 128, (600, 8)) + 0.0
    wanted = np.einsum("btn,nr->btr", codes.astype(np.int64), weights.astype(np.int64))
    exact = matrix_product(tensor(codes), tensor(weights), double=True)
    assert np.array_equal(integers(exact), wanted)
    assert not np.array_equal(
        np.asarray(matrix_product(tensor(codes + 1), tensor(weights), double=False)),
        np.einsum("btn,nr->btr", codes.astype(np.int64) + 1, weights.astype(np.int64)),
    )


@pytest.mark.parametrize(("inputs", "wanted"), [(1032, False), (1033, True)])
def test_double_precision_begins_where_float32_ends(inputs, wanted):
    """1032 columns of 127 * 128 stay below 2**24, 1033 may not."""
    from edgernn_export import quantize
    from edgernn_export.compress.qat.maps.columns import Columns
    from edgernn_export.compress.qat.maps.float_weights import map_specs
    from edgernn_export.compress.qat.maps.training_maps import needs_double

    float_ = float_model("simple_rnn", inputs=inputs, units=2)
    model = quantize(float_, stream(20, inputs), operand_scales="separate")
    columns = Columns.of(model, 0, np.zeros(inputs))
    assert needs_double(map_specs(model, 0, columns)[0], model.precision) is wanted
