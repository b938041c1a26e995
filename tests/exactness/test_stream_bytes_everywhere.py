"""A stream that is cut on one backend goes on with the same bits on another one, over files too."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

import edgernn
from edgernn import ReadingError
from edgernn.model.formats import Precision
from edgernn.model.interface import Rate, Window
from edgernn_export import export
from tests.support.models.integer import random_model
from tests.support.models.networks import two_input_network
from tests.support.models.programs import shared
from tests.support.models.rates import strided_chain
from tests.support.models.registered import wide_registered_model
from tests.support.models.tokens import token_and_real_network
from tests.support.native.programs import require_native

pytestmark = [
    pytest.mark.slow,
    pytest.mark.tf,
    pytest.mark.filterwarnings("ignore::edgernn.ClippedReadingsWarning"),
]

LSTM = random_model("lstm")
MODELS = {
    "w8a8": LSTM,
    "w8a16": random_model("gru_after", Precision.W8A16, stack=2),
    "wide": wide_registered_model(),
    "two-inputs": two_input_network(Precision.W8A8),
    "tokens": token_and_real_network(Precision.W8A8),
    "window": dataclasses.replace(LSTM, window=Window(steps=4, hop=2)),
    "padded": dataclasses.replace(LSTM, window=Window(steps=4, hop=2)),
    "rate": strided_chain(Precision.W8A8, Rate(readings=3, first=5)),
}
FILES = ("tflite", "onnx")
POLICIES = ("hold", "skip", "raise", 0.0)


def readings(model, count):
    rng, sizes = np.random.default_rng(4), model.input.vocabulary or (0,) * model.input.width
    xs = np.empty((count, len(sizes)))
    for i, size in enumerate(sizes):
        xs[:, i] = rng.integers(0, size, count) if size else rng.normal(size=count).clip(-2, 2)
        xs[3, i] = xs[3, i] if size else -1e6
    xs[rng.random(xs.shape) < 0.15] = np.nan
    xs[0, 1:] = xs[6] = np.nan
    return xs


def step(session, x):
    try:
        return session.step(x).tolist()
    except ReadingError:
        return "refused"


@pytest.mark.parametrize("kind", MODELS)
def test_a_stream_that_changes_its_backend_at_every_reading(kind, tmp_path):
    require_native()
    model, xs = MODELS[kind], readings(MODELS[kind], 12)
    sources = [model, model, *export(model, tmp_path, list(FILES), name="m").values()]
    names = ["native", "reference", *FILES]
    for policy in POLICIES:
        wanders = [
            edgernn.load(source, name, policy, "pad" if kind == "padded" else "nothing")
            for source, name in zip(sources, names, strict=True)
        ]
        stays = wanders[0].new_stream()
        blobs = [session.to_bytes() for session in wanders]
        assert len(set(blobs)) == 1, "the same model, whatever file it is in"
        places = itertools.cycle((0, 2, 1, 3, 2, 0, 3, 1))
        blob = blobs[0]
        for x, place in zip(xs, places, strict=False):
            session = wanders[place]
            session.from_bytes(blob)
            assert repr(step(session, x)) == repr(step(stays, x))
            blob = session.to_bytes()
            assert blob == stays.to_bytes()
        for session in wanders:
            session.close()


def test_a_stream_of_programs_that_changes_its_backend(tmp_path):
    require_native()
    programs = shared()
    file = export(programs, tmp_path, ["tflite"])["tflite"]
    opened = [edgernn.load(programs, name, "hold") for name in ("native", "reference")]
    opened.append(edgernn.load_programs(file, on_bad_reading="hold"))
    stays = opened[0].new_stream()
    blob = stays.to_bytes()
    rng = np.random.default_rng(1)
    for session in opened * 3:
        name = str(rng.choice(stays.programs))
        x = rng.normal(size=stays.interface(name).input.width).clip(-2, 2)
        x[rng.random(x.shape) < 0.2] = np.nan
        session.from_bytes(blob)
        np.testing.assert_array_equal(session.step(name, x), stays.step(name, x))
        blob = session.to_bytes()
        assert blob == stays.to_bytes()
