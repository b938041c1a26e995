"""The onnxruntime backend: what it accepts, what it refuses, and in which words."""

from __future__ import annotations

import re
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest

import edgernn.backends.onnx_file as onnx_file
from edgernn.backends import open_backend
from edgernn.backends.onnx import OPTIMIZATIONS, open_onnx
from edgernn.backends.onnx_file import sealed
from edgernn.container import interface_json
from edgernn.errors import (
    BackendMismatch,
    BackendUnavailable,
    FormatError,
    ShapeError,
    StateError,
)
from edgernn.install import hint
from edgernn.model.formats import Precision
from edgernn.model.interface import Golden
from edgernn_export.writers.onnx.float_operators import write_onnx_float
from edgernn_export.writers.onnx.writer import write_onnx_exact
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.float import float_model
from tests.support.models.integer import random_codes, random_model


@pytest.fixture(scope="module")
def model():
    return random_model("lstm", Precision.W8A16, seed=5)


@pytest.fixture(scope="module")
def golden(model):
    q_x = random_codes(model, 16)
    return Golden(q_x=q_x, q_y=Reference(model).run(q_x)[0])


@pytest.fixture
def path(tmp_path, model, golden):
    file = tmp_path / "model.onnx"
    file.write_bytes(write_onnx_exact(model, golden))
    return file


def rewritten(path, change):
    """The file after ``change(proto)``, with a valid seal."""
    proto = onnx.load(path)
    del proto.metadata_props[-1]
    change(proto)
    path.write_bytes(sealed(proto.SerializeToString(deterministic=True)))
    return path


def test_opens_by_suffix_with_the_interface_of_the_model(path, model, golden):
    backend = open_backend(path)
    assert backend.name == "onnx (onnxruntime, all)"
    assert backend.interface == replace(model.interface(), golden=golden)
    backend.close()


def test_state_is_a_value_that_a_call_does_not_keep_or_change(path, model):
    backend = open_onnx(path)
    q_xs = random_codes(model, 20, seed=3)
    zero = backend.interface.initial_state()
    _, middle = backend.run(q_xs[:7], zero)
    kept = tuple(v.copy() for v in middle)
    first = backend.run(q_xs[7:], middle)
    backend.run(q_xs, zero)
    second = backend.run(q_xs[7:], middle)
    assert np.array_equal(first[0], second[0])
    assert all(np.array_equal(a, b) for a, b in zip(middle, kept, strict=True))
    assert not any(v.any() for v in zero)


def test_results_belong_to_the_caller(path, model):
    backend = open_onnx(path)
    q_xs = random_codes(model, 2)
    q_y, state = backend.step(q_xs[0], backend.interface.initial_state())
    before = q_y.tolist(), [v.tolist() for v in state]
    backend.step(q_xs[1], state)
    assert (q_y.tolist(), [v.tolist() for v in state]) == before


def test_an_empty_run_returns_the_state(path):
    backend = open_onnx(path)
    state = tuple(v + np.int16(3) for v in backend.interface.initial_state())
    q_ys, after = backend.run(np.empty((0, 3), np.int16), state)
    assert q_ys.shape == (0, 2)
    assert all(np.array_equal(a, b) for a, b in zip(state, after, strict=True))


def test_missing_runtime_names_the_command(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        BackendUnavailable,
        match=r"^backend 'onnx': expected onnxruntime, got an environment without it\. "
        f"Install it with: {re.escape(hint('onnx'))}$",
    ):
        open_onnx(path)


def test_unknown_optimization_is_refused(path):
    wanted = ", ".join(OPTIMIZATIONS)
    with pytest.raises(
        BackendUnavailable, match=rf"^backend 'onnx': expected optimization {wanted}, got 'fast'\.$"
    ):
        open_onnx(path, optimization="fast")


def test_threads_below_one_are_refused(path):
    with pytest.raises(
        BackendUnavailable, match=r"^backend 'onnx': expected num_threads 1 to 1024, got 0\.$"
    ):
        open_onnx(path, num_threads=0)


