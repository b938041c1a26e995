"""The native backend against the reference: every instruction set of this processor, 0 LSB."""

import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import edgernn
from edgernn import BackendUnavailable, EdgeRnnError
from edgernn.backends.native import NativeBackend, isas
from edgernn.model.formats import Precision
from edgernn_firmware_sim.reference.backend import ReferenceBackend
from tests.support.models.grid import grid, reference_stream, special
from tests.support.models.integer import CELLS, random_codes, random_model
from tests.support.native.programs import all_isas, require_native

MODEL = random_model("lstm", Precision.W8A8)


@pytest.fixture(autouse=True)
def _native():
    require_native()


def differing(model, isa, q_xs, wanted):
    """Compared values and those that differ, of the output and every state at every step."""
    stream = NativeBackend(model, isa).new_stream()
    compared = wrong = 0
    for t, q_x in enumerate(q_xs):
        got = [stream.step_codes(q_x), *stream.state]
        for values, name in zip(got, ["y", *(s.name for s in model.states)], strict=True):
            compared += values.size
            wrong += int(np.count_nonzero(values != wanted[name][t]))
    return compared, wrong


@pytest.mark.parametrize("steps", [100, pytest.param(2000, marks=pytest.mark.long)])
@pytest.mark.parametrize("models", [grid, special], ids=["grid", "special"])
def test_every_isa_gives_the_reference_bits(models, steps):
    total, bad = 0, {}
    for name, model in models().items():
        q_xs = random_codes(model, steps)
        wanted = reference_stream(model, q_xs)
        for isa in isas():
            compared, wrong = differing(model, isa, q_xs, wanted)
            assert np.array_equal(
                NativeBackend(model, isa).new_stream().run_codes(q_xs), wanted["y"]
            )
            total += compared
            if wrong:
                bad[name, isa] = wrong
    assert bad == {}
    assert total > 600 * steps * len(isas())


#: Widths around the edges of tiles, vectors and blocks of rows, and more operands than are kept.
WIDTHS = [
    (1, 1, 1), (2, 3, 2), (5, 4, 3), (8, 15, 4), (9, 17, 5), (13, 31, 9), (33, 63, 17),
    (600, 40, 3),
]  # fmt: skip


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("cell", CELLS)
def test_every_isa_gives_the_reference_bits_at_odd_widths(cell, precision):
    for inputs, units, outputs in WIDTHS:
        for common in (True, False):
            model = random_model(
                cell, precision, inputs=inputs, units=units, outputs=outputs,
                stack=2, kind="hostile", common=common,
            )  # fmt: skip
            q_xs = random_codes(model, 30)
            wanted = reference_stream(model, q_xs)
            for isa in isas():
                assert differing(model, isa, q_xs, wanted)[1] == 0, (inputs, units, isa)


def awkward_readings(model, rng, count):
    """Halves between codes and their neighbours, saturating, tiny and huge values [count, I]."""
    spec, p = model.input, model.precision
    codes = rng.integers(
        p.input_low // p.input_step - 3, p.input_high // p.input_step + 4, (count, 1)
    )
    x = spec.offset + (codes + rng.choice([0, 0.5, -0.5, 0.25], (count, spec.width))) * (
        p.input_step * spec.scale
    )
    x = np.where(rng.uniform(size=x.shape) < 0.3, np.nextafter(x, rng.choice([-1e9, 1e9])), x)
    odd = rng.choice([0.0, -0.0, 5e-324, -5e-324, 1e308, -1e308, np.finfo(float).max], x.shape)
    return np.where(rng.uniform(size=x.shape) < 0.1, odd, x)


@pytest.mark.filterwarnings("ignore::edgernn.ClippedReadingsWarning")
@pytest.mark.parametrize("isa", all_isas())
@pytest.mark.parametrize("precision", Precision)
def test_real_readings_become_the_codes_of_clause_9_1(precision, isa):
    model = random_model("gru_after", precision, inputs=11, units=5)
    coder, stream = model.interface().coder(), NativeBackend(model, isa).new_stream()
    for x in awkward_readings(model, np.random.default_rng(1), 4000):
        y = stream.step(x)
        assert stream.held.tolist() == coder(x).tolist(), x.tolist()
        assert y.tolist() == model.interface().dequantize(stream.last).tolist()


