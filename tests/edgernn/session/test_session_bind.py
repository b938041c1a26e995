"""`Session.bind`: a step from array to array, the same on every backend."""

import gc
import re
import weakref

import numpy as np
import pytest

import edgernn
from edgernn import EdgeRnnError, ReadingError, ShapeError
from edgernn.backends.native import is_available
from edgernn.model.formats import Precision
from tests.support.models.integer import random_codes, random_model

pytestmark = pytest.mark.device

MODEL = random_model("lstm", Precision.W8A8)
MODEL16 = random_model("gru_after", Precision.W8A16)
XS = np.random.default_rng(0).normal(size=(20, 3)).clip(-2, 2)


@pytest.fixture(params=["reference", "native"])
def backend(request):
    if request.param == "native" and not is_available():
        pytest.skip("needs edgernn._native: a C compiler, then pip install -e .")
    return request.param


@pytest.mark.parametrize("model", [MODEL, MODEL16], ids=["w8a8", "w8a16"])
def test_a_bound_step_does_what_step_does(backend, model):
    session, twin = edgernn.load(model, backend), edgernn.load(model, backend)
    x, y = np.empty(3), np.empty(2)
    step = session.bind(x, y)
    for reading in XS:
        x[:] = reading
        assert step() is None
        assert y.tolist() == twin.step(reading).tolist()
    assert session.state.keys() == twin.state.keys()
    assert all(np.array_equal(q, twin.state[name]) for name, q in session.state.items())


@pytest.mark.parametrize("model", [MODEL, MODEL16], ids=["w8a8", "w8a16"])
def test_a_bound_step_of_codes_does_what_step_codes_does(backend, model):
    session, twin = edgernn.load(model, backend), edgernn.load(model, backend)
    q_x, q_y = np.zeros(3, model.precision.operand_dtype), np.empty(2, np.int16)
    step = session.bind(q_x, q_y)
    for codes in random_codes(model, 20):
        q_x[:] = codes
        step()
        assert q_y.tolist() == twin.step_codes(codes).tolist()


def test_codes_off_the_grid_are_refused_and_leave_the_stream(backend):
    session = edgernn.load(MODEL16, backend, "skip")
    q_x, q_y = np.zeros(3, np.int16), np.full(2, 7, np.int16)
    step = session.bind(q_x, q_y)
    for bad in ([0, 0, 2], [-32768, 0, 0]):
        q_x[:] = bad
        with pytest.raises(ReadingError, match="expected multiples of 4"):
            step()
    assert (q_y.tolist(), session.bad_readings) == ([7, 7], 0)
    assert not any(q.any() for q in session.state.values())


@pytest.mark.parametrize("policy", ["raise", "hold", "skip"])
@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_a_bad_reading_does_what_it_does_to_step(backend, policy, poison):
    session, twin = edgernn.load(MODEL, backend, policy), edgernn.load(MODEL, backend, policy)
    x, y = np.empty(3), np.full(2, 5.0)
    step = session.bind(x, y)
    for t, reading in enumerate(XS):
        x[:] = reading
        if t % 3 == 0:
            x[t % 2] = poison
        if t % 3 == 0 and policy == "raise":
            before = y.tolist()
            with pytest.raises(ReadingError, match="expected finite values"):
                step()
            with pytest.raises(ReadingError):
                twin.step(x)
            assert y.tolist() == before
            continue
        step()
        np.testing.assert_array_equal(y, twin.step(x))
    assert session.bad_readings == twin.bad_readings == 7


def test_a_bound_step_follows_its_session(backend):
    session = edgernn.load(MODEL, backend)
    x, y = XS[0].copy(), np.empty(2)
    step = session.bind(x, y)
    step()
    first, saved = y.tolist(), session.state
    step()
    second = y.tolist()
    session.reset()
    step()
    assert y.tolist() == first
    session.state = saved
    step()
    assert y.tolist() == second
    twin = session.copy()
    step()
    assert y.tolist() == twin.step(x).tolist()
    session.close()
    with pytest.raises(EdgeRnnError, match="expected an open session, got a closed one"):
        step()
    with pytest.raises(EdgeRnnError, match="expected an open session, got a closed one"):
        session.bind(x, y)


