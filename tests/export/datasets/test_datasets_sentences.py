"""Sentences as data sets: SST-2 and generated names; words, tags, rules without a model, scores."""

from __future__ import annotations

import lzma

import numpy as np
import pytest

from edgernn.errors import DataUnavailable
from edgernn_export.datasets import VOCABULARY, Part, name_tags, sst2
from edgernn_export.datasets.text.tagged_names import TAGS, name_scores, shapes
from tests.support.training.data_files import write_sentences

FILES = {
    "train": "1 a Good film\n0 a bad film\n1 good fun , café\n0 bad fun\n",
    "dev": "0 a bad day\n",
    "test": "1 fun\n0 a bad , bad film\n1 never seen\n",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGERNN_DATA", str(tmp_path))
    write_sentences(tmp_path, FILES)
    return tmp_path


def words_of(data, part, row):
    texts = data.files[VOCABULARY].splitlines()
    return [texts[int(token)] for token in part.x[row, : part.steps[row], 0]]


def test_words_lengths_and_labels(folder):
    data = sst2()
    texts = data.files[VOCABULARY].splitlines()
    assert texts == ["<unknown>", "a", "bad", "film", "fun", "good"]
    assert words_of(data, data.train, 0) == ["a", "good", "film"]
    assert words_of(data, data.train, 2) == ["good", "fun", "<unknown>", "<unknown>"]
    assert data.train.x.shape == (4, 5, 1)  # the longest sentence is in the test part
    assert data.test.steps.tolist() == [1, 5, 2]
    assert data.train.scored(data.train.target)[:, 0].tolist() == [1, 0, 1, 0]
    assert data.test.counted.sum() == 3
    packed = folder / "sst2/stsa.binary.test"
    packed.with_name("stsa.binary.test.xz").write_bytes(lzma.compress(packed.read_bytes()))
    packed.unlink()
    np.testing.assert_array_equal(sst2().test.x, data.test.x)


def test_the_bag_of_words_is_naive_bayes(folder):
    """Log-odds by hand: counts of the words, one added, in sentences of each class."""
    data = sst2()
    logits = data.naive["bag of words (naive Bayes)"]
    counts = {  # of <unknown>, a, bad, film, fun, good
        1: np.array([2, 1, 0, 1, 1, 2]) + 1.0,
        0: np.array([0, 1, 2, 1, 1, 0]) + 1.0,
    }
    for row, sentence in enumerate([[4], [1, 2, 0, 2, 3], [0, 0]]):
        odds = sum(
            np.log(counts[1][w] / counts[1].sum() * counts[0].sum() / counts[0][w])
            for w in sentence
        )
        last = logits[row, len(sentence) - 1]
        assert last[1] - last[0] == pytest.approx(odds)
    assert data.score(logits, data.test) == {"accuracy": 2 / 3}
    assert data.score(data.naive["the most frequent class"], data.test)["accuracy"] in (
        1 / 3,
        2 / 3,
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("2 good\n", r"stsa.binary.dev line 1: expected 0 or 1 and the words .* got '2 good'"),
        ("1 good\n0 \n", "line 2: expected 0 or 1 and the words of a sentence, got '0 '"),
        ("", "expected sentences, got an empty file"),
    ],
)
def test_damaged_files_are_refused(folder, content, words):
    write_sentences(folder, {"dev": content})
    with pytest.raises(DataUnavailable, match=words):
        sst2()


@pytest.fixture(scope="module")
def names():
    return name_tags()


def test_no_name_is_in_two_parts(names):
    """Tags are those of names alone, and most of the names' words stand as their ending."""
    texts = names.files[VOCABULARY].splitlines()
    assert texts[:3] == ["<word>", "<Name>", "<number>"] and "said" in texts and "Ltd" in texts
    assert len(texts) == len(set(texts)) < 250
    for part, count in ((names.train, 3000), (names.validation, 600), (names.test, 900)):
        assert len(part.x) == count and part.steps.max() <= part.x.shape[1]
        assert not part.x[~part.present].any() and not part.target[~part.present].any()
        inside = part.target[..., 0][part.present]
        assert set(np.unique(inside)) == set(range(len(TAGS)))
    known = names.naive["a dictionary of the train part's names"]
    assert names.score(known, names.test)["name_f1"] == 0.0  # no name is known
    assert [len(s) for s in names.calibration()[:3]] == names.train.steps[::10][:3].tolist()


def test_words_without_a_token_stand_as_their_shape(names):
    assert shapes("Burton") == ("<Name -on>", "<Name>")
    assert (shapes("12"), shapes("road"), shapes(",")) == (("<number>",), ("<word>",), ("<word>",))
    texts = names.files[VOCABULARY].splitlines()
    hidden = np.isin(names.train.x[names.train.present][:, 0], [0, 1])
    assert 0.07 < hidden.mean() < 0.13
    assert "road" not in texts  # only a pattern of the test part has it
    assert np.mean(names.test.x[names.test.present] == 0) > 0.01


def test_scores_by_hand():
    """Of two names one is found whole, and one word of the other."""
    wanted = np.array([[1, 2, 0, 3, 4], [5, 0, 0, 0, 0]], dtype=float)[..., None]
    said = np.array([[1, 2, 0, 3, 0], [5, 6, 0, 0, 5]])
    part = Part(
        x=np.zeros_like(wanted),
        target=wanted,
        base=np.zeros((2, 5, 7)),
        scored_from=0,
        lengths=np.array([5, 2]),
    )
    # Words of names: 5 there, 5 said (the one behind the end is none), 4 of them right.
    # Names: 3 there, 3 said, 1 right: B-LOC I-LOC is cut, and B-ORG is longer than it is.
    scores = name_scores(np.eye(7)[said], part)
    assert scores == {"f1": pytest.approx(8 / 10), "name_f1": pytest.approx(2 / 6)}
    assert name_scores(np.eye(7)[wanted[..., 0].astype(int)], part) == {"f1": 1.0, "name_f1": 1.0}
