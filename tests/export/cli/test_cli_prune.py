from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgernn.cli import main
from edgernn.cli.commands import command_parser
from edgernn_export.cli import prune as command
from edgernn_export.compress.pruning import MagnitudePruning, densities
from tests.support.models.keras import answer, readings, sequential

keras = pytest.importorskip("keras", reason="pip install 'edgernn[export]'")
L = keras.layers
pytestmark = pytest.mark.tf


@pytest.fixture(scope="module")
def model() -> Any:
    """Two recurrent layers; nothing reads the channel x1, and two units of `a` are 0."""
    made = sequential(
        L.LSTM(8, return_sequences=True, name="a"),
        L.GRU(6, return_sequences=True, name="b"),
        L.Dense(1, name="head"),
    )
    cell = made.get_layer("a").cell
    kernel, recurrent, bias = (np.array(v) for v in cell.weights)
    kernel[1] = 0.0
    columns = [unit + 8 * gate for unit in (2, 5) for gate in range(4)]
    kernel[:, columns] = recurrent[:, columns] = bias[columns] = 0.0
    for variable, value in zip(cell.weights, (kernel, recurrent, bias), strict=True):
        variable.assign(value)
    return made


@pytest.fixture(scope="module")
def model_file(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("keras") / "model.keras"
    model.save(path)
    return path


@pytest.fixture
def pruned(model_file, tmp_path, capsys):
    """Run the command with --json: the record and the model it wrote."""

    def run(*arguments: str) -> tuple[dict[str, Any], Any]:
        out = tmp_path / "new" / "out.keras"
        code = main(["prune", str(model_file), *arguments, "-o", str(out), "--json"])
        captured = capsys.readouterr()
        assert code == 0, captured.err
        record = json.loads(captured.out)
        made = keras.saving.load_model(out)
        assert record["path"] == str(out)
        assert record["parameters_after"] == made.count_params()
        return record, made

    return run


def test_help_contains_examples_that_parse(capsys):
    assert main(["prune", "--help"]) == 0
    assert "examples:\n  edgernn prune " in capsys.readouterr().out
    examples = re.findall(r"edgernn prune (.*)", command.EXAMPLES)
    assert len(examples) >= 2
    for example in examples:
        command._mode(command_parser("prune").parse(example.split()))


def test_units_by_share_and_by_number(pruned, model):
    record, made = pruned("--units", "50%")
    assert record["mode"] == "units"
    assert record["parameters_before"] == model.count_params()
    assert record["units"] == {"a": {"before": 8, "after": 4}, "b": {"before": 6, "after": 3}}
    assert (made.get_layer("a").units, made.get_layer("b").units) == (4, 3)
    record, made = pruned("--units", "5", "--layer", "b")
    assert record["units"] == {"b": {"before": 6, "after": 5}}
    assert made.get_layer("a").units == 8


def test_units_that_do_nothing(pruned, model):
    record, made = pruned("--threshold", "0")
    assert record["units"]["a"] == {"before": 8, "after": 6}
    xs = readings()
    np.testing.assert_allclose(answer(made, xs), answer(model, xs), rtol=0.0, atol=1e-6)


def test_inputs(pruned, model, tmp_path):
    record, made = pruned("--inputs", "--input-names", "t,p,h")
    assert (record["kept"], record["kept_names"], record["unread"]) == ([0, 2], ["t", "h"], ["p"])
    assert made.input_shape == (None, None, 2)
    (tmp_path / "x.csv").write_text("t,p,h\n1,0.5,3\n2,0.25,3\n")
    record, made = pruned(
        "--inputs", "--input-names", "t,p,h", "--calibration", str(tmp_path / "x.csv")
    )
    assert (record["kept_names"], record["constant"]) == (["t"], {"h": 3.0})
    xs = readings()
    xs[..., 2] = 3.0
    np.testing.assert_allclose(answer(made, xs[..., :1]), answer(model, xs), rtol=0.0, atol=1e-6)


def test_rank(pruned, model):
    record, made = pruned("--rank", "1", "--layer", "b")
    assert (record["layer"], record["dense"], record["rank"]) == ("b", "b_low_rank", 1)
    assert record["parameters_saved"] == 8 * 18 - (8 + 18)
    assert record["parameters_before"] - record["parameters_after"] == record["parameters_saved"]
    record, made = pruned("--energy", "0.5", "--layer", "b")
    assert record["energy"] >= 0.5
    assert made.get_layer("b_low_rank").units == record["rank"]


def test_magnitude_and_the_training_it_advises(pruned, capsys):
    record, made = pruned("--magnitude", "--density", "0.25", "--pattern", "4x1", "--layer", "b")
    assert record["densities"] == densities(made, ["b"])
    assert record["densities"]["b/kernel"]["all"] < 0.5
    zeros = np.array(made.get_layer("b").cell.kernel) == 0.0
    made.compile(keras.optimizers.Adam(0.01), loss="mse", run_eagerly=True)
    keeps = MagnitudePruning(0.25, end_step=0, pattern="4x1", layers=["b"])
    xs = readings(4, 3)
    made.fit(xs, xs[..., :1], epochs=2, verbose=0, callbacks=[keeps])
    after = np.array(made.get_layer("b").cell.kernel)
    assert np.array_equal(after == 0.0, zeros)


def test_magnitude_starves_no_gate_unless_asked_to(pruned, model, tmp_path, capsys):
    small = keras.models.clone_model(model)
    small.set_weights(model.get_weights())
    cell = small.get_layer("a").cell
    for variable in (cell.kernel, cell.recurrent_kernel):
        values = np.array(variable)
        values[:, :8] *= 1e-3  # the input gate
        variable.assign(values)
    path, out = tmp_path / "small.keras", tmp_path / "out.keras"
    small.save(path)
    arguments = ["prune", str(path), "--magnitude", "--density", "0.3", "--pattern", "1x4"]
    arguments += ["--layer", "a", "-o", str(out), "--json"]
    assert main(arguments) == 0
    captured = capsys.readouterr()
    record = json.loads(captured.out)
    assert (record["allocation"], record["warnings"]) == ("erdos-renyi", [])
    assert min(record["densities"]["a/kernel"].values()) > 0.2
    assert "warning" not in captured.err
    assert main([*arguments, "--allocation", "matrix"]) == 0
    captured = capsys.readouterr()
    record = json.loads(captured.out)
    assert record["densities"]["a/kernel"]["i"] == 0.0
    assert "a/kernel: gate i keeps 0.0 % of its weights instead of 30.0 %" in record["warnings"][0]
    assert f"warning: {record['warnings'][0]}\n" in captured.err
    assert "allocation='matrix', layers=['a']" in captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--units", "100%"], "Lower --units."),
        (["--units", "6", "--layer", "b"], "Lower --units."),
        (
            ["--threshold", "1e-9", "--layer", "b"],
            "Raise --threshold: the least norm of a unit is 3.33",
        ),
        (["--magnitude", "--density", "0.99"], "At density 0.99 all 8x4 blocks that are"),
        (["--magnitude", "--density", "1"], "Lower --density, or use a finer --pattern."),
    ],
)
def test_nothing_is_written_where_nothing_goes(model_file, tmp_path, arguments, message, capsys):
    out = tmp_path / "new" / "out.keras"
    assert main(["prune", str(model_file), *arguments, "-o", str(out), "--json"]) == 2
    captured = capsys.readouterr()
    error = json.loads(captured.out)["error"]
    assert "model.keras: expected something to remove, got nothing. " in error["message"]
    assert message in error["message"]
    assert (error["type"], captured.err) == ("PruningError", "")
    assert not out.parent.exists()


