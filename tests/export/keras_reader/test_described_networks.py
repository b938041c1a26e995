"""Networks of other formats, described in terms of Keras: what is read, and how reasons name it."""

import numpy as np
import pytest

from edgernn.errors import UnsupportedModelError
from edgernn.model.functions.pointwise import PointwiseFunction
from edgernn_export.float_model.float_run import answers
from edgernn_export.keras_reader.graph import Call, CallResult, Given, LayerGraph
from edgernn_export.keras_reader.program_sets.passes import has_passes, read_passes
from edgernn_export.keras_reader.reader import read_keras
from edgernn_export.keras_reader.stored.layer import described_layer, described_operation
from edgernn_export.keras_reader.stored.network import StoredModel
from edgernn_export.keras_reader.wording import Wording


@pytest.fixture
def rng():
    return np.random.default_rng(7)


_WORDS = Wording(every_step="Export every step of it.")


def _simple(name, rng, inputs, units, **config):
    reordered = config.pop("reordered", False)
    weights = {
        "kernel": rng.normal(size=(inputs, units)),
        "recurrent_kernel": rng.normal(size=(units, units)) / 4,
        "bias": rng.normal(size=units),
    }
    origin = f"node '{name}' (RNN)"
    return described_layer(
        "SimpleRNN", name, origin, {"units": units, **config}, weights, reordered=reordered
    )


def _model(layers, inputs=3):
    given = Given(
        tensor=CallResult(call=Call(layer=None), index=0), shape=(None, inputs), dtype="float32"
    )
    calls, tensor = [], given.tensor
    for layer in layers:
        calls.append(Call(layer=layer, inputs=(tensor,)))
        tensor = CallResult(call=calls[-1], index=0)
    graph = LayerGraph(given=(given,), outputs=(tensor,), calls=tuple(calls))
    return StoredModel.of("net", "graph 'net'", graph, _WORDS)


def test_described_layers_are_those_of_keras(rng):
    layer = _simple("cell", rng, 3, 4, return_sequences=True)
    clip = described_operation("Clip", "clip", "node 'clip' (Clip)", {"x_min": -0.5, "x_max": 0.25})
    found = read_keras(_model([layer, clip]))
    xs = rng.normal(size=(6, 3))
    h, want = np.zeros(4), []
    for x in xs:
        h = np.tanh(x @ layer.kernel + h @ layer.recurrent_kernel + layer.bias)
        want.append(np.clip(h, -0.5, 0.25))
    np.testing.assert_allclose(answers(found, xs[None])[0], want, atol=1e-12)


def test_a_layer_may_apply_any_function(rng):
    function = PointwiseFunction.of("elu", alpha=0.5)
    bend = described_layer("Activation", "bend", "node 'bend' (Elu)", {"activation": function})
    found = read_keras(_model([_simple("cell", rng, 3, 4), bend]))
    assert found.layers[-1].function == "elu(alpha=0.5)"


def test_a_reordered_backward_layer_gives_the_order_of_the_readings(rng):
    layer = _simple("back", rng, 3, 4, return_sequences=True, go_backwards=True, reordered=True)
    model = _model([layer])
    assert has_passes(model)
    xs = rng.normal(size=(5, 3))
    h, want = np.zeros(4), []
    for x in xs[::-1]:
        h = np.tanh(x @ layer.kernel + h @ layer.recurrent_kernel + layer.bias)
        want.append(h)
    np.testing.assert_allclose(read_passes(model).run(xs[None])[0], want[::-1], atol=1e-12)


def test_reasons_name_the_node_and_cures_are_those_of_its_format(rng):
    first, second = _simple("first", rng, 3, 4), _simple("second", rng, 4, 4)
    with pytest.raises(UnsupportedModelError) as caught:
        read_keras(_model([first, second]))
    (reason,) = caught.value.reasons
    assert reason == (
        "node 'second' (RNN): expected every step of the previous layer, got only its last step. "
        "Export every step of it."
    )


def test_reasons_about_the_whole_network_name_it(rng):
    bend = described_operation("Relu", "bend", "node 'bend' (Relu)")
    with pytest.raises(UnsupportedModelError, match="graph 'net': expected 1 to"):
        read_keras(_model([bend]))
