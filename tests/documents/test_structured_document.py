"""The programs and commands in docs/guides/structured.md run on a model of the size they mean."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn.cli import main
from tests.support.documents import blocks
from tests.support.models.keras import readings, sequential

keras = pytest.importorskip("keras", reason="pip install 'edgernn[export]'")
pytestmark = pytest.mark.tf


@pytest.fixture
def model():
    layers = keras.layers
    lstm = layers.LSTM(14, return_sequences=True, name="lstm")
    # A pressure that nothing reads and a kernel of rank 1.
    made = sequential(lstm, layers.Dense(2))
    kernel = np.outer([1.0, 0.0, 0.5], np.linspace(-1.0, 1.0, 56))
    lstm.cell.kernel.assign(kernel)
    made.compile("adam", "mse", run_eagerly=True)
    return made


def test_every_program_runs(model, capsys):
    programs = [b for b in blocks("docs/guides/structured.md") if b.language == "python"]
    assert len(programs) == 3
    x = readings(8, 4)
    short = {"epochs": 1, "verbose": 0}
    names = {"x": x, "y": x[..., :2], "calibration": x}
    results = []
    for block in programs:
        assert ", epochs=20, " in block.text or ".fit" not in block.text
        text = block.text.replace("epochs=20", "**short").replace("epochs=10", "**short")
        names |= {"model": keras.models.clone_model(model), "short": short}
        names["model"].set_weights(model.get_weights())
        names["model"].compile("adam", "mse", run_eagerly=True)
        exec(compile(text, block.document, "exec"), names)
        results.append(capsys.readouterr().out)
    assert "layer  units  zero" in results[0]
    assert results[1] == "('temperature', 'humidity') ('pressure',) {}\n"
    assert results[2].startswith(f"1 {names['made'].energy} {3 * 56 - 59}\n")


def test_every_command_runs(model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    # What --threshold 0 takes out: a unit whose every weight is zero.
    lstm, dense = model.layers[-2:]
    unit = np.arange(4) * 14
    kernel, recurrent, bias = lstm.get_weights()
    kernel[:, unit] = recurrent[:, unit] = bias[unit] = recurrent[0] = 0.0
    lstm.set_weights([kernel, recurrent, bias])
    readout, offset = dense.get_weights()
    readout[0] = 0.0
    dense.set_weights([readout, offset])
    model.save("model.keras")
    np.save("readings.npy", readings())
    text = next(b.text for b in blocks("docs/guides/structured.md") if b.language == "text")
    commands = [line.split() for line in text.splitlines()]
    assert len(commands) == 6
    for program, *arguments in commands:
        assert program == "edgernn"
        assert main(arguments) == 0, capsys.readouterr().err
        keras.saving.load_model(arguments[-1])
