"""Layers in the native backend operation by operation: the reference's bits on every processor."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edgernn.backends import native
from edgernn.backends.native import NativeBackend, isas
from edgernn.graph.vector_calls import VectorCall
from tests.support.models.grid import reference_stream, special
from tests.support.models.integer import CELLS, random_codes, random_model
from tests.support.models.own_cell import own_models, register, wide_models
from tests.support.native.fuzz import REFUSALS, arguments, exercise

STEPS = 200


@pytest.fixture
def operations(monkeypatch):
    """A cell of one's own is known, and the native backend has no kernel."""
    pytest.importorskip("edgernn._native", reason="needs the compiled extension")
    register(monkeypatch)
    # As many as before: the number behind them is that of operations.
    monkeypatch.setattr(native, "_KINDS", (None,) * len(native._KINDS))


@pytest.mark.parametrize("models", [special, own_models, wide_models])
def test_every_instruction_set(models, operations):
    compared, differing = 0, []
    for (name, model), isa in itertools.product(models().items(), isas()):
        codes = random_codes(model, STEPS)
        wanted = reference_stream(model, codes)
        stream = NativeBackend(model, isa=isa).new_stream()
        for t, row in enumerate(codes):
            outputs = stream.advance(row[None])[0]
            got = [outputs, *stream.state]
            compared += sum(array.size for array in got)
            if any(not np.array_equal(g, w[t]) for g, w in zip(got, wanted.values(), strict=True)):
                differing.append((name, isa, t))
    assert differing == []
    assert compared > 14_000 * len(isas())


def test_states_are_set_and_copied(operations):
    model = own_models()["own-w8a16-hostile-12"]
    backend = NativeBackend(model)
    codes = random_codes(model, 60)
    stream = backend.new_stream()
    stream.advance(codes[:30])
    _, state = backend.run(codes[:30], backend.interface.initial_state())
    other = backend.new_stream()
    other.state = state
    rest = stream.copy().advance(codes[30:]).tolist()
    assert rest == other.advance(codes[30:]).tolist() == stream.advance(codes[30:]).tolist()


NO_CALL = f"call: expected 0 to {len(VectorCall) - 1}"
#: What is changed in the step of a layer, and what the extension says of it.
SPOILT = [
    (lambda s, k, w, o, c: (s - 1, k, w, o, c), "place: expected one in states and scratch"),
    (lambda s, k, w, o, c: (-1, k, w, o, c), "scratch: expected 0 to"),
    (lambda s, k, w, o, c: (1 << 30, k, w, o, c), "scratch: expected 0 to"),
    (lambda s, k, w, o, c: (s, k, w[:1], o, c), "place: expected one in states and scratch"),
    (lambda s, k, w, o, c: (s, k, (0, *w[1:]), o, c), "units of a state: expected"),
    (lambda s, k, w, o, c: (s, k, ("x", *w[1:]), o, c), "integer"),
    (lambda s, k, w, o, c: (s, k, w, 10**6, c), "output: expected a place"),
    (lambda s, k, w, o, c: (s, k, w, -(2**31), c), "output: expected a place"),
    (lambda s, k, w, o, c: (s, k, w, o, (c[0], 7)), "instructions: expected a tuple of tuples"),
    (lambda s, k, w, o, c: (s, k, w, o, (c[0][:5],)), "takes at least 6 arguments"),
    (
        lambda s, k, w, o, c: (s, k, w, o, ((len(VectorCall), *c[0][1:]),)),
        NO_CALL,
    ),
    (
        lambda s, k, w, o, c: (s, k, w, o, ((-1, *c[0][1:]),)),
        NO_CALL,
    ),
    (lambda s, k, w, o, c: (s, k, w, o, ((0, 0, *c[0][2:]),)), "elements of a call"),
    (
        lambda s, k, w, o, c: (s, k, w, o, ((0, 14, 0, 0, 0, 0),)),
        "operands of a call",
    ),
    (
        lambda s, k, w, o, c: (s, k, w, o, ((1, 28, 1, 0, 0, -1),)),
        "option of a call",
    ),
    (
        lambda s, k, w, o, c: (s, k, w, o, ((1, 27, 0, 0, 0, -1),)),
        "rows of a call",
    ),
    (
        lambda s, k, w, o, c: (s, k, w, o, ((4, 7, 31, 0, 0, 0),)),
        "option of a call",
    ),
    (
        lambda s, k, w, o, c: (s, k, w, o, ((6, 7, 16, 0, 0, 0),)),
        "option of a call",
    ),
    (
        lambda s, k, w, o, c: (s, k, w, o, ((3, 7, 5, 0, 0, 0),)),
        "option of a call",
    ),
    (lambda s, k, w, o, c: (s, k, w, o, ((5, 7, 0, 0, 8, 0),)), "place: expected one in states"),
    (lambda s, k, w, o, c: (s, 3, w, o, c), "weights: expected whole tiles"),
    (lambda s, k, w, o, c: (s, -1, w, o, c), "operands: expected 0 to"),
    (lambda s, k, w, o, c: (s, k, w, o, ((0, 7, 0, 0, 1, 0),)), "place: expected"),
    (lambda s, k, w, o, c: (s, k, w, o, ((0, 7, 0, 0, 0, 1),)), "place: expected"),
    (lambda s, k, w, o, c: 7, "expected a tuple of its step"),
    (lambda s, k, w, o, c: (s, k, w, o), "takes at least 7 arguments"),
]


@pytest.mark.parametrize(("change", "message"), SPOILT)
def test_steps_that_would_leave_their_memory_are_refused(change, message, operations):
    model = own_models()["own-w8a8-tame-12"]
    given = arguments(model, isas()[0])
    layers = given[4]
    step = layers[0][-1]
    spoilt = change(*step[:5])
    if isinstance(spoilt, tuple) and len(spoilt) == 5:
        spoilt += step[5:]
    first = (*layers[0][:-1], spoilt)
    with pytest.raises(REFUSALS, match=message):
        native._module().Program(*given[:4], (first, *layers[1:]), *given[5:])
    exercise(native._module().Program(*given), given[2], given[1])


@pytest.mark.parametrize("cell", CELLS)
def test_layers_take_no_more_memory_than_with_a_kernel(cell, operations):
    model = random_model(cell, units=8, outputs=0)
    *_, (scratch, behind, widths, _, calls, *rest) = arguments(model, isas()[0])[4][0]
    assert rest == [0, ()]  # no values of the input, no constants that scale
    by_hand = {"simple_rnn": 0, "simple_rnn_relu": 0, "lstm": 4, "gru_before": 3, "gru_after": 4}
    assert (scratch, behind, widths) == (
        8 * by_hand[cell],
        8,
        tuple(spec.units for spec in model.states),
    )
    assert all(len(call) == 6 for call in calls)
