"""A .tflite file of programs that share states: a signature for each, and sessions over them."""

from __future__ import annotations

import dataclasses
import json
import pickle
import sys
from importlib import util

import numpy as np
import pytest

import edgernn
from edgernn.backends.tflite import RUNTIMES, open_tflite
from edgernn.backends.tflite_file import narrowed, parse_metadata, read_programs, read_tflite
from edgernn.cli import main as command
from edgernn.cli.info import describe_programs
from edgernn.container import programs_json
from edgernn.errors import FormatError, ModelError
from edgernn.model.formats import Precision
from edgernn_export import export
from edgernn_export.verification.program_walk import random_walk, walked
from edgernn_export.writers.file_formats import golden_vector
from edgernn_export.writers.tflite.writer import write_tflite, write_tflite_programs
from tests.support.models.programs import head_of, pair, program, random_programs, shared
from tests.support.runtimes import RESOLVERS, require, run_python

PAIR, SHARED = pair(), shared()
RANDOM = random_programs(Precision.W8A16, 4)


def written(programs):
    return write_tflite_programs(programs, [golden_vector(m) for m in programs.programs])


CONTENT = written(RANDOM)


@pytest.fixture
def file(tmp_path):
    if not any(util.find_spec(name) for name in RUNTIMES):
        pytest.skip("needs a TFLite runtime: pip install 'edgernn[tflite]'")
    path = tmp_path / "random.tflite"
    path.write_bytes(CONTENT)
    return path


def runners(folder, runtime):
    """Walks through the signatures of a file's own, in a process of theirs (see `main`)."""
    run_python(__file__, str(folder), runtime)
    return [dict(np.load(folder / f"{resolver}.npz")) for resolver in RESOLVERS]


@pytest.mark.parametrize("runtime", ["tflite_runtime", "ai_edge_litert"])
def test_signatures_give_the_reference_bits_without_edgernn(tmp_path, runtime):
    """Every configuration runs the file as it is: the runner of each program, from zeros."""
    require(runtime)
    (tmp_path / "programs.tflite").write_bytes(CONTENT)
    codes = {m.name: golden_vector(m) for m in RANDOM.programs}
    np.savez(tmp_path / "codes.npz", **{name: golden.q_x for name, golden in codes.items()})
    for found in runners(tmp_path, runtime):
        assert found.keys() == codes.keys()
        for name, golden in codes.items():
            np.testing.assert_array_equal(found[name], golden.q_y)


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_a_session_gives_the_reference_bits(file, resolver):
    walk = random_walk(RANDOM, 80, seed=5)
    q_ys, q_states, _ = walked(edgernn.load_programs(RANDOM, "reference"), walk)
    with edgernn.load_programs(file, resolver=resolver) as session:
        got = walked(session, walk)
    np.testing.assert_array_equal(got[0], q_ys)
    np.testing.assert_array_equal(got[1], q_states)


def test_load_opens_all_programs_or_one(file):
    with edgernn.load(file) as session:
        assert isinstance(session, edgernn.ProgramSession)
        assert session.programs == RANDOM.names
        assert session.interfaces.handovers == RANDOM.handovers
        session.begin("encode")
        session.step("encode", np.zeros(3))
        again = pickle.loads(pickle.dumps(session))
        for name, vector in session.state.items():
            np.testing.assert_array_equal(again.state[name], vector)
        np.testing.assert_array_equal(
            again.step("encode", np.ones(3)), session.step("encode", np.ones(3))
        )
    with edgernn.load(file, program="after") as one:
        wanted = dataclasses.replace(
            RANDOM["after"].interface(), golden=golden_vector(RANDOM["after"])
        )
        assert one.interface == wanted


def test_a_file_says_what_links_its_programs(file):
    told = read_programs(file)
    goldens = [golden_vector(model) for model in RANDOM.programs]
    interfaces = RANDOM.interfaces()
    assert told.sha256 == RANDOM.sha256
    assert told.programs == tuple(
        dataclasses.replace(i, golden=g) for i, g in zip(interfaces.programs, goldens, strict=True)
    )
    assert told == dataclasses.replace(interfaces, programs=told.programs)
    assert parse_metadata(CONTENT) == told
    assert written(RANDOM) == CONTENT


def test_constants_in_common_are_stored_once():
    """Beside a program of another cell, a head of the same one saves the cell's constants."""
    other = program("other", "gru_after", Precision.W8A8, layer="none", seed=9)
    apart = dataclasses.replace(
        SHARED, programs=(SHARED.programs[0], head_of(other, "forecast", seed=4))
    )
    affines = other.layers[0].affines.values()
    weights = sum(term.weights.nbytes for affine in affines for term in affine.terms)
    assert weights > 150
    assert len(written(SHARED)) < len(written(apart)) - weights
    alone = (write_tflite(m, golden_vector(m)) for m in SHARED.programs)
    assert len(written(SHARED)) < sum(map(len, alone)) - weights


