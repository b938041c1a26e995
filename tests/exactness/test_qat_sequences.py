"""Masks, attention, passes and programs under training: the codes of the integers, 0 LSB."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.compress.qat import integer_model, qat_model
from tests.support.training.qat_sequences import CASES, codes, fed, session_codes

#: Weights are random, and calibration is short.
pytestmark = [pytest.mark.tf, pytest.mark.filterwarnings("ignore::edgernn.errors.EdgeRnnWarning")]
PRECISIONS = ("w8a8", "w8a16", "w4a8")
#: Those of the ordinary run: one of each kind.
FEW = {
    ("masked", "w8a8"), ("both", "w8a8"), ("attends additive", "w8a8"), ("handed over", "w8a8"),
}  # fmt: skip


def moved(model, given, rounds=2):
    """Move all weights as training would; let steps follow them in forward passes."""
    rng = np.random.default_rng(3)
    short = fed([x[:, :2] for x in given])
    for _ in range(rounds):
        for variable in model.trainable_variables:
            variable.assign(variable + rng.normal(size=variable.shape) * 0.05)
        model(short, training=True)


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        pytest.param(name, precision, marks=() if (name, precision) in FEW else pytest.mark.long)
        for name in CASES
        for precision in PRECISIONS
    ],
)
def test_moved_weights_give_the_codes_of_the_reference(name, precision):
    case = CASES[name]
    given = case.given(3, 1)
    model = qat_model(case.network(), case.calibration(), precision, **case.options)
    before = integer_model(model)
    moved(model, given)
    after = integer_model(model)
    made, wanted = codes(model, given), session_codes(after, given, case.begins)
    if made.ndim < wanted.ndim:
        wanted = wanted[:, -1]
    assert made.shape == wanted.shape
    assert np.count_nonzero(made != wanted) == 0
    assert np.ptp(made, axis=0).max() > 100  # the streams differ
    assert after.layers != before.layers
    if not isinstance(after, ProgramSet):
        return
    assert (after.names, after.handovers, after.chunk) == (
        before.names, before.handovers, before.chunk,
    )  # fmt: skip
    # A layer that several programs have is one, stored once, as it was before.
    assert len(after.layers) == len(before.layers)


@pytest.mark.parametrize("name", ["masked", pytest.param("both tokens", marks=pytest.mark.long)])
def test_training_starts_at_the_post_training_model(name):
    """In its weights and their steps; of large biases float32 holds 24 bits."""
    from edgernn_export import quantize

    case = CASES[name]
    float_model, calibration = case.network(), case.calibration(20)
    start = integer_model(qat_model(float_model, calibration, "w8a16", **case.options))
    rounded = quantize(float_model, calibration, "w8a16", **case.options)
    for made, wanted in zip(start.layers, rounded.layers, strict=True):
        for name, affine in wanted.affines.items():
            for one, other in zip(made.affines[name].terms, affine.terms, strict=True):
                assert np.array_equal(one.weights, other.weights)
                assert np.array_equal(one.multiplier, other.multiplier)
                assert np.array_equal(one.shift, other.shift)


def test_the_loss_leaves_out_what_is_masked():
    """As Keras leaves it out of the loss of the float network."""
    case = CASES["masked tokens"]
    given, float_model = case.given(3, 1), case.network()
    model = qat_model(float_model, case.calibration(), **case.options)
    wanted = np.asarray(float_model(given[0])[0]._keras_mask)
    assert 0 < np.count_nonzero(~wanted) < wanted.size
    found = model(fed(given))
    for answer in found:
        assert np.array_equal(answer._keras_mask, wanted)
    assert np.allclose(np.asarray(found[1]).sum(axis=-1), 1.0, atol=1e-5)


def test_inputs_and_outputs_are_in_the_order_of_the_network():
    """Those of the decoder come first in it, and are not the first program."""
    case = CASES["handed over"]
    model = qat_model(case.network(), case.calibration(), **case.options)
    assert [given.name for given in model.inputs] == ["future", "past"]
    assert integer_model(model).names == ("encode", "decode")
    shared = [v for v in model.trainable_variables if tuple(v.shape) == (3, 3)]
    assert len(shared) == 2  # `of_both` is one layer, and the kernel of `answer`
