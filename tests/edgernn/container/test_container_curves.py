"""Files of layers with curves, leaks and wide states: round trip, flipped bits, defects."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from edgernn.container.defects import FormatDefect as D
from edgernn.container.file import from_bytes, to_bytes
from edgernn.errors import FormatError, ModelError
from tests.support.container.surgery import edit_record, put, refused, split
from tests.support.models.general import general_model, general_models, random_curve

pytestmark = pytest.mark.device

MODEL = general_model("general_lstm", seed=3, wide=True, cell_function="softsign")
LAYER = MODEL.layers[0]
POINTWISE = general_model("pointwise")
LEAKY = general_model("leaky_rnn")


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
    return edit_record(to_bytes(model), lambda record: put(record["layers"][index], key, value))


@pytest.mark.parametrize(
    ("data", "defect"),
    [
        (in_layer(MODEL, 0, "wide", False), D.BAD_RECORD),
        (in_layer(MODEL, 0, "wide", 1), D.BAD_RECORD),
        (in_layer(LEAKY, 0, "wide", True), D.BAD_RECORD),
        (in_layer(LEAKY, 0, "curves", {}), D.BAD_RECORD),
        (in_layer(MODEL, 0, "curves", {}), D.INVALID_MODEL),
        (in_layer(MODEL, 0, "curves", {"other": {"low": 0, "high": 1}}), D.BAD_RECORD),
        (in_layer(MODEL, 0, "curves", []), D.BAD_RECORD),
        (in_layer(POINTWISE, 1, "curves", {}), D.BAD_RECORD),
        (in_layer(POINTWISE, 1, "curves", {"curve": {"low": 0}}), D.BAD_RECORD),
        (in_layer(POINTWISE, 1, "curves", {"curve": {"low": 1, "high": 0}}), D.INVALID_MODEL),
        (in_layer(POINTWISE, 1, "curves", {"curve": {"low": 0, "high": 32768}}), D.INVALID_MODEL),
        (in_layer(POINTWISE, 1, "function", "elu( alpha=0.5)"), D.INVALID_MODEL),
        (in_layer(POINTWISE, 1, "function", "unknown"), D.INVALID_MODEL),
    ],
)
def test_defects(data, defect):
    refused(data, defect)


def test_a_model_has_the_tables_that_it_needs_and_no_other():
    with pytest.raises(ModelError, match=r"candidate_curve: expected a table for 'softsign'"):
        replace(MODEL, layers=(replace(LAYER, candidate_curve=None), *MODEL.layers[1:]))
    plain = general_model("general_rnn", cell_function="tanh")
    import numpy as np

    more = replace(plain.layers[0], cell_curve=random_curve(np.random.default_rng(0)))
    with pytest.raises(ModelError, match=r"cell_curve: expected no table for 'tanh'"):
        replace(plain, layers=(more, *plain.layers[1:]))
