"""Settings of a head that learns: what is wrong with them, and which states fit."""

from __future__ import annotations

import dataclasses

import pytest

from edgernn.adapt.adaptation import Adaptation
from edgernn.errors import DeclarationError, ModelError
from edgernn.model.formats import Precision
from edgernn.model.interface import Window
from edgernn.model.program_sets.program_set import ProgramSet
from tests.support.models.integer import random_model

pytestmark = pytest.mark.device
MODEL = random_model("lstm", stack=2)


def test_constants():
    of = Adaptation(rate=0.25, leak=2.0**-10, limit=2.0, error_limit=0.5, delay=7)
    assert (of.rate_code, of.leak_shift, of.limit_code, of.error_code) == (8192, 10, 65534, 16384)
    assert (Adaptation().leak_shift, Adaptation(rate=2.0**-15).rate_code) == (0, 1)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"rate": 0.0}, "rate: expected 3.05176e-05 to 1, got 0.0"),
        ({"rate": 1.5}, "rate: expected 3.05176e-05 to 1"),
        ({"leak": 0.001}, r"leak: expected 0 or a power of two.*nearest is 0\.0009765625"),
        ({"leak": 0.9}, r"leak: expected 0 or .*nearest is 0\.0625"),
        ({"leak": 1e-12}, r"leak: expected 0 or .*nearest is 5\.96"),
        ({"limit": 5.0}, "limit: expected 3.05185e-05 to 4"),
        ({"delay": 5000}, "delay: expected 0 to 4096"),
        ({"delay": 1.5}, "delay: expected a whole number"),
    ],
)
def test_settings_that_are_wrong(settings, reason):
    with pytest.raises(DeclarationError, match=reason):
        Adaptation(**settings)


def test_all_reasons_at_once():
    with pytest.raises(DeclarationError) as caught:
        Adaptation.from_table({"rate": 0.1, "speed": 3, "delays": 1})
    assert len(caught.value.reasons) == 2
    assert 'Did you mean "delay"' in str(caught.value)
    model = dataclasses.replace(
        MODEL, output=dataclasses.replace(MODEL.output, softmax=True), window=Window(steps=4)
    )
    with pytest.raises(DeclarationError) as caught:
        Adaptation(state="lstm_9.h").bound(model)
    reasons = caught.value.reasons
    assert [text.split(":")[0] for text in reasons] == ["adaptation"] * 2 + ["adaptation.state"]
    assert "expected one of lstm_0.h, lstm_1.h, got 'lstm_9.h'" in reasons[2]


def test_json_has_what_differs_from_the_defaults():
    of = Adaptation(delay=3, state="gru.h")
    assert of.to_json() == '{"delay":3,"state":"gru.h"}'
    assert Adaptation.from_json(of.to_json()) == of
    with pytest.raises(DeclarationError, match="expected JSON"):
        Adaptation.from_json("{")


def test_the_last_recurrent_layer_is_read():
    assert Adaptation().bound(MODEL).state == "lstm_1.h"
    assert Adaptation(state="lstm_0.h").bound(MODEL.interface()).state == "lstm_0.h"


def test_states_that_are_too_wide():
    wide = random_model("simple_rnn", Precision.W8A8, units=257)
    with pytest.raises(DeclarationError, match="a state of at most 256 units"):
        Adaptation().bound(wide)


def test_models_refuse_the_head_of_another():
    with pytest.raises(ModelError, match=r"expected one of lstm_0\.h, lstm_1\.h"):
        dataclasses.replace(MODEL, adaptation=Adaptation(state="gru.h"))
    with pytest.raises(ModelError, match="expected the name of a state, got none"):
        dataclasses.replace(MODEL, adaptation=Adaptation())
    first = dataclasses.replace(MODEL, name="a", adaptation=Adaptation().bound(MODEL))
    with pytest.raises(ModelError, match="symbols and adaptation, got some"):
        ProgramSet(name="s", programs=(first, dataclasses.replace(MODEL, name="b")))
