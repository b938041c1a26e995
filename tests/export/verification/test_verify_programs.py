"""Programs that share states are verified over walks: beginnings and steps of all of them."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from edgernn.cli import main
from edgernn.errors import EdgeRnnError, ModelError
from edgernn.model.formats import Precision
from edgernn.model.program_sets.handovers import Handover
from edgernn_export.verification import program_comparison
from edgernn_export.verification.executors import EXECUTORS
from edgernn_export.verification.program_comparison import verify_programs
from edgernn_export.verification.program_walk import Walk, random_walk
from tests.support.models.programs import pair, program, random_programs, shared
from tests.support.runtimes import require

RANDOM = random_programs(Precision.W8A16, 3)
PAIR = pair()


@pytest.mark.long
def test_every_runtime_gives_the_reference_bits():
    require("tflite_runtime", "ai_edge_litert", "onnxruntime")
    told = []
    walk = random_walk(RANDOM, 60, seed=1)
    result = verify_programs(RANDOM, walk, progress=told.append)
    values = sum(count * RANDOM[name].output.width for name, count in walk.steps.items())
    values += len(walk.moves) * RANDOM.state_bytes // 2
    assert [(o.status, o.differing) for o in result.outcomes] == [("ran", 0)] * (1 + len(EXECUTORS))
    assert {o.compared for o in result.outcomes} == {values}
    assert result.passed
    assert len(told) == 1 + len(EXECUTORS)
    assert {form for form, _ in result.file_bytes} == {"edgernn", "tflite", "onnx"}
    record = json.loads(result.to_json())
    assert record["beginnings"] == walk.beginnings > 4
    assert dict(record["program_steps"]) == walk.steps
    assert "60 steps (encode " in result.table().splitlines()[0]


def test_a_difference_fails(monkeypatch):
    def spoilt(executor, *rest):
        found = trace(executor, *rest)
        if executor.runtime == "native":
            found = dataclasses.replace(found, q_states=found.q_states + 1)
        return found

    trace = program_comparison.walk_trace
    monkeypatch.setattr(program_comparison, "walk_trace", spoilt)
    walk = random_walk(PAIR, 6, seed=1)
    result = verify_programs(PAIR, walk, ["native"])
    assert not result.passed
    assert result.outcomes[1].differing == len(walk.moves) * PAIR.state_bytes // 2


@pytest.mark.parametrize("programs", [PAIR, shared(), RANDOM], ids=lambda p: p.name)
def test_walks(programs, tmp_path):
    walk = random_walk(programs, 200, seed=2)
    assert sum(walk.steps.values()) == 200
    assert min(walk.steps.values()) > 10
    assert walk.beginnings > 5
    assert len(walk.moves) == 200 + walk.beginnings
    again = random_walk(programs, 200, seed=2)
    np.testing.assert_array_equal(walk.moves, again.moves)
    assert not np.array_equal(walk.moves, random_walk(programs, 200, seed=3).moves)
    walk.save(tmp_path / "w.npz")
    loaded = Walk.load(tmp_path / "w.npz")
    np.testing.assert_array_equal(loaded.moves, walk.moves)
    assert loaded.programs == walk.programs
    for name, codes in walk.codes.items():
        assert loaded.codes[name].dtype == codes.dtype
        np.testing.assert_array_equal(loaded.codes[name], codes)


def test_a_walk_has_a_step_of_every_program():
    assert set(random_walk(RANDOM, 5, seed=0).steps.values()) == {1}
    with pytest.raises(EdgeRnnError, match="expected at least 5 steps, got 4"):
        random_walk(RANDOM, 4, seed=0)


def test_programs_that_wait_for_each_other_are_no_set():
    first = program("first", "gru_after", Precision.W8A8, layer="a", seed=1, outputs=6)
    second = program("second", "gru_after", Precision.W8A8, layer="b", seed=2, outputs=6)
    both = tuple(
        Handover(program=to, state=state, source=of, value="output")
        for to, state, of in (("first", "a.h", "second"), ("second", "b.h", "first"))
    )
    one = dataclasses.replace(PAIR, programs=(first, second), handovers=both[:1])
    assert one.shift(both[0]) == 10 - 15
    with pytest.raises(ModelError, match="got a circle: each of first, second"):
        dataclasses.replace(one, handovers=both)


def test_the_command(tmp_path, capsys):
    path = str(PAIR.save(tmp_path / "pair.edgernn"))
    assert main(["verify", path, "--backends", "native", "--steps", "9"]) == 0
    assert "9 steps (encode" in capsys.readouterr().out
    assert (
        main(["verify", path, "--program", "decode", "--backends", "native", "--steps", "3"]) == 0
    )
    assert capsys.readouterr().out.startswith("decode w8a8, 3 steps, all outputs")
    assert main(["verify", path, "--input", "x.csv"]) == 2
    assert "--input: expected --program as well, one of encode, decode" in capsys.readouterr().err
    assert main(["verify", path, "--model", path]) == 2
