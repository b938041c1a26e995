"""The programs in docs/qat.md run, one after the other, on a model of the size they mean."""

from functools import partialmethod

import pytest

from tests.support.documents import blocks
from tests.support.training.pruning_runs import XS, YS, network
from tests.support.training.training_runs import classifier

pytestmark = pytest.mark.tf


def test_every_program_runs(tmp_path, monkeypatch):
    import keras

    from edgernn.model.integer_model import IntegerModel
    from edgernn_export.compress.qat import integer_model

    monkeypatch.chdir(tmp_path)
    # XLA would compile for a minute; tests/exactness/test_qat_exact.py compares its codes.
    monkeypatch.setattr(
        keras.Model, "compile", partialmethod(keras.Model.compile, jit_compile=False)
    )
    monkeypatch.setattr("edgernn_export.training.find_recipe", lambda name: classifier(epochs=1))
    network("GRU", units=4).save("model.keras")
    programs = [block for block in blocks("docs/qat.md") if block.language == "python"]
    names = {"keras": keras, "x": XS, "y": YS}
    trained = []
    for block in programs:
        exec(compile(block.text, block.document, "exec"), names)
        trained.append(integer_model(names["model"]))
    assert len(programs) == 4
    assert IntegerModel.load(tmp_path / "model.edgernn") == trained[0]
    assert ("training", "quantization-aware") in trained[0].provenance.settings
    assert trained[1] == trained[2] == trained[3]
    assert IntegerModel.load(tmp_path / "hapt.edgernn") == names["integers"]
    assert names["result"].start_validation <= names["result"].validation
