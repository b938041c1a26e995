import dataclasses
import json
import re

import numpy as np
import pytest

from edgernn.backends import native
from edgernn.errors import EdgeRnnError, ShapeError
from edgernn.install import hint
from edgernn.model.formats import Precision
from edgernn.model.interface import Window
from edgernn_export.verification import comparison as verify_module
from edgernn_export.verification import executors
from edgernn_export.verification.comparison import RuntimeOutcome, Verification, verify
from edgernn_export.verification.executors import EXECUTORS, REFERENCE, select, trace
from edgernn_export.writers.file_formats import probe_codes
from tests.support.models.integer import random_codes, random_model
from tests.support.models.networks import networks
from tests.support.runtimes import require

MODEL = random_model("lstm", Precision.W8A16)
STEPS = 25
#: Outputs and states of every step: 2 outputs, h and c of 8 units.
VALUES = STEPS * (2 + 8 + 8)


def codes():
    return probe_codes(MODEL, STEPS, 3)


def test_every_runtime_gives_the_reference_bits():
    require("tflite_runtime", "ai_edge_litert", "onnxruntime")
    told = []
    result = verify(MODEL, codes(), progress=told.append)
    count = 11 + len(native.isas())
    assert [o.status for o in result.outcomes] == ["ran"] * count
    assert [o.compared for o in result.outcomes] == [VALUES] * count
    assert (result.differing, result.passed) == (0, True)
    assert len(told) == count
    assert result.table().splitlines()[-1] == "differing values: 0"
    record = json.loads(result.to_json())
    assert (record["differing"], record["passed"], record["steps"]) == (0, True, STEPS)
    assert record["model_sha256"] == MODEL.sha256
    assert set(record["file_bytes"]) == {"edgernn", "tflite", "onnx"}
    assert {(o["runtime"], o["variant"]) for o in record["outcomes"]} == {
        ("reference", "NumPy"),
        *(("native", isa) for isa in native.isas()),
        *((r, v) for r in ("tflite-runtime", "ai-edge-litert")
          for v in ("default", "no delegate", "reference kernels")),
        *(("onnxruntime", f"optimization {v}") for v in ("all", "extended", "basic", "disabled")),
    }  # fmt: skip
    assert all(o["step_us"] > 0 for o in record["outcomes"])


@pytest.mark.parametrize("network", ["two-inputs-w8a16", "network-1-hostile-w8a8"])
def test_networks_are_verified_as_chains_are(network):
    require("tflite_runtime")
    model = networks()[network]
    result = verify(model, random_codes(model, STEPS), ["tflite-runtime"])
    values = STEPS * (model.output.width + sum(spec.units for spec in model.states))
    assert [o.compared for o in result.outcomes] == [values] * 4
    assert (result.differing, result.passed) == (0, True)


def test_files_are_written_for_runtimes_that_run_and_no_others():
    result = verify(MODEL, codes(), ["native"])
    assert result.passed
    assert [form for form, _ in result.file_bytes] == ["edgernn"]


@pytest.fixture
def one_runtime(monkeypatch):
    """Replace the table by the reference itself under another name, changed as the test says."""

    def install(**changes):
        twin = dataclasses.replace(REFERENCE, runtime="twin", variant="v", **changes)
        monkeypatch.setattr(executors, "EXECUTORS", (twin,))
        return twin

    return install


@pytest.mark.parametrize(
    ("spoil", "differing"),
    [
        (lambda t: t.q_ys.__setitem__((3, 1), t.q_ys[3, 1] ^ 1), 1),
        (lambda t: t.q_states.__setitem__((slice(5, 7), 0), t.q_states[5:7, 0] ^ 1), 2),
    ],
)
def test_one_differing_bit_is_counted_and_fails(one_runtime, monkeypatch, spoil, differing):
    twin = one_runtime()

    def traced(executor, *files):
        result = trace(executor, *files)
        if executor is twin:
            spoil(result)
        return result

    monkeypatch.setattr(verify_module, "trace", traced)
    result = verify(MODEL, codes())
    assert (result.differing, result.passed) == (differing, False)
    assert result.table().splitlines()[-1] == f"differing values: {differing}"


