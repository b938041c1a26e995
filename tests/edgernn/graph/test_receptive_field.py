"""How many readings an answer depends on: what is older changes nothing, the oldest one does."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import edgernn
from edgernn.graph.receptive_field import receptive_field
from edgernn.model.formats import Precision
from edgernn.model.interface import Rate, Window
from tests.support.models.convolutions import convolutions, random_convolutions
from tests.support.models.integer import random_codes, random_model
from tests.support.models.rates import RATES, strided_network

STATELESS = {
    "dilated": random_convolutions(Precision.W8A16, seed=3, dilation=3, cell=None),
    **{str(rate): strided_network(Precision.W8A16, rate, cell=None) for rate in RATES},
}


def last_answer(model, codes):
    with edgernn.load(model, "reference") as session:
        return session.run_codes(codes)[-1].tolist()


@pytest.mark.parametrize("name", STATELESS)
def test_readings_outside_it_change_nothing_and_its_oldest_one_does(name):
    model = STATELESS[name]
    field = receptive_field(model)
    first, every = (1, 1) if model.rate is None else (model.rate.first, model.rate.readings)
    count = first + every * (field // every + 5)
    changed = set()
    for seed in range(6):
        codes, others = (random_codes(model, count, seed=s) for s in (seed, seed + 100))
        wanted = last_answer(model, codes)
        for age in range(field + 3):
            mixed = codes.copy()
            mixed[count - 1 - age] = others[count - 1 - age]
            if last_answer(model, mixed) != wanted:
                changed.add(age)
        old = np.concatenate([others[: count - field], codes[count - field :]])
        assert last_answer(model, old) == wanted
    assert max(changed) == field - 1


def test_recurrent_layers_remember_all():
    assert receptive_field(random_model("lstm")) is None
    assert [*map(receptive_field, convolutions().values())].count(None) >= 4
    assert receptive_field(strided_network(Precision.W8A8, RATES[0])) is None


def test_a_window_is_the_most():
    recurrent = strided_network(Precision.W8A8, Rate(readings=4, first=6))
    window = Window(steps=21)
    assert receptive_field(dataclasses.replace(recurrent, window=window)) == 18  # read in steps
    short = dataclasses.replace(STATELESS["dilated"], window=Window(steps=2))
    assert receptive_field(short) == 2
    assert receptive_field(dataclasses.replace(random_model("lstm"), window=window)) == 21
