"""The sequence-to-sequence model of textbooks, as a reader types it: LSTM encoder and decoder.

It is trained on pairs of words in two scripts, from Keras to C.
"""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from edgernn.decoding import greedy
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export import export, quantize_programs
from tests.support.native.compilers import require

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore::edgernn.EdgeRnnWarning")]
START, END = 0, 1
#: What becomes of a letter; "s" after a letter makes two characters of both.
SCRIPT = dict(zip("abdegiklmnoprtu", "αβδεγικλμνοπρτυ", strict=True)) | {"s": "σς"}


def pairs(count: int, seed: int) -> list[tuple[str, str]]:
    """Words of two to five letters and how they are written."""
    rng = np.random.default_rng(seed)
    words = ["".join(rng.choice(list(SCRIPT), rng.integers(2, 6))) for _ in range(count)]
    return [(word, "".join(SCRIPT[letter] for letter in word)) for word in words]


def test_from_keras_to_c(tmp_path, monkeypatch):
    require("gcc")
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(1)
    monkeypatch.chdir(tmp_path)
    taught = pairs(3000, seed=1)
    letters = sorted(SCRIPT)
    characters = ["", "", *sorted(set("".join(SCRIPT.values())))]

    # The training model: the decoder starts from the states of the encoder.
    encoder_inputs = keras.Input(shape=(None,), dtype="int32", name="letters")
    embedded = keras.layers.Embedding(len(letters) + 1, 16)(encoder_inputs)
    encoder = keras.layers.LSTM(96, return_state=True)
    _, state_h, state_c = encoder(embedded)
    encoder_states = [state_h, state_c]
    decoder_inputs = keras.Input(shape=(None,), dtype="int32", name="written")
    embed_written = keras.layers.Embedding(len(characters), 16)
    decoder_lstm = keras.layers.LSTM(96, return_sequences=True, return_state=True)
    decoder_outputs, _, _ = decoder_lstm(
        embed_written(decoder_inputs), initial_state=encoder_states
    )
    decoder_dense = keras.layers.Dense(len(characters), activation="softmax")
    decoder_outputs = decoder_dense(decoder_outputs)
    model = keras.Model([encoder_inputs, decoder_inputs], decoder_outputs)
    model.compile(keras.optimizers.Adam(5e-3), "sparse_categorical_crossentropy")

    def read(word: str) -> np.ndarray:
        # The letters of shorter words stand at the end, behind letters that mean nothing.
        codes = [letters.index(letter) + 1 for letter in word]
        return np.array([0] * (5 - len(codes)) + codes, np.int32)

    sources = np.stack([read(word) for word, _ in taught])
    rows = np.full((len(taught), 12), END, np.int32)
    for row, (_, written) in zip(rows, taught, strict=True):
        row[: len(written)] = [characters.index(one) for one in written]
    before = np.concatenate([np.full((len(rows), 1), START), rows[:, :-1]], axis=1)
    model.fit([sources, before], rows, batch_size=64, epochs=14, verbose=0)
    model.save("seq2seq.keras")

    # The inference pair: an encoder that gives its states, a decoder that takes states.
    encoder_model = keras.Model(encoder_inputs, encoder_states)
    given = [keras.Input(shape=(96,)), keras.Input(shape=(96,))]
    outputs, new_h, new_c = decoder_lstm(embed_written(decoder_inputs), initial_state=given)
    decoder_model = keras.Model([decoder_inputs, *given], [decoder_dense(outputs), new_h, new_c])

    def keras_words(codes: np.ndarray) -> list[str]:
        states = encoder_model.predict(codes, verbose=0)
        token, words = np.full((len(codes), 1), START), [""] * len(codes)
        ended = np.zeros(len(codes), bool)
        for _ in range(12):
            shares, *states = decoder_model.predict([token, *states], verbose=0)
            token = shares[:, -1].argmax(axis=-1)[:, None]
            ended |= token[:, 0] == END
            words = [
                word if done else word + characters[one]
                for word, done, (one,) in zip(words, ended, token, strict=True)
            ]
        return words

    tested = pairs(150, seed=2)
    codes = np.stack([read(word) for word, _ in tested])
    wanted = [written for _, written in tested]
    from_keras = keras_words(codes)
    right = np.mean([one == other for one, other in zip(from_keras, wanted, strict=True)])
    assert right > 0.8

    made = quantize_programs(
        "seq2seq.keras", {"letters": sources[:300, :, None], "written": before[:300, :, None]}
    )
    made.save("seq2seq.edgernn")
    found = []
    with edgernn.load_programs("seq2seq.edgernn") as session:
        for one in codes:
            session.begin("encode")
            session.run_codes("encode", one[:, None])
            session.begin("decode")
            best = greedy(session, first=START, end=END, max_tokens=12, program="decode")
            found.append("".join(characters[token] for token in best.tokens))
    kept = np.mean([one == other for one, other in zip(found, wanted, strict=True)])
    assert kept > right - 0.01
    verify = ["verify", "seq2seq.edgernn", "--steps", "60"]
    assert main([*verify, "--backends", "native,tflite-runtime,onnxruntime"]) == 0
    export(ProgramSet.load("seq2seq.edgernn"), tmp_path, ("c",), name="seq2seq")
    (selftest,) = tmp_path.rglob("selftest_host.c")
    files = [path.name for path in selftest.parent.glob("*.c") if path.name != "main.c"]
    build = ["gcc", "-O2", "-std=c99", "-o", "selftest", *files]
    subprocess.run(build, cwd=selftest.parent, check=True)
    done = subprocess.run([str(selftest.parent / "selftest")], capture_output=True, check=True)
    assert b"PASS: 0 differing values" in done.stdout
