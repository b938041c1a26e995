"""Traces of gates and states are the values that the reference and the float network compute."""

import dataclasses
import json

import numpy as np
import pytest

import edgernn
from edgernn.errors import EdgeRnnError
from edgernn.model.formats import Precision
from edgernn.model.interface import Window
from edgernn_export.inspection import gate_traces
from edgernn_export.inspection.gate_values import CANDIDATE, GATE, STATE
from edgernn_firmware_sim.reference.reference import Reference
from tests.exactness.twin import scalar
from tests.exactness.twin.cells import Twin
from tests.support.models.float import float_model, stream
from tests.support.models.integer import random_model

CELLS = ("simple_rnn", "lstm", "gru_after", "gru_before")


def readings(model, steps=25, seed=1):
    low, high = model.interface().coder().range
    return np.random.default_rng(seed).uniform(low, high, (steps, len(low)))


def kinds(found):
    return {trace.name.partition(".")[2]: trace.kind for trace in found.traces}


@pytest.mark.parametrize("precision", [Precision.W8A8, Precision.W8A16])
@pytest.mark.parametrize("cell", CELLS)
def test_states_are_those_of_the_twin_in_every_step(cell, precision):
    model = random_model(cell, precision, stack=2)
    xs = readings(model)
    found = gate_traces(model, xs)
    _, states = Twin(model).run(model.interface().quantize(xs).tolist())
    for index, spec in enumerate(model.states):
        expected = [np.array(state[index]) * spec.format.scale for state in states]
        np.testing.assert_array_equal(found[spec.name], expected)
    assert (found.steps, found.arithmetic) == (25, "integer")


def test_gates_of_an_lstm_give_its_cell_state_in_integers():
    """Clause 7.2 by hand, from the codes of the traces: c' = R(f c) + R(i g), saturated."""
    model = random_model("lstm")
    layer = model.layers[0]
    found = gate_traces(model, readings(model, 40))
    name = layer.name
    assert kinds(found) == {
        "i": GATE, "f": GATE, "o": GATE, "g": CANDIDATE, "h": STATE, "c": STATE
    }  # fmt: skip
    codes = {k: np.rint(found[f"{name}.{k}"] * 2**15).astype(int) for k in "ifog"}
    frac = layer.states[1].format.frac_bits
    cs = np.rint(found[f"{name}.c"] * 2**frac).astype(int)
    before = np.zeros_like(cs[0])
    for t, c in enumerate(cs):
        kept = rounded(codes["f"][t] * before, 15)
        added = rounded(codes["i"][t] * codes["g"][t], 30 - frac)
        np.testing.assert_array_equal(c, np.clip(kept + added, -(2**15), 2**15 - 1))
        before = c


def rounded(product, shift):
    return np.vectorize(lambda p: scalar.sat16(scalar.R(int(p), shift)))(product)


def test_gates_of_a_gru_have_short_names():
    for cell in ("gru_after", "gru_before"):
        found = gate_traces(random_model(cell), readings(random_model(cell)))
        assert kinds(found) == {"z": GATE, "r": GATE, "candidate": CANDIDATE, "h": STATE}


@pytest.mark.parametrize("cell", ["lstm", "gru_after"])
def test_gates_of_wide_states_are_those_of_thirty_bits(cell):
    model = wide_model(cell)
    xs = readings(model)
    found = gate_traces(model, xs)
    gates = [trace for trace in found.traces if trace.kind == GATE]
    assert {trace.name.rpartition(".")[2] for trace in gates} >= {"f" if cell == "lstm" else "z"}
    for trace in gates:
        assert trace.values.min() >= 0.0 and trace.values.max() <= 1.0
    reference, state = Reference(model), Reference(model).initial_state()
    for t, code in enumerate(model.interface().quantize(xs)):
        _, state = reference.step(code, state)
        for spec, value in zip(model.states, state, strict=True):
            if not spec.name.endswith("_low"):
                np.testing.assert_array_equal(found[spec.name][t], value * spec.format.scale)


def wide_model(cell):
    from edgernn_export import quantize

    return quantize(float_model(cell), stream(120, 3), state="32", progress=False)


@pytest.mark.parametrize("cell", CELLS)
def test_float_traces_are_near_those_of_the_integer_model(cell):
    from edgernn_export import quantize

    network, xs = float_model(cell), stream(120, 3)
    model = quantize(network, xs, "w8a16", progress=False)
    floats, integers = gate_traces(network, xs), gate_traces(model, xs)
    assert floats.arithmetic == "float"
    named = {trace.name: trace.values for trace in integers.traces}
    assert {trace.name for trace in floats.traces} == named.keys()
    for trace in floats.traces:
        limit = 0.02 * (1 + np.abs(trace.values).max())
        assert np.abs(trace.values - named[trace.name]).max() < limit


def test_a_window_model_is_traced_over_its_last_window():
    model = dataclasses.replace(random_model("gru_after"), window=Window(steps=6))
    xs = readings(model, 20)
    endless = dataclasses.replace(model, window=None)
    found, expected = gate_traces(model, xs), gate_traces(endless, xs[-6:])
    for trace in expected.traces:
        np.testing.assert_array_equal(found[trace.name], trace.values)
    with pytest.raises(EdgeRnnError, match="at least one window of 6, got 5"):
        gate_traces(model, xs[:5])


def test_other_readings_are_refused():
    model = random_model("lstm")
    for wrong in (np.zeros((2, 5, 3)), np.zeros((5, 2)), np.zeros((0, 3))):
        with pytest.raises(EdgeRnnError, match=r"expected one stream \[T, 3\]"):
            gate_traces(model, wrong)
    with pytest.raises(KeyError, match=r"expected one of lstm_0\.i"):
        gate_traces(model, np.zeros((4, 3)))["lstm_0.x"]


def test_tables_figures_values_and_pictures(tmp_path):
    model = random_model("lstm")
    xs = readings(model, 1600)
    found = gate_traces(model, xs)
    assert found.table().splitlines()[0] == "lstm-tame, integer, 1600 steps"
    record = json.loads(found.to_json())
    forget = next(one for one in record["traces"] if one["name"] == "lstm_0.f")
    values = found["lstm_0.f"]
    assert forget["closed"] == (values < 0.1).mean(axis=0).tolist()
    assert forget["open"] == (values > 0.9).mean(axis=0).tolist()
    assert forget["mean"] == values.mean(axis=0).tolist()
    with np.load(found.save(tmp_path / "v" / "g.npz")) as stored:
        np.testing.assert_array_equal(stored["lstm_0.f"], values)
    assert found.plot(tmp_path / "p" / "g.png").read_bytes().startswith(b"\x89PNG")
    with edgernn.load(model) as session:  # the trace is that of a session
        session.run(xs)
        state = {name: np.asarray(v) for name, v in session.state.items()}
    np.testing.assert_array_equal(
        found["lstm_0.h"][-1], state["lstm_0.h"] * model.states[0].format.scale
    )
