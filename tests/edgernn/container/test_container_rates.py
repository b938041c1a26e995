"""Files of models that do not answer every reading: round trips, what they say, every defect."""

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
from edgernn.model.interface import Rate, Window
from edgernn_export.writers.file_formats import golden_vector
from tests.support.container.surgery import drop, edit_record, put, refused, split
from tests.support.models.rates import RATES, strided_chain, strided_models, strided_network

pytestmark = pytest.mark.device

MODELS = strided_models()
MODEL = strided_network(Precision.W8A16, RATES[4], cell="gru_after")
CHAIN = strided_chain(Precision.W8A8, Rate(readings=2, first=2))
DATA, CHAIN_DATA = to_bytes(MODEL), to_bytes(CHAIN)


@pytest.mark.parametrize("name", MODELS)
def test_round_trip(name):
    for model in (MODELS[name], replace(MODELS[name], window=Window(steps=20, hop=3))):
        data = to_bytes(model)
        header, _ = split(data)
        assert header["__metadata__"]["edgernn_schema"] == "4"
        loaded = from_bytes(data)
        assert loaded == model
        assert loaded.rate == model.rate
        assert to_bytes(loaded) == data


def test_what_a_file_says_of_a_rate():
    def record(data):
        return json.loads(split(data)[0]["__metadata__"]["model"])

    said = {"readings": 4, "first": 6, "latency": 0, "start": [100, 0, -44]}
    assert record(DATA)["rate"] == said
    assert record(CHAIN_DATA)["rate"] == {"readings": 2, "first": 2, "latency": 0, "start": []}


EVERY_READING = {"readings": 1, "first": 1, "latency": 0, "start": []}
DEFECTS = {
    "a member": (
        lambda: edit_record(DATA, drop("rate", "latency")), D.BAD_RECORD, "latency",
    ),
    "null": (lambda: edit_record(DATA, put("rate", None)), D.BAD_RECORD, "expected an object"),
    "no readings": (
        lambda: edit_record(DATA, put("rate", "readings", 0)), D.BAD_RECORD,
        r"rate.readings: expected an integer in \[1, 32767\]",
    ),
    "late": (
        lambda: edit_record(DATA, put("rate", "first", 32_768)), D.BAD_RECORD,
        r"rate.first: expected an integer in \[1, 32767\]",
    ),
    "early": (
        lambda: edit_record(DATA, put("rate", "latency", -1)), D.BAD_RECORD,
        r"rate.latency: expected an integer in \[0, 32767\]",
    ),
    "another number of readings": (
        lambda: edit_record(DATA, put("rate", "readings", 3)), D.INVALID_MODEL,
        "expected blocks to read elements 0 to 9 of its source",
    ),
    "no rate": (
        lambda: edit_record(DATA, drop("rate")), D.INVALID_MODEL,
        "expected blocks to read elements 0 to 3 of its source",
    ),
    "every reading": (
        lambda: edit_record(DATA, put("rate", EVERY_READING)), D.INVALID_MODEL,
        "rate: expected None for a model with one output per reading",
    ),
    "start of another width": (
        lambda: edit_record(DATA, put("rate", "start", [4])), D.INVALID_MODEL,
        "rate.start: expected 3 input codes",
    ),
    "start of no codes": (
        lambda: edit_record(DATA, put("rate", "start", [1, 0, 0])), D.INVALID_MODEL,
        "rate.start: expected 3 input codes",
    ),
    "start beyond int16": (
        lambda: edit_record(DATA, put("rate", "start", [40_000, 0, 0])), D.BAD_RECORD,
        "rate.start",
    ),
    "zeros as start": (
        lambda: edit_record(DATA, put("rate", "start", [0, 0, 0])), D.NOT_CANONICAL,
        "another encoding of the same model",
    ),
    "a short window": (
        lambda: edit_record(DATA, put("window", {"steps": 5, "hop": 1})), D.INVALID_MODEL,
        "rate: expected the first output within a window of 5 readings, got it after 6",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DEFECTS)
def test_defects(name):
    make, defect, message = DEFECTS[name]
    refused(make(), defect, message)


@pytest.mark.parametrize("name", MODELS)
def test_an_interface_with_a_rate_is_version_5(name):
    model = MODELS[name]
    interface = replace(model.interface(), golden=golden_vector(model))
    record = json.loads(dumps(interface))
    assert record["edgernn_interface"] == 5
    assert (record["rate"]["readings"], record["rate"]["first"]) == (
        model.rate.readings, model.rate.first,
    )  # fmt: skip
    delays = [spec.name for spec in model.states if spec.name in ("blocks.h", "held.h")]
    assert record["kept"] == (delays if model.rate.first > model.rate.readings else [])
    again = loads(dumps(interface))
    assert again == interface
    assert again.golden.q_x.shape == (8, model.step_width)
    assert again.golden.q_x.dtype == model.code_dtype


HOSTILE = {
    "no rate": (put("rate", None), "rate: expected an object"),
    "readings": (put("rate", "readings", 3), "q_x.*an array"),
    "kept": (put("kept", ["blocks.h", "else"]), "kept: expected names of states, in their order"),
    "order": (put("kept", ["held.h", "blocks.h"]), "kept: expected names of states"),
    "twice": (put("kept", ["held.h", "held.h"]), "kept: expected names of states"),
    "version 4": (put("edgernn_interface", 4), "exactly the members"),
    "golden": (put("golden", "q_x", 0, 7, 3), "inputs that are codes of the precision"),
    "start": (put("rate", "start", 0, 40_000), "rate.start"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_interfaces(name):
    record = json.loads(dumps(replace(MODEL.interface(), golden=golden_vector(MODEL))))
    *edits, match = HOSTILE[name]
    for edit in edits:
        edit(record)
    with pytest.raises(FormatError, match=f"^interface.*{match}"):
        loads(json.dumps(record))


def test_the_codes_of_a_step_are_checked():
    golden = golden_vector(MODEL)
    assert golden.q_x.dtype == np.int16
    assert len(np.unique(golden.q_x[:, -3:], axis=0)) > 4
