"""The program of docs/guides/long-memory.md gives its averages wide states, and they gain."""

from __future__ import annotations

import pytest

from tests.support.documents import blocks

pytestmark = pytest.mark.tf


@pytest.mark.filterwarnings("ignore::edgernn.errors.EdgeRnnWarning")
def test_the_program_runs(monkeypatch, tmp_path, capsys):
    import keras

    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(2)
    (block,) = (b for b in blocks("docs/guides/long-memory.md") if b.language == "python")
    names = {}
    exec(compile(block.text, block.document, "exec"), names)
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first == "general_gru_after wide"
    assert "31-bit states, for long memory: averages" in names["report"].table()
    assert last.endswith("dB more in the states")
    assert names["gained"] > 10.0
