"""Files of models with a preparation or decisions: round trips, identity, every defect."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from edgernn.container.defects import FormatDefect as D
from edgernn.container.file import from_bytes, model_sha256, to_bytes
from edgernn.container.interface_json import dumps, loads
from edgernn.decide.decisions import Decisions
from edgernn.decide.drift import DriftAlarm
from edgernn.decide.threshold import Threshold
from edgernn.errors import FormatError, ModelError
from edgernn.model.formats import Precision
from edgernn.model.interface import Rate, Window
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn.prepare.preparation import Preparation
from edgernn.prepare.resampling import Resampling
from edgernn.prepare.units import GainOffset
from tests.support.container.surgery import drop, edit_record, put, refused, split
from tests.support.models.integer import random_model
from tests.support.models.rates import strided_chain

pytestmark = pytest.mark.device

CHAIN = random_model("gru_after", Precision.W8A8)
RATED = strided_chain(Precision.W8A8, Rate(readings=2, first=2))


def surrounded(model, preparation=True, decisions=True):
    inputs, outputs = model.input.names, model.output.names
    steps = (Resampling(period_s=0.1), GainOffset(channels=inputs, gain=1 / 3))
    given = Preparation(inputs=inputs, steps=steps)
    made = Decisions(
        decisions=(Threshold(name="alarm", of=outputs[0], on=0.1), DriftAlarm(name="drift"))
    ).bound(inputs, outputs)
    made = made.measured({name: [0.1, 0.2, 0.7] for name in inputs})
    return replace(
        model,
        preparation=given if preparation else None,
        decisions=made if decisions else None,
    )


MODELS = {
    "both": surrounded(CHAIN),
    "preparation": surrounded(CHAIN, decisions=False),
    "decisions": surrounded(CHAIN, preparation=False),
    "rate": surrounded(RATED),
    "window": replace(surrounded(CHAIN), window=Window(steps=9, hop=2)),
}
MODEL = MODELS["both"]
DATA = to_bytes(MODEL)


@pytest.mark.parametrize("name", MODELS)
def test_round_trip(name):
    model = MODELS[name]
    data = to_bytes(model)
    assert split(data)[0]["__metadata__"]["edgernn_schema"] == "6"
    loaded = from_bytes(data)
    assert loaded == model
    assert (loaded.preparation, loaded.decisions) == (model.preparation, model.decisions)
    assert to_bytes(loaded) == data
    assert loaded.sha256 == model_sha256(model)
    interface = model.interface()
    assert loads(dumps(interface)) == interface
    assert json.loads(dumps(interface))["edgernn_interface"] == 6


def test_models_without_keep_their_bytes_and_their_hash():
    bare = replace(MODEL, preparation=None, decisions=None)
    assert to_bytes(bare) == to_bytes(CHAIN)
    assert split(to_bytes(bare))[0]["__metadata__"]["edgernn_schema"] == "3"
    assert len({model.sha256 for model in (CHAIN, *MODELS.values())}) == 1 + len(MODELS)


def text(edit):
    """Changes the preparation inside its text."""

    def change(record):
        table = json.loads(record["preparation"])
        edit(table)
        record["preparation"] = json.dumps(table, sort_keys=True, separators=(",", ":"))

    return change


DEFECTS = {
    "neither": (
        lambda r: r.update(preparation=None, decisions=None), D.BAD_RECORD,
        "expected a preparation or decisions",
    ),
    "one is absent": (drop("decisions"), D.BAD_RECORD, "a member 'decisions'"),
    "no text": (put("preparation", {}), D.BAD_RECORD, "preparation: expected a string"),
    "no JSON": (put("preparation", "{"), D.BAD_RECORD, "expected valid preparation .*JSON"),
    "another step": (
        text(lambda t: t["steps"].append({"kind": "guess"})), D.BAD_RECORD,
        'step 3: expected kind = "resample"',
    ),
    "an unknown member": (
        text(lambda t: t.update(colour=1)), D.BAD_RECORD, "expected inputs, .*got 'colour'",
    ),
    "a default that is written": (
        text(lambda t: t.update(repeated="drop")), D.NOT_CANONICAL, "expected",
    ),
    "white space": (
        lambda r: r.update(preparation=r["preparation"] + " "), D.NOT_CANONICAL, "expected",
    ),
    "other channels": (
        text(lambda t: t.update(outputs=["x2", "x1", "x0"])), D.INVALID_MODEL,
        "preparation.outputs: expected the channels",
    ),
    "a number that is none": (
        lambda r: r.update(preparation=r["preparation"].replace("0.1", "NaN")), D.BAD_RECORD,
        r"period_s: expected 0\.001 to",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DEFECTS)
def test_defect(name):
    edit, defect, match = DEFECTS[name]
    refused(edit_record(DATA, edit), defect, match)


def test_what_interfaces_must_not_say():
    record = json.loads(dumps(MODEL.interface()))
    for edit, match in (
        (lambda r: r.update(preparation=None, decisions=None), "a preparation or decisions"),
        (lambda r: r.update(decisions="[]"), "expected valid decisions"),
        (lambda r: r.update(edgernn_interface=5), "exactly the members"),
    ):
        changed = dict(record)
        edit(changed)
        with pytest.raises(FormatError, match=match):
            loads(json.dumps(changed))


def test_programs_have_neither():
    with pytest.raises(ModelError, match="without preparation and decisions"):
        ProgramSet(
            name="pair",
            programs=(replace(MODEL, name="first"), replace(CHAIN, name="second")),
            handovers=(),
        )
