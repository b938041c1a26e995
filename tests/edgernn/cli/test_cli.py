import dataclasses
import json
import os
import re
import subprocess
import sys
import types
import zipfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import edgernn
from edgernn import cli
from edgernn.cli import main
from edgernn.cli.commands import command_parser
from edgernn.errors import BackendMismatch, EdgeRnnError
from edgernn.install import hint
from edgernn.model.formats import Precision
from edgernn.model.interface import Window
from edgernn.model.storage import Storage
from tests.support.models.integer import random_model
from tests.support.models.stored import stored

pytestmark = pytest.mark.device

ROOT = Path(__file__).parents[3]
DEVICE_COMMANDS = ("run", "info")


@pytest.fixture
def command(monkeypatch):
    """Replace the command `demo` by one that does what the test says."""

    def install(action):
        module = types.ModuleType("stand_in")
        module.HELP, module.EXAMPLES = "Stand-in.", "examples:\n  edgernn demo"
        module.add_arguments = lambda parser: None
        module.main = action
        monkeypatch.setitem(sys.modules, "stand_in", module)
        monkeypatch.setitem(cli.SUBCOMMANDS, "demo", ("stand_in", ""))

    return install


def raising(error):
    def action(args):
        raise error

    return action


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"edgernn {edgernn.__version__}\n"


def test_help_lists_every_command_with_examples(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for name, (_, line) in cli.SUBCOMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(line)}$", out, re.MULTILINE)
    assert "Examples\n  edgernn quantize model.keras" in out


@pytest.mark.parametrize("name", DEVICE_COMMANDS)
def test_help_of_a_command_contains_examples(name, capsys):
    assert main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: edgernn {name}")
    assert f"examples:\n  edgernn {name} " in out


@pytest.mark.parametrize("name", DEVICE_COMMANDS)
def test_every_example_parses(name):
    module = import_module(cli.SUBCOMMANDS[name][0])
    examples = re.findall(rf"edgernn {name} (.*)", module.EXAMPLES)
    assert len(examples) >= 2
    for example in examples:
        command_parser(name).parse(example.split())


def test_without_a_command_the_short_help_is_printed(capsys):
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert (out, "Try first:\n  edgernn info demo " in err) == ("", True)
    assert all(re.search(rf"\b{name}\b", err) for name in cli.SUBCOMMANDS)


def test_every_command_has_a_group():
    assert "Other" not in cli.command_groups()


@pytest.mark.parametrize("rest", [[], ["--help"], ["--json", "--help"]])
@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("rum", "unknown command 'rum'. Did you mean 'run'? List the commands with: edgernn "),
        ("xyzzy", "unknown command 'xyzzy'. List the commands with: edgernn --help"),
    ],
)
def test_an_unknown_command_is_a_usage_error(word, rest, wanted, capsys):
    assert main([word, *rest]) == 2
    out, err = capsys.readouterr()
    assert wanted in (out if "--json" in rest else err)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["info", "--frobnicate"], "info: unknown option '--frobnicate'. See: edgernn info --help"),
        (["info", "--modle=demo"], "unknown option '--modle'. Did you mean '--model'? See: "),
        (["info", "a", "b", "c"], "edgernn info: unexpected arguments 'b c'. See: edgernn info"),
        (["run", "--format", "cvs"], "--format: expected auto, csv, jsonl, got 'cvs'. Did you "),
        (["--frobnicate"], "edgernn: unknown option '--frobnicate'. See: edgernn --help"),
    ],
)
def test_a_wrong_argument_is_a_usage_error(arguments, wanted, capsys):
    assert main(arguments) == 2
    assert wanted in capsys.readouterr().err


