"""The NumPy reference and the scalar twin agree on every bit of outputs and states."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest

from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import DenseActivation, GateActivation
from edgernn_firmware_sim.reference.events import Recorder
from edgernn_firmware_sim.reference.reference import Reference
from tests.exactness.twin.cells import Twin
from tests.exactness.twin_comparison import any_state, compare
from tests.support.models.integer import CELLS, REACH, random_codes, random_layer, random_model

HARD: Final = GateActivation.HARD_SIGMOID


def chain(
    steps: tuple[tuple[str, dict[str, Any]], ...],
    precision: Precision,
    *,
    kind: str,
    common: bool,
    seed: int,
) -> IntegerModel:
    """Layers of different kinds in a row, each with its own options; 3 channels in, 5 wide.

    A relu state with few fractional bits reaches far: its pre-activation is scaled up with it.
    """
    rng = np.random.default_rng(seed)
    reach = [REACH[kind] * 2.0 ** max(0, 10 - o.get("state_exponent", 10)) for _, o in steps]
    layers = [
        random_layer(
            rng, name, f"{name}_{i}", 5 if i else 3, 5, precision,
            common=common, reach=reach[i], first=i == 0, **options,
        )
        for i, (name, options) in enumerate(steps)
    ]  # fmt: skip
    frame = random_model("simple_rnn", precision, inputs=3, outputs=5)
    return IntegerModel(
        name="chain",
        precision=precision,
        layers=tuple(layers),
        input=frame.input,
        output=frame.output,
        provenance=frame.provenance,
    )


Build = Callable[..., IntegerModel]


def one(cell: str, **options: Any) -> Build:
    """Models of one cell and a linear Dense; called with precision, kind, common, seed."""
    return lambda precision, **given: random_model(
        cell, precision, inputs=3, units=6, **options, **given
    )


def row(*steps: str | tuple[str, dict[str, Any]]) -> Build:
    """Models with the given layers in a row; called with precision, kind, common, seed."""
    full = tuple((s, {}) if isinstance(s, str) else s for s in steps)
    return lambda precision, **given: chain(full, precision, **given)


def dense(activation: DenseActivation) -> tuple[str, dict[str, Any]]:
    return ("dense", {"activation": activation})


VARIANTS: Final[dict[str, Build]] = {
    **{cell: one(cell) for cell in CELLS},
    **{f"{c}_hard": one(c, gate_activation=HARD) for c in ("lstm", "gru_after", "gru_before")},
    **{f"lstm_c{e}": one("lstm", cell_exponent=e) for e in range(10, 15)},
    **{f"relu_e{e}": row(("simple_rnn_relu", {"state_exponent": e})) for e in range(16)},
    **{
        f"dense_{a.value}": row(dense(a), "gru_after", dense(a), "simple_rnn", dense(a))
        for a in DenseActivation
    },
    "no_dense": one("gru_before", outputs=0),
    "stack": one("lstm", stack=3),
    "mixed": row("lstm", "simple_rnn_relu", "gru_before", ("lstm", {"gate_activation": HARD})),
}
SETTINGS: Final = tuple(
    (precision, kind, common)
    for precision in Precision
    for kind in ("tame", "hostile")
    for common in (True, False)
)


def compare_all(
    build: Build, streams: int, steps: int
) -> tuple[int, dict[Precision, Counter[str]]]:
    compared, events = 0, {p: Counter[str]() for p in Precision}
    for number, (precision, kind, common) in enumerate(SETTINGS):
        model = build(precision, kind=kind, common=common, seed=100 + number)
        values, seen = compare(model, streams, steps, seed=10 * number)
        compared += values
        events[precision] += seen
    return compared, events


@pytest.mark.parametrize("variant", VARIANTS)
def test_reference_equals_twin(variant):
    build = VARIANTS[variant]
    compared, events = compare_all(build, streams=3, steps=15)
    model = build(Precision.W8A8, kind="tame", common=True, seed=0)
    values_per_step = model.output.width + sum(s.units for s in model.states)
    assert compared == len(SETTINGS) * 3 * 15 * values_per_step
    assert events[Precision.W8A8]["sat16"] > 0
    assert events[Precision.W8A16]["sat16"] > 0


@pytest.mark.long
def test_reference_equals_twin_on_a_million_values():
    compared, events = 0, {p: Counter[str]() for p in Precision}
    for build in VARIANTS.values():
        values, seen = compare_all(build, streams=4, steps=120)
        compared += values
        for precision in Precision:
            events[precision] += seen[precision]
    assert compared >= 10**6
    narrow, wide = events[Precision.W8A8], events[Precision.W8A16]
    for event in ("sat16", "sat8", "tie_half_up", "tie_R"):
        assert narrow[event] >= 1000, (event, narrow)
    for event in ("sat16", "tie_R"):
        assert wide[event] >= 1000, (event, wide)
    # Clause 5.4: the accumulators of w8a16 cannot tie.
    assert wide["tie_half_up"] == 0


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("cell", CELLS)
def test_recorded_saturations_are_the_twins(cell, precision):
    """Clause 10.1 counts the same events in both; recording changes no bit."""
    model = random_model(cell, precision, kind="hostile", common=False, stack=2)
    q_xs = random_codes(model, 60)
    recorder, twin = Recorder(), Twin(model)
    q_ys, _ = Reference(model, recorder).run(q_xs)
    expected, _ = twin.run(q_xs.tolist())
    assert q_ys.tolist() == expected
    saturated = sum(tensor.saturated for tensor in recorder.tensors.values())
    assert saturated == twin.events["sat16"] + twin.events["sat8"] > 0


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("cell", CELLS)
def test_any_chunking_gives_the_same_stream(cell, precision):
    model = random_model(cell, precision, kind="hostile", stack=2)
    reference, q_xs = Reference(model), random_codes(model, 90)
    whole, end = reference.run(q_xs)
    for sizes in ((1,) * 90, (89, 1), (7, 0, 33, 50)):
        parts, state = [], reference.initial_state()
        for chunk in np.split(q_xs, np.cumsum(sizes)[:-1]):
            q_ys, state = reference.run(chunk, state)
            parts.append(q_ys)
        assert np.array_equal(np.concatenate(parts), whole), sizes
        assert all(np.array_equal(a, b) for a, b in zip(state, end, strict=True)), sizes


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("cell", CELLS)
def test_streams_at_once_equal_streams_one_by_one(cell, precision):
    model = random_model(cell, precision, kind="hostile", stack=2)
    reference = Reference(model)
    q_xs = np.stack([random_codes(model, 50, seed=b) for b in range(5)])
    start = any_state(model, 5, seed=3)
    before = [s.copy() for s in start]
    together, end = reference.run(q_xs, start)
    assert all(np.array_equal(a, b) for a, b in zip(start, before, strict=True))
    for b in range(5):
        alone, state = reference.run(q_xs[b], tuple(s[b] for s in start))
        assert np.array_equal(alone, together[b])
        assert all(np.array_equal(s, e[b]) for s, e in zip(state, end, strict=True))
