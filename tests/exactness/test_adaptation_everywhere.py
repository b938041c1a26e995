"""A head that changes its back-end at every step learns the same bits, over files too."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import edgernn
from edgernn.adapt.adaptation import Adaptation
from edgernn.model.formats import Precision
from edgernn_export import export
from tests.support.models.integer import random_model
from tests.support.native.programs import require_native

pytestmark = [pytest.mark.slow, pytest.mark.tf]


@pytest.mark.parametrize("precision", Precision, ids=lambda p: p.value)
def test_a_head_that_changes_its_back_end_at_every_step(precision, tmp_path):
    require_native()
    model = random_model("lstm", precision)
    model = dataclasses.replace(model, adaptation=Adaptation(rate=0.25, delay=1).bound(model))
    sources = [model, model, *export(model, tmp_path, ["tflite", "onnx"], name="m").values()]
    names = ["native", "reference", "tflite", "onnx"]
    heads = [
        edgernn.AdaptiveHead(edgernn.load(source, name))
        for source, name in zip(sources, names, strict=True)
    ]
    assert {head.adaptation for head in heads} == {model.adaptation}
    stays = edgernn.AdaptiveHead(heads[0].session.new_stream())
    rng = np.random.default_rng(0)
    blob = stays.to_bytes()
    for t, x in enumerate(rng.normal(0, 1, (24, 3)).clip(-2, 2)):
        head, target = heads[t % 4], rng.normal(3, 2, 2)
        head.from_bytes(blob)
        np.testing.assert_array_equal(head.step(x), stays.step(x))
        np.testing.assert_array_equal(head.learn(target), stays.learn(target))
        blob = head.to_bytes()
        assert blob == stays.to_bytes(), names[t % 4]
    assert np.abs(stays.weights).max() > 0
    for head in (*heads, stays):
        head.session.close()
