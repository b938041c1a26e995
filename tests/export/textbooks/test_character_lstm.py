"""The character model of textbooks, typed as a reader does: one-hot windows of 40, two LSTMs.

It reads Nietzsche there and a made-up text here, and goes from .keras to integers, back-ends and C.
"""

from __future__ import annotations

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from edgernn.model.integer_model import IntegerModel
from tests.support.native.compilers import require
from tests.support.native.stream_programs import host_outputs

pytestmark = [pytest.mark.tf, pytest.mark.filterwarnings("ignore::edgernn.EdgeRnnWarning")]
MAXLEN = 40


def made_up_text(sentences):
    """Sentences of few words, in an order that only chance knows."""
    rng = np.random.default_rng(3)
    who, does = ("the dog", "a cat", "my aunt", "the old king"), ("sees", "likes", "finds", "hears")
    what = ("the sea", "a red house", "no rain", "her book", "the road")
    return " ".join(
        f"{who[rng.integers(4)]} {does[rng.integers(4)]} {what[rng.integers(5)]}."
        for _ in range(sentences)
    )


def sample(preds, rng, temperature=1.0):
    """The reader's helper: draw a character from a probability array."""
    preds = np.log(np.maximum(np.asarray(preds).astype("float64"), 1e-30)) / temperature
    exp_preds = np.exp(preds - preds.max())
    return rng.choice(len(preds), p=exp_preds / exp_preds.sum())


def bits(probabilities, characters):
    """Mean cross-entropy of the characters that came."""
    return float(-np.mean(np.log2(probabilities[np.arange(len(characters)), characters])))


@pytest.mark.parametrize(
    ("width", "sentences", "epochs", "precisions"),
    [
        (12, 60, 2, ["w8a8"]),
        pytest.param(128, 250, 8, ["w8a8", "w8a16"], marks=pytest.mark.long),
    ],
)
def test_from_keras_to_c(width, sentences, epochs, precisions, tmp_path, monkeypatch):
    require("gcc")
    keras = pytest.importorskip("keras")
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    text = made_up_text(sentences)
    chars = sorted(set(text))
    char_indices = {c: i for i, c in enumerate(chars)}
    encoded = np.array([char_indices[c] for c in text])
    one_hot = np.eye(len(chars), dtype=np.float32)[encoded]
    cut = int(0.9 * len(text))
    starts = range(0, cut - MAXLEN, 3)
    x = np.stack([one_hot[i : i + MAXLEN] for i in starts])
    y = np.stack([one_hot[i + MAXLEN] for i in starts])
    model = keras.Sequential(
        [
            keras.Input((MAXLEN, len(chars))),
            keras.layers.LSTM(width, return_sequences=True),
            keras.layers.Dropout(0.2),
            keras.layers.LSTM(width),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(len(chars), activation="softmax"),
        ]
    )
    optimizer = keras.optimizers.RMSprop(learning_rate=0.01)
    model.compile(loss="categorical_crossentropy", optimizer=optimizer)
    model.fit(x, y, batch_size=128, epochs=epochs, verbose=0)
    model.save("characters.keras")

    unseen = one_hot[cut:-1]
    wanted = model.predict(
        np.stack([unseen[i : i + MAXLEN] for i in range(len(unseen) - MAXLEN + 1)]), verbose=0
    )
    came = encoded[cut + MAXLEN :]
    assert bits(wanted, came) < np.log2(len(chars))
    np.savez("windows.npz", x=x[:200].astype(float))
    for precision in precisions:
        arguments = ["--calibration", "windows.npz", "--precision", precision, "-o", "c.edgernn"]
        assert main(["quantize", "characters.keras", *arguments]) == 0
        integers = IntegerModel.load("c.edgernn")
        assert integers.window.steps == MAXLEN
        with edgernn.load("c.edgernn") as session:
            got = session.run(unseen.astype(float), softmax=True)[MAXLEN - 1 :]
            session.reset()
            codes = session.interface.quantize(unseen.astype(float))
            answers = np.ma.getdata(session.run_codes(codes))[MAXLEN - 1 :]
        assert bits(np.asarray(got), came) == pytest.approx(bits(wanted, came), rel=0.01)
        verify = ["verify", "c.edgernn", "--steps", "50"]
        assert main([*verify, "--backends", "native,tflite-runtime,onnxruntime"]) == 0
        in_c = host_outputs(integers, codes, tmp_path / precision)
        np.testing.assert_array_equal(in_c[MAXLEN - 1 :], answers)

    # The reader's loop: a seed of 40 characters, then one drawn character after the other.
    rng = np.random.default_rng(1)
    with edgernn.load("c.edgernn") as session:
        preds = session.run(one_hot[:MAXLEN].astype(float), softmax=True)[-1]
        generated = ""
        for _ in range(30):
            next_index = sample(preds, rng, temperature=0.5)
            generated += chars[next_index]
            preds = session.step(one_hot[next_index].astype(float), softmax=True)
    letters = np.eye(len(chars))[[char_indices[c] for c in text[:MAXLEN] + generated]]
    last = model.predict(letters[None, -MAXLEN:].astype(np.float32), verbose=0)[0]
    np.testing.assert_allclose(preds, last, atol=0.02)
