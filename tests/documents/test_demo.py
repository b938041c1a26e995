"""`edgernn demo` from the shell: what it writes, what it says, and whether its figures are true."""

import json
import re

import numpy as np
import pytest

from edgernn.model.integer_model import IntegerModel
from tests.support.documents import run_command, run_python

pytestmark = [pytest.mark.slow, pytest.mark.tf]

EPOCHS = 2
HORIZON, TEST_SHARE = 13, 0.85
FILES = {
    "demo.keras", "demo.edgernn", "demo.tflite", "demo.onnx", "demo_w8a16.edgernn",
    "demo_w8a16.tflite", "demo_w8a16.onnx", "demo_readings.csv", "forecast.png", "results.json",
}  # fmt: skip

#: The float forecast by Keras itself, over the whole record as one sequence, scored with pandas.
KERAS_SCORE = f"""
import keras, numpy as np
from statsmodels.datasets import co2
level = co2.load().data["co2"].ffill()
change = level.diff().iloc[1:]
target = (level.shift(-{HORIZON}) - level).iloc[1:].to_numpy()
network = keras.models.load_model("demo.keras")
forecast = network.predict(change.to_numpy()[None, :, None], verbose=0)[0, :, 0]
test = slice(int({TEST_SHARE} * len(change)), len(change) - {HORIZON})
print("RMSE", float(np.sqrt(np.mean((forecast - target)[test] ** 2))))
print("PERSISTENCE", float(np.sqrt(np.mean(target[test] ** 2))))
"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    done = run_command(f"edgernn demo --epochs {EPOCHS} -o out", folder)
    assert done.returncode == 0, done.stderr
    return folder / "out", done


@pytest.fixture(scope="module")
def results(demo):
    return json.loads((demo[0] / "results.json").read_text(encoding="utf-8"))


def test_every_file_is_written(demo):
    folder, _ = demo
    assert {path.name for path in folder.iterdir()} == FILES
    assert (folder / "forecast.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert (folder / "forecast.png").stat().st_size > 50_000


def test_last_line_says_that_nothing_differs(demo):
    assert demo[1].stdout.splitlines()[-1] == "differing values: 0"


def test_tables_fit_a_terminal_and_are_not_cut(demo):
    lines = demo[1].stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in demo[1].stdout


def test_steps_are_announced_in_order(demo):
    said = re.findall(r"\[(\d)/7\]", demo[1].stderr)
    assert said == list("1234567")


def test_every_installed_runtime_ran_over_the_whole_record(results):
    for precision in ("w8a8", "w8a16"):
        stream = results["streams"][precision]
        assert stream["steps"] == 2283
        ran = [o for o in stream["outcomes"] if o["status"] == "ran"]
        assert ran[0]["runtime"] == "reference"
        runtimes = {o["runtime"] for o in ran}
        assert "onnxruntime" in runtimes
        assert runtimes & {"tflite-runtime", "ai-edge-litert"}
        assert len(ran) >= 1 + 4 + 3
        assert {o["compared"] for o in ran} == {2283 * (1 + 24)}
        assert {o["differing"] for o in ran} == {0}
        assert all(0 < o["step_us"] < 1e5 for o in ran)
    assert results["passed"] is True


def test_float_error_is_what_keras_itself_gives(demo, results):
    done = run_python(KERAS_SCORE, demo[0])
    assert done.returncode == 0, done.stderr
    rmse = float(re.search(r"RMSE (\S+)", done.stdout)[1])
    persistence = float(re.search(r"PERSISTENCE (\S+)", done.stdout)[1])
    assert results["test"]["float"]["rmse_ppm"] == pytest.approx(rmse, rel=1e-4)
    assert results["test"]["persistence"]["rmse_ppm"] == pytest.approx(persistence, rel=1e-9)


def test_integer_errors_stay_near_the_float_error(results):
    float_rmse = results["test"]["float"]["rmse_ppm"]
    for precision in ("w8a8", "w8a16"):
        assert results["test"][precision]["rmse_ppm"] == pytest.approx(float_rmse, rel=0.05)
        kept = float_rmse / results["test"][precision]["rmse_ppm"]
        assert results["kept"][precision] == pytest.approx(kept)


def test_bytes_are_those_of_the_files(demo, results):
    sizes = {"float": "demo", "w8a8": "demo", "w8a16": "demo_w8a16"}
    for name, stem in sizes.items():
        for form, size in results["file_bytes"][name].items():
            assert size == (demo[0] / f"{stem}.{form}").stat().st_size


def test_models_say_where_they_come_from(demo):
    for name, precision in (("demo", "w8a8"), ("demo_w8a16", "w8a16")):
        model = IntegerModel.load(demo[0] / f"{name}.edgernn")
        assert model.precision.value == precision
        assert model.provenance.seeds == (("training", 0),)
        assert np.log10(float(model.output.scale[0])) < -2


def test_wrong_usage_ends_with_2(tmp_path):
    done = run_command("edgernn demo --epochs 0", tmp_path)
    assert done.returncode == 2
    assert "--epochs: expected at least 1, got 0" in done.stderr
    assert list(tmp_path.iterdir()) == []
