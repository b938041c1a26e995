"""The programs and the command of docs/guides/from-onnx.md run as the page says."""

from __future__ import annotations

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from tests.support.documents import blocks, commands

DOCUMENT = "docs/guides/from-onnx.md"


@pytest.mark.filterwarnings("ignore")  # the exporter of PyTorch warns of much
def test_the_page(tmp_path, monkeypatch, capsys):
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks(DOCUMENT):
        if block.language == "python":
            exec(compile(block.text, DOCUMENT, "exec"), names)
    assert capsys.readouterr().out.splitlines()[-1] == "['gru', 'dense']"
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
