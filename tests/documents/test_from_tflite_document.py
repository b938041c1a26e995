"""The programs and the commands of docs/guides/from-tflite.md run as the page says."""

from __future__ import annotations

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from tests.support.documents import blocks, commands

DOCUMENT = "docs/guides/from-tflite.md"


@pytest.mark.tf
def test_the_page(tmp_path, monkeypatch, capsys):
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(1)
    monkeypatch.chdir(tmp_path)
    readings = np.random.default_rng(1).normal(size=(60, 3))
    np.save(tmp_path / "readings.npy", readings)
    read, convert = [one.text for one in blocks(DOCUMENT) if one.language == "python"]
    names: dict[str, object] = {}
    exec(compile(convert, DOCUMENT, "exec"), names)
    capsys.readouterr()
    exec(compile(read, DOCUMENT, "exec"), names)
    assert capsys.readouterr().out.splitlines()[-1] == "['gru', 'dense']"
    for command in commands(DOCUMENT):
        assert main(command.split()[1:]) == 0, command
    assert "gru" in capsys.readouterr().out
    with edgernn.load(tmp_path / "network.edgernn") as session:
        got = np.array([session.step(x) for x in readings[:20]])
    want = np.asarray(names["model"](readings[None, :20]))[0]
    assert np.abs(got - want).max() < 0.03