@pytest.mark.filterwarnings("ignore::edgernn.ClippedReadingsWarning")
@pytest.mark.parametrize("isa", all_isas())
@pytest.mark.parametrize("precision", Precision)
def test_step_run_and_bind_on_reals_and_codes_give_the_reference_bits(precision, isa):
    model = random_model("lstm", precision, stack=2)
    xs = awkward_readings(model, np.random.default_rng(2), 300)
    q_xs = model.interface().quantize(xs)
    reference = edgernn.Session(ReferenceBackend(model))
    y_wanted = reference.run(xs).tolist()
    reference.reset()
    q_wanted = reference.run_codes(q_xs).tolist()

    def session():
        return edgernn.load(model, "native", isa=isa)

    def bound(rows, x_dtype, y_dtype):
        x, y = np.empty(model.input.width, x_dtype), np.empty(model.output.width, y_dtype)
        step, outputs = session().bind(x, y), []
        for row in rows:
            x[:] = row
            step()
            outputs.append(y.tolist())
        return outputs

    assert session().run(xs).tolist() == y_wanted
    assert session().run_codes(q_xs).tolist() == q_wanted
    one, codes = session(), session()
    assert [one.step(x).tolist() for x in xs] == y_wanted
    assert [codes.step_codes(q).tolist() for q in q_xs] == q_wanted
    assert bound(xs, np.float64, np.float64) == y_wanted
    assert bound(q_xs, precision.operand_dtype, np.int16) == q_wanted


