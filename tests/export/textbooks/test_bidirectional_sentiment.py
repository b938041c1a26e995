"""The sentiment classifier of textbooks: two bidirectional LSTMs over 10,000 words, in C."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from edgernn.model.program_sets.program_set import ProgramSet
from tests.exactness.test_passes_c import built
from tests.support.native.chunk_runs import chunk_runs
from tests.support.native.compilers import require

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore::edgernn.EdgeRnnWarning")]
WORDS = 10_000


def sentences(count, seed):
    """Lists of unequal length; a few of the first hundred words decide."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    lists = []
    for label in labels:
        words = rng.integers(100, WORDS, rng.integers(8, 41))
        told = rng.choice(len(words), 4, replace=False)
        words[told] = rng.integers(50 * label, 50 * label + 50, 4)
        lists.append(words)
    return lists, labels


def test_from_keras_to_c(tmp_path, monkeypatch):
    require("gcc")
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(1)
    monkeypatch.chdir(tmp_path)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            layers.Embedding(WORDS, 128),
            layers.Bidirectional(layers.LSTM(64, return_sequences=True)),
            layers.Bidirectional(layers.LSTM(64)),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(3e-3), "binary_crossentropy")
    words, labels = sentences(1200, seed=1)
    longest = max(map(len, words))
    padded = keras.utils.pad_sequences(words, longest)
    model.fit(padded, labels, batch_size=32, epochs=3, verbose=0)
    model.save("sentiment.keras")
    tested, truth = sentences(200, seed=2)
    wanted = model.predict(keras.utils.pad_sequences(tested, longest), verbose=0)[:, 0]
    right = np.mean((wanted > 0.5) == truth)
    assert right > 0.9
    np.savez("cal.npz", x=padded[:100, :, None].astype(float))
    arguments = ["--calibration", "cal.npz", "-o", "sentiment.edgernn"]
    assert main(["quantize", "sentiment.keras", *arguments]) == 0
    made = ProgramSet.load("sentiment.edgernn")
    # The table is stored once for the two passes that read it.
    assert (tmp_path / "sentiment.edgernn").stat().st_size < 1.2 * model.count_params()
    with edgernn.load(made) as session:
        chunks = keras.utils.pad_sequences(tested, longest)[..., None].astype(float)
        got = np.array(session.run_many(list(chunks)))[:, 0]
        short = session.run(tested[0][:, None])
    assert short.shape == (1,)
    assert np.mean((got > 0.5) == truth) > right - 0.01
    verify = ["verify", "sentiment.edgernn", "--steps", "60"]
    assert main([*verify, "--backends", "native,tflite-runtime,onnxruntime"]) == 0
    program = built(made, tmp_path / "c", "gcc", "-std=c99", "-O2")
    read, answers = chunk_runs(made, [longest, 9, 1], seed=3)
    done = subprocess.run([str(program)], input=read.tobytes(), capture_output=True, check=True)
    np.testing.assert_array_equal(np.frombuffer(done.stdout, np.int16), answers.ravel())
