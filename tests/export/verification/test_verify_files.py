"""`edgernn verify` of .tflite and .onnx files and folders of C, as they are."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest

from edgernn.cli import main
from edgernn.errors import FormatError
from edgernn.install import hint
from edgernn.model.formats import Precision
from edgernn.model.interface import Golden, Window
from edgernn_export import export
from edgernn_export.verification import compiled_c as c_verification
from edgernn_export.verification import executors
from edgernn_export.verification.executors import EXECUTORS
from edgernn_export.verification.files import kind_of, verify_file
from edgernn_export.writers.file_formats import open_writer, probe_codes
from tests.support.models.integer import random_model
from tests.support.models.programs import pair
from tests.support.runtimes import require

MODEL = random_model("lstm", Precision.W8A16)
OTHER = random_model("gru_after")
MODELS = {
    "endless": MODEL,
    "windows": dataclasses.replace(MODEL, window=Window(steps=5)),
    "hop": dataclasses.replace(OTHER, window=Window(steps=6, hop=4)),
}
STEPS = 20


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The model in every format, and one configuration of each runtime."""
    few = [e for e in EXECUTORS if e.variant in ("default", "optimization all")]
    monkeypatch.setattr(executors, "EXECUTORS", tuple(few))
    MODEL.save(tmp_path / "m.edgernn")
    OTHER.save(tmp_path / "other.edgernn")
    export(MODEL, tmp_path, ("tflite", "onnx", "c"), name="m")
    return tmp_path


