"""`edgernn evaluate` and recordings from files: every form gives the figures of the arrays."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgernn.cli import main
from edgernn.errors import EdgeRnnError
from edgernn.model.integer_model import IntegerModel
from edgernn.prepare.preparation import Preparation
from edgernn.records.opening import TableOptions
from edgernn_export import evaluate
from edgernn_export.evaluation import evaluator
from tests.support.models.evaluation import classifier, forecaster, readings

STEPS = 40
WINDOW = {"kind": "window", "channel": "x", "readings": 3, "features": ["mean"]}


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A model, its float network under a name that stands for a Keras file, and a table."""
    network, model = forecaster()
    model.save(tmp_path / "model.edgernn")
    (tmp_path / "model.keras").write_text("stands for the network", encoding="utf-8")
    monkeypatch.setattr(
        evaluator,
        "read_one_stream",
        lambda source, **_: network if network is not source else source,
    )
    stream, target = readings(STEPS), readings(STEPS, seed=9)[:, 0]
    lines = [
        f"2024-01-{1 + t // 10:02d},{x1!r},{target[t]!r},{'ab'[t % 2]},{x0!r}"
        for t, (x0, x1) in enumerate(stream.tolist())
    ]
    table = "\n".join(["day,x1,truth,half,x0", *lines[:5], "", *lines[5:]])
    (tmp_path / "test.csv").write_text(table + "\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return network, model, stream, target


def command(*arguments):
    return main(["evaluate", "model.edgernn", *arguments])


def figures(found):
    """All that does not name places in the recording."""
    record = found if isinstance(found, dict) else json.loads(found.to_json())
    return {name: value for name, value in record.items() if name != "worst"}


def test_a_table_gives_the_figures_of_its_columns(files, capsys):
    network, model, stream, target = files
    expected = evaluate(model, stream, target, float_model=network, horizon=2)
    assert (
        command(
            "--float", "model.keras", "--data", "test.csv", "--target", "truth", "--horizon", "2",
            "--time", "day", "--json", "-o", "out/figures.json",
        )
        == 0
    )  # fmt: skip
    printed = json.loads(capsys.readouterr().out)
    assert figures(printed) == figures(expected)
    assert json.loads(Path("out/figures.json").read_text(encoding="utf-8")) == printed
    for moment, other in zip(printed["worst"], expected.worst, strict=True):
        row = other.place
        assert moment["place"] == row + 2 + (row >= 5)  # a header, and a blank line after five
        assert moment["time"] == f"2024-01-{1 + row // 10:02d}"


def test_json_lines_arrays_and_labels(files):
    network, model, stream, target = files
    expected = figures(evaluate(model, stream, target, float_model=network))
    objects = [
        json.dumps({"truth": t, "x1": x1, "x0": x0})
        for (x0, x1), t in zip(stream.tolist(), target.tolist(), strict=True)
    ]
    Path("test.jsonl").write_text("\n".join(objects), encoding="utf-8")
    np.save("test.npy", stream)
    np.savez("test.npz", x=stream, y=target)
    np.save("labels.npy", target)
    labels = "\n".join(["truth", *map(repr, target.tolist())])
    Path("labels.csv").write_text(labels, encoding="utf-8")
    for data, given in (
        ("test.jsonl", "truth"),
        ("test.npy", target),
        ("test.npy", Path("labels.npy")),
        ("test.npy", Path("labels.csv")),
        ("test.csv", Path("labels.csv")),
        ("test.npz", None),
    ):
        found = evaluate("model.edgernn", data, given, float_model=network)
        assert figures(found) == expected, (data, given)


def test_a_data_frame_is_a_table(files):
    pandas = pytest.importorskip("pandas")
    network, model, _, _ = files
    frame = pandas.read_csv("test.csv", float_precision="round_trip")
    of_frame = evaluate(model, frame, "truth", float_model=network, group="half")
    of_file = evaluate(model, "test.csv", "truth", float_model=network, group="half")
    assert figures(of_frame) == figures(of_file)
    with pytest.raises(EdgeRnnError, match=r"columns x0, x1, trut, got none named trut"):
        evaluate(model, frame, "trut")


def test_each_value_of_a_group_is_a_stream_from_the_zero_state(files, capsys):
    network, model, stream, target = files
    expected = evaluate(
        model, [stream[::2], stream[1::2]], [target[::2], target[1::2]], float_model=network
    )
    assert (
        command(
            "--float", "model.keras", "--data", "test.csv", "--target", "truth", "--group",
            "half", "--json",
        )
        == 0
    )  # fmt: skip
    printed = json.loads(capsys.readouterr().out)
    assert figures(printed) == figures(expected)
    assert {m["stream"] for m in printed["worst"]} <= {"half a", "half b"}


def test_sequences_of_a_file_have_a_label_each(tmp_path):
    network, model = classifier()
    sequences = np.stack([readings(12, seed=s) for s in range(8)])
    labels = np.arange(8) % 3
    np.save(tmp_path / "x.npy", sequences)
    expected = evaluate(model, sequences, labels, float_model=network)
    names = np.array(model.output.names)[labels]
    (tmp_path / "y.csv").write_text("\n".join(names), encoding="utf-8")
    for given in (labels, tmp_path / "y.csv"):
        found = evaluate(model, tmp_path / "x.npy", given, float_model=network)
        assert figures(found) == figures(expected)
    assert found.answers == 8  # the last of each


@pytest.mark.parametrize(("asked", "code"), [(0.1, 0), (1e9, 1)])
def test_exit_code_tells_whether_enough_is_kept(files, asked, code, capsys):
    arguments = ("--float", "model.keras", "--data", "test.csv", "--target", "truth")
    assert command(*arguments, "--min-kept", str(asked)) == code
    said = capsys.readouterr()
    kept = evaluate("model.edgernn", "test.csv", "truth", float_model=files[0]).kept
    assert said.err.startswith(f"{100 * kept:.2f} % of rmse kept, ")
    assert f"{100 * kept:.2f} %" in said.out


def test_a_metric_without_a_value_keeps_nothing(files, capsys):
    np.save("zeros.npy", np.zeros(STEPS))
    arguments = ("--float", "model.keras", "--data", "test.csv", "--labels", "zeros.npy")
    assert command(*arguments, "--metric", "mape", "--min-kept", "99") == 1
    assert "expected mape of both models, got none" in capsys.readouterr().err


def test_the_table_and_the_picture(files, capsys):
    arguments = ("--float", "model.keras", "--data", "test.csv", "--target", "truth")
    assert command(*arguments, "--plot", "pictures/test.png") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "gru_after w8a8 on an endless stream: 40 outputs for 40 readings in 1 stream"
    )
    assert any(line.startswith("rmse") and line.endswith("%  < decides") for line in lines)
    assert "clipped readings: none" in lines
    assert Path("pictures/test.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--data", "none.csv"], "No such file or directory ('none.csv')"),
        (["--data", "test.csv", "--float", "no.keras"], "No such file or directory ('no.keras')"),
        (["--data", "test.csv", "--plot", "p.jpg"], "--plot: expected a name ending in .png"),
        (["--data", "test.csv", "--min-kept", "99"], "--min-kept: expected --float and targets"),
        (
            ["--data", "test.csv", "--float", "model.keras", "--min-kept", "99"],
            "got no targets. Pass the network with --float",
        ),
        (
            ["--data", "test.csv", "--target", "price"],
            "expected a table with the columns price, got one with",
        ),
        (
            ["--data", "test.csv", "--group", "room"],
            "expected a table with the columns room, got one with day",
        ),
        (["--data", "test.npy", "--target", "truth"], "expected a table with the columns truth"),
        (["--data", "test.csv", "--labels", "test.npy"], "one for each output, got 2"),
        (["--data", "test.csv", "--labels", "short.npy"], "one per reading (40 in the first of 1"),
        (["--data", "test.csv", "--horizon", "-1", "--target", "truth"], "horizon: expected a"),
        (["--data", "test.csv", "--target", "day"], "expected names of outputs (y0), got"),
    ],
)
def test_refusals(files, arguments, text, capsys):
    np.save("test.npy", files[2])
    np.save("short.npy", files[3][:7])
    assert command(*arguments) == 2
    assert text in capsys.readouterr().err


