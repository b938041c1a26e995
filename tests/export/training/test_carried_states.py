"""Truncated BPTT: windows in turn, states that go on, and a model of text from end to end."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from edgernn.errors import TrainingError
from edgernn_export.datasets import char_text
from edgernn_export.training import Network, Training, find_recipe, training_data, updates
from edgernn_export.training.carried_states import carrying

pytestmark = pytest.mark.tf
TEXT = "the cat sat on the mat and the dog sat on the log.\n" * 110


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    file = tmp_path_factory.mktemp("text") / "text.txt"
    file.write_text(TEXT)
    return str(file)


def short(**settings):
    plan = {"epochs": 1, "batch": 3, "learning_rate": 0.01, "window_steps": 20}
    training = Training(**plan, carry_state=True)
    return replace(find_recipe("char_lm"), training=replace(training, **settings))


def test_rows_of_a_batch_continue_those_of_the_batch_before(path):
    recipe, data = short(), char_text(path)
    x, y = training_data(recipe, data)
    stream = data.train.x.reshape(-1)
    length = stream.size // 3
    assert x.shape == (3 * (length // 20), 20, 1)
    assert y.shape == x.shape[:2]
    for batch, row in ((0, 0), (0, 2), (4, 1)):
        at = row * length + batch * 20
        np.testing.assert_array_equal(x[3 * batch + row, :, 0], stream[at : at + 20])
        np.testing.assert_array_equal(y[3 * batch + row], stream[at + 1 : at + 21])
    assert updates(recipe, data, epochs=2) == 2 * (length // 20)
    with pytest.raises(TrainingError, match="at least 900 windows of 20 steps"):
        training_data(short(batch=900), data)
    with pytest.raises(TrainingError, match="window_steps: expected a number with carry_state"):
        Training(epochs=1, batch=1, learning_rate=0.1, carry_state=True)


@pytest.mark.parametrize("cell", ["GRU", "LSTM"])
def test_carried_states_are_those_of_the_whole_stream(cell, path):
    recipe, data = short(), char_text(path)
    network = recipe.build(recipe, Network(cell=cell, units=5, layers=2), data)
    x = data.train.x[:3, :18].astype("float32")
    whole = np.asarray(network(x))
    carried = carrying(network, 3)
    for _ in range(2):
        parts = [np.asarray(carried(x[:, at : at + 6])) for at in (0, 6, 12)]
        np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-5)
        carried.reset()


@pytest.mark.long
def test_a_model_of_text_from_end_to_end(path, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["train", "char_lm", "--set", f"text={path}", "--units", "12", "--epochs", "1"]
    assert main([*command, "-o", str(out), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    scores = record["scores"]
    assert record["metric"] == "bits_per_character"
    assert scores["w8a8"]["test"]["bits_per_character"] == pytest.approx(
        scores["float"]["test"]["bits_per_character"], abs=0.02
    )
    with edgernn.load(out / "char_lm.edgernn") as session:
        assert session.interface.symbols.texts == tuple(sorted(set(TEXT)))
    assert (
        main(["generate", str(out / "char_lm.edgernn"), "--prompt", "the ", "--length", "9"]) == 0
    )
    assert len(capsys.readouterr().out) == 4 + 9 + 1