def gcc():
    if c_verification._compiler() is None:
        pytest.skip("needs a C compiler: sudo apt-get install gcc libc6-dev")


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_a_file_alone_is_checked_by_its_golden_vector(files, kind, capsys):
    require("tflite_runtime", "ai_edge_litert", "onnxruntime")
    path = files / f"m.{kind}"
    assert main(["verify", str(path), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["kind"], record["model_sha256"]) == (kind, MODEL.sha256)
    assert [o["status"] for o in record["golden"]] == ["ran"] * (2 if kind == "tflite" else 1)
    assert {o["compared"] for o in record["golden"]} == {16}  # 8 steps, 2 outputs
    assert record["stream"] is None
    assert "does not contain the integer model" in record["not_verified"][0]
    assert main(["verify", str(path)]) == 0
    out = capsys.readouterr().out
    assert "\nverified: the file is byte for byte the one that was written (SHA-256).\n" in out
    assert "\nnot verified: results for other inputs" in out
    assert out.endswith("differing values: 0\n")


@pytest.mark.parametrize("name", ["m.tflite", "m.onnx"])
def test_a_file_and_its_model_run_a_stream(files, name, capsys):
    require("tflite_runtime", "ai_edge_litert", "onnxruntime")
    arguments = ["verify", str(files / name), "--model", str(files / "m.edgernn")]
    assert main([*arguments, "--steps", str(STEPS), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["wanted_sha256"] == MODEL.sha256
    compared = {o["compared"] for o in record["stream"]["outcomes"]}
    assert compared == {STEPS * (2 + 8 + 8)}
    assert record["not_verified"] == []
    assert "match the reference bit for bit over 20 steps" in record["verified"][-1]


def test_a_file_of_programs_is_checked_by_all_golden_vectors_and_a_walk(files, capsys):
    require("tflite_runtime", "ai_edge_litert")
    programs = pair()
    path = str(export(programs, files, ["tflite"], name="pair")["tflite"])
    model = str(programs.save(files / "pair.edgernn"))
    assert main(["verify", path, "--model", model, "--steps", "20", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["model_sha256"] == record["wanted_sha256"] == programs.sha256
    assert [o["variant"].split(", ")[1] for o in record["golden"]] == ["encode", "decode"] * 2
    assert {(o["status"], o["compared"], o["differing"]) for o in record["golden"]} == {
        ("ran", 16, 0)
    }
    assert dict(record["stream"]["program_steps"]).keys() == {"encode", "decode"}
    assert [o["differing"] for o in record["stream"]["outcomes"]] == [0] * 3
    assert main(["verify", path, "--model", str(files / "m.edgernn")]) == 1
    assert "a different one" in capsys.readouterr().out


def test_a_file_of_another_model_fails(files, capsys):
    require("onnxruntime")
    arguments = ["verify", str(files / "m.onnx"), "--model", str(files / "other.edgernn")]
    assert main(arguments) == 1
    out = capsys.readouterr().out
    assert f"FAIL: the given model is {OTHER.sha256}, a different one" in out
    assert out.endswith("differing values: 0, from another model\n")
    assert "steps, all outputs and states compared" not in out
    gcc()
    arguments[1] = str(files / "m_c")
    assert main(arguments) == 1
    assert "a different one" in capsys.readouterr().out


def test_a_stream_that_the_file_answers_otherwise_is_counted(files, monkeypatch):
    """The file of one model under the hash of another: the golden vector holds, the stream not."""
    require("onnxruntime")
    forged = dataclasses.replace(MODEL, name="forged")
    codes = probe_codes(MODEL, STEPS, 1)
    spoilt = dataclasses.replace(forged, output=dataclasses.replace(forged.output, softmax=False))
    first = forged.layers[-1]
    shifted = dataclasses.replace(
        first,
        out=dataclasses.replace(
            first.out,
            terms=tuple(dataclasses.replace(t, bias=t.bias + 40) for t in first.out.terms),
        ),
    )
    spoilt = dataclasses.replace(spoilt, layers=(*forged.layers[:-1], shifted))
    monkeypatch.setattr(type(spoilt), "sha256", MODEL.sha256)
    path = export(spoilt, files, ("onnx",), name="spoilt")["onnx"]
    found = verify_file(path, MODEL, codes)
    assert [o.differing for o in found.golden] == [0]
    assert found.stream is not None
    assert 0 < found.stream.differing <= STEPS * 2
    assert not found.passed


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_a_damaged_file_is_refused(files, kind, capsys):
    path = files / f"m.{kind}"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    assert main(["verify", str(path)]) == 2
    assert "SHA-256" in capsys.readouterr().err
    path.write_bytes(b"12")
    assert main(["verify", str(path)]) == 2
    assert f"edgernn verify: file 'm.{kind}': expected" in capsys.readouterr().err


def test_a_wrong_golden_vector_fails(files, capsys):
    require("onnxruntime")
    writer, _ = open_writer("onnx")
    wrong = Golden(q_x=probe_codes(MODEL, 8, 1), q_y=np.zeros((8, 2), dtype=np.int16))
    (files / "wrong.onnx").write_bytes(writer(MODEL, wrong))
    assert main(["verify", str(files / "wrong.onnx")]) == 1
    assert "failed: expected exit status 0, got 1: " in capsys.readouterr().out


def test_a_missing_runtime_is_said(files, monkeypatch, capsys):
    absent = dataclasses.replace(EXECUTORS[-1], package="no_such_runtime")
    monkeypatch.setattr(executors, "EXECUTORS", (absent,))
    assert main(["verify", str(files / "m.onnx")]) == 1
    out = capsys.readouterr().out
    assert f"No runtime ran. Install one with: {hint('onnx')}" in out
    assert main(["verify", str(files / "m.tflite")]) == 2
    assert "expected a backend that runs a .tflite file" in capsys.readouterr().err


def test_the_content_tells_the_kind(files, capsys):
    require("onnxruntime")
    assert [kind_of(files / n) for n in ("m.edgernn", "m.tflite", "m.onnx", "m_c")] == [
        "edgernn", "tflite", "onnx", "c",
    ]  # fmt: skip
    (files / "m.onnx").rename(files / "renamed.bin")
    assert main(["verify", str(files / "renamed.bin")]) == 0
    assert "optimization all" in capsys.readouterr().out


@pytest.mark.parametrize("package", [None, "arduino", "cmake", "esp-idf", "platformio", "zephyr"])
def test_c_is_built_and_its_self_test_run(files, package, capsys):
    gcc()
    folder = export(MODEL, files, ("c",), name="p", package=package, prefix="gas")["c"]
    assert main(["verify", str(folder)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^C \(self-test, \w+\) +\S+ +16 +0$", out, re.M)
    assert "not verified: other compilers and cores" in out


@pytest.mark.parametrize("name", MODELS)
def test_c_runs_the_model_s_stream(files, name):
    gcc()
    model = MODELS[name]
    folder = export(model, files, ("c",), name=name)["c"]
    found = verify_file(folder, model, probe_codes(model, STEPS, 5))
    assert found.passed
    outcome = found.stream.outcomes[1]
    answers = STEPS if model.window is None else model.window.answers(STEPS)
    window = model.window
    carried = 8 + 8 if window is None else 2 + window.steps * model.input.width
    assert (outcome.compared, outcome.differing) == (STEPS * (1 + carried) + answers * 2, 0)


def test_c_that_carries_something_else_is_found(files):
    """A window that does not begin empty: no answer shows it."""
    gcc()
    model = MODELS["hop"]
    folder = export(model, files, ("c",), name="hop")["c"]
    source = folder / "model.c"
    text = source.read_text(encoding="ascii")
    assert text.count("state->window[i] = 0;") == 1
    source.write_text(text.replace("state->window[i] = 0;", "state->window[i] = 1;"))
    found = verify_file(folder, model, probe_codes(model, STEPS, 5))
    steps = model.window.steps
    # Rows that no reading has been written over yet.
    assert found.stream.differing == model.input.width * sum(steps - 1 - t for t in range(steps))


@pytest.mark.parametrize("name", ["endless", "hop"])
def test_c_that_computes_something_else_is_found(files, name):
    gcc()
    model = MODELS[name]
    folder = export(model, files, ("c",), name=name)["c"]
    source = folder / "model.c"
    text = source.read_text(encoding="ascii")
    spoilt = re.sub(r"(edgernn_dense\w+_step\([^;]*, y\);)", r"\1 y[0] ^= 1;", text)
    assert spoilt != text
    source.write_text(spoilt, encoding="ascii")
    found = verify_file(folder, model, probe_codes(model, STEPS, 5))
    assert found.golden[0].differing > 0
    answers = STEPS if model.window is None else model.window.answers(STEPS)
    assert found.stream.differing == answers
    assert not found.passed


@pytest.mark.parametrize("name", ["endless", "hop"])
def test_c_whose_constants_have_changed_is_found(files, name, capsys):
    gcc()
    folder = export(MODELS[name], files, ("c",), name=name)["c"]
    source = folder / "model.c"
    # Of a channel's constants, which no golden stream reads.
    changed, count = re.subn(r"(input_channels.*\n    {)(-?\d+)", r"\g<1>7", source.read_text())
    assert count == 1
    source.write_text(changed)
    assert main(["verify", str(folder)]) == 1
    wanted = "failed: expected the exported constants, got others. Export the model again."
    assert wanted in capsys.readouterr().out


def test_c_from_before_there_was_a_check_is_verified(files, capsys):
    gcc()
    for name in ("model.c", "model.h"):
        file = files / "m_c" / name
        text, count = re.subn(
            r"int32_t model_check\(void\)(;|\n{.*?\n})", "", file.read_text(), flags=re.S
        )
        assert count == 1
        file.write_text(text)
    assert main(["verify", str(files / "m_c")]) == 0
    assert capsys.readouterr().out.endswith("differing values: 0\n")


def test_c_that_does_not_compile_fails_with_the_compiler_s_words(files, capsys):
    gcc()
    with (files / "m_c" / "model.c").open("a", encoding="ascii") as file:
        file.write("int wrong = ;\n")
    assert main(["verify", str(files / "m_c")]) == 1
    assert re.search(
        r"failed: expected exit status 0 from \w+, got 1: .*error", capsys.readouterr().out
    )


def test_without_a_compiler_c_is_not_verified(files, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    arguments = ["verify", str(files / "m_c"), "--model", str(files / "m.edgernn")]
    assert main([*arguments, "--steps", "3"]) == 1
    out = capsys.readouterr().out
    assert "C (no compiler)" in out
    assert "Install a C compiler, on Debian with: sudo apt-get install gcc libc6-dev" in out
    assert "\nverified:" not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["m.edgernn", "--model", "m.edgernn"], "--model: expected a .tflite or .onnx"),
        (["m.onnx", "--steps", "5"], "--steps: expected --model as well, got none."),
        (["m_c", "--input", "x.csv"], "--input: expected --model as well, got none."),
        (["empty"], "model: expected a file, got the folder 'empty'"),
        (["nothing.onnx"], "expected an existing file, got 'nothing.onnx'"),
        (["m.onnx", "--backends", "native"], "expected a backend that runs a .onnx file, got nat"),
    ],
)
def test_refusals(files, arguments, message, monkeypatch, capsys):
    monkeypatch.setattr(executors, "EXECUTORS", EXECUTORS)
    monkeypatch.chdir(files)
    (files / "empty").mkdir()
    assert main(["verify", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_an_edgernn_file_is_no_exported_file(files):
    with pytest.raises(FormatError, match=r"expected a \.tflite or \.onnx file or a folder of C"):
        verify_file(files / "m.edgernn")
