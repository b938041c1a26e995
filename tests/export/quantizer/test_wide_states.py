"""States of 31 bits: chosen where units need them, right over long streams, else refused."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest

from edgernn.cli import main
from edgernn.errors import LongMemoryWarning, QuantizationError, RangeRefused
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn_export.cli.arguments import layer_states
from edgernn_export.float_model import float_run
from edgernn_export.float_model.model import FloatLSTM, FloatModel, FloatSimpleRNN
from edgernn_export.float_model.own_cells import FloatCell
from edgernn_export.float_model.program_sets.programs import FloatHandover, FloatPrograms
from edgernn_export.quantizer.program_sets.programs import quantize_programs
from edgernn_export.quantizer.quantizer import quantize
from edgernn_export.quantizer.report import quantization_report
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.float import float_model, stream
from tests.support.models.registered import float_network
from tests.support.models.remembering import (
    averages,
    counter,
    gru_latch,
    latch_stream,
    lstm,
    lstm_latch,
    network,
    reader,
    relu_average,
)

pytestmark = pytest.mark.sampled(2)

#: What a model must keep to, in dB, unless it is within a hundredth of the range of its outputs.
LEAST_DB = {"w8a8": 30.0, "w8a16": 50.0}
PRECISIONS = tuple(LEAST_DB)
COUNTS = np.r_[np.ones(400), -np.ones(800), np.ones(400)][:, None]
STEPS = 6000


def answers(model: IntegerModel, xs: FloatArray) -> FloatArray:
    interface = model.interface()
    return interface.dequantize(Reference(model).run(interface.quantize(xs))[0])


def errors(model: IntegerModel, original: FloatModel, xs: FloatArray) -> tuple[float, float]:
    """Signal-to-noise ratio in dB, and the largest error as a share of the outputs' range."""
    wanted = float_run.answers(original, xs[None])[0]
    away = answers(model, xs) - wanted
    ratio = 10 * np.log10(np.sum(wanted**2) / np.sum(away**2))
    return float(ratio), float(np.abs(away).max() / np.ptp(wanted))


def noise(scale: float = 0.5) -> FloatArray:
    rng = np.random.default_rng(0)
    slow = np.sin(np.arange(STEPS) / 3000) * 0.5
    return (slow + rng.normal(size=STEPS) * scale)[:, None]


