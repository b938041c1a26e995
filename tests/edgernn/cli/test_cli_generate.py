"""`edgernn generate`: text as it comes, the choices of Python, the refusals."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import edgernn
from edgernn.cli import main
from edgernn.decoding import Symbols, beam, greedy, sample
from tests.support.models.integer import random_model
from tests.support.models.writers_of_text import translator, writer_of_text

LETTERS = Symbols(tuple("\nabcdefनमस्ते"[:13]))
MODEL = replace(writer_of_text(tokens=len(LETTERS.texts)), symbols=LETTERS)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return str(MODEL.save(tmp_path_factory.mktemp("models") / "writer.edgernn"))


def generated(capsys, *arguments):
    code = main(["generate", *arguments])
    return code, capsys.readouterr()


def test_samples(path, capsys):
    code, said = generated(
        capsys, path, "--prompt", "abन", "--length", "30", "--temperature", "0.8", "--top-k", "9",
        "--seed", "5",
    )  # fmt: skip
    with edgernn.load(path) as session:
        wanted = sample(
            session, first=LETTERS.encode("abन"), max_tokens=30, temperature=0.8, top_k=9, seed=5
        )
    assert (code, said.out) == (0, "abन" + LETTERS.decode(wanted.tokens) + "\n")


def test_greedy_and_beams_as_json(path, capsys):
    with edgernn.load(path) as session:
        likeliest = greedy(session, first=[1], max_tokens=7, end=0)
        session.reset()
        rows = beam(session, first=[1], max_tokens=7, end=0, width=3, length_penalty=1.0)
    common = (path, "--prompt", "a", "--length", "7", "--end", "\n")
    code, said = generated(capsys, *common, "--temperature", "0", "--json")
    (row,) = json.loads(said.out)["rows"]
    assert (code, row["tokens"], row["ended"]) == (0, list(likeliest.tokens), likeliest.ended)
    beams = ("--beam", "3", "--length-penalty", "1")
    code, said = generated(capsys, *common, *beams, "--json")
    found = json.loads(said.out)["rows"]
    assert [row["tokens"] for row in found] == [list(row.tokens) for row in rows]
    assert [row["bits"] for row in found] == [row.bits for row in rows]
    code, said = generated(capsys, *common, *beams)
    assert said.out == "a" + LETTERS.decode(rows[0].tokens) + "\n"


def test_token_numbers(path, capsys, tmp_path):
    bare = str(replace(MODEL, symbols=None).save(tmp_path / "bare.edgernn"))
    outputs = []
    for arguments in ((path, "--tokens"), (bare,)):
        code, said = generated(capsys, *arguments, "--prompt", "3 1", "--length", "4")
        assert code == 0
        outputs.append(said.out)
    assert outputs[0] == outputs[1]
    assert [int(word) for word in outputs[0].split()][:2] == [3, 1]
    assert len(outputs[0].split()) == 6


REFUSED = {
    "no prompt": ((), "--prompt: expected a text"),
    "an empty prompt": (("--prompt", ""), "expected at least one token"),
    "unknown": (("--prompt", "az"), "'z' (U+007A LATIN SMALL LETTER Z)"),
    "beam and seed": (("--prompt", "a", "--beam", "2", "--seed", "1"), "with --beam nothing is"),
    "greedy and top k": (
        ("--prompt", "a", "--temperature", "0", "--top-k", "2"),
        "nothing is drawn",
    ),
    "a penalty alone": (("--prompt", "a", "--length-penalty", "1"), "it needs --beam"),
    "a long end": (("--prompt", "a", "--end", "ab"), "--end: expected one symbol"),
    "no numbers": (("--prompt", "a", "--tokens"), "expected token numbers separated by spaces"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, path, capsys):
    arguments, message = REFUSED[name]
    code, said = generated(capsys, path, *arguments)
    assert (code, said.out) == (2, "")
    assert message in said.err


def test_other_models_are_refused(tmp_path, capsys):
    other = str(random_model("lstm").save(tmp_path / "other.edgernn"))
    code, said = generated(capsys, other, "--tokens", "--prompt", "1")
    assert (code, "in place of one token" in said.err) == (2, True)
    pair = str(translator().save(tmp_path / "pair.edgernn"))
    code, said = generated(capsys, pair, "--prompt", "1")
    assert (code, "--program: expected one of encode, decode" in said.err) == (2, True)
    code, said = generated(capsys, pair, "--program", "encode", "--prompt", "1", "--length", "3")
    assert (code, len(said.out.split())) == (0, 4)
