"""Files of models with a head that learns: round trips, identity, every defect."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from edgernn.adapt.adaptation import Adaptation
from edgernn.container.defects import FormatDefect as D
from edgernn.container.file import from_bytes, model_sha256, to_bytes
from edgernn.container.interface_json import dumps, loads
from edgernn.errors import FormatError
from edgernn.model.formats import Precision
from edgernn.model.interface import Rate
from tests.edgernn.container.test_container_surroundings import surrounded
from tests.support.container.surgery import drop, edit_record, put, refused, split
from tests.support.models.integer import random_model
from tests.support.models.rates import strided_chain

pytestmark = pytest.mark.device

CHAIN = random_model("gru_after", Precision.W8A8)


def adapting(model, **settings):
    return replace(model, adaptation=Adaptation(**settings).bound(model))


MODELS = {
    "chain": adapting(CHAIN, rate=0.125, delay=3),
    "defaults": adapting(CHAIN),
    "surrounded": adapting(surrounded(CHAIN), leak=2.0**-12),
    "prepared": adapting(surrounded(CHAIN, decisions=False)),
    "rate": adapting(strided_chain(Precision.W8A8, Rate(readings=2, first=2))),
}
DATA = to_bytes(MODELS["prepared"])


@pytest.mark.parametrize("name", MODELS)
def test_round_trip(name):
    model = MODELS[name]
    data = to_bytes(model)
    assert split(data)[0]["__metadata__"]["edgernn_schema"] == "7"
    loaded = from_bytes(data)
    assert loaded == model
    assert loaded.adaptation == model.adaptation
    assert to_bytes(loaded) == data
    assert loaded.sha256 == model_sha256(model)
    interface = model.interface()
    assert loads(dumps(interface)) == interface
    record = json.loads(dumps(interface))
    assert record["edgernn_interface"] == 7
    assert ("decisions" in record) == (model.decisions is not None)


def test_models_without_keep_their_bytes_and_their_hash():
    bare = replace(MODELS["surrounded"], adaptation=None)
    assert to_bytes(bare) == to_bytes(surrounded(CHAIN))
    assert split(to_bytes(bare))[0]["__metadata__"]["edgernn_schema"] == "6"
    assert len({model.sha256 for model in (CHAIN, *MODELS.values())}) == 1 + len(MODELS)


DEFECTS = {
    "none": (drop("adaptation"), D.BAD_RECORD, "or adaptation in version 7"),
    "null": (put("adaptation", None), D.BAD_RECORD, "adaptation: expected a string"),
    "null beside it": (put("decisions", None), D.BAD_RECORD, "decisions: expected a string"),
    "no JSON": (put("adaptation", "{"), D.BAD_RECORD, "expected valid adaptation .*JSON"),
    "too fast": (
        put("adaptation", '{"rate":2.0,"state":"gru_after_0.h"}'), D.BAD_RECORD, "rate: expected",
    ),
    "a default that is written": (
        put("adaptation", '{"rate":0.05,"state":"gru_after_0.h"}'), D.NOT_CANONICAL, "expected",
    ),
    "no state": (put("adaptation", "{}"), D.INVALID_MODEL, "the name of a state, got none"),
    "another state": (
        put("adaptation", '{"state":"lstm.h"}'), D.INVALID_MODEL, "expected one of gru_after_0.h",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DEFECTS)
def test_defect(name):
    edit, defect, match = DEFECTS[name]
    refused(edit_record(DATA, edit), defect, match)


def test_what_interfaces_must_not_say():
    record = json.loads(dumps(MODELS["chain"].interface()))
    for edit, match in (
        (lambda r: r.pop("adaptation"), "or adaptation in version 7"),
        (lambda r: r.update(adaptation="[]"), "expected valid adaptation"),
        (lambda r: r.update(adaptation='{"state":"x.h"}'), "expected one of gru_after_0.h"),
        (lambda r: r.update(edgernn_interface=5), "exactly the members"),
    ):
        changed = dict(record)
        edit(changed)
        with pytest.raises(FormatError, match=match):
            loads(json.dumps(changed))
