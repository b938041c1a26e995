"""The programs in pruning.md run, one after the other, on a model of the size they mean."""

import pytest

from edgernn.model.integer_model import IntegerModel
from tests.support.documents import blocks
from tests.support.training.pruning_runs import XS, YS, network

pytestmark = pytest.mark.tf


def test_every_program_runs(tmp_path, monkeypatch, capsys):
    import keras

    monkeypatch.chdir(tmp_path)
    programs = [block for block in blocks("docs/guides/pruning.md") if block.language == "python"]
    names = {"keras": keras, "model": network(), "x": XS, "y": YS}
    for block in programs:
        exec(compile(block.text, block.document, "exec"), names)
    assert len(programs) == 3
    assert "unstructured" not in capsys.readouterr().out
    assert (tmp_path / "pruning.npz").is_file()
    assert names["pruning"].step == 20 + 10
    assert IntegerModel.load(tmp_path / "model.edgernn") == names["integer"]
