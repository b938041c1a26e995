import json
import re
import sys
from importlib import import_module

import numpy as np
import pytest

import edgernn
from edgernn.cli import SUBCOMMANDS, main
from edgernn.cli.commands import command_parser
from edgernn.install import hint
from edgernn.model.formats import Precision
from tests.support.models.integer import random_model
from tests.support.models.programs import pair
from tests.support.models.stored_networks import Writer, layer
from tests.support.runtimes import require, run_python

COMMANDS = ("quantize", "sensitivity", "export", "verify")
MODEL = random_model("gru_before", Precision.W8A8)


@pytest.fixture
def model_file(tmp_path):
    return MODEL.save(tmp_path / "m.edgernn")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_contains_examples_that_parse(name, capsys):
    assert main([name, "--help"]) == 0
    assert f"examples:\n  edgernn {name} " in capsys.readouterr().out
    module = import_module(SUBCOMMANDS[name][0])
    examples = re.findall(rf"edgernn {name} (.*)", module.EXAMPLES.replace("\\\n", ""))
    assert len(examples) >= 2
    for example in examples:
        command_parser(name).parse(example.split())


# ---------------------------------------------------------------- export


def test_export_writes_beside_the_model_and_names_the_files(model_file, capsys):
    assert main(["export", str(model_file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    paths = [model_file.with_suffix(suffix) for suffix in (".tflite", ".onnx")]
    assert lines == [f"{path}  {path.stat().st_size} bytes" for path in paths]


def test_export_as_json(model_file, tmp_path, capsys):
    out = tmp_path / "build"
    assert main(["export", str(model_file), "--to", "onnx", "-o", str(out), "--json"]) == 0
    path = out / "m.onnx"
    assert json.loads(capsys.readouterr().out) == {
        "model_sha256": MODEL.sha256,
        "files": {
            "onnx": {"path": str(path), "bytes": path.stat().st_size, "densified_weights": 0}
        },
    }


def test_export_of_a_package_names_every_file_of_its_own(model_file, tmp_path, capsys):
    arguments = ["export", str(model_file), "--to", "c", "--package", "zephyr", "--prefix", "gas"]
    folder = tmp_path / "m_zephyr"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    assert main([*arguments, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)["files"]["c"]
    written = [p for p in folder.rglob("*") if p.is_file() and p.name != "notes.txt"]
    assert record["path"] == str(folder)
    assert sorted(record["files"]) == sorted(p.relative_to(folder).as_posix() for p in written)
    assert {"zephyr/module.yml", "src/gas.h", "README.md"} <= set(record["files"])
    assert record["bytes"] == sum(p.stat().st_size for p in written)
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"{folder}  {len(written)} files\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["{}", "--package", "arduino"],
            "edgernn export: expected c among the formats because of a package or a "
            "prefix, got 'tflite, onnx'. Add c to the formats.",
        ),
        (
            ["{}", "--to", "onnx", "--prefix", "gas"],
            "export: expected c among the formats because of",
        ),
        (
            ["{}", "--to", "c", "--package", "ardino"],
            "edgernn export: export to c: expected a package among cmake, arduino, platformio, "
            "esp-idf, zephyr, got 'ardino'.",
        ),
        (
            ["{}", "--to", "c", "--prefix", "2nd"],
            "export to c: expected a prefix that starts with a letter and not with 'edgernn', "
            "which the kernels use, got '2nd'.",
        ),
        (["{}", "--to", "c", "--prefix", ""], "which the kernels use, got ''."),
        (
            ["{}", "--to", "c", "--prefix", "Signal"],
            "export to c: expected a prefix that is not the name of another header or program, "
            "got 'Signal'. Choose a longer one, such as 'Signal_model'.",
        ),
        (["{}", "--to", "tflite,keras"], "edgernn export: expected formats among tflite, "),
        (["absent.edgernn"], "model: expected an existing file, got 'absent.edgernn'."),
        ([], "the following arguments are required: MODEL.edgernn"),
    ],
)
def test_export_refuses(model_file, arguments, message, capsys):
    assert main(["export", *(a.format(model_file) for a in arguments)]) == 2
    assert message in capsys.readouterr().err


# ---------------------------------------------------------------- verify


def test_verify_ends_in_the_number_of_differing_values(model_file, capsys):
    require("onnxruntime")
    arguments = ["verify", str(model_file), "--backends", "onnxruntime", "--steps", "9"]
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1] == "differing values: 0"
    assert captured.err == ""
    assert main([*arguments, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["steps"], record["passed"], len(record["outcomes"])) == (9, True, 5)


def test_verify_streams_real_readings_quantized_once(model_file, tmp_path, capsys, monkeypatch):
    from edgernn_export.cli import verify as command

    seen = []

    def verified(model, q_xs, runtimes, progress):
        seen.append(q_xs)
        raise edgernn.EdgeRnnError("seen")

    monkeypatch.setattr(command, "verify", verified)
    readings = tmp_path / "x.csv"
    readings.write_text("x2,x1,x0\n0,0,0\n3,-1,0.25\n1,1,1\n")
    assert main(["verify", str(model_file), "--input", str(readings), "--steps", "2"]) == 2
    # (x - offset) / scale with offsets -1, 0, 1 and scale 1/32.
    assert [q.tolist() for q in seen] == [[[32, 0, -32], [40, -32, 64]]]
    assert capsys.readouterr().err == "edgernn verify: seen\n"


def test_verify_fails_where_no_runtime_ran(model_file, capsys, monkeypatch):
    import dataclasses

    from edgernn_export.verification import executors

    absent = tuple(dataclasses.replace(e, package="no_such_runtime") for e in executors.EXECUTORS)
    monkeypatch.setattr(executors, "EXECUTORS", absent)
    assert main(["verify", str(model_file), "--steps", "1"]) == 1
    assert capsys.readouterr().out.count("not installed") == len(absent)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "0"], "edgernn verify: --steps: expected at least 1, got 0."),
        (["--seed", "-1"], "edgernn verify: --seed: expected at least 0, got -1."),
        (["--backends", "tpu"], "edgernn verify: expected backends among native,"),
        (
            ["--input", "x.txt"],
            "expected a file that can be opened, got No such file or directory ('x.txt').",
        ),
    ],
)
def test_verify_refuses(model_file, arguments, message, capsys):
    assert main(["verify", str(model_file), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_verify_refuses_readings_that_are_not_finite(model_file, tmp_path, capsys):
    np.save(tmp_path / "x.npy", [[0.0, 0.0, 0.0], [1.0, np.inf, 2.0]])
    assert main(["verify", str(model_file), "--input", str(tmp_path / "x.npy")]) == 2
    wanted = "--input: expected finite readings, got [1.0, inf, 2.0] (reading 1). Remove"
    assert wanted in capsys.readouterr().err


# ---------------------------------------------------------------- quantize

KERAS_MODEL = """
import sys, keras
keras.utils.set_random_seed(3)
model = keras.Sequential([
    keras.Input((None, 2)), keras.layers.GRU(4, return_sequences=True), keras.layers.Dense(1)
], name="tiny")
model.save(sys.argv[1])
"""


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("keras") / "tiny.keras"
    run_python("-c", KERAS_MODEL, str(path))
    return path


@pytest.fixture(scope="module")
def calibration(keras_file):
    t = np.arange(400) / 7
    path = keras_file.with_name("streams.npz")
    np.savez(path, a=np.stack([np.sin(t), np.cos(t)], axis=1), b=np.zeros((150, 2)))
    return path


@pytest.mark.tf
def test_quantize_writes_a_model_that_every_other_command_takes(keras_file, calibration, capsys):
    out = keras_file.with_name("new") / "tiny.edgernn"
    printed = run_python(
        "-m", "edgernn", "quantize", str(keras_file), "--calibration", str(calibration),
        "-o", str(out), "--precision", "w8a16", "--range", "mse", "--name", "small",
        "--input-names", "sine, cosine", "--input-units", "V,V", "--report", "--json",
    )  # fmt: skip
    record = json.loads(printed)
    model = edgernn.IntegerModel.load(out)
    assert record["report"]["steps"] == 550
    assert [t["name"] for t in record["report"]["tensors"]] == ["gru.h", "dense.out"]
    del record["report"]
    assert record == {
        "path": str(out),
        "bytes": out.stat().st_size,
        "name": "small",
        "precision": "w8a16",
        "window": None,
        "endless_error": None,
        "warnings": [],
        "weights_bytes": 112,  # 7 tiles of 16 bytes
        "dense_weights_bytes": 112,
        "model_sha256": model.sha256,
    }
    assert (model.input.names, model.input.units) == (("sine", "cosine"), ("V", "V"))
    assert dict(model.provenance.settings)["range_method"] == "mse"
    assert main(["info", str(out)]) == 0
    assert "sine [V]" in capsys.readouterr().out


@pytest.mark.tf
def test_quantize_for_people(keras_file, calibration):
    out = keras_file.with_name("people.edgernn")
    printed = run_python(
        "-m", "edgernn", "quantize", str(keras_file), "--calibration", str(calibration),
        "-o", str(out), "--report",
    ).splitlines()  # fmt: skip
    assert printed[0] == f"on the calibration data in {calibration}:"
    assert printed[1] == "quantization report over 550 steps"
    assert printed[-1] == f"{out}  w8a8  {out.stat().st_size} bytes"


def test_quantize_refuses_a_name_it_could_not_load_again(capsys):
    assert main(["quantize", "m.keras", "--calibration", "x.npy", "-o", "m.tflite"]) == 2
    wanted = "edgernn quantize: --output: expected a name ending in .edgernn, got 'm.tflite'."
    assert wanted in capsys.readouterr().err


SCRIPT = """
import contextlib, io, sys
for name in {missing}:
    sys.modules[name] = None
from edgernn.cli import main
with contextlib.redirect_stderr(io.StringIO()) as err:
    print(main(["quantize", *{arguments}, "-o", "m.edgernn"]))
print(err.getvalue(), "keras" in sys.modules)
"""


def test_quantize_without_keras_names_the_command_that_installs_it(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((9, 3)))
    (tmp_path / "m.keras").write_bytes(b"\x89HDF\r\n\x1a\n")
    arguments = [str(tmp_path / "m.keras"), "--calibration", str(tmp_path / "x.npy")]
    missing = ("keras", "tensorflow", "h5py")
    printed = run_python("-c", SCRIPT.format(missing=missing, arguments=arguments))
    assert printed.startswith("2\n")
    assert hint("export") in printed


def test_quantize_reads_an_architecture_with_its_weights(tmp_path, monkeypatch, capsys):
    pytest.importorskip("h5py", reason="pip install 'edgernn[export]'")
    monkeypatch.chdir(tmp_path)
    layers = [layer("GRU", "g", 3, 4, 0, recurrent_activation="hard_sigmoid", stateful=True)]
    writer = Writer("2.2.4", (1, 1, 3))
    (tmp_path / "net.json").write_text(json.dumps(writer.sequential(layers)))
    writer.weights(tmp_path / "trained.hdf5", layers)
    np.save("x.npy", np.random.default_rng(0).normal(size=(300, 3)))
    arguments = ["quantize", "net.json", "--calibration", "x.npy", "-o", "m.edgernn"]
    assert main(arguments) == 2
    assert "Pass the file of the weights: --weights FILE" in capsys.readouterr().err
    assert main([*arguments, "--weights", "trained.hdf5"]) == 0
    assert edgernn.load("m.edgernn").step([0.0, 0.0, 0.0]).shape == (4,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["m.keras", "--calibration", "n" * 300], "got No such file or directory ('m.keras')."),
        ([__file__, "--calibration", "n" * 300], "got File name too long ('nnnnnnnn"),
        ([__file__, "--calibration", __file__, "--decimal", "x"], "--decimal: expected '.' or ','"),
    ],
)
@pytest.mark.parametrize("command", ["quantize", "sensitivity"])
def test_arguments_are_checked_before_keras_is_imported(
    command, arguments, message, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "keras", None)
    output = [] if command == "sensitivity" else ["-o", "m.edgernn"]
    assert main([command, *arguments, *output]) == 2
    assert message in capsys.readouterr().err


