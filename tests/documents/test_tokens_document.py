"""The program of docs/guides/tokens.md learns its text and runs on tokens."""

from __future__ import annotations

import pytest

from edgernn.errors import ReadingError
from edgernn.model.layers import Embedding
from tests.support.documents import blocks

pytestmark = pytest.mark.tf


@pytest.mark.filterwarnings("ignore::edgernn.errors.EdgeRnnWarning")
def test_the_program_runs(tmp_path, monkeypatch, capsys):
    import keras

    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(4)
    (block,) = (block for block in blocks("docs/guides/tokens.md") if block.language == "python")
    names = {}
    exec(compile(block.text, block.document, "exec"), names)
    model, letters = names["model"], names["letters"]
    assert isinstance(model.layers[0], Embedding)
    assert model.input.vocabulary == (len(letters),)
    assert model.input.names == ("letter",)
    (printed,) = capsys.readouterr().out.splitlines()
    assert printed in letters
    assert names["probability"].sum() == pytest.approx(1.0)
    with pytest.raises(ReadingError, match="'letter': expected a token"):
        names["session"].step(len(letters))
