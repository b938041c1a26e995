"""The program of docs/guides/variable-lengths.md learns sequences of unequal length."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.documents import blocks

pytestmark = [pytest.mark.tf, pytest.mark.slow]


@pytest.mark.filterwarnings("ignore::edgernn.errors.EdgeRnnWarning")
def test_the_program_runs(tmp_path, monkeypatch, capsys):
    import keras

    monkeypatch.chdir(tmp_path)
    keras.utils.clear_session()  # layers are called as in a program that begins
    keras.utils.set_random_seed(4)
    (block,) = (b for b in blocks("docs/guides/variable-lengths.md") if b.language == "python")
    names = {}
    exec(compile(block.text, block.document, "exec"), names)
    assert float(capsys.readouterr().out) > 0.95
    network, sequences = names["network"], names["sequences"]
    padded = keras.utils.pad_sequences(sequences, dtype="float32", padding="post", value=-99.0)
    wanted = network.predict(padded, verbose=0)
    assert np.abs(names["last"] - wanted).max() < 0.05
