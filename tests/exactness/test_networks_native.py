"""Networks in the native backend: the reference's bits on every processor, spoilt ones refused."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from edgernn.backends import native
from edgernn.backends.native import NativeBackend, isas
from edgernn.model.formats import Precision
from edgernn.model.interface import Window
from edgernn.model.storage import Storage
from edgernn.session.loading import load
from tests.support.models.grid import reference_stream
from tests.support.models.integer import random_codes
from tests.support.models.networks import (
    head_network,
    merge_chain,
    networks,
    residual_network,
    two_input_network,
)
from tests.support.models.stored import stored
from tests.support.native.fuzz import REFUSALS, arguments, exercise
from tests.support.native.programs import require_native

STEPS = 100


@pytest.fixture(autouse=True)
def _native():
    require_native()


def more_networks():
    made = dict(networks())
    for precision in Precision:
        made[f"head-{precision.value}"] = head_network(precision)
        made[f"merges-{precision.value}"] = merge_chain(precision)
        residual = residual_network(precision)
        for storage in Storage:
            made[f"{storage.name}-{precision.value}"] = stored(residual, storage)
    return made


def test_every_instruction_set():
    compared, differing = 0, []
    for name, model in more_networks().items():
        codes = random_codes(model, STEPS)
        wanted = reference_stream(model, codes)
        for isa, layout in itertools.product(isas(), ("fast", "stored")):
            stream = NativeBackend(model, isa=isa, layout=layout).new_stream()
            for t, row in enumerate(codes):
                got = [stream.advance(row[None])[0], *stream.state]
                compared += sum(array.size for array in got)
                pairs = zip(got, wanted.values(), strict=True)
                if any(not np.array_equal(g, w[t]) for g, w in pairs):
                    differing.append((name, isa, layout, t))
    assert differing == []
    assert compared > 200_000


def test_one_chunk_is_many_steps():
    for name, model in more_networks().items():
        codes = random_codes(model, 150)
        stream = NativeBackend(model).new_stream()
        wanted = reference_stream(model, codes)
        assert np.array_equal(stream.run_codes(codes), wanted["y"]), name
        states = [wanted[spec.name][-1].tolist() for spec in model.states]
        assert [vector.tolist() for vector in stream.state] == states


def test_the_output_may_lie_where_the_input_does():
    """A later layer reads the input, of which an earlier output must not have taken the place."""
    for model in (head_network(Precision.W8A16), residual_network(Precision.W8A16)):
        codes = random_codes(model, 50)
        memory = np.zeros(max(model.input.width, model.output.width), np.int16)
        x, y = memory[: model.input.width], memory[: model.output.width]
        step = NativeBackend(model).new_stream().bind(x, y, None)
        for row, wanted in zip(codes, reference_stream(model, codes)["y"], strict=True):
            x[:] = row
            step()
            assert y.tolist() == wanted.tolist()


def test_sessions_of_real_readings_and_of_windows():
    for network in (two_input_network(), head_network()):
        for window in (None, Window(steps=5, hop=2)):
            model = dataclasses.replace(network, window=window)
            readings = np.random.default_rng(0).normal(0, 1, (40, model.input.width))
            got, wanted = (load(model, name).run(readings) for name in ("native", "reference"))
            np.testing.assert_array_equal(got, wanted)
            assert np.isfinite(got[10]).all()


def route_of(index, route):
    """A change of what a layer of the residual network reads, or of the output."""
    return lambda routes: (*routes[:index], route, *routes[index + 1 :])


#: What is changed in the routes of the residual network, and what the extension says of it.
SPOILT_ROUTES = [
    (route_of(0, ((0, 0, 3),)), r"route 0: expected a source of -1\.\.-1, got 0"),
    (route_of(1, ((1, 0, 8),)), r"route 1: expected a source of -1\.\.0, got 1"),
    (route_of(1, ((-2, 0, 8),)), r"route 1: expected a source of -1\.\.0, got -2"),
    (route_of(4, ((-1, 0, 2),)), r"route 4: expected a source of 0\.\.3, got -1"),
    (route_of(4, ((4, 0, 2),)), r"route 4: expected a source of 0\.\.3, got 4"),
    (route_of(1, ((0, 8, 8),)), r"route 1: expected a start of 0\.\.7, got 8"),
    (route_of(1, ((0, -1, 8),)), r"route 1: expected a start of 0\.\.7, got -1"),
    (route_of(1, ((0, 1, 8),)), r"route 1: expected a width of 1\.\.7, got 8"),
    (route_of(1, ((0, 0, 2**31 - 1),)), r"route 1: expected a width of 1\.\.8, got 2147483647"),
    (route_of(1, ((0, 0, 0),)), r"route 1: expected a width of 1\.\.8, got 0"),
    (route_of(1, ((0, 0, 7),)), "route 1: expected 8 elements, got 7"),
    (route_of(1, ((0, 0, 8), (0, 0, 1))), r"route 1: expected a width of 0\.\.0, got 1"),
    (route_of(1, ((0, 0, 1),) * 9), r"route 1: expected a tuple of 1\.\.8 parts"),
    (route_of(1, ()), r"route 1: expected a tuple of 1\.\.8 parts"),
    (route_of(1, [(0, 0, 8)]), r"route 1: expected a tuple of 1\.\.8 parts"),
    (route_of(1, ([0, 0, 8],)), "route 1: expected tuples as parts"),
    (route_of(1, ((0, 0),)), "exactly 3 arguments"),
    (route_of(1, ((0, 0, 2**31),)), "too large|greater than maximum"),
    (lambda routes: routes[:-1], "routes: expected 5, got 4"),
    (lambda routes: (*routes, routes[0]), "routes: expected 5, got 6"),
    (lambda routes: (), "layer 2: expected routes to what it reads, got none"),
    (lambda routes: None, "must be tuple, not None"),
]


@pytest.mark.parametrize(("change", "message"), SPOILT_ROUTES)
def test_routes_that_would_leave_their_memory_are_refused(change, message):
    given = arguments(residual_network(), isas()[0])
    exercise(native._module().Program(*given), given[2], given[1])
    with pytest.raises(REFUSALS, match=message):
        native._module().Program(*given[:9], change(given[9]), *given[10:])


def test_layers_that_read_operands_may_go_without_routes_in_a_chain_alone():
    given = arguments(two_input_network(), isas()[0])
    with pytest.raises(ValueError, match="layer 0: expected 5 inputs, got 3"):
        native._module().Program(*given[:9], (), *given[10:])


#: The same of the step of its merge: scratch, operands, states, output, calls, values, constants.
SPOILT_MERGES = [
    (
        lambda m: (15, *m[1:]),
        r"values of the input: expected 0, or 16 within 15 of scratch, got 16",
    ),
    (lambda m: (*m[:5], 15, m[6]), "values of the input: expected 0, or 16 within 32"),
    (lambda m: (*m[:5], -16, m[6]), "values of the input: expected 0, or 16 within 32"),
    (lambda m: (24, *m[1:]), "place: expected one in states and scratch"),
    (lambda m: (*m[:6], m[6][:1]), "option of a call: expected 0 to 0, got 1"),
    (lambda m: (*m[:6], ()), "option of a call"),
    (lambda m: (*m[:6], ((7, *m[6][0][1:]), m[6][1])), "multiplier: expected 14 bytes, got 16"),
    (lambda m: (*m[:6], ((0, *m[6][0][1:]), m[6][1])), "elements of constants: expected 0 to"),
    (lambda m: (*m[:6], ((65537, *m[6][0][1:]), m[6][1])), "elements of constants: expected 0 to"),
    (lambda m: (*m[:6], ((8, 0, *m[6][0][2:]), m[6][1])), r"shift: expected 1\.\.30, got 0"),
    (lambda m: (*m[:6], ((8, 31, *m[6][0][2:]), m[6][1])), r"shift: expected 1\.\.30, got 31"),
    (
        lambda m: (*m[:6], ((8, 9, bytes(16), bytes(15)), m[6][1])),
        "bias: expected 16 bytes, got 15",
    ),
    (
        lambda m: (*m[:6], ((7, 9, bytes(14), None), m[6][1])),
        "constants of a call: expected 0 to 7, got 8",
    ),
    (lambda m: (*m[:6], (5, m[6][1])), "scales: expected a tuple of tuples"),
    (lambda m: (*m[:6], m[6] * 1000), "scales: expected 0 to 1024, got 2000"),
    (lambda m: (*m[:4], ((9, 8, 0, -1, -33, -1),), *m[5:]), "place: expected one in states"),
    (lambda m: (*m[:4], ((10, 8, 1, -1, -9, -1),), *m[5:]), "option of a call: expected 0 to 0"),
]


@pytest.mark.parametrize(("change", "message"), SPOILT_MERGES)
def test_merges_that_would_leave_their_memory_are_refused(change, message):
    given = arguments(residual_network(), isas()[0])
    layers = given[4]
    merge = layers[2]
    step = merge[-1]
    spoilt = (*merge[:-1], (*change(step[:7]), *step[7:]))
    with pytest.raises(REFUSALS, match=message):
        native._module().Program(*given[:4], (*layers[:2], spoilt, layers[3]), *given[5:])
