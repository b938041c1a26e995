"""The native benchmark's checks, its turns and its tables; no test depends on a time."""

import ctypes
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edgernn
from benchmarks import native_step
from benchmarks.native import contenders, peers, report, weight_read, workers
from benchmarks.pages.markdown import stored
from edgernn.bench import workers as processes
from edgernn.model.formats import Precision
from tests.support.models.integer import random_model
from tests.support.native.compilers import require

ROOT = Path(__file__).resolve().parents[2]
PEER_TIMES = {
    ("numpy", "float", "step"): 4000,
    ("tflite-runtime", "float", "views, run"): 2000,
    ("tflite-runtime", "float", "set_tensor"): 3000,
}
NATIVE_TIMES = {"bind": 100, "step": 200, "run": 80, "run_codes": 60}


def figure(network, program, form, way, median, isa=""):
    keys = ("network", "program", "form", "way", "isa", "median", "p10")
    return dict(zip(keys, (network, program, form, way, isa, median, median), strict=True))


@pytest.fixture
def record():
    """Round times, so that every ratio can be told by hand."""
    figures = []
    for network in contenders.NETWORKS:
        for form in ("w8a8", "w8a16"):
            for way, ns in NATIVE_TIMES.items():
                figures.append(figure(network, "native", form, way, ns, "fast"))
            figures.append(figure(network, "native", form, "run", 500, "slow"))
        figures += [figure(network, *key, ns) for key, ns in PEER_TIMES.items()]
        figures.append(figure(network, "weight read", "bytes", "pass", 50))
    machine = {"processor": "P", "architecture": "a", "system": "S", "python": "3", "compiler": "c"}
    return {
        "machine": machine | {"versions": {"numpy": "1"}},
        "pinned": True,
        "rounds": 2,
        "weight_bytes": dict.fromkeys(contenders.NETWORKS, 1234),
        "nanoseconds": figures,
    }


def rows(text, start):
    return [line for line in text.splitlines() if line.startswith(f"| {start}")]


def test_committed_results_hold_every_contender():
    record = stored("native_step")
    assert_complete(record)


def assert_complete(record):
    wanted = {
        ("native", form, way)
        for form in ("w8a8", "w8a16")
        for way in ("bind", "step", "run", "run_codes")
    }
    wanted |= {("numpy", "float", "step"), ("weight read", "bytes", "pass")}
    wanted |= {
        ("onnxruntime", form, way)
        for form in ("w8a8", "float")
        for way in ("step", "run", "dictionaries")
    }
    for runtime in ("tflite-runtime", "ai-edge-litert"):
        wanted |= {(runtime, "w8a8", f"views, {way}") for way in ("step", "run")}
        wanted |= {
            (runtime, form, way)
            for form in ("float", "int8, converter")
            for way in ("views, step", "views, run", "set_tensor")
        }
    assert list(record["weight_bytes"]) == list(contenders.NETWORKS)
    for network in contenders.NETWORKS:
        found = [f for f in record["nanoseconds"] if f["network"] == network]
        assert {(f["program"], f["form"], f["way"]) for f in found} == wanted
        assert {f["isa"] for f in found if f["program"] == "native"} >= {"portable"}
        assert all(0 < f["p10"] <= f["median"] for f in found)


def test_speed_ratios_by_hand(record):
    any_way, public = rows(report.section(record), "LSTM-64/8 | tflite-runtime")
    ratios = "20.0× | 10.0× | 25.0×"
    assert any_way == (
        f"| LSTM-64/8 | tflite-runtime, float, views, run | 2.00 | {ratios} | {ratios} |"
    )
    ratios = "30.0× | 15.0× | 37.5×"
    assert public == (
        f"| LSTM-64/8 | tflite-runtime, float, set_tensor | 3.00 | {ratios} | {ratios} |"
    )


def test_read_limit_by_hand(record):
    assert rows(report.section(record), "GRU-128/64 | 1,234") == [
        "| GRU-128/64 | 1,234 | 0.050 | 1.60× | 1.20× | 1.60× | 1.20× |"
    ]


def test_networks_of_other_layers_have_a_table_of_their_own(record):
    assert "run as single operations" not in report.section(record)
    for form, ns in (("w8a8", 300), ("w8a16", 400)):
        for way in NATIVE_TIMES:
            record["nanoseconds"].append(figure("Conv1D", "native", form, way, ns, "fast"))
    text = report.section(record)
    assert "run as single operations" in text
    times = " | ".join(["0.300"] * len(NATIVE_TIMES))
    assert rows(text, "Conv1D")[0] == f"| Conv1D | `w8a8` | {times} |"
    assert len(rows(text, "Conv1D")) == len(Precision)


@pytest.mark.parametrize("network", contenders.OTHERS)
def test_other_networks_take_their_steps_natively_and_nowhere_else(network, tmp_path):
    found = workers.open_contenders(workers.ARRAYS, network, tmp_path)
    ways = {(c.program, c.form, c.way) for c in found}
    assert ways == {("native", p.value, way) for p in Precision for way in NATIVE_TIMES}
    for group in workers.TFLITE:
        assert workers.open_contenders(group, network, tmp_path) == []


