"""Layers whose states do not begin with zeros: files, defects, sessions, pools and the C."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import edgernn
from edgernn.container.defects import FormatDefect as D
from edgernn.container.file import from_bytes, to_bytes
from edgernn.errors import FormatError, ModelError
from edgernn.model.formats import Precision
from edgernn_firmware_sim.targets.reduced_models import narrower
from tests.support.container.surgery import edit_record, put, resealed, split
from tests.support.models.integer import random_model

pytestmark = pytest.mark.device


def begun(cell, **starts):
    """A model whose first layer begins with these codes, repeated over the units."""
    model = random_model(cell, Precision.W8A8, seed=2)
    first = model.layers[0]
    codes = tuple((name, (code, -code) * (first.units // 2)) for name, code in starts.items())
    return replace(model, layers=(replace(first, starts=codes), *model.layers[1:]))


MODEL = begun("lstm", h=9000, c=-7000)
MODELS = {
    "both": MODEL,
    "cell alone": begun("lstm", c=300),
    "gru": begun("gru_before", h=1),
    "simple": begun("simple_rnn", h=-20000),
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_round_trips(model):
    data = to_bytes(model)
    assert from_bytes(data) == model
    assert to_bytes(from_bytes(data)) == data
    assert split(data)[0]["__metadata__"]["edgernn_schema"] == "4"
    plain = replace(model, layers=(replace(model.layers[0], starts=()), *model.layers[1:]))
    assert b"starts" not in to_bytes(plain)


def with_starts(value):
    return resealed(edit_record(to_bytes(MODEL), put("layers", 0, "starts", value)))


@pytest.mark.parametrize(
    ("value", "defect", "match"),
    [
        ([], D.BAD_RECORD, "starts"),
        (["h"], D.UNEXPECTED_TENSOR, "starts/c"),
        (["h", "c", "d"], D.MISSING_TENSOR, "starts/d"),
        (["c", "h"], D.INVALID_MODEL, "expected codes, not all of them 0, for some of the states"),
        (True, D.BAD_RECORD, "starts: expected an array"),
    ],
)
def test_defects(value, defect, match):
    with pytest.raises(FormatError) as caught:
        from_bytes(with_starts(value))
    assert caught.value.defect == defect, str(caught.value)
    assert match in str(caught.value)


@pytest.mark.parametrize(
    "starts",
    [
        (("h", (0,) * 32),),
        (("h", (1,) * 3),),
        (("c", (1,) * 32), ("h", (1,) * 32)),
        (("other", (1,) * 32),),
    ],
)
def test_a_start_is_of_a_state_of_the_layer(starts):
    lstm = MODEL.layers[0]
    fitting = tuple((name, codes[:1] * lstm.units) if len(codes) > 3 else (name, codes)
                    for name, codes in starts)  # fmt: skip
    with pytest.raises(ModelError, match=r"starts: expected codes, not all of them 0|divides"):
        replace(lstm, starts=fitting)
    dense = MODEL.layers[-1]
    with pytest.raises(ModelError, match="starts: expected codes"):
        replace(dense, starts=(("h", (1,) * dense.units),))


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_sessions_and_pools_begin_there(backend):
    xs = np.random.default_rng(1).normal(size=(8, MODEL.input.width))
    with edgernn.load(MODEL, backend=backend) as session:
        first = session.run(xs)
        session.reset()
        np.testing.assert_array_equal(session.run(xs), first)
    many = edgernn.run_many(MODEL, [xs, xs[:3]], backend=backend)
    np.testing.assert_array_equal(many[0], first)
    np.testing.assert_array_equal(many[1], first[:3])
    with edgernn.StreamPool(MODEL, backend) as pool:
        answers = [pool.step_many(["a", "b"], np.stack([x, x])) for x in xs]
    np.testing.assert_array_equal(np.stack(answers)[:, 1], first)
    plain = replace(MODEL, layers=(replace(MODEL.layers[0], starts=()), *MODEL.layers[1:]))
    with edgernn.load(plain, backend=backend) as session:
        assert not np.array_equal(session.run(xs), first)


def test_advice_makes_smaller_models():
    units = MODEL.layers[0].units // 2
    assert narrower(MODEL, units).layers[0].units == units
