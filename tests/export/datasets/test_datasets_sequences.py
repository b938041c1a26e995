"""Data sets of an encoder and a decoder: Dakshina's rows, captions of recordings."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgernn.errors import DataUnavailable
from edgernn_export.datasets import captions, sequence_part, transliteration
from edgernn_export.datasets.audio.captioned_digits import SECTIONS, described
from edgernn_export.datasets.audio.fsdd_digits import FEATURES
from edgernn_export.datasets.text.dakshina import read_rows
from tests.support.training.data_files import (
    ROWS,
    WORDS,
    tone,
    write_recordings,
    write_words,
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGERNN_DATA", str(tmp_path))
    return tmp_path / "dakshina_hi"


@pytest.mark.parametrize("word_first", [False, True])
def test_words_and_spellings_are_tokens(folder, word_first):
    write_words(folder, [("aii", WORDS[0]), *ROWS], [("ib", WORDS[0] * 2)], word_first=word_first)
    data = transliteration()
    (x,), (row,) = data.test.x, data.test.target[..., 0]
    assert x[:, 0].tolist() == [9.0, 2.0]
    symbols = json.loads(data.files["transliterate_symbols.json"])
    assert "".join(symbols["characters"][int(token)] for token in row) == WORDS[0] * 2
    assert row.tolist()[-1] == 0.0  # the end
    assert data.classes == ("end", *sorted(set("".join(WORDS))))
    assert data.rising
    assert data.test.x.dtype == np.float64


def test_no_word_is_in_two_parts(folder):
    write_words(folder, [("aii", WORDS[0]), *ROWS], ROWS[:1])
    data = transliteration()
    assert (len(data.train.x), len(data.validation.x)) == (38, 3)
    train, validation = (
        {tuple(row) for row in part.target[:, :2, 0].tolist()}
        for part in (data.train, data.validation)
    )
    assert len(train | validation) == 40
    assert not train & validation
    assert data.validation.lengths.tolist() == [3, 2, 2]


def test_damaged_rows_are_named(folder):
    write_words(folder, ROWS, [("ai", "☃")])
    with pytest.raises(DataUnavailable, match=r"dev.tsv: expected characters of the train part.*☃"):
        transliteration()
    write_words(folder, [("ai", WORDS[0]), ("a1", WORDS[1])], [])
    with pytest.raises(DataUnavailable, match=r"line 2: expected a word, its spelling"):
        read_rows("train")
    with pytest.raises(DataUnavailable, match="expected rows, got none"):
        read_rows("dev")
    (folder / "hi.translit.sampled.dev.tsv.xz").unlink()
    with pytest.raises(DataUnavailable, match=r"dakshina.*license: CC BY-SA 4.0"):
        read_rows("dev")


def test_sequences_are_padded_behind():
    part = sequence_part([[[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]]], [[2, 1], [1]], 3)
    np.testing.assert_array_equal(part.x[0], [[1.0, 2.0], [0.0, 0.0]])
    np.testing.assert_array_equal(part.target[..., 0], [[2, 1, 0], [1, 0, 0]])
    assert part.steps.tolist() == [1, 2]
    assert part.base.shape == (2, 2, 3)


def test_a_caption_says_who_says_what(folder):
    write_recordings(folder.parent)
    data = captions()
    assert [len(part.x) for part in (data.train, data.validation, data.test)] == [40, 20, 20]
    words = json.loads(data.files["caption_words.json"])
    assert words[:4] == ["", "ada", "bob", "says"]
    said = [[words[int(token)] for token in row[:, 0]] for row in data.test.target]
    assert said[0] == ["ada", "says", "zero", ""]
    assert said[-1] == ["bob", "says", "nine", ""]
    assert data.test.x.shape == (20, 1, SECTIONS * FEATURES.bands)
    assert data.input_names[FEATURES.bands] == "mel_0_1"


def test_a_vector_has_the_mean_spectrum_of_each_part():
    """A high tone after a low one, and a sound that is shorter than a frame."""
    sound = np.concatenate([tone(400, 4000), tone(3000, 4000)]) / 32768.0
    parts = described(sound).reshape(SECTIONS, FEATURES.bands)
    bands = parts.argmax(axis=1)
    assert (bands[:3] < bands[-3:].min()).all()
    frames = FEATURES.float_features(sound)
    first = frames[: -(-len(frames) // SECTIONS)].mean(axis=0)
    np.testing.assert_allclose(parts[0], first)
    assert np.isfinite(described(np.ones(3))).all()