def test_inputs_that_are_all_read_stay(tmp_path, capsys):
    sequential(L.GRU(4, name="g"), L.Dense(1)).save(tmp_path / "m.keras")
    out = tmp_path / "out.keras"
    arguments = ["prune", str(tmp_path / "m.keras"), "--inputs", "-o", str(out)]
    assert main(arguments) == 2
    assert "The network uses every channel. Pass readings" in capsys.readouterr().err
    (tmp_path / "x.csv").write_text("a,b,c\n1,0.5,3\n2,0.25,4\n")
    csv = ["--input-names", "a,b,c", "--calibration", str(tmp_path / "x.csv")]
    assert main([*arguments, *csv]) == 2
    assert "uses every channel, and every channel changes." in capsys.readouterr().err
    assert not out.exists()


def test_for_people(model_file, tmp_path, capsys):
    out = tmp_path / "out.keras"
    assert main(["prune", str(model_file), "--units", "50%", "-o", str(out)]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].split() == ["layer", "units", "zero", "least", "median", "largest"]
    assert lines[2].split()[:4] == ["a", "8", "2", "0"]
    assert lines[4] == "a: 8 units, 4 kept"
    assert re.fullmatch(rf"{re.escape(str(out))}  \d+ parameters \(before: \d+\)", lines[-1])
    assert "compile the model and continue training with model.fit" in captured.err
    arguments = ["prune", str(model_file), "--magnitude", "--density", "0.3", "-o", str(out)]
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert "a/recurrent_kernel" in captured.out
    assert "MagnitudePruning(0.3, end_step=0, pattern='8x4')" in captured.err
    assert main(["prune", str(model_file), "--inputs", "-o", str(out)]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("x1: not used by any weight\n2 of 3 channels kept: x0,x2\n")
    assert "quantize with --input-names x0,x2" in captured.err
    assert main(["prune", str(model_file), "--rank", "1", "--layer", "b", "-o", str(out)]) == 0
    assert re.match(
        r"b: rank 1 keeps \d+\.\d\d% of the energy and saves 118 of 144 weights \(new layer b_low",
        capsys.readouterr().out,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of the arguments --units --threshold --inputs --rank --energy --magnitude is"),
        (["--units", "half"], "argument --units: invalid _units value: 'half'"),
        (["--units", "0"], "edgernn prune: a: expected from 1 to 8 units to keep, got 0."),
        (["--units", "0%"], "a: expected a share above 0 and at most 1, got 0.0."),
        (["--units", "2", "--inputs"], "argument --inputs: not allowed with argument --units"),
        (["--units", "2", "--layer", "c"], "expected the name of one recurrent or Dense layer,"),
        (["--units", "2", "--density", "0.5"], "--density: expected it without --units, got both."),
        (["--inputs", "--layer", "a"], "--layer: expected it without --inputs, got both."),
        (["--rank", "2", "--input-names", "a"], "--input-names: expected it without --rank, got"),
        (["--rank", "2"], "--layer: expected one layer with --rank, got 0."),
        (["--energy", "1", "--layer", "a", "--layer", "b"], "one layer with --energy, got 2."),
        (["--magnitude"], "--density: expected a share of weights with --magnitude, got none."),
        (["--magnitude", "--density", "2"], "final_density: expected a density above 0 and at"),
        (
            ["--inputs", "--input-names", "a,b"],
            "input_names: expected 3 strings, one for each of x0, x1, x2, got ('a', 'b')",
        ),
    ],
)
def test_refuses(model_file, tmp_path, arguments, message, capsys):
    out = tmp_path / "out.keras"
    assert main(["prune", str(model_file), *arguments, "-o", str(out)]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_refuses_files(tmp_path, capsys):
    assert main(["prune", "m.keras", "--inputs", "-o", "m.h5"]) == 2
    assert "--output: expected a name ending in .keras, got 'm.h5'." in capsys.readouterr().err
    assert main(["prune", str(tmp_path / "m.keras"), "--inputs", "-o", "n.keras"]) == 2
    assert "expected a Keras model, got nothing at this path" in capsys.readouterr().err
    old = Path(__file__).parents[2] / "golden" / "keras2" / "hard.h5"
    assert main(["prune", str(old), "--inputs", "-o", str(tmp_path / "n.keras")]) == 2
    wanted = "hard.h5: expected a model written by Keras 3, got one by Keras 2, whose hard_sigmoid"
    assert wanted in capsys.readouterr().err


def test_a_stored_registered_cell_is_loaded_by_a_process_that_imported_no_cell(tmp_path):
    from edgernn_export.cells import RegisteredCell

    made = sequential(L.RNN(RegisteredCell("minimal_gru", 4), name="r"), L.Dense(1))
    made.save(tmp_path / "m.keras")
    out = tmp_path / "out.keras"
    arguments = ["--magnitude", "--density", "0.5", "--pattern", "unstructured", "-o", str(out)]
    command = [sys.executable, "-m", "edgernn", "prune", str(tmp_path / "m.keras"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert min(density["all"] for density in densities(keras.saving.load_model(out)).values()) < 1
