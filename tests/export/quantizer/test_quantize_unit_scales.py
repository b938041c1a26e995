"""Elements far apart: scales of their own where merges alone read them, and none elsewhere."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

import edgernn
from edgernn.errors import DepartureWarning
from edgernn.model.integer_model import IntegerModel
from edgernn.model.merges import MergeOperation
from edgernn.model.routes import MODEL_INPUT
from edgernn_export.float_model.float_run import run
from edgernn_export.float_model.merges import FloatDelay
from edgernn_export.float_model.model import (
    FloatDense,
    FloatLayer,
    FloatMerge,
    FloatModel,
    FloatSimpleRNN,
)
from edgernn_export.quantizer.quantizer import quantize
from edgernn_export.quantizer.report import quantization_report
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.float import float_layer, stream
from tests.support.models.float_networks import named, whole

FAR = np.array([1e8, 1.0, 1e-3, 10.0])
XS = stream(900, 3)


def dense(name: str, sizes: np.ndarray, seed: int = 0, inputs: int = 6) -> FloatDense:
    """Units of these sizes."""
    kernel = np.random.default_rng(seed).normal(size=(len(sizes), inputs))
    return FloatDense(
        name=name, kernel=kernel * sizes[:, None], bias=sizes * 0.1, activation="linear"
    )


def merge(operation: MergeOperation, name: str = "m", count: int = 2) -> FloatMerge:
    ones = np.ones((count, 4))
    return FloatMerge(name=name, operation=operation, gain=ones, offset=ones * 0)


def network(layers: list[FloatLayer], *routes) -> FloatModel:
    """A recurrent layer of 6 units, then these layers, which read these routes."""
    first = float_layer(np.random.default_rng(0), "gru_after", 3, 6)
    return FloatModel(
        name="far", layers=(first, *layers), routes=(whole(MODEL_INPUT, 3), *routes), **named(3, 4)
    )


def merged(operation: MergeOperation, other: np.ndarray) -> FloatModel:
    """Two Dense layers that a merge alone reads."""
    layers = [dense("a", FAR, 1), dense("b", other, 2), merge(operation)]
    read = (*whole(1, 4), *whole(2, 4))
    return network(layers, whole(0, 6), whole(0, 6), read, whole(3, 4))


def quiet(model: FloatModel, precision: str = "w8a8") -> IntegerModel:
    with warnings.catch_warnings():
        warnings.simplefilter("error", DepartureWarning)
        return quantize(model, XS, precision, progress=False)


def shares(model: FloatModel, integer: IntegerModel) -> np.ndarray:
    """Difference of each output over its standard deviation."""
    wanted, interface = run(model, XS[None])[0][0], integer.interface()
    got = interface.dequantize(Reference(integer).run(interface.quantize(XS))[0])
    spread: np.ndarray = np.sqrt(np.mean(np.square(got - wanted), axis=0)) / wanted.std(axis=0)
    return spread


@pytest.mark.parametrize(("precision", "most"), [("w8a8", 0.08), ("w8a16", 0.025)])
@pytest.mark.parametrize("other", [np.ones(4), 1.0 / FAR], ids=["alike", "inverse"])
@pytest.mark.parametrize("operation", MergeOperation, ids=lambda o: o.value)
def test_units_far_apart_are_kept(operation, other, precision, most):
    model = merged(operation, other)
    integer = quiet(model, precision)
    assert shares(model, integer).max() < most
    assert integer.layers[1].unit_scales is not None
    assert (integer.layers[2].unit_scales is None) == (other[0] == 1.0)
    report = quantization_report(model, integer, XS)
    assert min(t.worst_unit_sqnr_db for t in report.tensors) > -20 * np.log10(most)


def test_a_merge_of_merges_has_scales_of_its_own():
    layers = [
        dense("a", FAR, 1), dense("b", np.ones(4), 2),
        merge(MergeOperation.PRODUCT), merge(MergeOperation.SUM, "s"),
    ]  # fmt: skip
    model = network(
        layers, whole(0, 6), whole(0, 6), (*whole(1, 4), *whole(2, 4)),
        (*whole(3, 4), *whole(1, 4)), whole(4, 4),
    )  # fmt: skip
    integer = quiet(model)
    assert [layer.kind for layer in integer.layers if np.ptp(layer.output_scales) > 0] == [
        "dense", "merge",
    ]  # fmt: skip
    assert shares(model, integer).max() < 0.1


def test_rows_of_a_delay_keep_the_scales_of_what_it_reads():
    """A depthwise convolution behind a Dense layer: a delay and a sum of its rows."""
    delay = FloatDelay(name="rows", depth=2, start=np.zeros(4))
    layers = [dense("a", FAR, 1), delay, merge(MergeOperation.SUM)]
    model = network(layers, whole(0, 6), whole(1, 4), whole(2, 8), whole(3, 4))
    integer = quiet(model)
    assert integer.layers[1].unit_scales is not None
    assert shares(model, integer).max() < 0.08


@pytest.mark.parametrize("sizes", [np.array([100.0, 1.0, 1.0, 10.0]), np.array([9.0, 0, 0, 1.0])])
def test_units_that_are_near_each_other_share_a_scale(sizes):
    """Networks that were well served are what they were; units of 0 need no scale."""
    layers = [dense("a", sizes, 1), dense("b", np.ones(4), 2), merge(MergeOperation.SUM)]
    read = (*whole(1, 4), *whole(2, 4))
    integer = quiet(network(layers, whole(0, 6), whole(0, 6), read, whole(3, 4)))
    assert [np.ptp(layer.output_scales) for layer in integer.layers] == [0.0] * 4


def test_what_a_matrix_reads_too_has_one_scale_and_is_said():
    layers = [dense("a", FAR, 1), dense("b", np.ones(4), 2, inputs=4), merge(MergeOperation.SUM)]
    layers[1] = replace(layers[1], kernel=layers[1].kernel / FAR)
    read = (*whole(1, 4), *whole(2, 4))
    model = network(layers, whole(0, 6), whole(1, 4), read, whole(3, 4))
    with pytest.warns(DepartureWarning, match="of y"):
        integer = quantize(model, XS, "w8a8", progress=False)
    assert np.ptp(integer.layers[1].output_scales) == 0.0


@pytest.mark.parametrize(
    ("operation", "most"), [(MergeOperation.SUM, 0.01), (MergeOperation.PRODUCT, 0.02)]
)
def test_an_element_of_few_codes_leaves_bits_to_the_others(operation, most):
    """All constants of a vector share a shift; states share a scale, whatever they reach."""
    kernel = np.random.default_rng(3).normal(size=(4, 3)) * np.array([[1.0], [3e-4], [1.0], [1.0]])
    states = FloatSimpleRNN(
        name="faint", kernel=kernel, recurrent=np.zeros((4, 4)), bias=np.zeros(4),
        activation="tanh",
    )  # fmt: skip
    gain = np.array([[1.0] * 4, [0.3] * 4])
    model = FloatModel(
        name="far", layers=(states, replace(merge(operation), gain=gain)),
        routes=(whole(MODEL_INPUT, 3), whole(0, 4) * 2, whole(1, 4)), **named(3, 4),
    )  # fmt: skip
    with pytest.warns(DepartureWarning, match=r"of y1 \("):
        integer = quantize(model, XS, "w8a16", progress=False)
    assert shares(model, integer)[[0, 2, 3]].max() < most


def test_sessions_answer_as_the_reference_does(tmp_path):
    integer = quiet(merged(MergeOperation.PRODUCT, 1.0 / FAR))
    path = integer.save(tmp_path / "far.edgernn")
    interface = integer.interface()
    wanted = interface.dequantize(Reference(integer).run(interface.quantize(XS))[0])
    with edgernn.load(path) as session:
        np.testing.assert_array_equal(session.run(XS), wanted)
    assert IntegerModel.load(path) == integer
