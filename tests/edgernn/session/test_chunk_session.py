"""Sessions over chunks: lengths, refusals, many chunks at once, files."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import edgernn
from edgernn.errors import (
    EdgeRnnError,
    FormatError,
    ModelError,
    ReadingError,
    ShapeError,
)
from edgernn.model.formats import Precision
from edgernn.model.program_sets.passes import CHUNK_INPUT, ChunkPlan, Pass, PassDirection, Read
from edgernn.model.program_sets.program_set import ProgramSet
from tests.support.models.passes import random_passes, with_ports
from tests.support.models.programs import shared

PROGRAMS = random_passes(Precision.W8A8, 1, sequence=True)


def chunks(count, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(1, 2, (int(rng.integers(1, 10)), 3)) for _ in range(count)]


@pytest.fixture
def session():
    with edgernn.load(PROGRAMS, "reference") as opened:
        yield opened


def test_many_chunks_of_any_length_give_what_each_gives_alone(session):
    given = chunks(7)
    together = session.run_many(given)
    assert [len(y) for y in together] == [len(x) for x in given]
    for x, y in zip(given, together, strict=True):
        np.testing.assert_array_equal(y, session.run(x))
    assert session.run_many([]) == []
    assert session.max_steps == 9
    assert session.min_steps == 1
    assert "chunks of up to 9 steps, 3 passes" in repr(session)


def test_functions_over_streams_say_what_takes_chunks(tmp_path):
    PROGRAMS.save(tmp_path / "chunks.edgernn")
    with pytest.raises(EdgeRnnError, match=r"edgernn\.load_chunks\(source\)\.run_many"):
        edgernn.run_many(tmp_path / "chunks.edgernn", chunks(2))
    with pytest.raises(EdgeRnnError, match=r"whole chunks with edgernn\.load_chunks"):
        edgernn.StreamPool(tmp_path / "chunks.edgernn")


def test_the_answer_at_the_last_step_is_one_vector():
    plan = dataclasses.replace(PROGRAMS.chunk, sequence=False)
    programs = dataclasses.replace(PROGRAMS, chunk=plan)
    x = chunks(1)[0]
    with (
        edgernn.load(programs, "reference") as session,
        edgernn.load(PROGRAMS, "reference") as every,
    ):
        assert session.run(x).shape == (2,)
        np.testing.assert_array_equal(session.run(x), every.run(x)[-1])
    assert programs.sha256 != PROGRAMS.sha256


def test_a_single_step_is_refused_with_both_cures(session):
    for call in (session.step, session.new_stream):
        with pytest.raises(EdgeRnnError, match=r"edgernn run --chunk N\).* edgernn quantize MODEL"):
            call([0.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("chunk", "error", "message"),
    [
        (np.zeros((10, 3)), ShapeError, r"1 to 9 steps, got 10 \(chunk 0\). Cut it into chunks"),
        (np.zeros((0, 3)), ShapeError, r"1 to 9 steps, got 0 \(chunk 0\)"),
        (np.zeros((2, 4)), ShapeError, "3"),
        ([[0, 0, 0], [0, np.nan, 0]], ReadingError, "chunk 0, reading 1"),
    ],
)
def test_chunks_that_are_none(session, chunk, error, message):
    with pytest.raises(error, match=message):
        session.run(chunk)


def test_a_closed_session_and_a_softmax_that_is_none(session):
    with pytest.raises(EdgeRnnError, match="softmax"):
        session.run(chunks(1)[0], softmax=True)
    session.close()
    session.close()
    assert session.closed
    with pytest.raises(EdgeRnnError, match="got a closed one"):
        session.run(chunks(1)[0])


def test_loading_by_the_wrong_call():
    with pytest.raises(EdgeRnnError, match=r"Load it with edgernn\.load_chunks"):
        edgernn.load_programs(PROGRAMS, "reference")
    with pytest.raises(EdgeRnnError, match=r"Load it with edgernn\.load_programs"):
        edgernn.load_chunks(shared(), "reference")
    with pytest.raises(EdgeRnnError, match="Fill missing values of a chunk"):
        edgernn.load(PROGRAMS, "reference", on_bad_reading="hold")


@pytest.mark.parametrize("make", [lambda p: p, with_ports])
def test_a_file_holds_the_plan(make, tmp_path):
    programs = make(PROGRAMS)
    path = programs.save(tmp_path / "chunks.edgernn")
    assert b'"edgernn_schema":"7"' in path.read_bytes()
    again = ProgramSet.load(path)
    assert again.chunk == programs.chunk
    assert again.sha256 == programs.sha256
    x = chunks(1)[0]
    with edgernn.load(path, "reference") as one, edgernn.load(programs, "reference") as other:
        np.testing.assert_array_equal(one.run(x), other.run(x))


def test_a_plan_in_a_file_is_checked(tmp_path):
    path = PROGRAMS.save(tmp_path / "chunks.edgernn")
    damaged = path.read_bytes().replace(b'max_steps\\":9', b'max_steps\\":0')
    assert damaged != path.read_bytes()
    from edgernn.container.frame import sealed

    path.write_bytes(sealed(damaged))
    with pytest.raises(FormatError, match="max_steps"):
        ProgramSet.load(path)


def plan(**changes):
    return dataclasses.replace(PROGRAMS.chunk, **changes)


def changed(index, **changes):
    passes = list(PROGRAMS.chunk.passes)
    passes[index] = dataclasses.replace(passes[index], **changes)
    return plan(passes=tuple(passes))


READINGS = Read(source=CHUNK_INPUT)
ONE = Read(source="one", value="output")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: plan(max_steps=0), "1..32767 steps, got 0"),
        (lambda: plan(min_steps=10), "10..32767 steps, got 9"),
        (lambda: plan(passes=()), "at least one pass"),
        (lambda: plan(passes=PROGRAMS.chunk.passes[::-1]), "one for each program in their order"),
        (lambda: changed(0, reads=(ONE,)), "of the first pass nothing else"),
        (lambda: changed(1, reads=(ONE, READINGS)), "readings of the chunk first and once"),
        (lambda: changed(1, reads=(READINGS,)), "expected 5 channels from its reads, got 3"),
        (lambda: changed(2, reads=(Read(source="three", value="output"),)), "an earlier program"),
        (lambda: changed(2, reads=(Read(source="one", value="y"),)), "output among output, got"),
        (
            lambda: changed(1, reads=(dataclasses.replace(READINGS, last=True), ONE)),
            "the 3 input channels of one first",
        ),
    ],
)
def test_plans_that_contradict_the_programs(make, message):
    with pytest.raises(ModelError, match=message):
        dataclasses.replace(PROGRAMS, chunk=make())


def test_a_scale_that_is_not_that_of_the_output():
    one, two, three = PROGRAMS.programs
    spec = dataclasses.replace(three.input, scale=2 * three.input.scale)
    with pytest.raises(ModelError, match=r"with the scale of one\.output times 256 and no offset"):
        dataclasses.replace(PROGRAMS, programs=(one, two, dataclasses.replace(three, input=spec)))


def test_a_pass_that_nobody_reads():
    one, passes = PROGRAMS.programs[0], PROGRAMS.chunk.passes
    two = dataclasses.replace(one, name="two", layers=tuple(
        dataclasses.replace(layer, name=f"{layer.name}_2") for layer in one.layers
    ))  # fmt: skip
    second = Pass(program="two", direction=PassDirection.BACKWARD, reads=(READINGS,))
    with pytest.raises(ModelError, match="got one without a reader"):
        ProgramSet(
            name="unread",
            programs=(one, two),
            chunk=ChunkPlan(passes=(passes[0], second), max_steps=3),
        )
