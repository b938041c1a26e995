"""Files of layers with curves, leaks and wide states: round trip, flipped bits, defects."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from edgernn.container.defects import FormatDefect as D
from edgernn.container.file import from_bytes, to_bytes
from edgernn.errors import FormatError, ModelError
from tests.support.container.surgery import edit_record, edit_tensor, put, resealed, split
from tests.support.models.general import general_model, general_models, random_curve

pytestmark = pytest.mark.device

MODEL = general_model("general_lstm", seed=3, wide=True, cell_function="softsign")
LAYER = MODEL.layers[0]
POINTWISE = general_model("pointwise")
LEAKY = general_model("leaky_rnn")
LIMITS = {"low": 0, "high": 1}


def test_round_trips():
    for name, model in general_models().items():
        data = to_bytes(model)
        loaded = from_bytes(data)
        assert loaded == model, name
        assert to_bytes(loaded) == data, name
        assert split(data)[0]["__metadata__"]["edgernn_schema"] == "4"


@pytest.mark.parametrize("model", [MODEL, POINTWISE, LEAKY], ids=lambda m: m.layers[-2].kind)
def test_flipped_bits_are_refused(model):
    data, rng = to_bytes(model), random.Random(model.name)
    for _ in range(300):
        place = rng.randrange(8 * len(data))
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(FormatError):
            from_bytes(bytes(damaged))


def in_layer(model, index, key, value):
    return edit_record(to_bytes(model), put("layers", index, key, value))


def of_limits(limits):
    return in_layer(POINTWISE, 1, "curves", {"curve": limits})


def of_share(high):
    """The first share of the leak, its upper byte replaced."""
    name = f"{LEAKY.layers[0].name}/leak/high"
    return edit_tensor(to_bytes(LEAKY), name, lambda content: content.__setitem__(1, high))


@pytest.mark.parametrize(
    ("data", "defect", "match"),
    [
        (
            in_layer(MODEL, 0, "wide", False),
            D.BAD_RECORD,
            "expected true, or no member of this name",
        ),
        (in_layer(MODEL, 0, "wide", 1), D.BAD_RECORD, "wide: expected true or false, got 1"),
        (in_layer(LEAKY, 0, "wide", True), D.BAD_RECORD, "exactly the members affines"),
        (in_layer(LEAKY, 0, "curves", {}), D.BAD_RECORD, "exactly the members affines"),
        (in_layer(MODEL, 0, "curves", {}), D.UNEXPECTED_TENSOR, "candidate_curve/entries"),
        (
            in_layer(MODEL, 0, "curves", {"other": LIMITS}),
            D.BAD_RECORD,
            "only the members gate_curve",
        ),
        (in_layer(MODEL, 0, "curves", []), D.BAD_RECORD, "curves: expected an object"),
        (in_layer(POINTWISE, 1, "curves", {}), D.BAD_RECORD, "expected a member 'curve'"),
        (of_limits({"low": 0}), D.BAD_RECORD, "exactly the members high, low"),
        (of_limits({"low": 1, "high": 0}), D.INVALID_MODEL, "in ascending order, got 1 and 0"),
        (of_limits({"low": 0, "high": 32768}), D.INVALID_MODEL, "int16 limits"),
        (
            in_layer(POINTWISE, 1, "function", "elu( alpha=0.5)"),
            D.INVALID_MODEL,
            "'elu(alpha=0.5)'",
        ),
        (in_layer(POINTWISE, 1, "function", "unknown"), D.INVALID_MODEL, "expected one of linear"),
        (of_share(0x80), D.INVALID_MODEL, "leak.high: expected values in [0, 32767]"),
    ],
)
def test_defects(data, defect, match):
    with pytest.raises(FormatError) as caught:
        from_bytes(resealed(data))
    assert caught.value.defect == defect, str(caught.value)
    assert match in str(caught.value)


def test_a_model_has_the_tables_that_it_needs_and_no_other():
    with pytest.raises(ModelError, match=r"candidate_curve: expected a table for 'softsign'"):
        replace(MODEL, layers=(replace(LAYER, candidate_curve=None), *MODEL.layers[1:]))
    plain = general_model("general_rnn", cell_function="tanh")
    more = replace(plain.layers[0], cell_curve=random_curve(np.random.default_rng(0)))
    with pytest.raises(ModelError, match=r"cell_curve: expected no table for 'tanh'"):
        replace(plain, layers=(more, *plain.layers[1:]))
