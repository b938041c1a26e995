"""The programs in docs/guides/qat.md run, one after the other, on a model of the size they mean."""

from functools import partialmethod

import numpy as np
import pytest

from tests.support.documents import blocks
from tests.support.training.pruning_runs import XS, YS, network
from tests.support.training.training_runs import classifier

pytestmark = [pytest.mark.tf, pytest.mark.filterwarnings("ignore::edgernn.errors.EdgeRnnWarning")]


def mill(keras):
    """The network of docs/guides/networks.md, smaller."""
    wind, grid = keras.Input((None, 3), name="wind"), keras.Input((None, 2), name="grid")
    hidden = keras.layers.Dense(4)(wind)
    hidden = hidden + keras.layers.GRU(4, return_sequences=True)(hidden)
    both = keras.layers.Concatenate()([hidden, grid])
    power = keras.layers.Dense(1, name="power")(both)
    alarm = keras.layers.Dense(3, activation="softmax", name="alarm")(both)
    return keras.Model([wind, grid], [power, alarm])


def test_every_program_runs(tmp_path, monkeypatch):
    import keras

    from edgernn.model.integer_model import IntegerModel
    from edgernn.model.program_sets.program_set import ProgramSet
    from edgernn_export.compress.qat import integer_model
    from tests.support.models.keras_attention import readings, translator, with_weights

    monkeypatch.chdir(tmp_path)
    # XLA would compile for a minute; tests/exactness/test_qat_exact.py compares its codes.
    monkeypatch.setattr(
        keras.Model, "compile", partialmethod(keras.Model.compile, jit_compile=False)
    )
    monkeypatch.setattr("edgernn_export.training.find_recipe", lambda name: classifier(epochs=1))
    network("GRU", units=4).save("model.keras")
    mill(keras).save("mill.keras")
    with_weights(translator("dot")).save("forecaster.keras")
    programs = [block for block in blocks("docs/guides/qat.md") if block.language == "python"]
    rng = np.random.default_rng(0)
    names = {"keras": keras, "x": XS, "y": YS}
    names |= {"wind": rng.normal(size=(4, 30, 3)), "grid": rng.normal(size=(4, 30, 2))}
    names |= {"power": np.zeros((4, 30, 1)), "alarm": np.zeros((4, 30, 1), int)}
    names |= {"past": readings(20, 7, 3), "future": readings(20, 4, 2, seed=1)}
    names |= {"targets": np.zeros((20, 4, 2))}
    trained = []
    for block in programs:
        exec(compile(block.text, block.document, "exec"), names)
        trained.append(integer_model(names["model"]))
    assert len(programs) == 7
    assert IntegerModel.load(tmp_path / "model.edgernn") == trained[0]
    assert ("training", "quantization-aware") in trained[0].provenance.settings
    assert trained[1] != trained[0]  # of the network's answers, not of labels
    assert trained[2] == trained[3] == trained[4]
    assert IntegerModel.load(tmp_path / "mill.edgernn") == trained[5]
    assert [port.name for port in trained[5].output.ports] == ["power", "alarm"]
    assert ProgramSet.load(tmp_path / "forecaster.edgernn") == trained[6]
    assert IntegerModel.load(tmp_path / "hapt.edgernn") == names["integers"]
    assert names["result"].start_validation <= names["result"].validation
