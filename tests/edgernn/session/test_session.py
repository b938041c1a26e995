import copy
import json
import re

import numpy as np
import pytest

import edgernn
from edgernn import BackendUnavailable, EdgeRnnError, StateError, backends
from edgernn.backends.native import is_available
from edgernn.model.formats import Precision
from edgernn_firmware_sim.reference.backend import ReferenceBackend
from tests.support.models.integer import random_codes, random_model

pytestmark = pytest.mark.device

MODEL = random_model("lstm", Precision.W8A8)
X = np.array([1.0, 0.5, -2.0])
GAP = [np.nan] * 3


@pytest.fixture(autouse=True, params=["reference", "native"])
def backend(request, monkeypatch):
    """What `load` chooses for a model in memory."""
    if request.param == "native" and not is_available():
        pytest.skip("needs edgernn._native: a C compiler, then pip install -e .")
    monkeypatch.setattr(backends, "model_backend", lambda: request.param)
    return request.param


class ClosingBackend(ReferenceBackend):
    """The reference, which also counts how often it is closed."""

    closed = 0

    def close(self):
        self.closed += 1


def states_of(session):
    return {name: q.tolist() for name, q in session.state.items()}


# ---------------------------------------------------------------- loading


def test_load_opens_a_model_in_memory_and_a_file_alike(tmp_path):
    path = MODEL.save(tmp_path / "model.edgernn")
    with edgernn.load(MODEL) as memory, edgernn.load(path) as file:
        assert memory.interface == file.interface
        assert np.array_equal(memory.step(X), file.step(X))


def test_load_refuses_an_unknown_policy():
    with pytest.raises(
        EdgeRnnError,
        match=r"on_bad_reading: expected one of raise, hold, skip, or a finite number, got 'ig",
    ):
        edgernn.load(MODEL, on_bad_reading="ignore")


def test_a_model_in_memory_needs_a_backend_that_runs_integer_models():
    wanted = (
        "load: expected backend 'native' or 'reference' for a model in memory, got 'tflite'. Write"
    )
    with pytest.raises(BackendUnavailable, match=re.escape(wanted)):
        edgernn.load(MODEL, backend="tflite")


@pytest.mark.parametrize(
    ("name", "backend", "message"),
    [
        ("m.txt", "auto", "load: expected a file ending in .edgernn, .onnx, .tflite, got 'm.txt'."),
        (
            "m.onnx",
            "tpu",
            "load: expected backend 'auto' or one of native, reference, tflite, onnx",
        ),
        ("m.edgernn", "onnx", "backend 'onnx': expected a .onnx file, got 'm.edgernn'. Write one"),
        ("m.tflite", "reference", "got 'm.tflite'. Write one with: edgernn quantize MODEL.keras"),
        ("m.edgernn", "auto", "load: expected an existing file, got"),
    ],
)
def test_load_refuses_what_no_backend_opens(tmp_path, name, backend, message):
    with pytest.raises(EdgeRnnError, match=re.escape(message)):
        edgernn.load(tmp_path / name, backend)


@pytest.mark.parametrize("source", [None, 3, b"m.edgernn"])
def test_load_takes_a_path_or_a_model(source):
    wanted = f"load: expected a path, an IntegerModel or a ProgramSet, got {type(source).__name__}."
    with pytest.raises(EdgeRnnError, match=re.escape(wanted)):
        edgernn.load(source)


def test_load_refuses_an_option_the_backend_does_not_have(tmp_path):
    file = MODEL.save(tmp_path / "m.edgernn")
    for source, options in ((MODEL, r"\(none\)"), (file, "program")):
        with pytest.raises(
            EdgeRnnError, match=f"'reference': expected options among {options}, got"
        ):
            edgernn.load(source, "reference", num_threads=2)
    (tmp_path / "m.tflite").touch()
    wanted = "expected options among runtime, resolver, num_threads, program, got threads."
    with pytest.raises(EdgeRnnError, match=re.escape(wanted)):
        edgernn.load(tmp_path / "m.tflite", threads=2)


# ---------------------------------------------------------------- state and streams


