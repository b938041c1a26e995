"""Files of models with a mask: round trips, identity, every defect (FORMAT.md 4.20)."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from edgernn.container.defects import FormatDefect as D
from edgernn.container.file import from_bytes, model_sha256, to_bytes
from edgernn.container.interface_json import dumps, loads
from edgernn.decide.decisions import Decisions
from edgernn.decide.threshold import Threshold
from edgernn.errors import ModelError
from edgernn.model.interface import Rate
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn.prepare.preparation import Preparation
from tests.support.container.surgery import drop, edit_record, put, refused, split
from tests.support.models.integer import random_model
from tests.support.models.masked import masked_models, with_mask
from tests.support.models.networks import head_network
from tests.support.models.rates import strided_chain

pytestmark = pytest.mark.device

CHAIN = random_model("gru_after")
MODEL = with_mask(CHAIN, -1.1)
DATA = to_bytes(MODEL)
RATED = strided_chain(CHAIN.precision, Rate(readings=2, first=2))


def decided(model):
    made = Decisions(decisions=(Threshold(name="alarm", of=model.output.names[0], on=0.1),))
    return replace(model, decisions=made.bound(model.input.names, model.output.names))


@pytest.mark.parametrize("model", [*masked_models().values(), decided(MODEL)], ids=lambda m: m.name)
def test_round_trip(model):
    data = to_bytes(model)
    assert split(data)[0]["__metadata__"]["edgernn_schema"] == "7"
    assert from_bytes(data) == model
    assert to_bytes(from_bytes(data)) == data
    assert model.sha256 == model_sha256(model) == from_bytes(data).sha256
    interface = model.interface()
    assert loads(dumps(interface)) == interface
    assert json.loads(dumps(interface))["edgernn_interface"] == 7


def test_a_mask_belongs_to_the_identity_of_a_model():
    bare = replace(
        MODEL, name=CHAIN.name, input=replace(MODEL.input, mask=None),
        output=replace(MODEL.output, masked=()),
    )  # fmt: skip
    assert to_bytes(bare) == to_bytes(CHAIN)
    assert len({CHAIN.sha256, MODEL.sha256, with_mask(CHAIN, 0.0).sha256}) == 3
    zero, minus = with_mask(CHAIN, 0.0), with_mask(CHAIN, -0.0)
    assert zero == minus and to_bytes(zero) == to_bytes(minus)


DEFECTS = {
    "absent": (drop("mask"), D.BAD_RECORD, "mask or adaptation in version 7"),
    "null": (put("mask", None), D.BAD_RECORD, "mask: expected an object"),
    "another member": (put("mask", "axis", 1), D.BAD_RECORD, "exactly the members output, value"),
    "no number": (put("mask", "value", "one"), D.BAD_RECORD, "a hexadecimal floating-point"),
    "infinite": (put("mask", "value", "inf"), D.INVALID_MODEL, "input.mask: expected a finite"),
    "double precision": (
        put("mask", "value", "0x1.199999999999ap+0"), D.NOT_CANONICAL, "expected"
    ),
    "minus zero": (put("mask", "value", "-0x0.0p+0"), D.NOT_CANONICAL, "expected"),
    "few codes": (put("mask", "output", [1]), D.INVALID_MODEL, "output.masked: expected 2 int16"),
    "large codes": (put("mask", "output", [1, 32768]), D.BAD_RECORD, "an integer in"),
    "an empty preparation": (put("preparation", None), D.BAD_RECORD, "expected a string"),
}  # fmt: skip


@pytest.mark.parametrize("name", DEFECTS)
def test_defects(name):
    edit, defect, match = DEFECTS[name]
    refused(edit_record(DATA, edit), defect, match)


def test_what_cannot_have_a_mask():
    source, sink = MODEL.input, MODEL.output
    for model, match in (
        (lambda: replace(CHAIN, input=source), "output.masked: expected the output of masked"),
        (lambda: replace(CHAIN, output=sink), "output.masked: expected the output of masked"),
        (lambda: with_mask(head_network(), 0.0), "reads the input past its recurrent layers"),
        (lambda: with_mask(RATED, 0.0), "a model that does not answer every reading"),
        (
            lambda: replace(MODEL, preparation=Preparation(inputs=CHAIN.input.names)),
            "expected None for a model with a preparation",
        ),
        (
            lambda: ProgramSet(name="two", programs=(
                replace(MODEL, name="a"), replace(CHAIN, name="b")
            )),
            "got windows, a rate or a mask",
        ),
    ):  # fmt: skip
        with pytest.raises(ModelError, match=match):
            model()
