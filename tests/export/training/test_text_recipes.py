"""Networks of sentences: what they learn, and what does not support them says so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgernn.errors import TrainingError
from edgernn_export import quantize
from edgernn_export.training import (
    Network,
    calibration,
    evaluate,
    find_recipe,
    outputs,
    train,
    train_integers,
)
from edgernn_export.training.compression import quantizer_options
from tests.support.training.data_files import write_praise

pytestmark = [
    pytest.mark.tf,
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore::edgernn.EdgeRnnWarning"),
]


def test_networks_of_sentences_learn_their_words(tmp_path, monkeypatch):
    """Where one word decides, a few epochs find it; training integers is refused."""
    write_praise(tmp_path)
    monkeypatch.setenv("EDGERNN_DATA", str(tmp_path))
    recipe = find_recipe("sentiment")
    recipe = replace(recipe, training=replace(recipe.training, learning_rate=0.02, input_noise=0.1))
    size, data = Network(cell="GRU", units=4), recipe.load()
    network, result = train(recipe, data=data, network=size, epochs=8, progress=False)
    assert result.validation == 1.0
    assert evaluate(network, recipe, data=data) == {"accuracy": 1.0}
    with pytest.raises(TrainingError, match="reads them backward, which is not trained"):
        train_integers(recipe, network, data=data, epochs=1, progress=False)


@pytest.mark.parametrize("cell", ["FastGRNN", "linear_recurrence"])
def test_cells_of_both_directions(cell, tmp_path, monkeypatch):
    write_praise(tmp_path)
    monkeypatch.setenv("EDGERNN_DATA", str(tmp_path))
    recipe = find_recipe("sentiment")
    data = recipe.load()
    network = recipe.build(recipe, Network(cell=cell, units=4, layers=1), data)
    options = quantizer_options(recipe, network, data) | {"progress": False}
    model = quantize(network, calibration(data), "w8a16", **options)
    got = outputs(model, data.test.x, data.test.lengths)
    whole = outputs(network, data.test.x, data.test.lengths)
    np.testing.assert_allclose(got, whole, atol=0.01)
    with pytest.raises(TrainingError, match="as the last input for cell CfC, got 'word'"):
        recipe.build(recipe, Network(cell="CfC", units=4), data)