@pytest.mark.parametrize("keep", [0, 1, 50, 1000, -1])
def test_truncated_file(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(
        FormatError,
        match=r"^file 'model\.onnx': expected edgernn's metadata 'edgernn_sha256' at its end, "
        r"got none: the file is truncated, was modified, or is not an exact edgernn model\. "
        r"Write one with: edgernn export MODEL\.edgernn --to onnx$",
    ):
        open_onnx(path)


def test_every_damaged_byte_is_found(path):
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(content), 300):
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(damaged))
        with pytest.raises(FormatError, match=r"^file 'model\.onnx': expected .*edgernn_sha256"):
            open_onnx(path)


def test_float_form_is_refused_by_name(tmp_path):
    file = tmp_path / "float.onnx"
    file.write_bytes(write_onnx_float(float_model("lstm")))
    with pytest.raises(FormatError, match=r"is not an exact edgernn model"):
        open_onnx(file)


def test_oversized_file_is_not_read(path, monkeypatch):
    monkeypatch.setattr(onnx_file, "MAX_FILE_BYTES", 100)
    with pytest.raises(
        FormatError, match=r"^file 'model\.onnx': expected at most 100 bytes, got \d+\.$"
    ):
        open_onnx(path)


def test_metadata_without_the_interface(path):
    def drop(proto):
        del proto.metadata_props[:]

    with pytest.raises(
        FormatError,
        match=r"^file 'model\.onnx': expected metadata 'edgernn', got \['edgernn_sha256'\]\. "
        r"Write one with: edgernn export",
    ):
        open_onnx(rewritten(path, drop))


def test_interface_of_another_model(path):
    other = random_model("lstm", Precision.W8A16, units=9).interface()

    def swap(proto):
        proto.metadata_props[0].value = interface_json.dumps(other)

    with pytest.raises(
        FormatError,
        match=r"^onnx file: expected tensor 'lstm_0\.c' int16 \[1, 9\], "
        r"got int16 \[1, 8\]\. Metadata and graph disagree; export the file again\.$",
    ):
        open_onnx(rewritten(path, swap))


def test_a_graph_the_runtime_cannot_load(path):
    def change(proto):
        proto.graph.node[0].op_type = "NoSuchOperator"

    with pytest.raises(
        BackendUnavailable,
        match=r"(?s)^backend 'onnx': expected onnxruntime \S+ to load 'model\.onnx', got: .*"
        r"Install a newer onnxruntime or use the reference backend\.$",
    ):
        open_onnx(rewritten(path, change))


def test_a_runtime_that_differs_from_the_golden_vector(tmp_path, model, golden):
    q_y = golden.q_y.copy()
    q_y[3, 1] += 1
    file = tmp_path / "model.onnx"
    file.write_bytes(write_onnx_exact(model, Golden(q_x=golden.q_x, q_y=q_y)))
    with pytest.raises(
        BackendMismatch,
        match=r"^backend 'onnx \(onnxruntime, basic\)': expected the file's golden vector, "
        r"got 1 of 32 values that differ\.",
    ):
        open_onnx(file, optimization="basic")


@pytest.mark.parametrize(
    ("q_x", "got"),
    [
        (np.zeros(4, np.int16), r"int16 \(4,\)"),
        (np.zeros(3, np.int8), r"int8 \(3,\)"),
        (np.zeros((1, 3), np.int16), r"int16 \(1, 3\)"),
    ],
)
def test_step_refuses_other_codes(path, q_x, got):
    backend = open_onnx(path)
    with pytest.raises(
        ShapeError,
        match=rf"^backend 'onnx \(onnxruntime, all\)': expected int16 codes of shape \(3\), "
        rf"got {got}\.$",
    ):
        backend.step(q_x, backend.interface.initial_state())


def test_run_refuses_other_codes(path):
    backend = open_onnx(path)
    with pytest.raises(
        ShapeError, match=r"expected int16 codes of shape \(T, 3\), got int16 \(3,\)"
    ):
        backend.run(np.zeros(3, np.int16), backend.interface.initial_state())


def test_a_state_of_another_model_is_refused(path):
    backend = open_onnx(path)
    q_x = np.zeros(3, np.int16)
    with pytest.raises(StateError, match=r"expected 2 state vectors, got 1\.$"):
        backend.step(q_x, backend.interface.initial_state()[:1])
    with pytest.raises(
        StateError, match=r"expected int16 state of shape \(8,\), got int32 \(8,\)\.$"
    ):
        backend.step(q_x, (np.zeros(8, np.int32), np.zeros(8, np.int16)))