def test_a_bound_step_keeps_what_it_needs_and_no_longer(backend):
    x, y = XS[0].copy(), np.empty(2)
    watched = [weakref.ref(x), weakref.ref(y)]
    step = edgernn.load(MODEL, backend).bind(x, y)
    del x, y
    gc.collect()
    step()
    assert all(ref() is not None for ref in watched)
    assert watched[1]().tolist() == edgernn.load(MODEL, backend).step(XS[0]).tolist()
    del step
    gc.collect()
    assert all(ref() is None for ref in watched)


def test_a_cycle_through_a_bound_step_is_collected(backend):
    class App:
        def __init__(self):
            self.session, self.y = edgernn.load(MODEL, backend), np.empty(2)
            self.session.app = self
            self.step = self.session.bind(np.zeros(3), self.y)

    app = App()
    app.step()
    watched = weakref.ref(app)
    del app
    gc.collect()
    assert watched() is None


@pytest.mark.filterwarnings("ignore::edgernn.ClippedReadingsWarning")
def test_input_and_output_may_share_memory(backend):
    model = random_model("gru_before", inputs=2, outputs=2)
    session, twin = edgernn.load(model, backend), edgernn.load(model, backend)
    x = np.array([0.5, -0.25])
    step, wanted = session.bind(x, x), x.copy()
    for _ in range(5):
        step()
        wanted = twin.step(wanted)
        assert x.tolist() == wanted.tolist()


def test_codes_and_their_outputs_may_share_memory(backend):
    model = random_model("gru_before", Precision.W8A16, inputs=2, outputs=2)
    session, twin = (edgernn.load(model, backend, "hold") for _ in range(2))
    q_x, q_y = np.array([400, -800], np.int16), np.empty(2, np.int16)
    step = session.bind(q_x, q_x)
    step()
    twin.bind(np.array([400, -800], np.int16), q_y)()
    assert q_x.tolist() == q_y.tolist() != [400, -800]
    # What is held is the reading, not what took its place.
    assert session.step([np.nan] * 2).tolist() == twin.step([np.nan] * 2).tolist()
    assert session.step_codes([0, 0]).tolist() == twin.step_codes([0, 0]).tolist()


def read_only():
    y = np.empty(2)
    y.flags.writeable = False
    return y


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([0.0] * 3, np.empty(2), "expected a NumPy array x, got list. Make one with: np.empty(3"),
        (np.empty(3), [0.0] * 2, "expected a NumPy array y, got list."),
        (np.ma.zeros(3), np.empty(2), "expected a NumPy array x, got MaskedArray."),
        (np.empty(4), np.empty(2), "expected x of float64 [3], got float64 [4]."),
        (np.empty((1, 3)), np.empty(2), "expected x of float64 [3], got float64 [1, 3]."),
        (np.empty(3, np.float32), np.empty(2), "expected x of int8 [3], got float32 [3]. Bind"),
        (np.empty(3, np.int16), np.empty(2, np.int16), "expected x of int8 [3], got int16 [3]."),
        (np.empty(3), np.empty(1), "expected y of float64 [2], got float64 [1]."),
        (np.empty(3), np.empty(2, np.int16), "expected y of float64 [2], got int16 [2]."),
        (np.empty(3, np.int8), np.empty(2), "expected y of int16 [2], got float64 [2]."),
        (np.empty(6)[::2], np.empty(2), "expected a contiguous array x, got strides (16,)."),
        (np.empty(3), np.empty(4)[::2], "expected a contiguous array y, got strides (16,)."),
        (np.empty(3), read_only(), "expected a writable array y, got a read-only one. Pass a"),
        (np.empty(3, ">f8"), np.empty(2), "expected x of int8 [3], got >f8 [3]."),
    ],
)
def test_other_arrays_are_refused(backend, x, y, message):
    with pytest.raises(ShapeError, match=re.escape(f"session: {message}")):
        edgernn.load(MODEL, backend).bind(x, y)