#: The same three numbers in forms that do and do not go the short way.
FORMS = {
    "array": np.array,
    "list": list,
    "tuple": tuple,
    "numpy floats": lambda x: [np.float64(v) for v in x],
    "float32": lambda x: np.array(x, np.float32),
    "fortran": lambda x: np.array([x, x])[:, :].T[:, 0],
    "strided": lambda x: np.repeat(np.array(x), 2)[::2],
    "big endian": lambda x: np.array(x, ">f8"),
    "unaligned": lambda x: np.frombuffer(b"." + np.array(x).tobytes(), np.float64, offset=1),
    "read only": lambda x: np.frombuffer(np.array(x).tobytes()),
    "memoryview": lambda x: memoryview(np.array(x)),
    "masked": lambda x: np.ma.masked_array(x, [False] * 3),
    "mixed": lambda x: [x[0], np.float32(x[1]), x[2]],
    "pickled": lambda x: __import__("pickle").loads(__import__("pickle").dumps(np.array(x))),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_reading_is_the_same_in_every_form(form):
    numbers = [1.0, 0.5, -2.0]
    wanted = edgernn.load(MODEL, "reference").step(numbers).tolist()
    session = edgernn.load(MODEL, "native")
    assert session.step(FORMS[form](numbers)).tolist() == wanted
    session.reset()
    assert session.run(np.stack([FORMS[form](numbers)])).tolist() == [wanted]


def test_a_masked_value_is_missing_although_its_memory_holds_a_number():
    session = edgernn.load(MODEL, "native", "hold")
    session.step([1.0, 0.5, -2.0])
    before = session.state
    session.step(np.ma.masked_array([0.25, 9.0, 0.75], [False, True, False]))
    wanted = edgernn.load(MODEL, "reference")
    wanted.run([[1.0, 0.5, -2.0], [0.25, 0.5, 0.75]])
    assert session.bad_readings == 1
    assert any(not np.array_equal(before[k], v) for k, v in session.state.items())
    assert all(np.array_equal(wanted.state[k], v) for k, v in session.state.items())


# ---------------------------------------------------------------- choice


def test_native_is_what_load_chooses(tmp_path):
    path = MODEL.save(tmp_path / "m.edgernn")
    for session in (edgernn.load(path), edgernn.load(MODEL), edgernn.load(path, "native")):
        assert repr(session).startswith("<Session 'lstm-tame' w8a8 on native, ")
    assert "on reference" in repr(edgernn.load(path, "reference"))


def test_without_the_extension_load_chooses_the_reference(tmp_path, monkeypatch):
    path = MODEL.save(tmp_path / "m.edgernn")
    monkeypatch.setitem(sys.modules, "edgernn._native", None)
    assert "on reference" in repr(edgernn.load(path))
    assert "on reference" in repr(edgernn.load(MODEL))
    message = "backend 'native': expected the compiled module edgernn._native, got none"
    for source in (path, MODEL):
        with pytest.raises(BackendUnavailable, match=re.escape(message)):
            edgernn.load(source, "native")


def test_the_isa_is_an_option_and_an_environment_variable(tmp_path, monkeypatch):
    path = MODEL.save(tmp_path / "m.edgernn")
    assert NativeBackend(MODEL).isa == isas()[0]
    for isa in isas():
        monkeypatch.setenv("EDGERNN_ISA", isa)
        assert NativeBackend(MODEL).isa == isa
        assert NativeBackend(MODEL, "portable").isa == "portable"
        assert edgernn.load(path, "native", isa=isa).run_codes(random_codes(MODEL, 2)).size == 4
    monkeypatch.setenv("EDGERNN_ISA", "")
    assert NativeBackend(MODEL).isa == isas()[0]
    wanted = f"backend 'native': expected isa auto, {', '.join(isas())}, got 'mmx'. Set the option"
    for isa, variable in (("mmx", ""), ("auto", "mmx")):
        monkeypatch.setenv("EDGERNN_ISA", variable)
        with pytest.raises(BackendUnavailable, match=re.escape(wanted)):
            NativeBackend(MODEL, isa)


def test_importing_edgernn_does_not_load_the_extension():
    code = "import sys, edgernn; print('edgernn._native' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# ---------------------------------------------------------------- threads and memory


def test_sessions_of_one_backend_run_in_threads_of_their_own():
    model = random_model("gru_after", units=16)
    rng = np.random.default_rng(3)
    chunks = [rng.normal(size=(20_000, 3)).clip(-2, 2) for _ in range(4)]
    first = edgernn.load(model, "native")
    wanted = [first.new_stream().run(xs) for xs in chunks]
    sessions, got = [first.new_stream() for _ in chunks], {}
    threads = [
        threading.Thread(target=lambda i=i: got.update({i: sessions[i].run(chunks[i])}))
        for i in range(len(chunks))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(got[i], y) for i, y in enumerate(wanted))


def test_a_second_thread_on_the_same_session_is_refused():
    model = random_model("gru_after", units=64)
    session, xs = edgernn.load(model, "native", isa="portable"), np.zeros((100_000, 3))
    wanted = session.new_stream().run(xs)
    got, refusals = [], []
    thread = threading.Thread(target=lambda: got.append(session.run(xs)))
    thread.start()
    while thread.is_alive() and not refusals:
        try:
            session.copy()
        except EdgeRnnError as error:
            refusals.append(str(error))
    thread.join()
    assert refusals[0].startswith("session: expected one thread at a time, got a second one. Give")
    assert np.array_equal(got[0], wanted)


def resident_bytes():
    return 4096 * int(Path("/proc/self/statm").read_text().split()[1])


@pytest.mark.parametrize("isa", all_isas())
def test_many_steps_leave_no_memory_and_no_reference_behind(isa):
    session, bad = edgernn.load(MODEL, "native", "hold", isa=isa), np.full(3, np.nan)
    x, y, x_list, q_x = np.zeros(3), np.zeros(2), [0.0] * 3, np.zeros(3, np.int8)
    xs, q_xs = np.zeros((4, 3)), np.zeros((4, 3), np.int8)
    held = [x, y, x_list, q_x, xs, q_xs, bad, np.dtype(np.float64), np.dtype(np.int8), np.empty]

    def everything():
        bound = session.bind(x, y)
        for _ in range(100):
            bound()
            session.step(x)
            session.step(x_list)
            session.step_codes(q_x)
        session.run(xs)
        session.run_codes(q_xs)
        session.state = session.copy().state
        session.step(bad)
        with pytest.raises(ValueError, match="expected x and y"):
            session._stream.bind(x, x, everything)

    everything()
    references, memory = [sys.getrefcount(o) for o in held], resident_bytes()
    for _ in range(300):
        everything()
    now = [sys.getrefcount(o) for o in held]
    assert all(abs(a - b) < 20 for a, b in zip(references, now, strict=True)), (references, now)
    assert resident_bytes() - memory < 2**20