def with_gap(name):
    """The table without a value of x1 in the fourth line, the third reading."""
    lines = Path("test.csv").read_text(encoding="utf-8").splitlines()
    day, _, truth, half, x0 = lines[3].split(",")
    lines[3] = f"{day},,{truth},{half},{x0}"
    Path(name).write_text("\n".join(lines), encoding="utf-8")


def test_a_missing_reading_is_refused_or_held_or_left_out(files, capsys):
    network, model, stream, target = files
    with_gap("gap.csv")
    assert command("--data", "gap.csv", "--target", "truth") == 2
    assert "gap.csv, line 4: expected a number, got an empty cell" in capsys.readouterr().err
    held = stream.copy()
    held[2, 1] = stream[0, 1]  # of its own stream, not of the reading before
    arguments = ("--float", "model.keras", "--data", "gap.csv", "--target", "truth", "--json")
    pairs = [held[::2], held[1::2]], [target[::2], target[1::2]]
    expected = evaluate(model, *pairs, float_model=network)
    assert command(*arguments, "--group", "half", "--on-bad-reading", "hold") == 0
    assert figures(json.loads(capsys.readouterr().out)) == figures(expected)
    rest = np.arange(STEPS) != 2
    expected = evaluate(model, stream[rest], target[rest], float_model=network)
    assert command(*arguments, "--on-bad-reading", "skip") == 0
    assert figures(json.loads(capsys.readouterr().out)) == figures(expected)
    gap = stream.copy()
    gap[2, 1] = np.nan
    found = evaluate(model, gap, target, float_model=network, on_missing="skip")
    assert figures(found) == figures(expected)
    with pytest.raises(EdgeRnnError, match=r"got none in stream 0\."):
        evaluate(model, np.full((4, 2), np.nan), on_missing="hold")


