"""Files of models with tokens: round trips, what they say, every defect of vocabularies."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from edgernn.container.defects import FormatDefect as D
from edgernn.container.file import from_bytes, to_bytes
from edgernn.container.interface_json import dumps, loads
from edgernn.errors import FormatError
from edgernn.model.formats import Precision
from edgernn.model.interface import Golden
from tests.support.container.surgery import (
    drop,
    edit_record,
    edit_tensor,
    put,
    refused,
    split,
)
from tests.support.models.integer import random_codes
from tests.support.models.tokens import token_and_real_network, token_chain, token_models

pytestmark = pytest.mark.device

MODELS = token_models()
NETWORK = token_and_real_network()
DATA, CHAIN_DATA = to_bytes(NETWORK), to_bytes(token_chain())


@pytest.mark.parametrize("name", MODELS)
def test_round_trip(name):
    model = MODELS[name]
    data = to_bytes(model)
    header, _ = split(data)
    assert header["__metadata__"]["edgernn_schema"] == "4"
    loaded = from_bytes(data)
    assert loaded == model
    assert loaded.input.vocabulary == model.input.vocabulary
    assert to_bytes(loaded) == data


def test_what_a_file_says_of_tokens():
    header, section = split(DATA)
    record = json.loads(header["__metadata__"]["model"])
    assert record["input"]["vocabulary"] == [0, 0, 300, 0, 7, 5]
    embedding = record["layers"][0]
    assert embedding["kind"] == "embedding"
    assert embedding["output_scale"] == (2.0**-13).hex()
    entry = header["words/table"]
    low, high = entry["data_offsets"]
    assert (entry["dtype"], entry["shape"]) == ("I8", [300, 5])
    assert section[low:high] == NETWORK.layers[0].table.tobytes()


DEFECTS = {
    "no vocabulary": (
        lambda: edit_record(DATA, drop("input", "vocabulary")), D.INVALID_MODEL,
        "words: expected to read input channels of 1 to 300 tokens",
    ),
    "all real": (
        lambda: edit_record(DATA, put("input", "vocabulary", [0] * 6)), D.INVALID_MODEL,
        "words: expected to read input channels of 1 to 300 tokens",
    ),
    "too few": (
        lambda: edit_record(DATA, put("input", "vocabulary", [0, 0, 300])), D.INVALID_MODEL,
        "input.vocabulary: expected one vocabulary size for each of 6 channels",
    ),
    "too large": (
        lambda: edit_record(DATA, put("input", "vocabulary", 2, 32_769)), D.BAD_RECORD,
        r"expected an integer in \[0, 32768\]",
    ),
    "no array": (
        lambda: edit_record(DATA, put("input", "vocabulary", 300)), D.BAD_RECORD,
        "vocabulary: expected an array",
    ),
    "more than rows": (
        lambda: edit_record(DATA, put("input", "vocabulary", 2, 301)), D.INVALID_MODEL,
        "words: expected to read input channels of 1 to 300 tokens",
    ),
    "a cell reads tokens": (
        lambda: edit_record(DATA, put("layers", 2, "reads", 0, 1, 1)), D.INVALID_MODEL,
        "lstm: expected only embeddings to read tokens",
    ),
    "a real read as a token": (
        lambda: edit_record(CHAIN_DATA, put("input", "vocabulary", 0, 0)), D.INVALID_MODEL,
        "words: expected to read input channels of 1 to 50 tokens",
    ),
    "table of -128": (
        lambda: edit_tensor(DATA, "words/table", lambda content: content.__setitem__(0, 128)),
        D.INVALID_MODEL, r"words.table: expected values in \[-127, 127\]",
    ),
    "columns": (
        lambda: edit_record(DATA, put("layers", 0, "inputs", 2)), D.INVALID_MODEL,
        "rows of 5 / 2 columns",
    ),
    "input is no object": (
        lambda: edit_record(DATA, put("input", [1])), D.BAD_RECORD, "input: expected an object",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DEFECTS)
def test_defects(name):
    make, defect, message = DEFECTS[name]
    refused(make(), defect, message)


@pytest.mark.parametrize("precision", Precision)
def test_an_interface_with_tokens_is_version_4(precision):
    model = token_and_real_network(precision)
    golden = Golden(q_x=random_codes(model, 4), q_y=np.zeros((4, 2), np.int16))
    interface = replace(model.interface(), golden=golden)
    record = json.loads(dumps(interface))
    assert record["edgernn_interface"] == 4
    assert record["input"]["vocabulary"] == [0, 0, 300, 0, 7, 5]
    again = loads(dumps(interface))
    assert again == interface
    assert again.golden.q_x.dtype == np.int16


HOSTILE = {
    "none": (put("golden", None), put("input", "vocabulary", [0] * 6), "tokens in version 4"),
    "negative": (put("input", "vocabulary", 0, -1), r"an integer in \[0, 32768\]"),
    "scale": (put("input", "vocabulary", 0, 3), "expected scale 1 and offset 0 for the tokens"),
    "golden": (put("golden", "q_x", 0, 4, 7), "inputs that are codes of the precision"),
    "version 3": (put("edgernn_interface", 3), "exactly the members"),
    "version 5": (put("edgernn_interface", 5), "exactly the members .*kept"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_interfaces(name):
    golden = Golden(q_x=random_codes(NETWORK, 4), q_y=np.zeros((4, 2), np.int16))
    record = json.loads(dumps(replace(NETWORK.interface(), golden=golden)))
    *edits, match = HOSTILE[name]
    for edit in edits:
        edit(record)
    with pytest.raises(FormatError, match=f"^interface.*{match}"):
        loads(json.dumps(record))