def test_options_of_every_command_may_precede_it(capsys):
    assert main(["--json", "--no-color", "info", "--model", "demo"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "co2_forecaster"


def test_a_missing_argument_names_the_help_once(capsys):
    assert main(["completion"]) == 2
    err = capsys.readouterr().err
    assert err == (
        "edgernn completion: the following arguments are required: shell. "
        "See: edgernn completion --help\n"
    )


def test_version_is_a_command_too(capsys):
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"edgernn {edgernn.__version__}\n"


def test_help_is_a_command_too(capsys):
    assert main(["help", "info"]) == 0
    assert capsys.readouterr().out.startswith("usage: edgernn info")


@pytest.mark.parametrize(
    ("arguments", "kind", "command", "code"),
    [
        (["info", "m.h5"], "EdgeRnnError", "info", 2),
        (["info", "--nothing"], "ArgumentError", "info", 2),
        (["nothing"], "ArgumentError", None, 2),
        ([], "ArgumentError", None, 2),
        (["run", "--model", "demo", "--input", "no.csv"], "FileNotFoundError", "run", 2),
    ],
)
def test_errors_are_json_as_well(arguments, kind, command, code, capsys):
    assert main([*arguments, "--json"]) == code
    out, err = capsys.readouterr()
    error = json.loads(out)["error"]
    assert (error["type"], error["command"], err) == (kind, command, "")
    assert list(error) == ["type", "message", "command"]


def test_quiet_leaves_out_notes_and_warnings(tmp_path, capsys):
    readings = tmp_path / "x.csv"
    readings.write_text("1e9\n")
    assert main(["run", "--model", "demo", "--input", str(readings)]) == 0
    loud = capsys.readouterr()
    assert main(["run", "--model", "demo", "--input", str(readings), "--quiet"]) == 0
    assert capsys.readouterr() == (loud.out, "")
    assert len(loud.err.splitlines()) == 2
    assert main(["info", "no.edgernn", "--quiet"]) == 2
    assert "no.edgernn" in capsys.readouterr().err


def test_run_answers_in_json_lines(tmp_path, capsys):
    readings = tmp_path / "x.csv"
    readings.write_text("0.1\n0.2\nx\n")
    assert main(["run", "--model", "demo", "--input", str(readings), "--json"]) == 2
    *answers, failure = map(json.loads, capsys.readouterr().out.splitlines())
    assert len(answers) == 2
    assert failure["error"]["type"] == "ReadingError"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (EdgeRnnError("model: no."), 2, "edgernn demo: model: no.\n"),
        (
            FileNotFoundError(2, "No such file", "x"),
            2,
            "edgernn demo: expected a file that can be opened, got No such file ('x').\n",
        ),
        (BackendMismatch("backend: no."), 1, "edgernn demo: backend: no.\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_errors_end_in_one_line_and_a_code(command, error, code, message, capsys):
    command(raising(error))
    assert main(["demo"]) == code
    assert capsys.readouterr().err == message


@pytest.mark.parametrize(
    ("library", "extra"),
    [("tensorflow.lite", "export"), ("onnxruntime", "onnx"), ("statsmodels", "demo")],
)
def test_a_missing_library_names_the_command_that_installs_it(command, library, extra, capsys):
    command(raising(ModuleNotFoundError(f"No module named '{library}'", name=library)))
    assert main(["demo"]) == 2
    assert capsys.readouterr().err == (
        f"edgernn demo: expected {library} to be installed, got an environment without it. "
        f"Install it with: {hint(extra)}\n"
    )


def test_a_library_no_extra_brings_is_a_bug_and_stays_one(command):
    command(
        raising(ModuleNotFoundError("No module named 'edgernn.nothing'", name="edgernn.nothing"))
    )
    with pytest.raises(ModuleNotFoundError, match=r"edgernn\.nothing"):
        main(["demo"])


def test_a_reader_that_has_seen_enough_is_no_failure(tmp_path):
    model = random_model("lstm", inputs=1).save(tmp_path / "m.edgernn")
    readings = tmp_path / "x.csv"
    readings.write_text("1\n" * 2000)
    arguments = [sys.executable, "-m", "edgernn", "run", str(model), "--input", str(readings)]
    paths = ":".join(str(ROOT / p) for p in ("", "export", "firmware_sim"))
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        env={"PYTHONPATH": paths},
    )  # fmt: skip
    process.stdout.readline()
    process.stdout.close()
    stderr = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=60), stderr) == (0, "")


