"""Sessions that are pickled and deep-copied: a model and a small state."""

import copy
import dataclasses
import pickle
import subprocess
import sys

import numpy as np
import pytest

import edgernn
from edgernn import EdgeRnnError
from edgernn.model.formats import Precision
from edgernn.model.interface import Window
from edgernn.session import loading
from edgernn_firmware_sim.reference.backend import ReferenceBackend
from tests.support.models.integer import random_model
from tests.support.native.programs import require_native

pytestmark = pytest.mark.device

MODEL = random_model("lstm", Precision.W8A8)
MODELS = {
    "endless": MODEL,
    "w8a16": random_model("gru_after", Precision.W8A16, stack=2),
    "window": dataclasses.replace(MODEL, window=Window(steps=4, hop=2)),
}
XS = np.random.default_rng(2).normal(size=(12, 3)).clip(-2, 2)
NAN = float("nan")


@pytest.fixture(params=["reference", "native"])
def backend(request):
    if request.param == "native":
        require_native()
    return request.param


def again(session):
    return pickle.loads(pickle.dumps(session))


@pytest.mark.filterwarnings("ignore::edgernn.ClippedReadingsWarning")
@pytest.mark.parametrize("take", [again, copy.deepcopy, copy.copy])
@pytest.mark.parametrize("policy", ["hold", "skip", {"x0": "hold", "x1": "skip", "x2": 0.5}])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_it_goes_on_with_the_same_bits_at_bad_readings_too(backend, model, policy, take):
    rows = XS.copy()
    rows[[1, 4, 4, 7, 11], [0, 1, 2, 0, 2]] = NAN
    rows[5] = 1e6
    for at in range(len(rows)):
        one = edgernn.load(model, backend, policy)
        one.run(rows[:at])
        two = take(one)
        assert repr(two) == repr(one)
        np.testing.assert_array_equal(two.step([NAN] * 3), one.step([NAN] * 3))
        np.testing.assert_array_equal(two.run(rows[at:]), one.run(rows[at:]))
        assert two.bad_readings == one.bad_readings
        assert two.clipped_readings == one.clipped_readings


def test_first_values_of_held_channels_are_pickled(backend):
    session = edgernn.load(MODEL, backend, "hold")
    session.step([1.0, 0.5, NAN])
    wanted = edgernn.load(MODEL, backend).step([1.0, 0.5, -2.0])
    assert again(session).step([NAN, NAN, -2.0]).tolist() == wanted.tolist()


def test_who_has_warned_does_not_warn_again(backend):
    session = edgernn.load(MODEL, backend)
    with pytest.warns(edgernn.ClippedReadingsWarning):
        session.step([1e6] * 3)
    assert session.clipped_readings == (1, 1, 1)
    for other in (again(session), copy.deepcopy(session)):
        other.run([[1e6] * 3])
        assert other.clipped_readings == (2, 2, 2)


def test_a_padded_window_is_padded_with_what_comes_after(backend):
    session = edgernn.load(MODELS["window"], backend, warm_up="pad")
    fresh = again(session)
    assert fresh.step(XS[0]).tolist() == session.step(XS[0]).tolist()
    assert again(session).run(XS).tolist() == session.run(XS).tolist()


def test_a_file_travels_with_its_sessions(backend, tmp_path):
    path = MODEL.save(tmp_path / "m.edgernn")
    sessions = [edgernn.load(path, backend)]
    sessions.append(sessions[0].new_stream())
    sessions[1].step(XS[0])
    data = pickle.dumps(sessions)
    assert len(data) < path.stat().st_size + 2000, "one model for all sessions over it"
    path.unlink()
    with pytest.raises(EdgeRnnError, match="expected the file that was opened to pickle it"):
        pickle.dumps(sessions[0])
    first, second = pickle.loads(data)
    assert first._shared is second._shared
    wanted = edgernn.load(MODEL, backend).run(XS[:2]).tolist()
    assert [first.step(XS[0]).tolist(), second.step(XS[1]).tolist()] == wanted
    first.close()
    assert again(second).interface.model_sha256 == MODEL.sha256
    assert second.step(XS[2]).shape == (2,)


def test_a_file_that_was_replaced_is_not_taken_for_the_model(backend, tmp_path):
    path = MODEL.save(tmp_path / "m.edgernn")
    session = edgernn.load(path, backend)
    MODELS["w8a16"].save(path)
    with pytest.raises(EdgeRnnError, match="got another one"):
        pickle.dumps(session)


def test_a_content_that_is_another_model_is_refused(tmp_path):
    origin = loading._Origin(("m.edgernn", b""), "reference", {}, MODEL.sha256)
    origin.source = "m.edgernn", MODELS["w8a16"].save(tmp_path / "m.edgernn").read_bytes()
    with pytest.raises(EdgeRnnError, match="expected the model that the pickled session ran"):
        origin.open()


def test_another_process_takes_it_up(backend, tmp_path):
    session = edgernn.load(MODEL, backend, "hold")
    session.run(XS[:5])
    (tmp_path / "s.pickle").write_bytes(pickle.dumps(session))
    code = (
        "import pickle, sys; s = pickle.load(open(sys.argv[1], 'rb'));"
        "print(s.step([float('nan')] * 3).tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "s.pickle"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == f"{session.step([NAN] * 3).tolist()}\n"


def test_what_cannot_be_pickled_says_so(backend):
    session = edgernn.Session(ReferenceBackend(MODEL))
    with pytest.raises(
        EdgeRnnError, match=r"expected a session from edgernn\.load to pickle, got one that runs on"
    ):
        pickle.dumps(session)
    closed = edgernn.load(MODEL, backend)
    closed.close()
    for take in (pickle.dumps, copy.deepcopy):
        with pytest.raises(EdgeRnnError, match="expected an open session, got a closed one"):
            take(closed)
