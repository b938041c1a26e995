"""Float networks that are no chains: they run as their equations say, in one piece or in many."""

from dataclasses import replace

import numpy as np
import pytest

from edgernn.errors import ShapeError
from edgernn.model.interface import OutputSpec, Port
from edgernn.model.merges import MergeOperation
from edgernn.model.routes import MODEL_INPUT
from edgernn_export.float_model import float_run
from edgernn_export.float_model.float_run import initial_state, run, step, with_softmax
from edgernn_export.float_model.model import (
    FloatDense,
    FloatGRU,
    FloatMerge,
    FloatModel,
    channel_names,
)
from tests.support.models.float import float_model, stream
from tests.support.models.float_networks import merging_network, part, two_port_network, whole


def by_hand(model, xs):
    """What a network puts out, one chain of one layer after the other."""
    made = {MODEL_INPUT: xs}
    for index, (layer, route) in enumerate(zip(model.layers, model.routes, strict=False)):
        read = np.hstack([made[p.source][:, p.start : p.start + p.width] for p in route])
        if isinstance(layer, FloatMerge):
            vectors = np.split(read, layer.count, axis=1)
            scaled = [v * g + o for v, g, o in zip(vectors, layer.gain, layer.offset, strict=True)]
            join = {
                "sum": np.sum, "product": np.prod, "maximum": np.max, "minimum": np.min,
                "hypotenuse": np.linalg.norm,
            }  # fmt: skip
            made[index] = join[layer.operation.value](scaled, axis=0)
        elif layer.kind == "dense":
            made[index] = read @ layer.kernel.T + layer.bias
        else:
            chain = replace(
                float_model("gru_after", inputs=layer.inputs, units=layer.units, dense=((0, ""),)),
                layers=(layer,),
            )
            made[index] = run(chain, read[None])[0][0]
    return np.hstack([made[p.source][:, p.start : p.start + p.width] for p in model.routes[-1]])


NETWORKS = {o.value: merging_network(o) for o in MergeOperation} | {"ports": two_port_network()}


@pytest.mark.parametrize("name", NETWORKS)
def test_it_runs_as_its_layers_do(name):
    model = NETWORKS[name]
    xs = stream(40, model.inputs)
    ys, _ = run(model, xs[None])
    np.testing.assert_allclose(ys[0], by_hand(model, xs), rtol=0, atol=1e-12)


def test_stretches_and_steps_carry_the_state(monkeypatch):
    model = two_port_network()
    xs = np.stack([stream(30, 5), stream(30, 5, seed=2)])
    ys, last = run(model, xs)
    monkeypatch.setattr(float_run, "_STRETCH_VALUES", 400)
    pieces, again = run(model, xs)
    np.testing.assert_allclose(pieces, ys, rtol=0, atol=1e-12)
    state = initial_state(model, 2)
    for t in range(30):
        y, state = step(model, xs[:, t], state)
        np.testing.assert_allclose(y, ys[:, t], rtol=0, atol=1e-12)
    for got, wanted in ((again, last), (state, last)):
        for layer, other in zip(got, wanted, strict=True):
            for h, o in zip(layer, other, strict=True):
                np.testing.assert_allclose(h, o, rtol=0, atol=1e-12)


def test_the_softmax_is_that_of_its_port():
    model = two_port_network()
    logits = np.array([[3.0, 4.0, 0.0, 1.0, 2.0]])
    probability = np.exp([0.0, 1.0, 2.0]) / np.exp([0.0, 1.0, 2.0]).sum()
    np.testing.assert_allclose(with_softmax(model, logits), [[3.0, 4.0, *probability]])


def test_the_hash_is_of_structure_and_weights():
    model = two_port_network()
    named = replace(
        model, name="other", input_ports=(Port(name="u", width=3), Port(name="v", width=2))
    )
    assert named.sha256 == model.sha256
    ports = (Port(name="a", width=2), Port(name="b", width=3))
    assert replace(model, input_ports=ports).sha256 != model.sha256
    other = (part(1, 0, 8), part(0, 0, 8))
    routes = (*model.routes[:2], other, *model.routes[3:])
    assert replace(model, routes=routes).sha256 != model.sha256


