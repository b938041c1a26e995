"""Refusals of training, scoring and looking inside: what they say, and that the cure works."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn.errors import EdgeRnnError, ShapeError, TrainingError
from edgernn.model.formats import Precision
from edgernn.model.interface import Rate
from edgernn.prepare.preparation import Preparation
from edgernn_export.inspection.gradient_norms import check_back_end
from edgernn_export.inspection.traces import gate_traces
from edgernn_export.training import Network, evaluate, to_stream
from edgernn_export.training.carried_states import carrying
from tests.support.models.keras import readings, sequential
from tests.support.models.rates import strided_chain
from tests.support.training.training_runs import classifier

pytestmark = [pytest.mark.tf, pytest.mark.filterwarnings("ignore::edgernn.EdgeRnnWarning")]


def test_states_are_carried_through_a_chain_of_layers_only():
    from keras import Input, Model, layers

    x = Input((None, 3))
    y = layers.GRU(2, return_sequences=True)(x)
    with pytest.raises(
        TrainingError, match=r"expected a keras\.Sequential, got Functional\. Build"
    ):
        carrying(Model(x, y), 4)
    assert carrying(sequential(layers.GRU(2, return_sequences=True)), 4)


def test_a_model_of_another_task_is_not_scored():
    """The recipe's own network is."""
    from keras import layers

    recipe = classifier()
    data = recipe.load()
    wide = sequential(layers.GRU(2, return_sequences=True), layers.Dense(7))
    with pytest.raises(TrainingError, match=r"expected \d+ inputs for recipe \w+, got 3\."):
        evaluate(wide, recipe, data=data)
    inputs = len(data.input_names)
    wide = sequential(layers.GRU(2, return_sequences=True), layers.Dense(7), inputs=inputs)
    with pytest.raises(TrainingError, match=r"expected output shape .* for recipe \w+, got .* 7\]"):
        evaluate(wide, recipe, data=data)
    with pytest.raises(TrainingError, match="evaluate part: expected one of train, validation"):
        evaluate(wide, recipe, data=data, part="all")
    network = recipe.build(recipe, Network(units=2), data)
    assert set(evaluate(network, recipe, data=data)) == {"accuracy"}


def test_a_network_that_looks_at_all_steps_is_not_made_endless():
    """The cure: what follows reads the last step of the recurrent layer."""
    from keras import Input, Model, layers

    x = Input((6, 1))
    s = layers.GRU(2, return_sequences=True)(x)
    stream, y = readings(1, 90, 1)[0], readings(1, 90, 1, seed=3)[0]
    seen = layers.Attention()([s, s])[:, -1]
    with pytest.raises(TrainingError, match=r"look at all steps of a window\. Set return_sequen"):
        to_stream(Model(x, layers.Dense(1)(seen)), stream, y, epochs=1)
    last = layers.Dense(1)(layers.GRU(2, return_sequences=False)(x))
    endless, _ = to_stream(Model(x, last), stream, y, epochs=1)
    assert endless.output_shape == (None, None, 1)


def test_too_few_readings_for_an_answer_show_no_gates():
    model = strided_chain(Precision.W8A8, Rate(readings=4, first=4))
    xs = np.zeros((40, model.input.width))
    with pytest.raises(EdgeRnnError, match="expected enough of them for one answer, got fewer"):
        gate_traces(model, xs[:1])
    assert gate_traces(model, xs).steps > 1


def test_gradients_need_tensorflow(monkeypatch):
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    with pytest.raises(
        EdgeRnnError, match=r"as the back-end of Keras, got jax\. Start with KERAS_"
    ):
        check_back_end("gradients")
    monkeypatch.setattr("keras.backend.backend", lambda: "tensorflow")
    check_back_end("gradients")


def test_raw_readings_that_do_not_fit_are_not_prepared():
    made = Preparation(inputs=("t", "rh"))
    raw = np.ones((4, 2))
    with pytest.raises(
        ShapeError, match=r"raw readings \[T, 2\], got \[4, 3\]\. Its channels are t"
    ):
        made.apply(None, np.ones((4, 3)))
    with pytest.raises(ShapeError, match="a time for each of 4 readings, got 3"):
        made.apply([0.0, 1.0, 2.0], raw)
    _, prepared = made.apply([0.0, 1.0, 2.0, 3.0], raw)
    assert prepared.shape == (4, 2)
