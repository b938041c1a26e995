"""Files of models with symbols: round trips, identity, every defect; text to tokens and back."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import edgernn
from edgernn.container.defects import FormatDefect as D
from edgernn.container.file import from_bytes, model_sha256, to_bytes
from edgernn.container.interface_json import dumps, loads
from edgernn.decide.decisions import Decisions
from edgernn.decide.threshold import Threshold
from edgernn.decoding import Symbols
from edgernn.errors import DeclarationError, DecodingError, FormatError, ModelError
from edgernn.model.program_sets.program_set import ProgramSet
from tests.support.container.surgery import edit_record, put, refused, split
from tests.support.models.integer import random_model
from tests.support.models.tokens import token_chain
from tests.support.models.writers_of_text import writer_of_text

pytestmark = pytest.mark.device

BARE = writer_of_text(tokens=4)
LETTERS = Symbols(("\n", '"', "न", "ि"))
MODEL = replace(BARE, symbols=LETTERS)
DECIDED = Decisions(decisions=(Threshold(name="alarm", of=BARE.output.names[0], on=0.1),)).bound(
    BARE.input.names, BARE.output.names
)
MODELS = {
    "characters": MODEL,
    "words": replace(BARE, symbols=Symbols(("<end>", "cat", "c", "at"))),
    "decisions too": replace(MODEL, decisions=DECIDED),
}
DATA = to_bytes(MODEL)


@pytest.mark.parametrize("name", MODELS)
def test_round_trip(name, tmp_path):
    model = MODELS[name]
    data = to_bytes(model)
    assert split(data)[0]["__metadata__"]["edgernn_schema"] == "7"
    loaded = from_bytes(data)
    assert loaded == model
    assert loaded.symbols == model.symbols
    assert to_bytes(loaded) == data
    assert loaded.sha256 == model_sha256(model)
    interface = model.interface()
    assert loads(dumps(interface)) == interface
    assert json.loads(dumps(interface))["edgernn_interface"] == 7
    model.save(tmp_path / "model.edgernn")
    with edgernn.load(tmp_path / "model.edgernn") as session:
        assert session.interface.symbols == model.symbols


def test_models_without_keep_their_bytes_and_their_hash():
    assert to_bytes(replace(MODEL, symbols=None)) == to_bytes(BARE)
    assert split(to_bytes(BARE))[0]["__metadata__"]["edgernn_schema"] == "4"
    assert len({model.sha256 for model in (BARE, *MODELS.values())}) == 1 + len(MODELS)


DEFECTS = {
    "none": (lambda r: r.pop("symbols"), D.BAD_RECORD, "in version 7"),
    "null": (put("symbols", None), D.BAD_RECORD, "symbols: expected a string"),
    "no JSON": (put("symbols", "["), D.BAD_RECORD, "expected JSON"),
    "a number": (put("symbols", "4"), D.BAD_RECORD, "expected a string or an array, got int"),
    "twice": (put("symbols", '"aabc"'), D.BAD_RECORD, "distinct texts, got 'a' twice"),
    "an empty one": (put("symbols", '["","a","b","c"]'), D.BAD_RECORD, "text of 1 to 256"),
    "an array of characters": (put("symbols", '["a","b","c","d"]'), D.NOT_CANONICAL, "expected"),
    "an escape": (put("symbols", '"\\u0061bcd"'), D.NOT_CANONICAL, "expected"),
    "too few": (put("symbols", '"abc"'), D.INVALID_MODEL, "expected 3 tokens .*got .*4"),
    "half a character": (put("symbols", '"abc\\ud800"'), D.BAD_RECORD, "whole characters"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_defect(name):
    edit, defect, match = DEFECTS[name]
    refused(edit_record(DATA, edit), defect, match)


def test_what_interfaces_must_not_say():
    record = json.loads(dumps(MODEL.interface()))
    for edit, match in (
        (lambda r: r.pop("symbols"), "in version 7"),
        (lambda r: r.update(symbols='"abc"'), "expected 3 tokens"),
        (lambda r: r.update(edgernn_interface=6), "exactly the members"),
    ):
        changed = dict(record)
        edit(changed)
        with pytest.raises(FormatError, match=match):
            loads(json.dumps(changed))


def test_models_that_cannot_have_them():
    for model in (random_model("lstm"), token_chain(rows=4, tokens=2), token_chain(rows=5)):
        with pytest.raises(ModelError, match="one for each symbol"):
            replace(model, symbols=LETTERS)
    with pytest.raises(ModelError, match=r"without preparation .*symbols"):
        ProgramSet(name="pair", programs=(replace(MODEL, name="a"), replace(BARE, name="b")))


def test_text_to_tokens_and_back():
    assert LETTERS.encode('नि"\n') == [2, 3, 1, 0]
    assert LETTERS.decode([2, 3]) == "नि"
    words = MODELS["words"].symbols
    assert words.encode("catcat<end>") == [1, 1, 0]
    assert words.encode("cat" + "c") == [1, 2]
    assert Symbols.of_text("banana").texts == ("a", "b", "n")
    with pytest.raises(DecodingError, match=r"'x' \(U\+0078 LATIN SMALL LETTER X\), '\\x00'"):
        LETTERS.encode("xx\x00")
    with pytest.raises(DecodingError, match="and 2 others"):
        LETTERS.encode("abcdefghij")
    with pytest.raises(DecodingError, match="tokens from 0 to 3, got 4"):
        LETTERS.decode([4])
    for wrong in ((), ["a"], ("a", 3), ("a", "x" * 257)):
        with pytest.raises(DeclarationError, match="symbols: expected"):
            Symbols(wrong)