def test_one_program_of_a_file(file):
    content, interface = read_tflite(file, "decode")
    assert interface.name == "decode"
    assert content == narrowed(CONTENT, "decode")
    # The lengths of two vectors, what their first entries lead to, and the number of the graph.
    assert sum(a != b for a, b in zip(content, CONTENT, strict=True)) <= 4 * 5
    with pytest.raises(FormatError, match="expected a signature 'other', got none"):
        narrowed(CONTENT, "other")


def test_hostile_offsets_end_in_format_errors():
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(1500):
        damaged = bytearray(CONTENT)
        at = int(rng.integers(0, len(CONTENT) // 4)) * 4
        value = rng.choice([0, 1, 4, len(CONTENT), 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
        damaged[at : at + 4] = int(value).to_bytes(4, "little")
        try:
            assert len(narrowed(bytes(damaged), "after")) == len(CONTENT)
        except FormatError:
            refused += 1
    assert refused


def test_other_files_and_names_are_refused(file, tmp_path):
    model = PAIR.programs[0]
    single = export(model, tmp_path, ["tflite"], name="one")["tflite"]
    with pytest.raises(FormatError, match=r"expected one model, got programs .*encode, decode, r"):
        open_tflite(file)
    with pytest.raises(ModelError, match=r"program: expected one of encode, .* got 'other'"):
        edgernn.load(file, program="other")
    with pytest.raises(FormatError, match="expected programs, 'encode' among them, got one model"):
        open_tflite(single, program="encode")
    with pytest.raises(FormatError, match=r"expected several programs, got one model \(encode\)"):
        edgernn.load_programs(single)


def test_metadata_are_read_strictly():
    text = programs_json.dumps(RANDOM.interfaces())
    assert programs_json.dumps(programs_json.loads(text)) == text

    def broken(change):
        record = json.loads(text)
        change(record)
        return json.dumps(record)

    for change, message in (
        (lambda r: r.update(edgernn_programs=3), "expected version 1 or 2 for programs, got 3"),
        (lambda r: r.update(more=1), "exactly the members"),
        (lambda r: r["handovers"][0].update(shift=9), r"handovers\[0\].shift: expected an integer"),
        (lambda r: r["handovers"][0].update(value="no.h"), "interface: context: expected a state"),
        (lambda r: r["programs"].pop(), "interface: program: expected one of encode"),
        (lambda r: r["programs"][0]["output"].pop("units"), r"programs\[0\]\.output"),
    ):
        with pytest.raises(FormatError, match=message):
            programs_json.loads(broken(change))


def test_info_and_run_know_a_tflite_file(tmp_path, capsys):
    require("tflite_runtime")
    path = str(export(SHARED, tmp_path, ["tflite"], name="s")["tflite"])
    assert command(["info", path, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    whole = json.loads(json.dumps(describe_programs(SHARED)))
    told = {key: whole[key] for key in ("name", "shared_states", "handovers", "state_bytes")}
    assert {key: record[key] for key in told} == told
    assert record["sha256"] == SHARED.sha256
    assert [program["name"] for program in record["programs"]] == ["warm", "forecast"]
    assert command(["info", path]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert ["warm", "w8a8", "3", "->", "2"] in [line.split() for line in lines]
    assert "all programs  12 bytes of state per stream; shared states count once" in lines
    assert command(["info", path, "--program", "forecast"]) == 0
    assert "sha256 of the integer model" in capsys.readouterr().out
    readings = tmp_path / "r.csv"
    readings.write_text("0.5,1,-0.25\n1.5,0,0.25\n")
    answers = []
    for file in (path, str(SHARED.save(tmp_path / "s.edgernn"))):
        assert command(["run", file, "--program", "forecast", "--input", str(readings)]) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1]
    assert len(answers[0].splitlines()) >= 2
    assert command(["run", path, "--input", str(readings)]) == 2
    assert "--program: expected one of warm, forecast, got none" in capsys.readouterr().err


def main(folder, runtime):
    """Run the codes of each program through its signature, with every kind of kernels."""
    from pathlib import Path

    from edgernn.backends import tflite

    _, module = tflite.load_runtime(runtime)
    codes = dict(np.load(Path(folder) / "codes.npz"))
    for resolver in RESOLVERS:
        kind = getattr(module.OpResolverType, tflite.RESOLVERS[resolver])
        interpreter = module.Interpreter(
            model_path=str(Path(folder) / "programs.tflite"), experimental_op_resolver_type=kind
        )
        found = {}
        for name, q_xs in codes.items():
            step = interpreter.get_signature_runner(name)
            fed = {
                key: np.zeros(about["shape"], about["dtype"])
                for key, about in step.get_input_details().items()
                if key != "x"
            }
            q_ys = []
            for q_x in q_xs:
                out = step(x=q_x[None], **fed)
                fed = {key: out[f"{key}_out"] for key in fed}
                q_ys.append(out["y"][0])
            found[name] = np.array(q_ys)
        np.savez(Path(folder) / f"{resolver}.npz", **found)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
