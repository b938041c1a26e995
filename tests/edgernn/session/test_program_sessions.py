"""Sessions over programs that share states: order, states by name, readings, copies, errors."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import numpy as np
import pytest

import edgernn
from edgernn import EdgeRnnError, ModelError, ProgramSession, ReadingError, ShapeError, StateError
from edgernn.model.formats import Precision
from edgernn.model.program_sets.handovers import Handover
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn.session import loading
from tests.support.models.networks import two_input_network
from tests.support.models.programs import pair, program, random_programs, shared
from tests.support.native.programs import require_native

pytestmark = pytest.mark.device

PAIR, SHARED, RANDOM = pair(), shared(), random_programs(Precision.W8A8, 4)
XS = np.random.default_rng(2).normal(size=(9, 3)).clip(-2, 2)
NAN = float("nan")


@pytest.fixture(params=["reference", "native"])
def backend(request):
    if request.param == "native":
        require_native()
    return request.param


def test_a_decoder_goes_on_from_the_states_of_an_encoder(backend):
    encode, decode = (edgernn.load(model, backend) for model in PAIR.programs)
    with edgernn.load(PAIR, backend) as session:
        for rows in (XS, XS[:4]):
            encode.reset()
            wanted = encode.run(rows)
            decode.state = {f"dec.{name}": encode.state[f"enc.{name}"] for name in ("h", "c")}
            session.begin("encode")
            np.testing.assert_array_equal(session.run("encode", rows), wanted)
            session.begin("decode")
            for row in XS[::-1]:
                np.testing.assert_array_equal(session.step("decode", row), decode.step(row))


def test_heads_of_one_cell_take_turns(backend):
    """Every state is as if one model with both heads had read all."""
    session = edgernn.load(SHARED, backend)
    one = edgernn.load(SHARED.programs[0], backend)
    for t, row in enumerate(XS):
        answer = one.step(row)
        if t % 3:
            np.testing.assert_array_equal(session.step("warm", row), answer)
        else:
            assert session.step("forecast", row).shape == (3,)
        assert session.state["cell.h"].tolist() == one.state["cell.h"].tolist()


def test_load_gives_a_session_of_a_file(tmp_path, backend):
    path = PAIR.save(tmp_path / "pair.edgernn")
    with edgernn.load(path, backend) as session:
        assert isinstance(session, ProgramSession)
        assert session.programs == ("encode", "decode")
        assert session.interface("decode") == PAIR["decode"].interface()
        assert repr(session) == "<ProgramSession 'pair': encode, decode>"
        session.begin("decode")
        assert session.step("decode", XS[0]).tolist() == (
            edgernn.load(PAIR["decode"], backend).step(XS[0]).tolist()
        )
    assert "sharing cell.h>" in repr(edgernn.load(SHARED, backend))


def test_states_by_name(backend):
    session = edgernn.load(RANDOM, backend)
    state = session.state
    first = [f"encode.{spec.name}" for spec in RANDOM["encode"].states]
    assert list(state)[: len(first) + 2] == [*first, "dec.h", "dec.c"]
    for program_ in ("encode", "context", "after"):
        assert all(f"{program_}.{spec.name}" in state for spec in RANDOM[program_].states)
    state["dec.h"][:] = 7
    assert not session.state["dec.h"].any()
    session.state = state
    assert session.state["dec.h"].tolist() == [7] * 6
    other = edgernn.load(RANDOM["refine"], backend)
    other.state = {"dec.h": state["dec.h"], "dec.c": state["dec.c"]}
    np.testing.assert_array_equal(session.step("refine", XS[0]), other.step(XS[0]))
    assert session.state["dec.h"].tolist() == other.state["dec.h"].tolist()


def test_a_state_that_was_set_goes_on_without_a_beginning(backend):
    one = edgernn.load(PAIR, backend)
    one.begin("decode")
    one.run("decode", XS[:5])
    two = edgernn.load(PAIR, backend)
    two.state = one.state
    np.testing.assert_array_equal(two.run("decode", XS), one.run("decode", XS))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("encode.enc.h"), "expected a mapping of encode.enc.h, .*got decode"),
        (lambda s: s.update(x=[1]), "expected a mapping of .*, x to vectors|got .*, x"),
        (lambda s: s.update({"encode.enc.h": np.zeros(5, int)}), r"state enc\.h: expected int16"),
        (lambda s: s.update({"decode.dec.c": np.zeros(6)}), r"state dec\.c: expected int16"),
        (lambda s: s.update({"decode.dec.c": [40_000] * 6}), r"expected codes in \[-32768"),
    ],
)
def test_states_that_do_not_fit_change_nothing(change, message):
    session = edgernn.load(PAIR, "reference")
    session.run("encode", XS)
    before = session.state
    wrong = {name: np.ones(6, int) for name in before}
    change(wrong)
    with pytest.raises(StateError, match=message):
        session.state = wrong
    assert all(session.state[name].tolist() == q.tolist() for name, q in before.items())
    with pytest.raises(StateError, match=r"expected a mapping .*got <class 'list'>"):
        session.state = [1]


def test_a_program_that_takes_over_must_begin(backend):
    session = edgernn.load(PAIR, backend)
    for call in (session.step, session.run, session.step_codes, session.run_codes):
        with pytest.raises(EdgeRnnError, match=r"'decode' to begin .*session\.begin\('decode'\)"):
            call("decode", XS)
    session.begin("decode")
    session.run("decode", XS)
    session.reset()
    with pytest.raises(EdgeRnnError, match="'decode' to begin"):
        session.step("decode", XS[0])


def output_handover() -> ProgramSet:
    source = program("context", "gru_after", Precision.W8A8, layer="ctx", seed=1, outputs=6)
    handover = Handover(program="decode", state="dec.h", source="context", value="output")
    return ProgramSet(name="out", programs=(source, PAIR["decode"]), handovers=(handover,))


def test_a_beginning_with_an_output_needs_one(backend):
    session = edgernn.load(output_handover(), backend)
    with pytest.raises(EdgeRnnError, match=r"a step of 'context' before .*session\.run\('context'"):
        session.begin("decode")
    q_y = session.step_codes("context", [1, 2, 3])
    session.begin("decode")
    assert session.state["decode.dec.h"].tolist() == [
        max(min(32 * q, 32767), -32768) for q in q_y.tolist()
    ]
    session.step("decode", XS[0])
    session.begin("context")
    before = session.state
    with pytest.raises(EdgeRnnError, match="a step of 'context' before"):
        session.begin("decode")
    assert all(session.state[name].tolist() == q.tolist() for name, q in before.items())


BAD_CALLS = {
    "no program": (lambda s: s.step("encoder", XS[0]), ModelError, "expected one of encode, deco"),
    "begin none": (lambda s: s.begin("x"), ModelError, "expected one of encode, decode, got 'x'"),
    "missing": (lambda s: s.step("encode", [1.0, NAN, 2.0]), ReadingError, "channel 1"),
    "width": (lambda s: s.run("encode", XS[:, :2]), ShapeError, r"shape \(3,\)"),
    "codes": (lambda s: s.step_codes("decode", [1, 2, 3000]), ReadingError, "got 3000"),
    "outputs": (lambda s: s.outputs("decode", np.zeros(5)), ShapeError, r"expected outputs \[..."),
    "softmax": (lambda s: s.step("decode", XS[0], softmax=True), EdgeRnnError, "ends in a softmax"),
    "interface": (lambda s: s.interface("x"), ModelError, "got 'x'"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_CALLS)
def test_a_call_that_raises_leaves_the_stream_as_it_was(backend, name):
    call, kind, message = BAD_CALLS[name]
    one, two = (edgernn.load(PAIR, backend) for _ in range(2))
    for session in (one, two):
        session.run("encode", XS)
        session.begin("decode")
        session.run("decode", XS)
    with pytest.raises(kind, match=message):
        call(one)
    for program_ in ("decode", "encode"):
        np.testing.assert_array_equal(one.run(program_, XS), two.run(program_, XS))


def test_a_bad_reading_does_not_lose_what_another_program_left(backend):
    session = edgernn.load(SHARED, backend)
    session.run("warm", XS)
    before = session.state["cell.h"].tolist()
    with pytest.raises(ReadingError):
        session.step("forecast", [NAN] * 3)
    assert session.state["cell.h"].tolist() == before
    session.step("forecast", XS[0])
    assert session.state["cell.h"].tolist() != before


def test_the_last_good_reading_and_answer_outlive_the_steps_of_others(backend):
    session = edgernn.load(SHARED, backend, {"warm": "hold", "forecast": "skip"})
    plain = edgernn.load(SHARED, backend)
    session.step("warm", XS[0])
    last = session.step("forecast", XS[1])
    plain.run("warm", XS[:1])
    plain.run("forecast", XS[1:2])
    np.testing.assert_array_equal(session.step("warm", [NAN] * 3), plain.step("warm", XS[0]))
    np.testing.assert_array_equal(session.step("forecast", [NAN] * 3), last)
    assert session.bad_readings == {"warm": 1, "forecast": 1}
    session.begin("warm")
    assert np.isnan(session.step("warm", [NAN] * 3)).all()


def test_policies_belong_to_programs():
    session = edgernn.load(PAIR, "reference", {"encode": {"x1": 0.5}})
    session.step("encode", [1.0, NAN, 2.0])
    session.begin("decode")
    with pytest.raises(ReadingError):
        session.step("decode", [NAN] * 3)
    everywhere = edgernn.load(PAIR, "reference", "skip")
    assert np.isnan(everywhere.step("encode", [NAN] * 3)).all()
    with pytest.raises(EdgeRnnError, match=r"policies for the programs encode, decode, got x1"):
        edgernn.load(PAIR, "reference", {"x1": "hold"})
    for wrong in ({"encode": "later"}, {"encode": {"x0": "later"}}, "later"):
        with pytest.raises(EdgeRnnError, match="expected one of raise, hold, skip"):
            edgernn.load(PAIR, "reference", wrong)
    with pytest.raises(EdgeRnnError, match="expected one of raise, hold, skip"):
        edgernn.load(PAIR["encode"], "reference", {"x0": {"x1": "hold"}})


def test_clipped_readings_are_counted_by_program():
    session = edgernn.load(PAIR, "reference")
    with pytest.warns(edgernn.ClippedReadingsWarning, match="'x2'"):
        session.step("encode", [0, 0, 1e6])
    session.begin("encode")
    assert session.clipped_readings == {"encode": (0, 0, 1), "decode": (0, 0, 0)}
    session.reset()
    assert session.clipped_readings["encode"] == (0, 0, 0)


def test_programs_with_ports():
    two = dataclasses.replace(two_input_network(), name="two")
    programs = ProgramSet(name="mixed", programs=(two, *SHARED.programs))
    session, alone = edgernn.load(programs, "reference"), edgernn.load(two, "reference")
    reading = {"a": [0.1, 0.2, 0.3], "b": [0.4, 0.5]}
    named = session.outputs("two", session.step("two", reading))
    wanted = alone.outputs(alone.step(reading))
    assert {k: v.tolist() for k, v in named.items()} == {k: v.tolist() for k, v in wanted.items()}
    assert list(session.outputs("warm", session.step("warm", XS[0]))) == ["output"]


@pytest.mark.parametrize(
    "take", [lambda s: pickle.loads(pickle.dumps(s)), copy.deepcopy, copy.copy, lambda s: s.copy()]
)
def test_copies_go_on_from_where_the_stream_is(backend, take):
    for programs in (PAIR, SHARED, output_handover()):
        first, second = programs.names[:2]
        one = edgernn.load(programs, backend, "hold")
        one.run(first, XS)
        one.begin(second)
        one.run(second, XS[:4])
        two = take(one)
        assert repr(two) == repr(one)
        for name in (first, second, first):
            np.testing.assert_array_equal(two.step(name, [NAN] * 3), one.step(name, [NAN] * 3))
            np.testing.assert_array_equal(two.run(name, XS), one.run(name, XS))
        two.begin(second)
        assert two.bad_readings == one.bad_readings
        one.close()
        two.step(second, XS[0])


def test_a_new_stream_is_at_its_beginning(backend):
    one = edgernn.load(PAIR, backend)
    one.run("encode", XS)
    one.begin("decode")
    two = one.new_stream()
    with pytest.raises(EdgeRnnError, match="'decode' to begin"):
        two.step("decode", XS[0])
    fresh = edgernn.load(PAIR, backend)
    np.testing.assert_array_equal(two.run("encode", XS), fresh.run("encode", XS))


def test_a_closed_session_takes_nothing():
    session = edgernn.load(PAIR, "reference")
    session.step("encode", XS[0])
    session.close()
    session.close()
    assert session.closed
    assert repr(session).endswith("decode, closed>")
    for call in (
        lambda: session.step("encode", XS[0]),
        lambda: session.begin("encode"),
        lambda: session.state,
        session.reset,
        session.copy,
        session.new_stream,
        session.__enter__,
        lambda: pickle.dumps(session),
    ):
        with pytest.raises(EdgeRnnError, match="expected an open session, got a closed one"):
            call()


def test_what_cannot_be_loaded(monkeypatch):
    with pytest.raises(EdgeRnnError, match="'nothing' for an endless model, got 'pad'"):
        edgernn.load(PAIR, "reference", warm_up="pad")
    with pytest.raises(EdgeRnnError, match=r"expected backend .* in memory, got 'onnx'"):
        edgernn.load(PAIR, "onnx")
    with pytest.raises(EdgeRnnError, match="a path, an IntegerModel or a ProgramSet, got int"):
        edgernn.load(3)
    closed = []

    class Second(Exception):
        """Of the second backend."""

    class First:
        interface = PAIR["encode"].interface()

        def close(self):
            closed.append(True)

    made = iter([First()])

    def open_one(*_, **__):
        try:
            return next(made)
        except StopIteration:
            raise Second from None

    monkeypatch.setattr(loading, "open_model", open_one)
    with pytest.raises(Second):
        edgernn.load(PAIR)
    assert closed == [True]
