"""`edgernn info` and `edgernn run` of files that hold programs which share states."""

from __future__ import annotations

import json

import pytest

import edgernn
from edgernn.cli import info, main
from edgernn.cli.info import describe_model
from edgernn.model.formats import Precision
from tests.support.models.integer import random_model
from tests.support.models.programs import pair, random_programs, shared

pytestmark = pytest.mark.device

PAIR, SHARED, RANDOM = pair(), shared(), random_programs(Precision.W8A8, 4)
READINGS = "0.5,1.0,-0.25\n1.5,0.0,0.25\n"


@pytest.fixture
def said(tmp_path, capsys):
    """Code, standard output and errors of a command on a file of a set or model."""

    def call(command, programs, *arguments):
        code = main([command, str(programs.save(tmp_path / "p.edgernn")), *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_info_counts_what_programs_have_in_common_once(said):
    code, out, _ = said("info", SHARED, "--json")
    record = json.loads(out)
    assert code == 0
    assert [program["name"] for program in record["programs"]] == ["warm", "forecast"]
    assert record["programs"][1] == json.loads(json.dumps(describe_model(SHARED["forecast"])))
    assert record["shared_layers"] == [{"name": "cell", "program": "forecast", "owner": "warm"}]
    assert record["shared_states"] == [{"name": "cell.h", "programs": ["warm", "forecast"]}]
    assert record["handovers"] == []
    assert record["sha256"] == SHARED.sha256
    for what in ("weights_bytes", "constants_bytes", "parameters"):
        (cell, out_), (_, head) = (program["layers"] for program in record["programs"])
        assert record[what] == cell[what] + out_[what] + head[what] > 0
    assert record["state_bytes"] == 12 == record["programs"][0]["state_bytes"]


def test_info_tells_handovers_with_their_shifts(said):
    _, out, _ = said("info", RANDOM, "--json")
    record = json.loads(out)
    assert record["handovers"][0] == {
        "program": "decode", "state": "dec.h", "source": "context", "value": "output", "shift": 5
    }  # fmt: skip
    assert record["state_bytes"] == 60
    assert sum(program["state_bytes"] for program in record["programs"]) == 84


def test_info_for_people(said):
    code, out, _ = said("info", RANDOM)
    lines = [line.split() for line in out.splitlines()]
    assert code == 0
    assert lines[0][:3] == ["random-4", "5", "programs"]
    assert ["refine", "w8a8", "3", "->", "3", "261", "234", "(dec),", "head"] in lines
    assert ["dec.c", "int16", "[6]", "Q3.12", "decode,", "refine"] in lines
    assert ["after.own.h", "refine.dec.c", "-1"] in lines
    assert "60 bytes of state per stream" in out
    assert "shared state  " in out
    assert "initial state" in out
    assert out.splitlines()[-1].endswith("edgernn info p.edgernn --program encode")
    assert "shared state  " not in said("info", PAIR)[1]
    assert "initial state" not in said("info", SHARED)[1]


def test_info_of_a_file_for_a_runtime_tells_what_links_the_programs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(info, "load", lambda _: edgernn.load(RANDOM, "reference"))
    path = tmp_path / "p.tflite"
    path.touch()
    assert main(["info", str(path), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    wanted = json.loads(json.dumps(info.describe_programs(RANDOM)))
    for same in ("name", "shared_states", "handovers", "state_bytes", "sha256"):
        assert record[same] == wanted[same]
    for found, whole in zip(record["programs"], wanted["programs"], strict=True):
        assert found.items() <= whole.items()
    assert main(["info", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "all programs  60 bytes of state per stream; shared states count once" in lines
    assert ["refine", "w8a8", "3", "->", "3"] in [line.split() for line in lines]


def test_info_of_one_program_is_that_of_its_model(said):
    _, out, _ = said("info", PAIR, "--program", "decode")
    _, alone, _ = said("info", PAIR["decode"])
    assert out.splitlines()[1:] == alone.splitlines()[1:]
    code, _, err = said("info", PAIR, "--program", "x")
    assert (code, err) == (2, "edgernn info: program: expected one of encode, decode, got 'x'\n")
    code, _, err = said("info", random_model("lstm"), "--program", "x")
    assert code == 2
    assert "got the model 'lstm-tame'. Omit the program name (--program)" in err


@pytest.mark.parametrize("backend", ["reference", "auto"])
def test_run_runs_one_program_from_its_initial_states(said, tmp_path, backend):
    readings = tmp_path / "x.csv"
    readings.write_text(READINGS)
    arguments = ("--input", str(readings), "--backend", backend)
    for name in PAIR.names:
        code, out, _ = said("run", PAIR, "--program", name, *arguments)
        assert code == 0
        assert out == said("run", PAIR[name], *arguments)[1]
        assert len(out.splitlines()) == 2


def test_run_asks_for_the_program(said):
    code, _, err = said("run", PAIR)
    assert code == 2
    assert err.startswith("edgernn run: --program: expected one of encode, decode, got none.")
    assert said("run", PAIR, "--program", "decoder")[2] == (
        "edgernn run: program: expected one of encode, decode, got 'decoder'\n"
    )


def test_load_opens_one_program_of_a_file(tmp_path):
    path = PAIR.save(tmp_path / "p.edgernn")
    with edgernn.load(path, "reference", program="decode") as session:
        assert session.interface == PAIR["decode"].interface()
