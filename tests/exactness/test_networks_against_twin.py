"""The NumPy reference and the scalar twin agree on networks (clauses 6.6, 6.7, 7.9 and 7.10)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Final

import numpy as np
import pytest

from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import Layer
from edgernn.model.merges import PAIRS, Merge, MergeOperation
from edgernn.model.routes import MODEL_INPUT
from edgernn.model.scales import ScaleVector
from edgernn_firmware_sim.reference.events import Recorder
from edgernn_firmware_sim.reference.reference import Reference
from tests.exactness.twin.cells import Twin
from tests.exactness.twin_comparison import compare
from tests.support.models.integer import random_codes, random_layer, random_model
from tests.support.models.networks import networks, random_network, random_scale

SEEDS: Final = range(10, 40)


@pytest.fixture(scope="module")
def random_networks() -> list[IntegerModel]:
    """Networks of many seeds; those of odd ones are hostile."""
    return [
        random_network(precision, seed=seed, kind=("tame", "hostile")[seed % 2])
        for precision in Precision
        for seed in SEEDS
    ]


@pytest.mark.parametrize("name", networks())
def test_reference_equals_twin_on_the_grid(name):
    model = networks()[name]
    compared, _ = compare(model, streams=3, steps=12, seed=7)
    assert compared == 3 * 12 * (model.output.width + sum(s.units for s in model.states))


def test_reference_equals_twin_on_many_networks(random_networks):
    compared, events = 0, {precision: Counter[str]() for precision in Precision}
    for number, model in enumerate(random_networks):
        values, seen = compare(model, streams=3, steps=20, seed=100 * number)
        compared += values
        events[model.precision] += seen
    assert compared >= 10**5
    for precision, expected in (
        (Precision.W8A8, ("sat16", "sat8", "tie_half_up", "tie_R")),
        (Precision.W8A16, ("sat16", "tie_R")),
    ):
        for event in expected:
            assert events[precision][event] >= 300, (precision, event, events)
    # Clause 5.4 holds for columns of the model's input and of layers alike.
    assert events[Precision.W8A16]["tie_half_up"] == 0


def test_recorded_saturations_are_the_twins(random_networks):
    """Clause 10.1 counts the same events in both, part by part of a source and reader by reader."""
    for model in random_networks:
        q_xs = random_codes(model, 15)
        recorder, twin = Recorder(), Twin(model)
        Reference(model, recorder).run(q_xs)
        twin.run(q_xs.tolist())
        saturated = sum(tensor.saturated for tensor in recorder.tensors.values())
        assert saturated == twin.events["sat16"] + twin.events["sat8"]


def test_networks_cover_what_the_clauses_say(random_networks):
    """Every merge, both kinds of offsets, mixed routes, parts of a source, values of the input."""
    seen: set[object] = set()
    for model in random_networks:
        for layer, route in zip(model.layers, model.wiring, strict=False):
            from_input = {part.source == MODEL_INPUT for part in route}
            seen.add((type(layer) is Merge, frozenset(from_input)))
            if isinstance(layer, Merge):
                seen |= {(layer.operation, len(layer.terms))}
                seen |= {("offsets", term.has_bias) for term in layer.terms}
            for part in route:
                if part.source != MODEL_INPUT:
                    seen.add(("all of it", part.width == model.layers[part.source].units))
    both, inside = frozenset((True, False)), frozenset((False,))
    expected = {(merge, kind) for merge in (True, False) for kind in (both, inside)}
    expected |= {(name, flag) for name in ("offsets", "all of it") for flag in (True, False)}
    expected |= {(operation, 2) for operation in MergeOperation}
    expected |= {(o, 3) for o in MergeOperation if o not in PAIRS}
    assert expected <= seen


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("operation", MergeOperation)
def test_a_merge_in_a_chain_reads_the_halves_of_the_layer_before(operation, precision):
    """Clauses 6.1 and 6.7 without routes; the output is the merge's."""
    rng = np.random.default_rng(5)
    frame = random_model("gru_after", precision, outputs=2)
    layers: tuple[Layer, ...] = (
        random_layer(rng, "lstm", "lstm", 3, 8, precision, reach=60.0),
        Merge(
            name="merge", inputs=8, units=4, operation=operation, output_scale=1.0,
            terms=(random_scale(rng, 4), random_scale(rng, 4, bias=False)),
            shift=14 if operation is MergeOperation.PRODUCT else 0,
        ),
        random_layer(rng, "dense", "out", 4, 2, precision, first=False),
    )  # fmt: skip
    model = replace(frame, layers=layers)
    assert model.routes == ()
    compare(model, streams=3, steps=40, seed=1)


@pytest.mark.parametrize("shift", (1, 2, 15, 30))
def test_products_of_the_ends_of_their_range(shift):
    """Clauses 7.9 and 7.10 at the largest factors: 32 bits hold them with every shift."""
    ends = np.array([-32768, -32767, -1, 0, 1, 32767], np.int16)
    scale = ScaleVector(
        multiplier=np.array([32767, -32767, 1, -1, 0, 32767], np.int16), shift=shift, bias=ends
    )
    plain = replace(scale, bias=np.zeros(6, np.int16))
    rng = np.random.default_rng(shift)
    base = random_model("lstm", Precision.W8A8, units=12, outputs=6, kind="hostile")
    merge = Merge(
        name="merge", inputs=12, units=6, operation=MergeOperation.PRODUCT,
        terms=(scale, plain), shift=shift, output_scale=1.0,
    )  # fmt: skip
    dense = random_layer(rng, "dense", "out", 6, 6, Precision.W8A8, first=False)
    model = replace(base, layers=(base.layers[0], merge, dense))
    compared, events = compare(model, streams=4, steps=60, seed=shift)
    assert compared == 4 * 60 * (6 + 24)
    assert events["sat16"] > 0