def offered() -> FloatArray:
    """One value to hold, and another one offered ever after while the gate is shut."""
    xs = np.zeros((STEPS, 2))
    xs[:, 1] = 1.0
    xs[0] = [1.0, -0.5]
    return xs


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("original", "calibration", "xs"),
    [
        (gru_latch(12.0), latch_stream(), offered()),
        (gru_latch(12.0, reset_after=False), latch_stream(), offered()),
        (lstm_latch(8.0), latch_stream(), np.r_[[[1.0, 1.0]], np.tile([[0.0, -1.0]], (9999, 1))]),
        (counter(), COUNTS, COUNTS),
        (averages(5000.0, 1000.0, 200.0, 20_000.0), noise(), noise()),
        (network(relu_average(0.001, 0.999)), np.abs(noise()), np.abs(noise())),
        (network(relu_average(0.0001, 0.9999)), np.abs(noise()), np.abs(noise())),
    ],
    ids=["gru", "gru_before", "lstm", "counter", "averages", "leak", "slow_leak"],
)
def test_what_16_bits_lose_is_right(
    original: FloatModel, calibration: FloatArray, xs: FloatArray, precision: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", LongMemoryWarning)
        model = quantize(original, calibration, precision, progress=False)
    assert model.layers[0].is_wide
    ratio, share = errors(model, original, xs)
    assert ratio >= LEAST_DB[precision] or share <= 0.01, (ratio, share)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_relu_state_of_a_hundred_thousand_is_right(precision: str) -> None:
    original = network(relu_average())
    pressure = 101_325 + 200 * np.sin(np.arange(2000) / 50)[:, None]
    model = quantize(original, pressure, precision, progress=False)
    assert (model.layers[0].kind, model.layers[0].states[0].format.frac_bits < 0) == (
        "simple_rnn",
        True,
    )
    ratio, _ = errors(model, original, pressure)
    assert ratio >= LEAST_DB[precision]


def test_the_error_of_a_wide_state_does_not_grow() -> None:
    original = averages(2000.0)
    xs = np.tile(noise(), (4, 1))
    model = quantize(original, noise(), "w8a16", progress=False)
    wanted = float_run.answers(original, xs[None])[0]
    away = np.abs(answers(model, xs) - wanted)
    assert away[-STEPS:].max() < 2.0**-12
    assert away[-STEPS:].max() < 1.5 * away[STEPS : 2 * STEPS].max()


def test_16_bits_that_are_asked_for_stay_and_are_warned_of() -> None:
    with pytest.warns(LongMemoryWarning, match=r"Pass state='32' \(--state 32\)"):
        model = quantize(gru_latch(12.0), latch_stream(), state="16", progress=False)
    assert model.layers[0].kind == "gru_after"


def test_the_counter_of_16_bits_is_held_without_being_exact() -> None:
    """Nothing saturates at 32, although such a cell state has codes of 1/64."""
    with pytest.warns(LongMemoryWarning):
        model = quantize(counter(), COUNTS, "w8a16", state="16", progress=False)
    assert (model.layers[0].kind, model.layers[0].is_wide) == ("general_lstm", False)
    assert model.layers[0].states[1].format.frac_bits == 6


@pytest.mark.parametrize("gate", ["sigmoid", "hard_sigmoid"])
@pytest.mark.parametrize("cell", ["lstm", "gru_after", "gru_before", "simple_rnn_relu"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_ordinary_layers_stay_as_they_are_and_may_be_wide(
    cell: str, gate: str, precision: str
) -> None:
    original, xs = float_model(cell, gate=gate, units=12), stream(800, 3)
    narrow = quantize(original, xs, precision, progress=False)
    assert not any(layer.is_wide for layer in narrow.layers)
    asked = quantize(original, xs, precision, state="16", progress=False)
    assert narrow.layers == asked.layers
    wide = quantize(original, xs, precision, state="32", progress=False)
    assert wide.layers[0].is_wide
    assert wide.layers[0].states[-1].name.endswith("_low")
    assert errors(wide, original, xs)[0] > errors(narrow, original, xs)[0] - 2.0


def test_states_by_layer() -> None:
    original = float_model("lstm", stack=2)
    first, second = (layer.name for layer in original.layers[:2])
    model = quantize(original, stream(400, 3), state={second: "32"}, progress=False)
    assert [layer.is_wide for layer in model.layers[:2]] == [False, True]
    assert dict(model.provenance.settings)["state"] == f"{second}=32"
    table = quantization_report(original, model, stream(200, 3)).table()
    assert f"31-bit states, for long memory: {second}" in table
    with pytest.raises(QuantizationError, match=f"names of recurrent layers .*{first}.*got none"):
        quantize(original, stream(400, 3), state={"none": "32"}, progress=False)
    with pytest.raises(QuantizationError, match=f"state of {first}: expected 'auto', '16', '32'"):
        quantize(original, stream(400, 3), state={first: "64"}, progress=False)


def test_all_that_cannot_be_wide_is_refused_by_name() -> None:
    tanh = FloatSimpleRNN(
        name="elman", kernel=np.ones((2, 3)), recurrent=np.zeros((2, 2)), bias=np.zeros(2),
        activation="tanh",
    )  # fmt: skip
    gates = FloatCell.of(
        "general_lstm", "odd", {"gate_function": "tanh", "cell_function": "relu"},
        {"gates.x": np.ones((8, 2)), "gates.h": np.zeros((8, 2)), "gates.bias": np.zeros(8)},
    )  # fmt: skip
    last = lstm(np.ones((4, 2)), np.zeros(4))
    original = network(tanh, gates, last)
    with pytest.raises(QuantizationError) as caught:
        quantize(original, stream(300, 3), state="32", progress=False)
    message = str(caught.value)
    assert "elman: its state is tanh of a matrix product" in message
    assert "odd: its gates are tanh" in message
    assert "Pass wide states for the other layers only: state={'lstm': '32'}" in message
    model = quantize(original, stream(300, 3), state={"lstm": "32"}, progress=False)
    assert [layer.is_wide for layer in model.layers] == [False, False, True]


def test_cell_states_beyond_16_bits_are_wide_or_refused() -> None:
    big = lstm(np.array([[0.0], [0.0], [10.0], [0.0]]), np.array([12.0, 20.0, 0.0, 12.0]))
    original = network(big, reader())
    xs = np.ones((50_000, 1))
    xs[0] = 0.0
    assert quantize(original, xs, progress=False).layers[0].is_wide
    with pytest.raises(RangeRefused, match=r"within ±32767, got .*Pass state='32'"):
        quantize(original, xs, state="16", progress=False)


def test_shares_of_a_relu_network_are_apart_from_its_matrix() -> None:
    """Weights beside the diagonal, and what is not from 0 to 1 on it, stay in the matrix."""
    rng = np.random.default_rng(3)
    recurrent = np.tril(rng.normal(size=(4, 4)) * 0.02, -1)  # no loop that grows
    recurrent += np.diag([0.999, 0.5, -0.25, 1.0])
    recurrent[3] = [0.0, 0.0, 0.0, 1.0005]
    layer = FloatSimpleRNN(
        name="irnn", kernel=np.array([[0.01], [0.02], [0.01], [0.0]]), recurrent=recurrent,
        bias=np.zeros(4), activation="relu",
    )  # fmt: skip
    original, xs = network(layer), noise()[:6000]
    model = quantize(original, xs, "w8a16", state="32", progress=False)
    leak = model.layers[0].leaks["leak"]
    lost = (leak.high.astype(np.int64) << 15) + leak.low
    kept = np.clip(layer.recurrent.diagonal(), 0.0, 1.0)
    assert np.abs(lost / 2.0**30 - (1.0 - kept)).max() <= 2.0**-30
    assert errors(model, original, xs)[0] >= LEAST_DB["w8a16"]


def test_windows_too_short_for_long_memory_stay_narrow() -> None:
    model = quantize(gru_latch(12.0), latch_stream(), stream="window", window=60, progress=False)
    assert not model.layers[0].is_wide


def test_an_lstm_beyond_32_without_long_memory_has_16_bits() -> None:
    layer = FloatLSTM(
        name="lstm",
        kernel=np.array([[0.0], [0.0], [4.0], [0.0]]),
        recurrent=np.zeros((4, 1)),
        bias=np.array([8.0, 4.0, 0.0, 4.0]),
        recurrent_activation="sigmoid",
    )
    original, xs = network(layer, reader()), np.abs(noise())[:2000] + 0.5
    model = quantize(original, xs, "w8a16", progress=False)
    assert (model.layers[0].kind, model.layers[0].is_wide) == ("general_lstm", False)
    assert errors(model, original, xs)[0] >= LEAST_DB["w8a16"]


def test_the_command_line_chooses_states(tmp_path, capsys) -> None:
    assert layer_states("32") == "32"
    assert layer_states("a=32,b=auto") == {"a": "32", "b": "auto"}
    path = quantize(counter(), COUNTS, name="counter", progress=False).save(tmp_path / "c.edgernn")
    assert main(["info", str(path), "--json"]) == 0
    assert [layer["wide"] for layer in json.loads(capsys.readouterr().out)["layers"]] == [
        True,
        False,
    ]
    assert main(["info", str(path)]) == 0
    assert "31-bit states  lstm" in capsys.readouterr().out


@pytest.mark.parametrize(
    "kind", ["peephole_lstm", "projected_lstm", "linear_recurrence", "min_gru"]
)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_registered_cells_may_be_wide(kind: str, precision: str) -> None:
    original, xs = float_network(kind), stream(600, 3)
    wide = quantize(original, xs, precision, state={"first": "32"}, progress=False)
    narrow = quantize(original, xs, precision, state="16", progress=False)
    assert [layer.is_wide for layer in wide.layers] == [True, False, False]
    assert errors(wide, original, xs)[0] > errors(narrow, original, xs)[0] - 2.0


@pytest.mark.parametrize("state", ["16", "32"])
def test_programs_hand_wide_states_over(state: str) -> None:
    past, future = (stream(400, 3, seed=seed).reshape(8, 50, 3) for seed in (1, 2))
    encode, decode = (float_model("lstm", seed=seed, outputs=2) for seed in (3, 4))
    first, *others = decode.layers
    decode = replace(decode, layers=(replace(first, name="writes"), *others))
    programs = FloatPrograms(
        name="pair",
        programs=(replace(encode, name="encode"), replace(decode, name="decode")),
        handovers=tuple(
            FloatHandover(program="decode", layer=0, state=which, source="encode", source_layer=0,
                          source_state=which)
            for which in (0, 1)
        ),
        inputs=(("past",), ("future",)),
    )  # fmt: skip
    made = quantize_programs(programs, {"encode": past, "decode": future}, "w8a16", state=state)
    assert {model.layers[0].is_wide for model in made.programs} == {state == "32"}
    assert {handover.state.rpartition(".")[2] for handover in made.handovers} == {"h", "c"}
