"""The recipes of forecasts, on small data: what they write, and equal integers everywhere."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgernn.backends.native import NativeBackend
from edgernn.errors import TrainingError
from edgernn.model.integer_model import IntegerModel
from edgernn_export import quantize
from edgernn_export.datasets import Dataset, DataSource, Part, soil_moisture
from edgernn_export.training import Network, find_recipe
from edgernn_export.training.networks import repeatable_keras
from edgernn_export.training.pipeline import Order, produce
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.training.soil_files import drying, write_record

pytestmark = pytest.mark.tf


def test_the_soil_recipe_writes_a_model_that_prepares_and_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGERNN_DATA", str(tmp_path))
    write_record(tmp_path, drying(seed=7))
    recipe = find_recipe("soil_moisture")
    plan = replace(recipe.training, batch=16, window_steps=32, stride_steps=32)
    recipe = replace(recipe, training=plan)
    order = Order(
        seed=0, network=replace(recipe.network, units=6), epochs=1, density=None, pattern="8x4",
        precision="w8a16", qat_epochs=None, formats=(), out=tmp_path / "out",
    )  # fmt: skip
    data = soil_moisture()
    with pytest.raises(TrainingError, match="as the last input for cell CfC, got 'refill'"):
        recipe.build(recipe, Network(cell="CfC"), data)
    result = produce(recipe, data, order)
    model = IntegerModel.load(tmp_path / "out/soil_moisture.edgernn")
    assert model.output.names == ("change_1h", "change_24h", "margin_24h")
    assert model.preparation == data.preparation
    assert model.decisions is not None
    assert model.decisions.results == ("irrigate",)

    xs = data.test.x[0]
    codes = model.interface().quantize(xs)
    answers = NativeBackend(model).new_stream().advance(codes)
    np.testing.assert_array_equal(answers, Reference(model).run(codes[None])[0][0])
    said = model.interface().dequantize(answers)
    # The margin is the sum that the network makes of its inputs and its second output.
    margin = xs[:, 0] + said[:, 1] - xs[:, -1]
    step = model.input.scale.max() + model.output.scale.max()
    assert np.abs(said[:, 2] - margin).max() < 3 * step

    report = result.report
    assert report is not None
    assert {*report.record["test"]} == {"no change", "the last change again", "float", "w8a16"}
    scores = report.record["test"]
    assert scores["w8a16"] == result.scores["w8a16"]["test"]
    assert f"{scores['no change']['mae_24h']:.3f} %" in report.text
    assert "Beds that become dry in the test part: " in report.text
    with (tmp_path / "out/test.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * data.test.x.shape[1]
    last = [float(rows[-1][name]) for name in (*data.input_names, "true_change_24h")]
    change = data.test.target[1, -1, 1] - data.test.base[1, -1, 1]
    np.testing.assert_allclose(last, [*data.test.x[1, -1], change])
    assert (tmp_path / "out/replay.csv").read_text("utf-8") == data.files["replay.csv"]


def test_168_outputs_become_integers() -> None:
    """The network of the recipe ett, with the widths of its data and random readings."""
    recipe = find_recipe("ett")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(1, 150, 18)), rng.normal(size=(1, 150, 168))
    part = Part(x=x, target=y, base=np.zeros_like(y), scored_from=0)
    scales = rng.uniform(0.5, 4.0, 168)
    data = Dataset(
        name="made up", source=DataSource(home="here", licence="none", citation="nobody"),
        protocol="", train=part, validation=part, test=part, classes=(), metric="mse",
        metric_unit="", target_scale=scales, metric_scale=np.ones(168),
        input_names=tuple(f"x{i}" for i in range(18)), input_units=("",) * 18,
        output_names=tuple(f"y{i}" for i in range(168)), output_units=("",) * 168,
        step_ms=1000.0, calibration_stride=1,
    )  # fmt: skip
    repeatable_keras(0)
    network = recipe.build(recipe, recipe.network, data)
    model = quantize(
        network, data.calibration(), "w8a8", **data.labels(), stream="endless", progress=False
    )
    codes = model.interface().quantize(x[0])
    answers = NativeBackend(model).new_stream().advance(codes)
    np.testing.assert_array_equal(answers, Reference(model).run(codes[None])[0][0])
