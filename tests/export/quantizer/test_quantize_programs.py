"""Encoders and decoders as integers: near `predict`, said where they are not."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from edgernn.errors import CalibrationError, QuantizationError, SaturationWarning
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export import quantize_programs
from tests.support.models.encoder_decoders import ENCODER_DECODERS, sequences, trained

pytestmark = pytest.mark.filterwarnings("ignore::edgernn.CalibrationWarning")


@pytest.mark.filterwarnings("ignore::edgernn.DepartureWarning", "ignore::edgernn.SaturationWarning")
@pytest.mark.parametrize(("precision", "limit"), [("w8a8", 0.12), ("w8a16", 0.03)])
@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_answers_behind_a_handover_are_near_predict(name, precision, limit, tmp_path):
    model, inputs = trained(name), ENCODER_DECODERS[name][1]
    made = quantize_programs(model, sequences(model, 30, (40, 25)), precision)
    path = made.save(tmp_path / "programs.edgernn")
    assert ProgramSet.load(path) == made
    readings = sequences(model, 3, (40, 25), seed=2)
    wanted = model.predict(readings, verbose=0)
    wanted = wanted[-1] if isinstance(wanted, list) else wanted
    softmax = made["decode"].output.softmax
    with edgernn.load(path) as session:
        for b, expected in enumerate(wanted):
            session.reset()
            session.run("encode", readings[inputs["encode"]][b])
            session.begin("decode")
            got = session.run("decode", readings[inputs["decode"]][b], softmax=softmax)
            assert np.sqrt(np.mean((got - expected) ** 2)) < limit * wanted.std()


def test_outputs_that_are_handed_over_have_a_power_of_two_as_their_scale():
    model = trained("computed linearly")
    with pytest.warns(SaturationWarning, match="decode: writes.h at the start") as caught:
        made = quantize_programs(model, sequences(model, 30, (40, 25)), "w8a16")
    assert "The state holds values up to 1: train with an initial state" in str(caught[0].message)
    bounded = trained("translator")  # the cure: a tanh
    with warnings.catch_warnings():
        warnings.simplefilter("error", SaturationWarning)
        quantize_programs(bounded, sequences(bounded, 30, (40, 25)), "w8a16")
    (handover,) = made.handovers
    assert handover.value == "output"
    assert made.shift(handover) < 0  # beyond 1, where the state of a GRU ends
    (scale,) = set(made["encode"].output.scale)
    assert np.log2(scale) == int(np.log2(scale))


def test_calibration_is_taken_by_program_too_and_in_lists():
    model = trained("forecaster")
    given = sequences(model, 8, (30, 20))
    by_input = quantize_programs(model, given)
    by_program = {"encode": list(given["past"]), "decode": list(given["future"])}
    assert quantize_programs(model, by_program) == by_input
    shorter = {**by_program, "decode": [xs[: 10 + i] for i, xs in enumerate(given["future"])]}
    quantize_programs(model, shorter)


def test_calibration_that_does_not_fit_is_refused():
    model = trained("forecaster")
    given = sequences(model, 4)
    with pytest.raises(CalibrationError, match=r"by program \(encode, decode\) or by input"):
        quantize_programs(model, {"past": given["past"]})
    with pytest.raises(CalibrationError, match="got past, without future"):
        quantize_programs(model, {"past": given["past"]})
    with pytest.raises(CalibrationError, match="got past, future, y, more than these"):
        quantize_programs(model, {**given, "y": given["future"]})
    narrow = {**given, "future": given["future"][..., :1]}
    with pytest.raises(CalibrationError, match=r"decode: expected .*, got \[4, 6, 1\]"):
        quantize_programs(model, narrow)
    with pytest.raises(CalibrationError, match="4 for encode, 3 for decode"):
        quantize_programs(model, {**given, "future": given["future"][:3]})
    with pytest.raises(QuantizationError, match="expected channels among"):
        quantize_programs(model, given, input_range={"pressure": (0, 1)})
    ranged = quantize_programs(model, given, input_range={"future_0": (-9.0, 9.0)})
    assert np.isclose(ranged["decode"].input.scale[0] * 127, 9.0)


def test_a_file_is_quantized_on_the_command_line(tmp_path, capsys):
    model = trained("forecaster")
    model.save(tmp_path / "forecaster.keras")
    np.savez(tmp_path / "sequences.npz", **sequences(model, 8, (30, 20)))
    arguments = [
        "quantize", str(tmp_path / "forecaster.keras"), "--calibration",
        str(tmp_path / "sequences.npz"), "-o", str(tmp_path / "forecaster.edgernn"),
    ]  # fmt: skip
    assert main([*arguments, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert [program["name"] for program in record["programs"]] == ["encode", "decode"]
    assert record["handovers"][0] == {"to": "decode.writes.h", "from": "encode.reads.h"}
    assert record["model_sha256"] == ProgramSet.load(record["path"]).sha256
    assert main(arguments) == 0
    assert "initial    decode.writes.c from encode.reads.c" in capsys.readouterr().out
    assert main([*arguments, "--window", "5"]) != 0
    assert "and a decoder, got --window. Remove these" in capsys.readouterr().err
    np.save(tmp_path / "past.npy", sequences(model, 8)["past"])
    assert main([*arguments[:3], str(tmp_path / "past.npy"), *arguments[4:]]) != 0
    assert "expected an .npz file with one array [B, T, I] per input" in capsys.readouterr().err
    evaluated = ["evaluate", record["path"], "--data", str(tmp_path / "sequences.npz")]
    assert main(evaluated) != 0
    assert (
        "got the programs encode, decode. evaluate does not support programs"
        in capsys.readouterr().err
    )
