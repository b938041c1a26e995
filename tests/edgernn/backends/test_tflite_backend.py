"""The TFLite backend on the device floor: numpy and one runtime, files from tests/golden."""

from __future__ import annotations

import gc
import hashlib
import importlib
import json
import re
import sys
from importlib import util
from pathlib import Path

import numpy as np
import pytest

from edgernn.backends import open_backend
from edgernn.backends import tflite as backend_module
from edgernn.backends.tflite import RUNTIMES, load_runtime, open_tflite
from edgernn.backends.tflite_file import parse_metadata, read_tflite
from edgernn.errors import (
    BackendMismatch,
    BackendUnavailable,
    FormatError,
    ShapeError,
    StateError,
)
from edgernn.install import hint

FOLDER = Path(__file__).resolve().parents[2] / "golden" / "tflite"
STREAMS = json.loads((FOLDER / "streams.json").read_text())["streams"]
LSTM = FOLDER / "lstm-w8a8.tflite"

pytestmark = [
    pytest.mark.device,
    pytest.mark.skipif(
        not any(util.find_spec(name) for name in RUNTIMES),
        reason="needs a TFLite runtime: pip install 'edgernn[tflite]'",
    ),
]


def expected(path):
    record = STREAMS[path.name]
    q_ys = np.array(record["q_ys"], np.int16)
    return record["q_xs"], q_ys, [np.array(v, np.int16) for v in record["state"]]


def opened(path=LSTM, **options):
    backend = open_tflite(path, **options)
    q_xs, q_ys, state = expected(path)
    return backend, np.array(q_xs, backend.interface.precision.operand_dtype), q_ys, state


def resealed(content, old, new):
    """The file with ``old`` replaced by as many bytes and its hash brought up to date."""
    assert len(old) == len(new)
    assert content.count(old) == 1
    place = next(
        i for i in range(len(content) - 31)
        if hashlib.sha256(content[:i] + bytes(32) + content[i + 32 :]).digest()
        == content[i : i + 32]
    )  # fmt: skip
    changed = content.replace(old, new)
    blank = changed[:place] + bytes(32) + changed[place + 32 :]
    return blank[:place] + hashlib.sha256(blank).digest() + blank[place + 32 :]


@pytest.mark.parametrize("resolver", ["default", "no_delegate", "reference"])
@pytest.mark.parametrize("name", sorted(STREAMS))
def test_run_and_step_give_the_golden_codes(name, resolver):
    backend, q_xs, q_ys, final = opened(FOLDER / name, resolver=resolver)
    zero = backend.interface.initial_state()
    got, state = backend.run(q_xs, zero)
    np.testing.assert_array_equal(got, q_ys)
    for vector, wanted in zip(state, final, strict=True):
        np.testing.assert_array_equal(vector, wanted)
    state = zero
    for q_x, q_y in zip(q_xs, q_ys, strict=True):
        y, state = backend.step(q_x, state)
        np.testing.assert_array_equal(y, q_y)
    assert all(not vector.any() for vector in zero), "the given state was modified"
    assert resolver in backend.name


def test_chunks_and_interleaved_streams_do_not_mix():
    backend, q_xs, q_ys, _ = opened()
    zero = backend.interface.initial_state()
    other, _ = backend.run(q_xs[::-1].copy(), zero)
    state_a, state_b, a, b = zero, zero, [], []
    for start, stop in ((0, 1), (1, 1), (1, 17), (17, len(q_xs))):
        ys, state_a = backend.run(q_xs[start:stop], state_a)
        a.append(ys)
        ys, state_b = backend.run(q_xs[::-1][start:stop], state_b)
        b.append(ys)
    np.testing.assert_array_equal(np.concatenate(a), q_ys)
    np.testing.assert_array_equal(np.concatenate(b), other)