def test_instruction_sets_and_bold_peer(record):
    text = report.section(record)
    assert rows(text, "`fast`")[0] == "| `fast` | `w8a8` | 0.080 | 0.080 | 0.080 |"
    assert rows(text, "`slow`")[1] == "| `slow` | `w8a16` | 0.500 | 0.500 | 0.500 |"
    assert rows(text, "tflite-runtime | float | views")[0].endswith("| **2.00** |")
    assert text.count("**") == 2 * len(contenders.NETWORKS)


@pytest.mark.parametrize("network", contenders.NETWORKS)
def test_numpy_step_is_the_float_model(network):
    (contender,) = peers.numpy_contenders(network)  # refuses another step
    assert (contender.program, contender.steps) == ("numpy", 50)


def test_a_differing_float_step_is_refused():
    ys = np.zeros((5, contenders.OUTPUTS))
    with pytest.raises(SystemExit, match=r"^me: expected the float model within 0\.0001, got "):
        peers.check_float("me", "GRU-32/8", ys)
    with pytest.raises(SystemExit, match=r"within 0\.1, got 1\."):
        peers.check_float("me", "GRU-32/8", ys, share_of_rms=0.1)
    with pytest.raises(SystemExit, match="got nan"):
        peers.check_float("me", "GRU-32/8", ys * np.nan)


@pytest.mark.filterwarnings("ignore::edgernn.ClippedReadingsWarning")
@pytest.mark.parametrize("precision", Precision)
def test_a_session_with_other_weights_is_refused(precision):
    model = contenders.integer_model("GRU-32/8", precision)
    other = random_model("gru_after", precision, seed=1, inputs=8, units=32, outputs=4)
    contenders.check_native("me", model, edgernn.load(model, backend="reference"))
    with pytest.raises(SystemExit, match=r"^me: expected the reference's outputs, got others"):
        contenders.check_native("me", model, edgernn.load(other, backend="reference"))


def test_weight_bytes_of_the_largest_network():
    model = contenders.integer_model("GRU-128/64", Precision.W8A8)
    assert weight_read.weight_bytes(model) == 3 * 128 * (64 + 128) + 4 * 128


@pytest.mark.parametrize("size", [1, 64, 448, 512, 3968, 74240])
def test_reader_reads_every_byte_in_every_pass(size):
    require("gcc")
    memory = weight_read.aligned(size)
    assert memory.ctypes.data % 64 == 0
    assert size <= memory.size < size + 64
    address = memory.ctypes.data_as(ctypes.c_void_p)
    for passes in (0, 1, 7):
        expected = passes * int(memory.view(np.uint64).sum(dtype=object)) % 2**64
        assert weight_read.load_reader()(address, memory.size, passes) == expected


def test_every_round_gives_every_contender_one_turn():
    calls = []

    class Fake:
        def __init__(self, name):
            self.labels = {
                n: [(name, "f", "a", ""), (name, "f", "b", "")] for n in native_step.NETWORKS
            }
            self.name = name

        def take_turn(self, network, index):
            calls.append((network, self.name, index))
            return float(len(calls))

    samples = native_step.take_turns([Fake("one"), Fake("two")], rounds=3)
    turns = [(n, w, i) for n in native_step.NETWORKS for w in ("one", "two") for i in (0, 1)]
    assert calls == turns * 3
    assert samples["LSTM-64/8", ("two", "f", "a", "")] == [7.0, 19.0, 31.0]


def test_a_turn_is_warmed_and_timed_per_step(monkeypatch):
    clock, turns = [0], []

    def turn():
        turns.append(clock[0])
        clock[0] += 5000

    monkeypatch.setattr(processes.time, "perf_counter_ns", lambda: clock[0])
    assert processes.per_step_ns(contenders.Contender("p", "f", "w", 50, turn)) == 100.0
    assert len(turns) == 2
    assert processes.per_step_ns(contenders.Contender("p", "f", "w", 1000, turn)) == 5.0
    assert len(turns) == 4


def test_figures_are_median_and_tenth_percentile():
    times = [float(t) for t in range(101, 0, -1)]
    found = native_step.figures("net", ("p", "f", "w", "i"), times)
    assert found == figure("net", "p", "f", "w", 51.0, "i") | {"p10": 11.0}


def test_a_missing_compiler_ends_in_one_sentence(monkeypatch):
    monkeypatch.setenv("CC", "no-such-cc -m64")
    with pytest.raises(SystemExit, match="expected the C compiler 'no-such-cc', got none"):
        native_step.main([])


@pytest.mark.long
@pytest.mark.tf
def test_the_whole_benchmark_runs(tmp_path):
    require("gcc")
    out = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.native_step", "--rounds", "1", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    record = json.loads(out.read_text(encoding="utf-8"))
    assert_complete(record)
    assert {f["network"] for f in record["nanoseconds"]} == {
        *contenders.NETWORKS,
        *contenders.OTHERS,
    }
    assert done.stdout == report.section(record)
