"""The programs and the command of docs/guides/from-pytorch.md run as the page says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import edgernn
from edgernn.cli import main
from tests.support.documents import blocks, commands

DOCUMENT = "docs/guides/from-pytorch.md"


@pytest.mark.filterwarnings("ignore:The tensor attributes")  # of torch's own recurrent modules
def test_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks(DOCUMENT):
        if block.language == "python":
            exec(compile(block.text, DOCUMENT, "exec"), names)
    assert capsys.readouterr().out.splitlines()[-1] == "['rnn_l0', 'rnn_l1', 'head']"
    readings = names["calibration"][0]
    module = names["module"].eval()
    with torch.no_grad():
        wanted = module(torch.tensor(readings[None], dtype=torch.float32))[0].numpy()
    assert _error(wanted, readings) < 0.02
    (command,) = commands(DOCUMENT)
    assert main(command.split()[1:]) == 0
    assert _error(wanted, readings) < 0.02


def _error(wanted, readings):
    with edgernn.load("gait.edgernn") as session:
        return np.abs(session.run(readings) - wanted).max()
