"""`edgernn run` and `edgernn info` of models that read tokens."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgernn.cli import main
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.tokens import token_and_real_network, token_chain
from tests.support.run_command import RunCommand

CHAIN = token_chain()
TOKENS = [3, 7, 1, 49, 0]


@pytest.fixture
def path(tmp_path):
    return CHAIN.save(tmp_path / "chain.edgernn")


@pytest.fixture
def command(path, tmp_path, monkeypatch, capsys):
    return RunCommand(path, tmp_path, monkeypatch, capsys)


def wanted():
    q_ys, _ = Reference(CHAIN).run(np.array(TOKENS, np.int16)[:, None])
    return [",".join(f"{y:.4f}" for y in row) for row in q_ys * CHAIN.output.scale]


@pytest.mark.parametrize("content", ["3\n7\n1\n49\n0\n", "x0\n3\n7\n1\n49\n0\n"])
def test_columns_of_integers(command, content):
    code, lines, errors = command(content)
    assert (code, errors) == (0, "5 readings, 0 bad (raise)\n")
    assert lines[-5:] == wanted()


def test_json_lines(command):
    code, lines, _ = command("".join(f'{{"x0": {token}}}\n' for token in TOKENS), name="t.jsonl")
    assert code == 0
    answers = [json.loads(line) for line in lines]
    assert len(answers) == 5
    assert [f"{answer['y0']:.4f},{answer['y1']:.4f}" for answer in answers] == wanted()


@pytest.mark.parametrize("policy", ["raise", "hold", "skip"])
@pytest.mark.parametrize("cell", ["50", "-1", "2.5"])
def test_what_is_no_token_ends_the_run(command, policy, cell):
    code, _, errors = command(f"3\n{cell}\n7\n", "--on-bad-reading", policy)
    assert code != 0
    assert "'x0': expected a token, an integer from 0 to 49" in errors


def test_a_missing_token_is_held(command):
    code, lines, errors = command("3\n\n7\nnan\n1\n49\n0\n", "--on-bad-reading", "hold")
    assert (code, errors) == (0, "6 readings, 1 bad (hold)\n")
    assert len(lines) == 6


def test_info_counts_tables_and_says_how_many_tokens(path, tmp_path, capsys):
    assert main(["info", str(path), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    (channel,) = record["inputs"]
    assert (channel["tokens"], channel["low"], channel["high"]) == (50, 0.0, 49.0)
    embedding = record["layers"][0]
    assert (embedding["weights_bytes"], embedding["parameters"]) == (400, 400)
    assert embedding["memory"]["total_bytes"] == 400
    assert main(["info", str(path)]) == 0
    text = capsys.readouterr().out
    assert "x0  0 to 49, 50 tokens" in text
    assert "50 tokens" in text.split("words")[1].splitlines()[0]
    network = token_and_real_network().save(tmp_path / "network.edgernn")
    assert main(["info", str(network), "--json"]) == 0
    inputs = json.loads(capsys.readouterr().out)["inputs"]
    assert [channel.get("tokens") for channel in inputs] == [None, None, 300, None, 7, 5]