def ramp(*shape):
    """Weights that are the same bits on every processor."""
    return np.arange(float(np.prod(shape))).reshape(shape) / 8 - 1


def test_a_chain_has_no_routes():
    gru = FloatGRU(
        name="gru",
        kernel=ramp(12, 3),
        recurrent=ramp(12, 4),
        bias=ramp(12),
        recurrent_bias=ramp(12) / 2,
        reset_after=True,
    )
    dense = FloatDense(name="out", kernel=ramp(2, 4), bias=ramp(2), activation="relu")
    model = FloatModel(
        name="chain",
        layers=(gru, dense),
        input_names=("a", "b", "c"),
        input_units=("",) * 3,
        output_names=("y", "z"),
        output_units=("",) * 2,
    )
    # As it was before there were networks: files carry it.
    assert model.sha256.startswith("38fa11637e3ad682b47499a47f624327")
    assert replace(model, routes=model.wiring).routes == ()
    assert replace(model, routes=model.wiring).sha256 == model.sha256


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"routes": (whole(0, 3),)}, "expected 6 .one per layer"),
        ({"input_ports": (Port(name="a", width=4), Port(name="b", width=2))}, "add up to 5"),
        ({"final_activation": "linear"}, "the same as in the output ports, got linear"),
    ],
)
def test_what_does_not_fit_is_refused(changes, text):
    with pytest.raises(ShapeError, match=text):
        replace(two_port_network(), **changes)


def test_a_layer_of_another_width_is_refused():
    model = two_port_network()
    routes = (*model.routes[:3], (part(2, 0, 8),), *model.routes[4:])
    with pytest.raises(ShapeError, match=r"level: expected 8 inputs .*got 10"):
        replace(model, routes=routes)


def test_merges_check_their_vectors():
    ones = np.ones((3, 2))
    with pytest.raises(ShapeError, match=r"m.gain: expected 2 vectors, got 3"):
        FloatMerge(name="m", operation=MergeOperation.PRODUCT, gain=ones, offset=ones)
    with pytest.raises(ShapeError, match=r"m.offset: expected shape \(3, 2\), got \(2, 2\)"):
        FloatMerge(name="m", operation=MergeOperation.SUM, gain=ones, offset=ones[:2])


def test_channels_are_called_after_their_ports():
    ports = (Port(name="a", width=2), Port(name="b", width=1))
    assert channel_names("x", 3, ports) == ("a_0", "a_1", "b")
    assert channel_names("x", 3) == ("x0", "x1", "x2")
    twice = (Port(name="a", width=2), Port(name="a_0", width=1))
    assert channel_names("x", 3, twice) == ("a__0", "a__1", "a_0")


def test_no_channel_is_called_as_a_port_of_several():
    """Keras calls two GRUs gru and gru_1, and the second channel of gru would be gru_1 too."""
    ports = (Port(name="gru", width=2), Port(name="gru_1", width=2), Port(name="gru__1", width=1))
    names = ("gru___0", "gru___1", "gru_1___0", "gru_1___1", "gru__1")
    assert channel_names("y", 5, ports) == names
    units, scale = ("",) * 5, np.ones(5)
    assert OutputSpec(names=names, units=units, scale=scale, softmax=False, ports=ports).width == 5


def test_inputs_that_no_layer_reads_are_inputs():
    """What is left of the wiring looks like a chain, of another input."""
    model = two_port_network()
    gru = model.layers[0]
    read = replace(
        model, layers=(gru,), routes=(whole(-1, gru.inputs), whole(0, gru.units)),
        output_names=tuple("abcdefgh"), output_units=("",) * gru.units,
        final_activation="linear", output_ports=(),
    )  # fmt: skip
    assert gru.inputs < read.inputs == model.inputs
    xs = stream(50, model.inputs)
    alone = replace(
        read, routes=(), input_ports=(), input_names=model.input_names[: gru.inputs],
        input_units=("",) * gru.inputs,
    )  # fmt: skip
    np.testing.assert_array_equal(run(read, xs[None])[0], run(alone, xs[None, :, : gru.inputs])[0])
