"""`edgernn compare` and its Python form: figures are those of the parts that measure them."""

import dataclasses
import gzip
import json

import numpy as np
import pytest

from edgernn.cli import main
from edgernn.errors import BackendUnavailable, EdgeRnnError
from edgernn.model.formats import Precision
from edgernn_export import evaluate
from edgernn_export.comparison import compare, comparer
from edgernn_export.evaluation import evaluator
from edgernn_export.simulation import board_costs
from tests.support.models.evaluation import forecaster, readings
from tests.support.models.hand_made import core_named
from tests.support.models.integer import random_model
from tests.support.models.programs import pair


@pytest.fixture(autouse=True)
def without_tensorflow(monkeypatch):
    """The .tflite writer needs the schema that TensorFlow ships."""
    monkeypatch.setattr(comparer, "_FORMATS", ("onnx",))


@pytest.fixture
def files(tmp_path):
    one = random_model("gru_after", Precision.W8A8, inputs=2, units=8, outputs=1)
    other = random_model("lstm", Precision.W8A16, inputs=2, units=12, outputs=1)
    return [one.save(tmp_path / "one.edgernn"), other.save(tmp_path / "other.edgernn")], one, other


def test_sizes_are_those_of_the_files_and_layers_those_of_the_models(files, capsys):
    paths, _, other = files
    assert main(["compare", *map(str, paths), "--no-time", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    first, second = record["models"]
    assert [first["label"], second["label"]] == ["one", "other"]
    assert first["layers"] == "gru_after 8, dense 1" and second["layers"] == "lstm 12, dense 1"
    assert (second["macs"], second["state_bytes"]) == (other.macs, other.state_bytes)
    for path, model in zip(paths, (first, second), strict=True):
        sizes = {size["name"]: size for size in model["sizes"]}
        content = path.read_bytes()
        assert sizes[".edgernn"]["bytes"] == len(content)
        assert sizes[".edgernn"]["gzip_bytes"] == len(gzip.compress(content, 9, mtime=0))
        assert sizes[".onnx"]["bytes"] > 0
    assert first["median_us"] is None and first["score"] is None
    assert main(["compare", *map(str, paths), "--no-time"]) == 0
    table = capsys.readouterr().out
    row = next(line for line in table.splitlines() if line.startswith(".edgernn [B]"))
    assert row.split()[-2:] == [f"{len(path.read_bytes()):,}" for path in paths]
    assert "µs" not in table and "kept" not in table


def test_accuracy_is_that_of_evaluate(tmp_path):
    network, model = forecaster()
    stream = readings(60)
    truth = readings(60, seed=9)[:, 0]
    other = random_model("gru_after", Precision.W8A8, inputs=2, units=8, outputs=1)
    found = compare(
        [model, other], float_models=[network], data=stream, target=truth, timed=False, horizon=1
    )
    for compared, integer in zip(found.models, (model, other), strict=True):
        wanted = evaluate(integer, stream, truth, float_model=network, horizon=1)
        assert compared.metric == wanted.metric == "rmse"
        assert compared.kept == wanted.kept
        assert compared.score == wanted.decides.integer_value
        assert compared.float_score == wanted.decides.float_value
    assert [m.label for m in found.models] == ["gru_after", "gru_after-tame"]
    lines = found.table().splitlines()
    assert any(line.startswith("rmse, float network") for line in lines)
    assert any(line.startswith("kept ") and line.count("%") == 2 for line in lines)
    other_metric = dataclasses.replace(found.models[1], metric="accuracy")
    mixed = dataclasses.replace(found, models=(found.models[0], other_metric))
    row = next(line for line in mixed.table().splitlines() if line.startswith("score "))
    assert " rmse" in row and row.endswith(" accuracy")
    for name, result in (("scores", found), ("bytes", compare([model, other], timed=False))):
        content = result.plot(tmp_path / name / "out.png").read_bytes()
        assert content.startswith(b"\x89PNG")


def test_the_command_scores_models_on_the_columns_of_a_table(tmp_path, monkeypatch, capsys):
    network, model = forecaster()
    names = [str(model.save(tmp_path / f"{name}.edgernn")) for name in "ab"]
    keras = tmp_path / "model.keras"
    keras.write_text("stands for the network", encoding="utf-8")
    monkeypatch.setattr(evaluator, "read_one_stream", lambda *_, **__: network)
    stream, truth = readings(40), readings(40, seed=9)[:, 0]
    pairs = zip(stream.tolist(), truth.tolist(), strict=True)
    rows = [f"{x1!r},{y!r},{x0!r}" for (x0, x1), y in pairs]
    table = tmp_path / "test.csv"
    table.write_text("\n".join(["x1,truth,x0", *rows]) + "\n")
    arguments = ["--float", str(keras), "--data", str(table), "--truth", "truth", "--no-time"]
    picture = tmp_path / "new" / "out.png"
    assert main(["compare", *names, *arguments, "--json", "-o", str(picture)]) == 0
    record = json.loads(capsys.readouterr().out)
    wanted = evaluate(model, stream, truth, float_model=network)
    assert record["data"] == "test.csv"
    for compared in record["models"]:
        assert compared["kept"] == pytest.approx(wanted.kept)
        assert compared["score"] == pytest.approx(wanted.decides.integer_value)
    assert picture.is_file()


def test_boards_are_those_of_board_costs(files, capsys):
    core_named("cortex-m4")
    paths, one, other = files
    arguments = ["compare", *map(str, paths), "--no-time", "--target", "uno-r4"]
    assert main([*arguments, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    for model, integer in zip(record["models"], (one, other), strict=True):
        (wanted,) = board_costs(integer, ["uno-r4"])
        assert model["boards"] == [wanted.record()]


def test_time_is_measured_or_its_absence_is_explained(files, monkeypatch):
    paths, *_ = files

    def missing(*_, **__):
        raise BackendUnavailable("native")

    monkeypatch.setattr(comparer, "benchmark", missing)
    found = compare(paths)
    assert found.models[0].median_us is None
    assert "– µs per step: the native back-end is not installed" in found.table().splitlines()


def test_a_writer_that_is_not_installed_is_named(files, monkeypatch):
    def missing(*_, **__):
        raise ImportError("no onnx", name="onnx")

    monkeypatch.setattr(comparer, "export", missing)
    found = compare(files[0], timed=False)
    assert found.models[0].size(".onnx") is None
    assert "– .onnx: onnx is not installed" in found.table().splitlines()


def test_models_of_one_name_get_numbers(files):
    _, one, _ = files
    found = compare([one, one, one], timed=False)
    assert [m.label for m in found.models] == [one.name, f"{one.name} (2)", f"{one.name} (3)"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": 1}, "expected at least two models, got 1"),
        ({"float_models": ["a"] * 3, "data": np.zeros((4, 2))}, "for all models or 2, one for eac"),
        ({"float_models": ["a"]}, "--data: expected test data to measure accuracy on, got none"),
        ({"target": "y"}, "--data: expected test data"),
        ({"boards": ["picoo"]}, "Did you mean 'pico'"),
    ],
)
def test_what_cannot_be_compared_is_refused(options, message, files, monkeypatch):
    monkeypatch.setattr(comparer, "_sizes", lambda *_: pytest.fail("it measured"))
    models = files[0][: options.pop("models", 2)]
    with pytest.raises(EdgeRnnError, match=message):
        compare(models, **options)


def test_programs_are_refused_by_name(files, tmp_path):
    path = pair().save(tmp_path / "pair.edgernn")
    with pytest.raises(EdgeRnnError, match="expected one model, got the programs encode, decode"):
        compare([files[0][0], path], timed=False)


def test_wrong_arguments_of_the_command(files, capsys):
    names = list(map(str, files[0]))
    assert main(["compare", *names, "-o", "out.pdf"]) == 2
    assert "expected a name ending in .png" in capsys.readouterr().err
    assert main(["compare", *names, "--truth", "y", "--labels", names[0]]) == 2
    assert "expected it or --labels, got both" in capsys.readouterr().err
    assert main(["compare", *names, "--metric", "rmse"]) == 2
    assert "--data: expected it together with --metric" in capsys.readouterr().err
    assert main(["compare", names[0], "missing.edgernn"]) == 2
    assert "missing.edgernn" in capsys.readouterr().err
