"""The programs and commands in docs/guides/distillation.md run on models of the size they mean."""

from __future__ import annotations

import shlex
from typing import Any

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from edgernn_export import training
from tests.support.documents import blocks
from tests.support.training.distillation_runs import LABELS, XS, cross_entropy, network
from tests.support.training.training_runs import classifier

pytestmark = pytest.mark.tf

DOCUMENT = "docs/guides/distillation.md"


def test_every_program_runs(tmp_path, monkeypatch):
    import keras

    monkeypatch.chdir(tmp_path)
    labels = np.repeat(LABELS[:, None], 5, axis=1)
    names: dict[str, Any] = {"loss": cross_entropy(), "x": XS, "y": labels}
    names |= {"x_new": XS[:4], "y_new": labels[:4], "teacher": network(8, "LSTM", steps=True)}
    programs = [block for block in blocks(DOCUMENT) if block.language == "python"]
    assert len(programs) == 2
    for block in programs:
        assert block.text.count("epochs=20") == 1
        text = block.text.replace("epochs=20", "epochs=1, verbose=0")
        names["student"] = network(4, steps=True)
        exec(compile(text, block.document, "exec"), names)
    assert (
        keras.saving.load_model("student.keras").count_params() == names["student"].count_params()
    )
    assert edgernn.IntegerModel.load("student.edgernn").precision.value == "w8a8"
    assert names["pruning"].step == 1


def test_every_command_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    recipe = classifier()
    data = recipe.load()
    recipe.build(recipe, recipe.network, data).save("teacher.keras")
    np.savez("streams.npz", x=data.train.x, y=data.train.target[:, -1, 0].astype(int))
    monkeypatch.setattr(training, "find_recipe", {"hapt": recipe}.__getitem__)
    text = next(block.text for block in blocks(DOCUMENT) if block.language == "text")
    commands = [shlex.split(line) for line in text.splitlines()]
    assert len(commands) == 2
    for program, *arguments in commands:
        assert program == "edgernn"
        assert main([*arguments, "--epochs", "2"]) == 0, capsys.readouterr().err
        (tmp_path / arguments[-1]).unlink()