def test_a_trace_of_another_shape_differs_in_every_value(one_runtime, monkeypatch):
    twin = one_runtime()

    def traced(executor, *files):
        result = trace(executor, *files)
        if executor is twin:
            result = dataclasses.replace(result, q_ys=result.q_ys[:-1])
        return result

    monkeypatch.setattr(verify_module, "trace", traced)
    assert verify(MODEL, codes()).differing == STEPS * 2


def test_a_runtime_that_is_not_installed_never_counts_as_passed(one_runtime):
    one_runtime(package="no_such_runtime")
    result = verify(MODEL, codes())
    assert [o.status for o in result.outcomes] == ["ran", "not installed"]
    assert (result.differing, result.passed) == (0, False)
    assert "twin (v)" in result.table()
    assert "not installed" in result.table()
    assert f"No runtime ran. Install one with: {hint('tflite')}" in result.table()


def test_a_runtime_that_fails_is_reported_with_its_last_words(one_runtime):
    one_runtime(backend="tflite", options=(("resolver", "wrong"),))
    result = verify(MODEL, codes())
    failed = result.outcomes[1]
    assert (failed.status, result.passed) == ("failed", False)
    assert "expected exit status 0, got 1: " in failed.message
    assert "expected resolver default, no_delegate, reference, got 'wrong'." in failed.message
    assert "failed: expected exit status 0" in result.table()


def test_one_failure_beside_a_success_still_fails():
    def outcome(status):
        return RuntimeOutcome(runtime="r", variant="v", version="1", status=status)

    def passed(*statuses):
        result = Verification(
            model="m", model_sha256="", precision="w8a8", steps=1, file_bytes=(),
            outcomes=tuple(outcome(s) for s in ("ran", *statuses)),
        )  # fmt: skip
        return result.passed

    assert passed("ran")
    assert passed("ran", "not installed")
    assert not passed("ran", "failed")
    assert not passed("not installed")
    assert not passed()


def test_a_leftover_trace_is_never_read_again(tmp_path):
    out = tmp_path / "trace.npz"
    np.savez(out, q_ys=np.zeros(1), q_states=np.zeros(1), step_us=np.float64(1))
    with pytest.raises(EdgeRnnError, match="expected exit status 0, got 1: "):
        trace(REFERENCE, tmp_path / "absent.edgernn", tmp_path / "absent.npy", out)
    assert not out.exists()


def test_runtimes_are_selected_by_the_name_pip_knows():
    assert {e.runtime for e in select(["onnxruntime"])} == {"onnxruntime"}
    assert select(None) == EXECUTORS
    with pytest.raises(
        EdgeRnnError,
        match=re.escape("verify: expected backends among native, tflite-runtime, ai-edge-"
                        "litert, onnxruntime, got tensorrt, tpu. The reference always runs"),
    ):  # fmt: skip
        select(["tensorrt", "onnxruntime", "tpu"])


def test_an_empty_stream_is_refused():
    with pytest.raises(ShapeError, match=r"verify: expected at least one reading, got none\."):
        verify(MODEL, codes()[:0])


def test_windows_are_compared_step_by_step_and_answer_by_answer():
    model = dataclasses.replace(random_model("gru_after", stack=2), window=Window(steps=12, hop=2))
    found = verify(model, random_codes(model, 100), ["native", "onnxruntime"])
    states = sum(spec.units for spec in model.states)
    compared = 100 * (model.output.width + states) + (1 + 100 // 12) * model.output.width
    assert {o.compared for o in found.outcomes if o.status == "ran"} == {compared}
    assert found.differing == 0
    assert found.passed
