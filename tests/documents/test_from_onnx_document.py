"""The programs and the command of docs/guides/from-onnx.md run as the page says."""

from __future__ import annotations

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from tests.support.documents import blocks, commands

DOCUMENT = "docs/guides/from-onnx.md"


def noises():
    """Noises at all levels, float64 [N] within ±1, as frames of speech would be."""
    rng = np.random.default_rng(3)
    levels = np.repeat(10.0 ** rng.uniform(-3.0, -0.5, 60), 2048)
    pitch = np.sin(np.arange(levels.size) * 0.06) * np.sin(np.arange(levels.size) * 0.002)
    return np.clip((pitch + rng.normal(size=levels.size) / 4) * levels, -1.0, 1.0)


@pytest.mark.filterwarnings("ignore")  # the exporter of PyTorch warns of much
def test_the_page(tmp_path, monkeypatch, capsys):
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"samples": noises()}
    for block in blocks(DOCUMENT):
        if block.language == "python":
            exec(compile(block.text, DOCUMENT, "exec"), names)
    assert capsys.readouterr().out.splitlines()[-1] == "['gru', 'dense']"
    assert names["model"].input.width == 576
    readings = np.random.default_rng(1).normal(size=(40, 3))
    np.save(tmp_path / "readings.npy", readings)
    for command in commands(DOCUMENT):
        assert main(command.split()[1:]) == 0, command
    with edgernn.load(tmp_path / "network.edgernn") as session:
        got = np.array([session.step(x) for x in readings])
    module = names["module"]
    with torch.no_grad():
        want = module(torch.tensor(readings[None], dtype=torch.float32))[0].numpy()
    assert np.abs(got - want).max() < 0.03