def test_programs_are_one_tflite_file_and_an_onnx_file_each(tmp_path, capsys):
    path = str(pair().save(tmp_path / "pair.edgernn"))
    assert main(["export", path]) == 0
    names = ["pair.tflite", "pair.encode.onnx", "pair.decode.onnx"]
    written = [tmp_path / name for name in names]
    assert capsys.readouterr().out.splitlines() == [
        f"{file}  {file.stat().st_size} bytes" for file in written
    ]
    assert main(["export", path, "--to", "onnx", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["model_sha256"] == pair().sha256
    assert record["files"]["onnx"]["files"] == names[1:]
    assert record["files"]["onnx"]["bytes"] == sum(f.stat().st_size for f in written[1:])
    for file in written[1:]:
        with edgernn.load(file) as session:
            assert session.interface.name == file.name.split(".")[1]


def test_one_program_of_several_is_written_as_a_model(tmp_path, capsys):
    path = str(pair().save(tmp_path / "pair.edgernn"))
    assert main(["export", path, "--program", "decode", "--to", "onnx,c"]) == 0
    assert (tmp_path / "pair.decode_c" / "model.h").is_file()
    alone = pair()["decode"].save(tmp_path / "alone.edgernn")
    assert main(["export", str(alone), "--to", "onnx"]) == 0
    written = (tmp_path / "pair.decode.onnx").read_bytes()
    assert written == (tmp_path / "alone.onnx").read_bytes()
    onnx = str(tmp_path / "pair.decode.onnx")
    check = ["verify", onnx, "--model", path, "--program", "decode", "--steps", "5"]
    assert main(check) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "differing values: 0"
