"""The program of docs/guides/activations.md learns a tank and says what its tables cost."""

from __future__ import annotations

import pytest

from tests.support.documents import blocks

pytestmark = pytest.mark.tf


@pytest.mark.filterwarnings("ignore::edgernn.errors.EdgeRnnWarning")
def test_the_program_runs(tmp_path, monkeypatch, capsys):
    import keras

    monkeypatch.chdir(tmp_path)
    keras.utils.clear_session()  # layers are called as in a program that begins
    keras.utils.set_random_seed(4)
    (block,) = (b for b in blocks("docs/guides/activations.md") if b.language == "python")
    names = {}
    exec(compile(block.text, block.document, "exec"), names)
    model, report = names["model"], names["report"]
    assert [layer.kind for layer in model.layers] == [
        "general_lstm", "dense", "pointwise", "dense", "pointwise"
    ]  # fmt: skip
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["relu(negative_slope=0.1)", "softplus"]
    assert report.curves[0].entries == 17
    assert all(curve.error < 3.0 for curve in report.curves)
    (level,) = (tensor for tensor in report.tensors if tensor.name == "lstm.h")
    assert level.sqnr_db > 20.0