def test_outputs_stay_the_callers_and_survive_close_and_collection():
    backend, q_xs, q_ys, _ = opened()
    gc.collect()
    state = backend.interface.initial_state()
    y, new = backend.step(q_xs[0], state)
    kept = [vector.copy() for vector in new]
    backend.run(q_xs, state)
    backend.close()
    gc.collect()
    np.testing.assert_array_equal(y, q_ys[0])
    for vector, wanted in zip(new, kept, strict=True):
        np.testing.assert_array_equal(vector, wanted)


def test_public_functions_of_a_runtime_suffice(monkeypatch):
    _, module = load_runtime()

    class PublicOnly:
        def __init__(self, **options):
            self._hidden = module.Interpreter(**options)

        def __getattr__(self, name):
            if name.startswith("_"):
                raise AttributeError(name)
            return getattr(self._hidden, name)

    class Runtime:
        Interpreter = PublicOnly
        OpResolverType = module.OpResolverType

    monkeypatch.setattr(backend_module, "load_runtime", lambda runtime: ("public", Runtime))
    backend, q_xs, q_ys, final = opened()
    got, state = backend.run(q_xs, backend.interface.initial_state())
    np.testing.assert_array_equal(got, q_ys)
    np.testing.assert_array_equal(state[1], final[1])


def test_open_backend_finds_it_by_suffix():
    assert open_backend(LSTM).name.startswith("tflite (")


@pytest.mark.parametrize("length", [0, 3, 8, 100, 1000, -200, -1])
def test_truncated_files_are_refused(length, tmp_path):
    content = LSTM.read_bytes()[:length]
    path = tmp_path / "cut.tflite"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"file 'cut\.tflite': expected .*, got"):
        read_tflite(path)


def test_every_changed_byte_is_refused():
    content = LSTM.read_bytes()
    rng = np.random.default_rng(0)
    for at in range(len(content)):
        if at < 4096 or rng.random() < 0.3:
            damaged = bytearray(content)
            damaged[at] ^= int(rng.integers(1, 256))
            with pytest.raises(FormatError):
                parse_metadata(bytes(damaged))


