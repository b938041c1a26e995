"""Bits of weights by matrix: what is asked for, what 4 bits keep by default, and their bytes."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any, cast

import numpy as np
import pytest

from edgernn.cli import main
from edgernn.container.file import to_bytes
from edgernn.container.memory import weight_memory
from edgernn.errors import QuantizationError, WeightBitsWarning
from edgernn.model.affine import Affine8, Source
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn_export import quantize
from edgernn_export.float_model.model import FloatGRU, FloatModel
from edgernn_export.quantizer.overflow_proof import prove
from edgernn_export.quantizer.sensitivity import scan
from edgernn_export.verification.comparison import RAN, verify
from edgernn_export.writers.file_formats import probe_codes
from tests.support.models.float import FLOAT_CELLS, float_model, stream

pytestmark = pytest.mark.sampled(2)

INPUTS, UNITS = 4, 16
XS = stream(400, INPUTS)
MIXES = [(8, 4), (4, 8)]


def made(model: FloatModel, precision: str = "w8a8", xs: Any = XS, **options: Any) -> IntegerModel:
    return quantize(model, xs, precision, progress=False, **options)


def bits_of(integer: IntegerModel, layer: int = 0) -> dict[Source, set[int]]:
    found: dict[Source, set[int]] = {}
    for affine in integer.layers[layer].affines.values():
        for term in affine.terms:
            found.setdefault(term.source, set()).add(term.storage.weight_bits)
            # No weight passes the bits of its own matrix, and some use all of them.
            assert np.abs(term.weights).max() == term.storage.weight_max
    return found


def heavy() -> tuple[FloatModel, FloatArray]:
    """A GRU that reads two ordinary channels and two whose tails take the codes of a channel."""
    rng = np.random.default_rng(5)
    xs = rng.normal(size=(1500, INPUTS))
    xs[:, 2:] = np.exp(2.0 * xs[:, 2:])
    model = float_model("gru_after", inputs=INPUTS, units=24)
    layer = cast(FloatGRU, model.layers[0])
    kernel = layer.kernel * [1.0, 1.0, 0.05, 0.05]
    return dataclasses.replace(
        model, layers=(dataclasses.replace(layer, kernel=kernel), *model.layers[1:])
    ), xs


@pytest.mark.parametrize("precision", ["w8a8", "w8a16"])
@pytest.mark.parametrize("cell", FLOAT_CELLS)
@pytest.mark.parametrize(("x", "h"), MIXES)
def test_each_matrix_has_its_bits_and_no_row_overflows(
    cell: str, precision: str, x: int, h: int
) -> None:
    model = float_model(cell, inputs=INPUTS, units=UNITS)
    name = model.layers[0].name
    integer = made(model, precision, weight_bits={name: x, f"{name}.recurrent": h, "dense_0": 4})
    carried = Source.RH if cell == "gru_before" else Source.H
    found = bits_of(integer)
    assert (found[Source.X], found[carried]) == ({x}, {h})
    assert Source.XH not in found
    setting = dict(integer.provenance.settings)["weight_bits"]
    assert setting == f"{name}=input:{x}/recurrent:{h},dense_0=4"
    assert all(proof.worst < proof.limit for proof in prove(integer))


@pytest.mark.parametrize(
    ("cell", "precision", "x", "h"),
    [("lstm", "w8a8", 8, 4), ("gru_before", "w8a16", 4, 8), ("simple_rnn_relu", "w8a8", 4, 8)],
)
def test_every_runtime_has_the_bits_of_the_reference(
    cell: str, precision: str, x: int, h: int
) -> None:
    model = float_model(cell, inputs=INPUTS, units=UNITS)
    name = model.layers[0].name
    integer = made(model, precision, weight_bits={name: x, f"{name}.recurrent": h})
    checked = verify(integer, probe_codes(integer, 30, seed=4))
    assert checked.differing == 0, str(checked)
    assert RAN in {outcome.status for outcome in checked.outcomes[1:]}


def test_a_matrix_counts_before_its_layer_and_equal_bits_are_those_of_the_layer() -> None:
    model = float_model("lstm", inputs=INPUTS, units=UNITS)
    whole = made(model, weight_bits={"lstm_0": 4})
    apart = made(model, weight_bits={"lstm_0.input": 4, "lstm_0.recurrent": 4})
    assert apart == whole
    assert made(model, weight_bits={"dense_0.input": 4}) == made(model, weight_bits={"dense_0": 4})


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        (
            {"lstm_0.kernel": 4},
            "expected lstm_0 or one of its matrices, lstm_0.input, lstm_0.recurrent, got "
            "'lstm_0.kernel'",
        ),
        ({"dense_0.recurrent": 4}, "expected dense_0 or one of its matrices, dense_0.input, got"),
        ({"lstm_0.input": 6}, "expected 8 or 4 bits for lstm_0.input, got 6"),
    ],
)
def test_matrices_that_are_refused(bits: Any, text: str) -> None:
    model = float_model("lstm", inputs=INPUTS)
    with pytest.raises(QuantizationError, match=f"^quantize weight_bits: {text}"):
        made(model, weight_bits=bits)
    with pytest.raises(QuantizationError) as all_of_them:
        made(model, weight_bits={"nobody": 4, **bits})
    assert len(str(all_of_them.value).splitlines()) == 2


def test_one_scale_for_matrices_of_different_bits_is_refused() -> None:
    model = float_model("lstm", inputs=INPUTS)
    with pytest.raises(QuantizationError, match=r"'common', got lstm_0=input:8/recurrent:4\. Pass"):
        made(model, operand_scales="common", weight_bits={"lstm_0.recurrent": 4})


def test_heavy_tails_keep_the_input_kernel_at_8_bits_and_say_so() -> None:
    model, xs = heavy()
    with pytest.warns(WeightBitsWarning, match="too much noise: gru_after_0.input"):
        kept = made(model, "w4a8", xs)
    assert bits_of(kept) == {Source.X: {8}, Source.H: {4}}
    settings = dict(kept.provenance.settings)
    assert settings["weight_bits"] == "gru_after_0=input:8/recurrent:4,dense_0=4"
    four = made(model, "w4a8", xs, weight_bits={"gru_after_0": 4})
    assert bits_of(four) == {Source.X: {4}, Source.H: {4}}
    assert "kept_8_bits" not in dict(four.provenance.settings)
    # What it is said to cost is what it costs, and the expectation is not far from what happens.
    cost = weight_memory(kept.layers).total_bytes - weight_memory(four.layers).total_bytes
    matrix, gain, _, _, said, _ = settings["kept_8_bits"].split()
    assert (matrix, int(said)) == ("gru_after_0.input:", cost)
    assert float(gain) >= 10.0


def test_ordinary_channels_and_one_scale_keep_none() -> None:
    model, xs = heavy()
    assert bits_of(made(model, "w4a8", xs, operand_scales="common")) in (
        {Source.XH: {4}, Source.X: {4}, Source.H: {4}},
    )
    plain = float_model("gru_after", inputs=INPUTS, units=24)
    assert made(plain, "w4a8").precision_label == "w4a8"


def test_four_bits_never_make_a_larger_file() -> None:
    smaller = 0
    for inputs in (1, 2, 5):
        xs = stream(200, inputs)
        for cell in FLOAT_CELLS:
            for units in (4, 9, 16, 24):
                model = float_model(cell, inputs=inputs, units=units)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", WeightBitsWarning)
                    eight, four = (made(model, p, xs) for p in ("w8a8", "w4a8"))
                sizes = len(to_bytes(four)), len(to_bytes(eight))
                assert sizes[0] <= sizes[1], (cell, inputs, units)
                flash = [device_bytes(integer) for integer in (four, eight)]
                assert flash[0] <= flash[1], (cell, inputs, units)
                smaller += sizes[0] < sizes[1]
    assert smaller > 40


def device_bytes(integer: IntegerModel) -> int:
    """Weights, multipliers and biases as C programs hold them (`w8a8`)."""
    affines = [cast(Affine8, a) for layer in integer.layers for a in layer.affines.values()]
    constants = sum(a.bias.nbytes + sum(t.multiplier.nbytes for t in a.terms) for a in affines)
    return weight_memory(integer.layers).total_bytes + constants


def test_a_small_model_that_would_grow_keeps_8_bits_and_says_so() -> None:
    model = float_model("gru_after", inputs=1, units=8)
    xs = stream(300, 1)
    with pytest.warns(
        WeightBitsWarning, match="keep 8 bits, because the file would be larger with 4"
    ):
        assert made(model, "w4a8", xs) == made(model, "w8a8", xs)
    asked = made(model, "w4a8", xs, weight_bits={"gru_after_0": 4, "dense_0": 4})
    assert asked.precision_label == "w4a8"


def test_the_scan_looks_at_matrices_apart() -> None:
    model, xs = heavy()
    result, chosen = scan(model, xs, by="matrix", max_loss_db=3.0, progress=False)
    names = ["gru_after_0.input", "gru_after_0.recurrent", "dense_0"]
    assert [cost.layer for cost in result.layers] == names
    losses = {cost.layer: cost.loss_db for cost in result.layers}
    assert losses["gru_after_0.input"] > losses["gru_after_0.recurrent"] + 3.0
    assert result.chosen is not None
    assert result.chosen.bits["gru_after_0.input"] == 8
    assert chosen == made(model, "w8a8", xs, weight_bits=dict(result.chosen.bits))
    with pytest.raises(QuantizationError, match=r"^sensitivity by: expected one of 'layer'"):
        scan(model, xs, by="row", progress=False)


def test_info_lists_bits_by_matrix(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    model = float_model("lstm", inputs=INPUTS, units=UNITS)
    integer = made(model, weight_bits={"lstm_0.recurrent": 4})
    path = integer.save(tmp_path / "m.edgernn")
    assert main(["info", str(path)]) == 0
    (row,) = (
        line
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("lstm_0") and "dense4" in line
    )
    assert row.endswith("input 8, recurrent 4")