def test_a_state_survives_json():
    session, other = edgernn.load(MODEL), edgernn.load(MODEL)
    session.run([X, 0.5 * X])
    other.state = json.loads(json.dumps(states_of(session)))
    assert other.step(X).tolist() == session.step(X).tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: [*s.values()], "state: expected a mapping of names to vectors, got list."),
        (lambda s: {}, "state: expected the vectors lstm_0.h, lstm_0.c, got none. Use a state of"),
        (lambda s: s | {"z": [0]}, "got lstm_0.c, lstm_0.h, z. Use a state of the same model."),
        (lambda s: s | {"lstm_0.h": [0] * 7}, "lstm_0.h: expected int16 codes of shape (8,), got"),
        (lambda s: s | {"lstm_0.c": [0.5] * 8}, "got float64 (8,). Use a state of the same model."),
        (lambda s: s | {"lstm_0.c": [40000] * 8}, "expected codes in [-32768, 32767], got [40000,"),
        (lambda s: s | {"lstm_0.c": [[0], [0, 0]]}, "state lstm_0.c: expected int16 codes, got"),
    ],
)
def test_a_foreign_state_is_refused_and_changes_nothing(change, message):
    session = edgernn.load(MODEL)
    session.step(X)
    before = states_of(session)
    with pytest.raises(StateError, match=re.escape(message)):
        session.state = change(before)
    assert states_of(session) == before


def test_setting_a_state_forgets_the_last_reading_and_output():
    for policy in ("hold", "skip"):
        session = edgernn.load(MODEL, on_bad_reading=policy)
        session.step(X)
        before = session.state = session.state
        assert np.isnan(session.step([np.nan] * 3)).all()
        assert all(np.array_equal(q, session.state[name]) for name, q in before.items())


def test_a_copy_holds_the_same_last_reading_and_a_new_stream_none():
    session = edgernn.load(MODEL, on_bad_reading="hold")
    session.step(X)
    copy, fresh = session.copy(), session.new_stream()
    assert copy.step(GAP).tolist() == session.step(GAP).tolist()
    assert np.isnan(fresh.step(GAP)).all()
    assert (session.bad_readings, copy.bad_readings, fresh.bad_readings) == (1, 1, 1)
    session.reset()
    assert session.bad_readings == 0
    assert np.isnan(session.step(GAP)).all()


def test_outputs_belong_to_the_caller():
    session = edgernn.load(MODEL, on_bad_reading="skip")
    first = session.step(X)
    wanted = first.tolist()
    first[:] = 7.0
    q_last = session.run_codes(random_codes(MODEL, 3))
    wanted_last = (q_last[-1] * 2.0**-10).tolist()
    q_last[:] = 7
    assert session.step(GAP).tolist() == wanted_last
    session.reset()
    assert session.step(X).tolist() == wanted


# ---------------------------------------------------------------- life


def test_the_last_session_closes_the_backend_once():
    backend = ClosingBackend(MODEL)
    session = edgernn.Session(backend)
    stream, twin = session.new_stream(), copy.copy(session)
    with session, twin:
        pass
    assert (session.closed, stream.closed, backend.closed) == (True, False, 0)
    session.close()
    stream.step(X)
    stream.close()
    stream.close()
    assert backend.closed == 1


@pytest.mark.parametrize(
    "use",
    [
        lambda s: s.step(X),
        lambda s: s.run([X]),
        lambda s: s.step_codes([0, 0, 0]),
        lambda s: s.run_codes([[0, 0, 0]]),
        lambda s: s.reset(),
        lambda s: s.state,
        lambda s: setattr(s, "state", {}),
        lambda s: s.copy(),
        lambda s: s.new_stream(),
        lambda s: s.__enter__(),
    ],
)
def test_a_closed_session_refuses(use):
    session = edgernn.load(MODEL)
    session.close()
    with pytest.raises(EdgeRnnError, match=r"expected an open session, got a closed one \('lstm-"):
        use(session)


def test_a_runtime_that_fails_leaves_the_stream_where_it_was():
    class Failing(ReferenceBackend):
        def step(self, q_x, state):
            raise RuntimeError("out of power")

        run = step

    session = edgernn.Session(Failing(MODEL), "hold")
    for ask in (lambda: session.step(X), lambda: session.run([X])):
        with pytest.raises(RuntimeError, match="out of power"):
            ask()
    assert states_of(session) == states_of(edgernn.load(MODEL))
    assert np.isnan(session.step(GAP)).all()


def test_repr_says_what_runs_where(backend):
    session = edgernn.load(MODEL, on_bad_reading="hold")
    wanted = f"<Session 'lstm-tame' w8a8 on {backend}, 3 -> 2, 32 state bytes, bad readings hold>"
    assert repr(session) == wanted
    session.close()
    assert repr(session).endswith("hold, closed>")


def test_every_public_name_is_there_and_versioned():
    assert all(hasattr(edgernn, name) for name in edgernn.__all__)
    assert re.fullmatch(r"\d+\.\d+\.\d+", edgernn.__version__)