def test_hostile_offsets_end_in_format_errors():
    content = LSTM.read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(3000):
        damaged = bytearray(content)
        at = int(rng.integers(0, len(content) // 4)) * 4
        value = rng.choice([0, 1, 4, len(content), 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
        damaged[at : at + 4] = int(value).to_bytes(4, "little")
        if bytes(damaged) != content:
            with pytest.raises(FormatError):
                parse_metadata(bytes(damaged))


def test_a_file_without_the_magic_is_refused():
    with pytest.raises(FormatError, match=r"expected a TFLite flatbuffer .* got b'keys'"):
        parse_metadata(b"\0\0\0\0keys")


def test_a_file_of_another_program_is_refused():
    # A model table without a single field: vtable of 4 bytes, then the table.
    empty = b"\x0c\0\0\0TFL3\x04\0\x04\0\x04\0\0\0"
    with pytest.raises(FormatError, match=r"got a \.tflite file without it\. Write one"):
        parse_metadata(empty)


def test_a_damaged_weight_is_named():
    content = LSTM.read_bytes()
    damaged = bytearray(content)
    damaged[-40] ^= 1
    with pytest.raises(FormatError, match="matches the SHA-256 stored in the file"):
        parse_metadata(bytes(damaged))


def test_oversized_files_are_refused(tmp_path):
    path = tmp_path / "big.tflite"
    with path.open("wb") as file:
        file.truncate((1 << 28) + 1)
    with pytest.raises(FormatError, match="expected at most 268435456 bytes, got 268435457"):
        read_tflite(path)


def test_metadata_and_graph_must_agree(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(resealed(LSTM.read_bytes(), b'"name":"lstm_0.c"', b'"name":"lstm_0.k"'))
    with pytest.raises(FormatError, match=r"expected tensor 'lstm_0\.[kc]' .*Metadata and graph"):
        open_tflite(path)


def test_a_runtime_that_misses_the_golden_vector_is_refused(tmp_path):
    first = json.dumps(STREAMS[LSTM.name]["q_ys"][0], separators=(",", ":"))
    other = first[:-2] + ("1" if first[-2] != "1" else "2") + "]"
    start = b'"q_y":[' + first.encode()
    path = tmp_path / "m.tflite"
    path.write_bytes(resealed(LSTM.read_bytes(), start, b'"q_y":[' + other.encode()))
    with pytest.raises(BackendMismatch, match="golden vector, got 1 of 24 values that differ"):
        open_tflite(path)


def test_a_graph_the_runtime_cannot_load_is_refused(monkeypatch):
    class Runtime:
        OpResolverType = load_runtime()[1].OpResolverType

        @staticmethod
        def Interpreter(**options):
            raise ValueError("Didn't find op for builtin opcode")

    monkeypatch.setattr(backend_module, "load_runtime", lambda runtime: ("old", Runtime))
    with pytest.raises(BackendUnavailable, match=r"expected old to load 'lstm-w8a8\.tflite', got"):
        open_tflite(LSTM)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runtime": "torch"}, "expected runtime auto, tflite_runtime, .* got 'torch'"),
        ({"resolver": "fast"}, "expected resolver default, no_delegate, reference, got 'fast'"),
        ({"num_threads": 0}, "expected num_threads 1 to 1024, got 0"),
    ],
)
def test_unknown_options_are_refused(options, message):
    with pytest.raises(BackendUnavailable, match=message):
        open_tflite(LSTM, **options)


def test_without_a_runtime_the_command_is_named(monkeypatch):
    def missing(module):
        raise ModuleNotFoundError(name=module.partition(".")[0])

    monkeypatch.setattr(importlib, "import_module", missing)
    wanted = rf"got an environment without it\. Install one with: {re.escape(hint('tflite'))}$"
    with pytest.raises(BackendUnavailable, match=wanted):
        load_runtime()


def test_a_runtime_that_is_there_but_broken_is_named(monkeypatch):
    def broken(module):
        if module.startswith("tflite_runtime"):
            raise ImportError("numpy.core.multiarray failed to import")
        raise ModuleNotFoundError(name=module.partition(".")[0])

    for name in RUNTIMES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(importlib, "import_module", broken)
    wanted = r"got tflite_runtime that cannot be imported \(numpy\.core.*\)\. Install one with: pip"
    with pytest.raises(BackendUnavailable, match=wanted):
        load_runtime()


@pytest.mark.parametrize("loaded", ["ai_edge_litert", "tensorflow"])
def test_auto_takes_what_is_loaded_and_nothing_beside_it(monkeypatch, loaded):
    for name in RUNTIMES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, loaded, object())
    monkeypatch.setattr(importlib, "import_module", lambda name: name)
    assert load_runtime() == (loaded, RUNTIMES[loaded])
    with pytest.raises(
        BackendUnavailable, match=f"Pass runtime='{loaded}' or start another process"
    ):
        load_runtime("tflite_runtime")


def test_auto_prefers_tflite_runtime(monkeypatch):
    for name in RUNTIMES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(importlib, "import_module", lambda name: name)
    assert load_runtime()[0] == "tflite_runtime"


def test_shapes_and_dtypes_are_checked():
    backend, q_xs, _, _ = opened()
    state = backend.interface.initial_state()
    for wrong in (q_xs[0, :1], q_xs[:1], q_xs[0].astype(np.int16)):
        with pytest.raises(ShapeError, match=r"expected int8 codes of shape \(3\), got"):
            backend.step(wrong, state)
    for wrong in (q_xs[0], q_xs[:, :1], q_xs.astype(np.int64)):
        with pytest.raises(ShapeError, match=r"expected int8 codes of shape \(T, 3\), got"):
            backend.run(wrong, state)
    with pytest.raises(StateError, match="expected 2 state vectors, got 1"):
        backend.step(q_xs[0], state[:1])
    for wrong in (state[0][:1], state[0].astype(np.int32)):
        with pytest.raises(StateError, match=r"expected int16 state of shape \(4,\), got"):
            backend.step(q_xs[0], (wrong, state[1]))