def called(*arguments, stdout, **environment):
    """The command in a process of its own, with buffered output: exit code, text on stderr."""
    paths = ":".join(str(ROOT / p) for p in ("", "export", "firmware_sim"))
    done = subprocess.run(
        [sys.executable, "-m", "edgernn", *arguments], stdout=stdout, stderr=subprocess.PIPE,
        text=True, env={"PYTHONPATH": paths, **environment}, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize("arguments", [["info", "--model", "demo"], ["run", "--help"], ["--help"]])
def test_output_that_nobody_reads_is_no_failure(arguments):
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as pipe:
        assert called(*arguments, stdout=pipe) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_output_that_does_not_fit_is_named():
    with Path("/dev/full").open("wb") as full:
        code, stderr = called("info", "--model", "demo", stdout=full)
    assert (code, stderr) == (2, "edgernn: [Errno 28] No space left on device\n")


def test_names_and_units_reach_any_terminal(tmp_path):
    model = random_model("lstm", inputs=1)
    source = dataclasses.replace(model.input, names=("τ",), units=("°C",))
    path = dataclasses.replace(model, input=source).save(tmp_path / "m.edgernn")
    with (tmp_path / "out").open("wb") as out:
        assert called("info", str(path), stdout=out, PYTHONIOENCODING="ascii") == (0, "")
    assert b"\\u03c4 [\\xb0C]" in (tmp_path / "out").read_bytes()


# ---------------------------------------------------------------- info


@pytest.fixture
def model_file(tmp_path):
    return random_model("lstm", Precision.W8A16, stack=2).save(tmp_path / "m.edgernn")


def test_info_as_json_says_everything(model_file, capsys):
    assert main(["info", str(model_file), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    model = edgernn.IntegerModel.load(model_file)
    assert record["file_bytes"] == model_file.stat().st_size
    assert record["model_sha256"] == model.sha256
    assert (record["name"], record["precision"]) == ("lstm-tame", "w8a16")
    assert [layer["kind"] for layer in record["layers"]] == ["lstm", "lstm", "dense"]
    # 4 gates x 8 units x (3 + 8), then x (8 + 8), then 2 x 8; each row has a bias beside it.
    assert [layer["weights_bytes"] for layer in record["layers"]] == [352, 512, 16]
    assert [layer["parameters"] for layer in record["layers"]] == [384, 544, 18]
    assert (record["weights_bytes"], record["parameters"], record["macs"]) == (880, 946, 880)
    assert record["constants_bytes"] == (32 + 32 + 2) * 3 * 4
    assert record["state_bytes"] == 4 * 8 * 2
    assert record["states"][1] == {"name": "lstm_0.c", "units": 8, "format": "Q3.12"}
    assert record["inputs"][2] == {
        "name": "x2", "unit": "", "scale": 0.03125, "offset": 1.0, "low": 1 - 32764 / 32,
        "high": 1 + 32764 / 32,
    }  # fmt: skip
    assert record["outputs"][0] == {"name": "y0", "unit": "", "scale": 2.0**-10}
    assert record["softmax"] is False
    assert record["provenance"]["seeds"] == {"test": 0}
    assert set(record["provenance"]) == {
        "float_model_sha256", "calibration_sha256", "seeds", "versions", "settings"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("window", "wanted"),
    [
        (None, "stream  endless: one output per reading"),
        (Window(steps=60, hop=5), "stream  windows of 60 readings, one answer every 5; each wi"),
    ],
)
def test_info_says_how_a_model_streams(tmp_path, capsys, window, wanted):
    model = dataclasses.replace(random_model("lstm", inputs=2), window=window)
    path = str(model.save(tmp_path / "m.edgernn"))
    assert main(["info", path]) == 0
    text = capsys.readouterr().out
    assert wanted in text
    assert main(["info", path, "--json"]) == 0
    stream = json.loads(capsys.readouterr().out)["stream"]
    if window is None:
        assert stream == {"kind": "endless"}
    else:
        assert stream == {"kind": "window", "steps": 60, "hop": 5, "steps_per_reading": 12.0}
        assert "state  154 bytes per stream: 122 for the readings of a window, and 32 for" in text
        assert "for the network, which starts from zero in each window:" in text


def test_info_for_people_names_layers_bytes_states_and_origin(model_file, capsys):
    assert main(["info", "--model", str(model_file)]) == 0
    out = capsys.readouterr().out
    for text in (
        "lstm-tame  w8a16  m.edgernn,",
        "tanh, gates sigmoid",
        "state  64 bytes per stream",
        "lstm_1.c  int16 [8]  Q3.12",
        "x0  -1024.88 to 1022.88",
        "(880 bytes of int8 weights)",
        "provenance",
    ):
        assert text in out


def test_info_says_how_weights_are_stored(tmp_path, capsys):
    dense = random_model("lstm", inputs=6, units=8, outputs=0)
    sparse = stored(dense, Storage.SPARSE8, density=0.5)
    four = stored(random_model("gru_after", inputs=3, units=5, outputs=1), Storage.DENSE4)
    mixed = stored(random_model("lstm", Precision.W8A16, outputs=1), Storage.DENSE8, Storage.DENSE4)

    def described(model, *options):
        assert main(["info", str(model.save(tmp_path / "m.edgernn")), *options]) == 0
        return capsys.readouterr().out

    record = json.loads(described(sparse, "--json"))
    kept = record["memory"]["kept_tiles"]
    # 8 groups of 4 rows, 2 + 2 tiles of columns; 6 inputs are filled up to 8.
    assert 8 < kept < 32
    assert record["memory"] == record["layers"][0]["memory"] == {
        "dense_bytes": 32 * 16, "stored_bytes": kept * 16, "index_bytes": 8 + kept, "tiles": 32,
        "kept_tiles": kept, "total_bytes": kept * 17 + 8, "density": kept / 32,
        "scale_bytes": 0,
    }  # fmt: skip
    assert (record["precision"], record["layers"][0]["storages"]) == ("w8a8", ["sparse8"])
    assert record["weights_bytes"] == kept * 17 + 8
    assert record["parameters"] == 32 * 14 + 32
    text = described(sparse)
    assert "bytes of int8 weights" in text
    assert re.search(rf"sparse8 +512 +{kept * 16} +{8 + kept} +{kept / 32:.1%} ", text)

    record = json.loads(described(four, "--json"))
    assert record["precision"] == "w4a8"
    # zr: 10 rows of 3 + 5 columns; n_x: 5 of 3; n_h: 5 of 5; out: 1 of 5; odd ones rounded up.
    assert record["weights_bytes"] == 10 * 4 + 5 * 2 + 5 * 3 + 3
    assert record["memory"]["stored_bytes"] * 2 == record["memory"]["dense_bytes"]
    assert "bytes of int4 weights" in described(four)
    text = described(mixed)
    assert "lstm-tame  w8/w4a16  m.edgernn" in text
    assert "bytes of int8 and int4 weights" in text
    assert "weights in memory" not in described(dense)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [],
            "model: expected one model, got none. Pass one file, or 'demo' for the packaged model.",
        ),
        (["a", "--model", "b"], "model: expected one model, got a and b."),
        (["missing.edgernn"], "model: expected an existing file, got 'missing.edgernn'."),
        (["missing.onnx"], "model: expected an existing file, got 'missing.onnx'."),
        (["m.h5"], "model: expected an existing file, got 'm.h5'."),
    ],
)
def test_info_refuses_what_it_cannot_open(arguments, message, capsys):
    assert main(["info", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_packaged_model_that_is_not_there_is_named(monkeypatch, capsys):
    from edgernn.cli import arguments

    monkeypatch.setitem(arguments.PACKAGED, "demo", "absent.edgernn")
    assert main(["info", "--model", "demo"]) == 2
    wanted = "model: expected the packaged model 'demo', got an installation without it. Reinstall"
    assert wanted in capsys.readouterr().err


def test_the_packaged_model_is_described(capsys):
    assert main(["info", "--model", "demo", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["file"] == "demo.edgernn"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.keras",
            b"PK\x03\x04",
            "got a Keras model ('a.keras'). Quantize it first: edgernn quantize",
        ),
        ("b.edgernn", b"\x89HDF\r\n\x1a\n", "got a Keras model ('b.edgernn'). Quantize it first"),
        ("t.csv", b"x,y\n1,2\n", "expected an .edgernn, .tflite or .onnx file, got 't.csv'."),
        ("s.npz", b"PK\x03\x04", "expected an .edgernn, .tflite or .onnx file, got 's.npz'."),
        ("folder", None, "model: expected a file, got the folder '"),
        ("modle.edgernn", "absent", "Did you mean '"),
    ],
)
@pytest.mark.parametrize("command", [["info"], ["run"], ["bench"]])
def test_files_of_other_kinds_are_named(tmp_path, capsys, command, name, content, message):
    if command == ["info"] and ("Keras" in message or name == "s.npz"):
        # It describes trained networks and files of weights.
        lacking = content.startswith(b"\x89HDF") and find_spec("h5py") is None
        message = "h5py: expected an installed package" if lacking else "expected a whole "
    (tmp_path / "model.edgernn").write_bytes(b"")
    path = tmp_path / name
    if content is None:
        path.mkdir()
    elif content != "absent":
        path.write_bytes(content)
    assert main([*command, str(path)]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("member", "kind"),
    [
        ("config.json", "a Keras model"),
        ("network/data.pkl", "a PyTorch file"),
        ("network/models/model.json", "a PyTorch file"),
        ("rnn.weight.npy", "a file of weights"),
    ],
)
def test_archives_of_trained_networks_are_named_by_their_content(tmp_path, capsys, member, kind):
    with zipfile.ZipFile(tmp_path / "network", "w") as archive:
        archive.writestr(member, "{}")
    assert main(["run", str(tmp_path / "network")]) == 2
    assert f"got {kind} ('network'). Quantize it first: edgernn quantize" in capsys.readouterr().err


def test_models_whose_names_fill_the_first_kilobyte_are_taken_for_models(tmp_path, capsys):
    made = random_model("lstm", inputs=2, stack=2)
    layers = [
        dataclasses.replace(layer, name=f"{'A' * 60}{at}") for at, layer in enumerate(made.layers)
    ]
    path = dataclasses.replace(made, layers=tuple(layers)).save(tmp_path / "m.edgernn")
    assert path.read_bytes().index(b"edgernn_schema") > 1024
    assert main(["run", str(path), "--input", os.devnull]) == 0
    assert "Quantize it first" not in capsys.readouterr().err


def test_weights_and_other_protocol_buffers_are_named(tmp_path, capsys):
    contents = {
        "a file of weights": b"\x02" + bytes(7) + b"{}",
        "an ONNX model of another tool": b"\x08\x08\x12\x07pytorch",
    }
    for kind, content in contents.items():
        (tmp_path / "network").write_bytes(content)
        assert main(["verify", str(tmp_path / "network")]) == 2
        assert f"got {kind} ('network'). Quantize it first" in capsys.readouterr().err
