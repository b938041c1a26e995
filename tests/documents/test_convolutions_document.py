"""The program in docs/guides/convolutions.md runs, and answers as Keras does."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.documents import blocks

DOCUMENT = "docs/guides/convolutions.md"


def test_the_program_answers_as_keras_does(tmp_path, monkeypatch):
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(3)
    monkeypatch.chdir(tmp_path)
    programs = [block.text for block in blocks(DOCUMENT) if block.language == "python"]
    names: dict[str, object] = {}
    exec(compile(programs[0], DOCUMENT, "exec"), names)
    streams, model = names["streams"], names["model"]
    wanted = model.predict(streams[:1, :10], verbose=0)[0, -1]
    assert np.abs(names["y"] - wanted) < 0.1 * np.abs(model.predict(streams, verbose=0)).max()
    for program in programs[1:]:
        exec(compile(program, DOCUMENT, "exec"), names)
    assert names["pooled"].window.steps == 50
    wanted = names["strided"].predict(streams[:1], verbose=0)[0]
    assert names["fresh"].shape == wanted.shape == (299, 1)
    assert np.abs(names["fresh"] - wanted).max() < 0.1 * np.abs(wanted).max()
    kinds = [layer.kind for layer in names["integer"].layers]
    assert kinds == ["delay", "dense", "delay", "merge", "dense", "gru_after", "dense"]