def test_tables_as_people_have_them(files):
    network, model, _, _ = files
    expected = figures(evaluate(model, "test.csv", "truth", float_model=network))
    text = Path("test.csv").read_text(encoding="utf-8")
    text = text.replace(",", ";").replace(".", ",").replace("x0", "left").replace("x1", "right")
    with gzip.open("export.csv.gz", "wt", encoding="utf-16") as file:
        file.write(text)
    options = TableOptions(columns=("left", "right"), encoding="utf-16")
    for wanted in ("truth", "3"):
        found = evaluate(model, "export.csv.gz", wanted, float_model=network, table=options)
        assert figures(found) == expected


def test_raw_readings_of_a_model_with_a_preparation_are_named(files):
    raw = Preparation.from_table(
        {"inputs": ["x"], "outputs": ["x", "x_mean_3"], "steps": [WINDOW]}, "raw"
    )
    model = IntegerModel.load("model.edgernn")
    replace(model, input=replace(model.input, names=raw.channels), preparation=raw).save(
        "p.edgernn"
    )
    Path("raw.csv").write_text("x,truth\n1,2\n3,4\n", encoding="utf-8")
    with pytest.raises(EdgeRnnError, match=r"x_mean_3.* make them with edgernn_export\.prepare"):
        evaluate("p.edgernn", "raw.csv", "truth")


def test_json_lines_without_the_key_are_refused(files):
    Path("test.jsonl").write_text('{"x0": 1, "x1": 2}\n{"x0": 2, "x1": 0}\n', encoding="utf-8")
    with pytest.raises(EdgeRnnError, match="expected a column 'truth', got none with a value"):
        evaluate("model.edgernn", "test.jsonl", "truth")


def test_sensors_are_not_mixed_in_silence(files, capsys):
    text = Path("test.csv").read_text(encoding="utf-8").replace("half", "sensor")
    Path("sensors.csv").write_text(text, encoding="utf-8")
    assert command("--data", "sensors.csv", "--target", "truth") == 2
    assert "expected the readings of one sensor" in capsys.readouterr().err
    assert command("--data", "sensors.csv", "--target", "truth", "--group", "sensor") == 0


def test_arguments_are_checked_before_keras_is_imported(files, capsys):
    code = (
        "import sys; from edgernn.cli import main; "
        "c = main(['evaluate', 'model.edgernn', '--float', 'x', '--data', 'none.csv']); "
        "assert 'keras' not in sys.modules and 'tensorflow' not in sys.modules; sys.exit(c)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "No such file or directory ('x')" in done.stderr
