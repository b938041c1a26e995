"""Sessions over models with several inputs and outputs: names instead of positions."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import numpy as np
import pytest

import edgernn
from edgernn.errors import EdgeRnnError, ModelError, ReadingError, ShapeError
from edgernn.model.formats import Precision
from edgernn.model.interface import Port
from tests.support.models.integer import random_model
from tests.support.models.networks import two_input_network

pytestmark = pytest.mark.device

RNG = np.random.default_rng(8)
#: Inputs "a" with x0, x1, x2 and "b" with x3, x4; outputs "head" with y0, y1 and "hidden".
MODEL = two_input_network()
XS = RNG.uniform(-2, 2, (6, 5))


def opened(model=MODEL, backend="auto", **options):
    """On the native backend where it is built: with its own ways for readings."""
    return edgernn.load(model, backend, **options)


def scalar_model():
    """Inputs "wind" of two channels and "load" of one, called as its channel."""
    ports = (Port(name="wind", width=2), Port(name="x2", width=1))
    base = random_model("gru_after")
    return dataclasses.replace(base, input=dataclasses.replace(base.input, ports=ports))


WANTED = opened(backend="reference").run(XS)
STEPS = {
    "inputs": lambda x: {"b": x[3:], "a": x[:3]},
    "lists": lambda x: {"a": x[:3].tolist(), "b": tuple(x[3:])},
    "channels of one": lambda x: {"a": x[:3], "x4": x[4], "x3": x[3]},
    "mapping in a mapping": lambda x: {"a": {"x2": x[2], "x1": x[1], "x0": x[0]}, "b": x[3:]},
    "all channels": lambda x: {f"x{i}": x[i] for i in (4, 2, 0, 1, 3)} | {"time": "12:00"},
    "flat": lambda x: x,
}


@pytest.mark.parametrize("name", STEPS)
def test_a_step_by_names_is_the_step_of_the_flat_vector(name):
    session = opened()
    ys = np.array([session.step(STEPS[name](x)) for x in XS])
    np.testing.assert_array_equal(ys, WANTED)
    np.testing.assert_array_equal(opened().run([STEPS[name](x) for x in XS]), WANTED)


RUNS = {
    "inputs": {"b": XS[:, 3:], "a": XS[:, :3]},
    "lists": {"a": XS[:, :3].tolist(), "b": [list(x) for x in XS[:, 3:]]},
    "channels of one": {"a": XS[:, :3], "x3": XS[:, 3], "x4": XS[:, 4:]},
    "readings of one by name": {"a": [dict(zip(("x0", "x1", "x2"), x, strict=False)) for x in XS],
                                "b": {"x3": XS[:, 3], "x4": XS[:, 4]}},
    "all channels": {f"x{i}": XS[:, i] for i in range(5)},
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_a_run_by_names_is_the_run_of_flat_readings(name):
    np.testing.assert_array_equal(opened().run(RUNS[name]), WANTED)


def test_a_run_by_channels_needs_no_ports():
    model = random_model("lstm")
    columns = {f"x{i}": XS[:, i] for i in range(3)}
    np.testing.assert_array_equal(opened(model).run(columns), opened(model).run(XS[:, :3]))


def test_an_input_of_one_channel_takes_scalars():
    model = scalar_model()
    session = opened(model)
    ys = [session.step({"wind": x[:2], "x2": x[2]}) for x in XS]
    chunk = {"wind": XS[:, :2], "x2": XS[:, 2]}
    np.testing.assert_array_equal(ys, opened(model).run(XS[:, :3]))
    np.testing.assert_array_equal(ys, opened(model).run(chunk))


def test_no_readings():
    ys = opened().run({"a": np.empty((0, 3)), "b": []})
    assert ys.shape == (0, 5)


BAD_STEPS = {
    "missing": ({"a": [0.0] * 3}, "expected the inputs a, b, got no b.*Pass None for an input"),
    "half of it": ({"a": [0.0] * 3, "x3": 1.0}, "expected the inputs a, b, got no b"),
    "another name": (
        {"a": [0.0] * 3, "B": [0.0] * 2},
        "expected the inputs a, b, got no b, but B.*Use the model's input names",
    ),
    "unknown": (
        {"a": [0.0] * 3, "b": [0.0] * 2, "c": 1.0},
        "expected the inputs a, b, got also c.*Remove the names",
    ),
    "twice": ({"a": [0.0] * 3, "b": [0.0] * 2, "x3": 1.0}, "got also x3"),
    "neither": ({"x0": 1.0}, "expected a reading with a, b or x0, x1, x2, x3, x4, got one without"),
    "narrow": (
        {"a": [0.0] * 2, "b": [0.0] * 2},
        r"of shape \(3,\), got \(2,\) \(.*input 'a'\)\. Pass one number",
    ),
    "scalar": ({"a": 1.0, "b": [0.0] * 2}, r"of shape \(3,\), got \(\) \(.*input 'a'\)"),
    "text": ({"a": [0.0] * 3, "b": ["x", "y"]}, r"input 'b'"),
    "inner name": ({"a": {"x0": 1.0}, "b": [0.0] * 2}, r"x0, x1, x2, got .* \(.*input 'a'\)"),
}


@pytest.mark.parametrize("name", BAD_STEPS)
def test_a_bad_step_leaves_the_stream(name):
    x, match = BAD_STEPS[name]
    session = opened()
    session.run(XS[:3])
    state = session.state
    with pytest.raises(ShapeError, match=match):
        session.step(x)
    with pytest.raises(ShapeError, match=match):
        session.run([x])
    for key, codes in session.state.items():
        np.testing.assert_array_equal(codes, state[key])
    assert session.bad_readings == 0
    np.testing.assert_array_equal(session.run(XS[3:]), WANTED[3:])


BAD_RUNS = {
    "missing": ({"b": XS[:, 3:]}, "expected the inputs a, b, got no a"),
    "unknown": ({"a": XS[:, :3], "b": XS[:, 3:], "c": XS}, "got also c"),
    "lengths": (
        {"a": XS[:, :3], "b": XS[1:, 3:]},
        "the same number of readings for every input, got 6 of a, 5 of b",
    ),
    "width": ({"a": XS[:, :2], "b": XS[:, 3:]}, r"\(3,\), got \(2,\) \(input 'a', reading 0\)"),
    "batch": ({"a": XS[None, :, :3], "b": XS[:, 3:]}, r"got 1 sequences \[1, 6, 3\] \(input 'a'\)"),
    "step": ({"a": 1.0, "b": 2.0}, r"readings \[T, 3\], got float \(input 'a'\)"),
    "not of an input": ({"a": {"y": [1.0]}, "b": XS[:, 3:]}, r"\[T, 3\], got dict \(input 'a'\)"),
}


@pytest.mark.parametrize("name", BAD_RUNS)
def test_a_bad_run_leaves_the_stream(name):
    xs, match = BAD_RUNS[name]
    session = opened()
    session.run(XS[:2])
    with pytest.raises(ShapeError, match=match):
        session.run(xs)
    np.testing.assert_array_equal(session.run(XS[2:]), WANTED[2:])


def test_policies_by_input_and_by_channel():
    session = opened(on_bad_reading={"b": "hold", "x3": 0.25})
    x = XS[1].copy()
    filled = x.copy()
    session.step(XS[0])
    x[3], x[4], filled[3], filled[4] = np.nan, np.nan, 0.25, XS[0, 4]
    want = opened()
    want.step(XS[0])
    np.testing.assert_array_equal(session.step({"a": x[:3], "b": x[3:]}), want.step(filled))
    with pytest.raises(ReadingError, match="channel 1"):
        session.step({"a": [0.0, None, 0.0], "b": x[3:]})
    assert session.bad_readings == 2
    with pytest.raises(EdgeRnnError, match=r"x4 or inputs among a, b, got c\."):
        opened(on_bad_reading={"c": "hold"})


def test_an_input_that_is_missing_as_a_whole():
    session = opened(on_bad_reading={"b": "hold"})
    session.step(XS[0])
    want = opened()
    want.step(XS[0])
    filled = np.concatenate([XS[1, :3], XS[0, 3:]])
    np.testing.assert_array_equal(session.step({"a": XS[1, :3], "b": None}), want.step(filled))


def test_outputs_by_name_are_views():
    session = opened()
    ys = session.run(XS)
    outputs = session.outputs(ys)
    assert list(outputs) == ["head", "hidden"]
    np.testing.assert_array_equal(outputs["head"], WANTED[:, :2])
    np.testing.assert_array_equal(outputs["hidden"], WANTED[:, 2:])
    assert all(np.shares_memory(view, ys) for view in outputs.values())
    codes = session.outputs(session.step_codes(np.zeros(5, np.int8)))
    assert {name: q.dtype for name, q in codes.items()} == {"head": np.int16, "hidden": np.int16}
    assert codes["hidden"].shape == (3,)
    with pytest.raises(ShapeError, match=r"outputs \[\.\.\., 5\] of 'two-inputs', got \[6, 2\]"):
        session.outputs(outputs["head"])


def test_the_only_output_of_a_model():
    session = opened(random_model("lstm"))
    y = session.step(np.zeros(3))
    assert session.outputs(y) == {"output": y}


def test_views_of_a_bound_array_follow_the_stream():
    session = opened()
    x, y = np.empty(5), np.empty(5)
    step, outputs = session.bind(x, y), session.outputs(y)
    for row, want in zip(XS, WANTED, strict=True):
        x[:] = row
        step()
        np.testing.assert_array_equal(outputs["hidden"], want[2:])


def test_softmax_is_that_of_its_output():
    ports = (Port(name="head", width=2, softmax=True), Port(name="hidden", width=3))
    output = dataclasses.replace(MODEL.output, ports=ports, softmax=True)
    session = opened(dataclasses.replace(MODEL, output=output))
    plain = WANTED.copy()
    weight = np.exp(plain[:, :2])
    ys = session.run(XS, softmax=True)
    np.testing.assert_allclose(ys[:, :2], weight / weight.sum(1, keepdims=True), rtol=1e-14)
    np.testing.assert_array_equal(ys[:, 2:], plain[:, 2:])
    session.reset()
    np.testing.assert_array_equal([session.step(x, softmax=True) for x in XS], ys)
    with pytest.raises(EdgeRnnError, match="a model that ends in a softmax"):
        opened().step(XS[0], softmax=True)


def test_pickles_and_copies_go_on():
    session = opened(on_bad_reading={"b": "hold"})
    session.run(XS[:2])
    others = [pickle.loads(pickle.dumps(session)), session.copy(), copy.deepcopy(session)]
    for other in others:
        got = other.run({"a": XS[2:, :3], "b": XS[2:, 3:]})
        np.testing.assert_array_equal(got, WANTED[2:])
        assert "b: hold" in repr(other)


@pytest.mark.parametrize("precision", Precision)
def test_repr_names_inputs_and_outputs(precision):
    text = repr(opened(two_input_network(precision), "reference"))
    assert "on reference, a 3 + b 2 -> head 2 + hidden 3, " in text
    assert "3 -> 2," in repr(opened(random_model("lstm")))


@pytest.mark.parametrize(
    ("ports", "match"),
    [
        ((("a", 3), ("a", 2)), "distinct names"),
        ((("a", 3), ("b", 3)), r"add up to 5, got \[3, 3\]"),
        ((("x4", 3), ("b", 2)), "got 'x4', which is a channel too"),
        ((("", 3), ("b", 2)), "with names"),
    ],
)
def test_a_name_means_one_thing(ports, match):
    made = tuple(Port(name=name, width=width) for name, width in ports)
    with pytest.raises(ModelError, match=match):
        dataclasses.replace(MODEL.input, ports=made)


def test_inputs_have_no_softmax():
    ports = (Port(name="a", width=3, softmax=True), Port(name="b", width=2))
    with pytest.raises(ModelError, match=r"input\.ports: expected inputs without softmax"):
        dataclasses.replace(MODEL.input, ports=ports)
