"""`edgernn bench` on the device floor: native and reference, nothing exported, nothing trained."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import edgernn
from edgernn.backends.native import is_available
from edgernn.bench import benchmark, measurement, programs
from edgernn.cli import main
from edgernn.errors import BackendMismatch, EdgeRnnError
from edgernn.install import hint
from edgernn.model.formats import Precision
from edgernn.model.interface import Rate, Window
from tests.support.models.integer import random_model
from tests.support.models.programs import pair
from tests.support.models.rates import strided_chain
from tests.support.models.tokens import token_models

pytestmark = pytest.mark.device
QUICK = ("--rounds", "2", "--streams", "2", "--backends", "reference,native")
FIRST = "native" if is_available() else "reference"


@pytest.fixture(autouse=True)
def nothing_is_exported(monkeypatch):
    """The workstation's part as a device has it: not at all."""
    monkeypatch.setitem(measurement._WORKSTATION, "export", "no_such_package:write")


@pytest.fixture
def model_file(tmp_path):
    return str(random_model("gru_after", Precision.W8A8).save(tmp_path / "net.edgernn"))


def test_json_holds_every_figure(model_file, capsys):
    assert main(["bench", model_file, *QUICK, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    model = edgernn.IntegerModel.load(model_file)
    assert found["model_sha256"] == model.sha256
    assert (found["macs"], found["state_bytes"]) == (model.macs, model.state_bytes)
    assert (found["passed"], found["checks"], found["compared"]) == (True, [], 200)
    for timing in found["timings"]:
        assert timing["exact"]
        assert 0 < timing["median_us"] <= timing["p95_us"] <= timing["p99_us"]
        assert timing["calls"] >= 2 * 8
    ways = {(t["program"], t["way"]) for t in found["timings"]}
    assert ways >= {(FIRST, "step"), ("reference", "step")}
    assert {(t["program"], t["way"], t["streams"]) for t in found["throughput"]} == {
        (FIRST, way, count) for way in ("step", "run") for count in (1, 2)
    }
    size = {entry["name"]: entry["bytes"] for entry in found["sizes"]}
    assert size[".edgernn"] == Path(model_file).stat().st_size
    assert {".tflite file", ".onnx file"} <= {entry["what"] for entry in found["left_out"]}
    assert found["machine"]["versions"]["numpy"] == np.__version__


def test_table_names_what_is_left_out_and_broken_limits_fail(model_file, capsys):
    limits = ("--max-ms", "1e-9", "--max-kb", "1000")
    assert main(["bench", model_file, *QUICK, *limits]) == 1
    text = capsys.readouterr().out
    for start in ("µs per step", "steps per second", "format", "Left out", "Limits"):
        assert any(line.startswith(start) for line in text.splitlines()), start
    assert "  .onnx file: no_such_package is not installed; export it on the workstation" in text
    assert f"  ✗ step on {FIRST}" not in text or FIRST == "reference"
    assert "  ✗ step on reference, p99: " in text  # the slowest that was named
    assert "  ✓ .edgernn file: " in text


def test_counts_are_the_same_in_every_run(model_file):
    first, second = (
        benchmark(model_file, backends=["reference"], streams=1, rounds=1) for _ in range(2)
    )
    for name in ("model_sha256", "macs", "compared", "sizes", "state_bytes", "left_out"):
        assert getattr(first, name) == getattr(second, name)


@pytest.mark.skipif(not is_available(), reason="the reference is what others are compared with")
def test_a_backend_that_differs_is_refused_before_any_figure(model_file, monkeypatch, capsys):
    honest = measurement.probe_of

    def forged(model, readings):
        probe = honest(model, readings)
        probe.ys[-1, -1] = np.nextafter(probe.ys[-1, -1], np.inf)
        return probe

    monkeypatch.setattr(measurement, "probe_of", forged)
    assert main(["bench", model_file, *QUICK]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "expected the reference's outputs for 200 readings, got 1 of" in told.err


def test_a_wrong_board_is_refused_before_anything_is_opened(model_file, monkeypatch, capsys):
    monkeypatch.setattr(measurement, "Worker", lambda *_: pytest.fail("opened a process"))
    assert main(["bench", model_file, "--target", "picoo"]) == 2
    assert "Did you mean 'pico'" in capsys.readouterr().err


def test_a_runtime_that_crashes_is_left_out(monkeypatch):
    crashing = programs.OWN["onnxruntime"]._replace(
        opener="os:abort", package="numpy", needs="edgernn"
    )
    monkeypatch.setitem(programs.OWN, "onnxruntime", crashing)
    found = benchmark(
        random_model("lstm", Precision.W8A8), backends=["onnxruntime", "reference"], rounds=1
    )
    assert {timing.program for timing in found.timings} == {"reference"}
    reasons = {one.what: one.why for one in found.left_out}
    assert "got a process that ended with" in reasons["onnxruntime"]


def test_readings_of_a_table_are_used_and_incomplete_ones_left_out(tmp_path):
    model = random_model("lstm", Precision.W8A16, inputs=2)
    names = model.input.names
    rows = [f"{0.01 * t},{-0.01 * t}" for t in range(50)]
    rows[7] = "0.5,"
    (tmp_path / "r.csv").write_text("\n".join([",".join(names), *rows]), encoding="utf-8")
    found = benchmark(model, backends=["reference"], data=tmp_path / "r.csv", streams=1, rounds=1)
    assert (found.compared, found.readings) == (49, "r.csv, 1 incomplete readings left out")


@pytest.mark.parametrize("shape", [(6, 4), (6,), (1, 6, 4)])
def test_arrays_of_another_width_are_refused(tmp_path, shape):
    model = random_model("lstm", Precision.W8A16, inputs=2)
    np.save(tmp_path / "a.npy", np.zeros(shape))
    for data in (np.zeros(shape), tmp_path / "a.npy"):
        with pytest.raises(EdgeRnnError, match=r"expected numbers of shape \[T, 2\]"):
            benchmark(model, backends=["reference"], data=data)


def models():
    window = dataclasses.replace(
        random_model("gru_after", Precision.W8A8), window=Window(steps=12, hop=5)
    )
    yield "every 5 readings, each from the last 12 readings", window
    yield "every", strided_chain(Precision.W8A8, Rate(readings=3, first=4))
    yield "every reading", next(iter(token_models().values()))


@pytest.mark.parametrize(("said", "model"), list(models()))
def test_windows_rates_and_tokens(said, model):
    found = benchmark(model, backends=[FIRST, "reference"], streams=2, rounds=1)
    assert said in found.stream
    assert found.timing(FIRST).calls >= 8


def test_programs_are_benchmarked_one_by_one(tmp_path, capsys):
    path = str(pair().save(tmp_path / "pair.edgernn"))
    assert main(["bench", path, *QUICK]) == 2
    assert "Benchmark one of them with: --program encode" in capsys.readouterr().err
    assert main(["bench", path, *QUICK, "--program", "decode", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "decode"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--peers"], "Pass it with: --float NETWORK"),
        (["--backends", "tpu"], "expected names among native, tflite-runtime"),
        (["--streams", "0"], "bench: streams: expected 1 to 1024, got 0"),
        (["--min-kept", "95"], "got no float network"),
        (["--horizon", "1"], "--horizon: expected --truth as well"),
        (["--group", "site"], "--group: expected --truth as well"),
        (["--truth", "y"], "--truth: expected --data as well"),
        (["--files", "model.bin"], "expected existing .tflite or .onnx files"),
        (["-o", "bench.pdf"], "expected a name ending in .png"),
        (["--max-ms", "-1"], "bench: max_ms: expected a number above 0"),
    ],
)
def test_wrong_arguments_are_refused_in_a_sentence(model_file, options, message, capsys):
    assert main(["bench", model_file, *options]) == 2
    assert message in capsys.readouterr().err


def test_an_exported_file_is_no_model(tmp_path, capsys):
    (tmp_path / "model.tflite").write_bytes(b"")
    assert main(["bench", str(tmp_path / "model.tflite")]) == 2
    assert "Pass exported files of the model with --files" in capsys.readouterr().err


def test_a_program_that_is_not_installed_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(programs, "is_installed", lambda _: False)
    said = programs.missing_text(programs.OWN["onnxruntime"])
    assert said == f"not installed; get it with: {hint('onnx')}"
    assert "C compiler" in programs.missing_text(programs.OWN["native"])
    assert list(programs.chosen_programs(["tflite"])) == ["tflite-runtime", "ai-edge-litert"]


def test_a_file_of_another_model_is_refused(tmp_path):
    from edgernn.bench.own_backends import open_own

    model, other = (random_model("lstm", Precision.W8A8, seed=seed) for seed in (0, 1))
    measurement.probe_of(model).save(tmp_path / "probe.npz")
    order = {
        "file": str(other.save(tmp_path / "other.edgernn")), "backend": "reference", "options": {},
        "program": "reference", "form": "w8a8", "sha256": model.sha256, "float_ys": None,
        "probe": str(tmp_path / "probe.npz"), "streams": [],
    }  # fmt: skip
    with pytest.raises(BackendMismatch, match="expected a file of the model"):
        open_own("net", order)


def test_too_few_readings_for_a_window_are_refused():
    model = dataclasses.replace(random_model("lstm", Precision.W8A8), window=Window(steps=9))
    with pytest.raises(EdgeRnnError, match="expected at least 9 readings"):
        measurement.probe_of(model, np.zeros((8, model.input.width)))
