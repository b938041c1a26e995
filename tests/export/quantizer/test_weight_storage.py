"""Bits of weights and sparse storage: what the quantizer chooses, refuses and writes down."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import numpy as np
import pytest

from edgernn.container.memory import sparse_bytes, weight_memory
from edgernn.errors import ModelError, OverflowRefused, QuantizationError
from edgernn.model.affine import Affine
from edgernn.model.formats import FloatArray, Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import LSTM
from edgernn.model.storage import Storage
from edgernn_export import quantize
from edgernn_export.float_model.model import FloatLSTM, FloatModel
from edgernn_export.quantizer.report import quantization_report
from tests.support.models.float import FLOAT_CELLS, float_model, stream
from tests.support.models.stored import densified

INPUTS, UNITS = 4, 16
XS = stream(600, INPUTS)


def made(model: FloatModel, precision: str = "w8a8", **options: Any) -> IntegerModel:
    return quantize(model, XS, precision, progress=False, **options)


def storages(model: IntegerModel) -> dict[str, set[Storage]]:
    return {
        layer.name: {t.storage for a in layer.affines.values() for t in a.terms}
        for layer in model.layers
    }


def terms(model: IntegerModel) -> list[Any]:
    affines: list[Affine] = [a for layer in model.layers for a in layer.affines.values()]
    return [term for affine in affines for term in affine.terms]


def block_pruned(keep: float = 0.3, seed: int = 3) -> FloatModel:
    """An LSTM whose matrices have whole tiles of zeros, gate by gate."""
    model = float_model("lstm", inputs=INPUTS, units=UNITS)
    layer = cast(FloatLSTM, model.layers[0])
    rng = np.random.default_rng(seed)

    def pruned(weights: FloatArray) -> FloatArray:
        rows, columns = weights.shape
        mask = rng.random((rows // 4, -(-columns // 4))) < keep
        return weights * np.kron(mask, np.ones((4, 4)))[:, :columns]

    sparse = dataclasses.replace(
        layer, kernel=pruned(layer.kernel), recurrent=pruned(layer.recurrent)
    )
    return dataclasses.replace(model, layers=(sparse, *model.layers[1:]))


def sqnr(model: FloatModel, integer: IntegerModel) -> float:
    return quantization_report(model, integer, stream(400, INPUTS, seed=9)).tensors[0].sqnr_db


@pytest.mark.parametrize("cell", FLOAT_CELLS)
def test_four_bit_weights_use_their_range_and_cost_what_they_must(cell: str) -> None:
    model = float_model(cell, inputs=INPUTS, units=UNITS)
    four, eight = made(model, "w4a8"), made(model)
    assert (four.precision, four.precision_label) == (Precision.W8A8, "w4a8")
    assert four.storages == {Storage.DENSE4}
    assert eight.storages == {Storage.DENSE8}
    assert all(int(np.abs(t.weights).max()) == 7 for t in terms(four))
    # 4 bits less are 24 dB less for weights; operands of 8 bits hide a part of that.
    assert 10 < sqnr(model, four) < sqnr(model, eight)


def test_four_bit_weights_with_wide_operands() -> None:
    model = float_model("gru_after", inputs=INPUTS, units=UNITS)
    four = made(model, "w4a16")
    assert (four.precision, four.precision_label) == (Precision.W8A16, "w4a16")
    assert 10 < sqnr(model, four) < sqnr(model, made(model, "w8a16"))


def test_bits_by_layer() -> None:
    model = float_model("lstm", inputs=INPUTS, units=UNITS)
    mixed = made(model, "w4a8", weight_bits={"dense_0": 8})
    assert storages(mixed) == {"lstm_0": {Storage.DENSE4}, "dense_0": {Storage.DENSE8}}
    assert mixed.precision_label == "w8/w4a8"
    other = made(model, weight_bits={"lstm_0": 4})
    assert storages(other) == storages(mixed)
    # Each layer is quantized as in the model of its bits alone.
    assert mixed.layers[0] == made(model, "w4a8").layers[0]
    assert mixed.layers[1] == made(model).layers[1]


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        ({"lstm": 4}, "expected names among lstm_0, dense_0, got 'lstm'"),
        ({"dense_0": 5}, "expected 8 or 4 bits for dense_0, got 5"),
        ({"dense_0": True}, "expected 8 or 4 bits for dense_0, got True"),
        ({"dense_0": "4"}, "expected 8 or 4 bits for dense_0, got '4'"),
        ([("dense_0", 4)], "expected a mapping of layer names to 8 or 4"),
    ],
)
def test_bits_that_are_refused(bits: Any, text: str) -> None:
    with pytest.raises(QuantizationError, match=f"^quantize weight_bits: {text}"):
        made(float_model("lstm", inputs=INPUTS), weight_bits=bits)


def test_a_row_too_steep_for_four_bits_names_the_cure() -> None:
    model = float_model("lstm", inputs=INPUTS, units=UNITS)
    layer = cast(FloatLSTM, model.layers[0])
    steep = dataclasses.replace(layer, kernel=layer.kernel * 30)
    model = dataclasses.replace(model, layers=(steep, *model.layers[1:]))
    assert made(model, "w8a16").layers
    wanted = "weights of at most 7 steps of 2.-3 output codes.*or use 8-bit weights in this layer"
    with pytest.raises(OverflowRefused, match=wanted):
        made(model, "w4a16")


@pytest.mark.parametrize("precision", ["w8a8", "w8a16"])
def test_pruned_tiles_are_left_out_and_no_result_changes(precision: str) -> None:
    model = block_pruned()
    sparse = made(model, precision, operand_scales="common")
    dense = made(model, precision, operand_scales="common", sparse="never")
    assert storages(sparse) == {"lstm_0": {Storage.SPARSE8}, "dense_0": {Storage.DENSE8}}
    assert dense.storages == {Storage.DENSE8}
    assert sparse.layers == densify_settings(sparse, dense)
    memory = weight_memory(sparse.layers[:1])
    assert memory.density < 0.4
    assert memory.total_bytes < 0.45 * weight_memory(dense.layers[:1]).total_bytes
    again = made(model, precision, sparse="always")
    assert again.storages == {Storage.SPARSE8}


def densify_settings(sparse: IntegerModel, dense: IntegerModel) -> tuple[Any, ...]:
    """The layers of ``sparse`` after a check that without storage they are those of ``dense``."""
    assert densified(sparse).layers == dense.layers
    return sparse.layers


def test_the_smaller_storage_is_chosen_to_the_byte() -> None:
    """16 rows, 16 + 4 columns: 20 tiles; sparse costs 17 bytes a tile and 4 for the groups."""
    model = float_model("lstm", inputs=16, units=4, outputs=0)
    xs = stream(300, 16)
    layer = cast(FloatLSTM, model.layers[0])
    for zeros, wanted in ((1, Storage.DENSE8), (2, Storage.SPARSE8)):
        kernel = layer.kernel.copy()
        kernel[: 4 * zeros, :4] = 0.0  # the first tiles of gates i and f
        cut = dataclasses.replace(layer, kernel=kernel)
        model = dataclasses.replace(model, layers=(cut,))
        integer = quantize(model, xs, operand_scales="common", progress=False)
        (term,) = cast(LSTM, integer.layers[0]).gates.terms
        assert sparse_bytes(term.weights, (16, 4)) == ((20 - zeros) * 17 + 4, 320)
        assert term.storage is wanted


def test_four_bits_win_over_sparse() -> None:
    model = block_pruned()
    four = made(model, "w4a8", sparse="auto")
    assert four.storages == {Storage.DENSE4}
    mixed = made(model, "w4a8", weight_bits={"dense_0": 8}, sparse="always")
    assert storages(mixed) == {"lstm_0": {Storage.DENSE4}, "dense_0": {Storage.SPARSE8}}


def test_zero_tiles_of_four_bit_weights_stay_zero() -> None:
    model = block_pruned()
    layer = cast(FloatLSTM, model.layers[0])
    integer = made(model, "w4a8").layers[0]
    codes = np.concatenate([t.weights for t in cast(LSTM, integer).gates.terms], axis=1)
    zero = np.concatenate([layer.kernel, layer.recurrent], axis=1) == 0.0
    assert zero.mean() > 0.5
    assert not codes[zero].any()


def test_wide_products_stay_dense_unless_told() -> None:
    model = float_model("simple_rnn", inputs=1030, units=4, outputs=0)
    layer = model.layers[0]
    cut = dataclasses.replace(layer, kernel=np.where(np.arange(1030) < 900, 0.0, layer.kernel))
    model = dataclasses.replace(model, layers=(cut,))
    xs = stream(40, 1030)
    auto = quantize(model, xs, operand_scales="common", progress=False)
    assert auto.storages == {Storage.DENSE8}
    with pytest.raises(ModelError, match="at most 256 tiles of 4 columns in a sparse product"):
        quantize(model, xs, operand_scales="common", sparse="always", progress=False)


def test_settings_tell_what_is_not_the_default() -> None:
    model = block_pruned()
    names = [name for name, _ in made(model).provenance.settings]
    assert names == ["range_method", "operand_scales", "common_loss_db", "input_headroom"]
    chosen = made(model, "w4a8", weight_bits={"dense_0": 8}, sparse="never").provenance.settings
    assert chosen[4:] == (("weight_bits", "lstm_0=4,dense_0=8"), ("sparse", "never"))
