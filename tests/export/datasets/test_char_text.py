"""Texts as data sets: parts without overlap, any script, the metric, the refusals."""

from __future__ import annotations

import itertools
import lzma

import numpy as np
import pytest

from edgernn.decoding import Symbols
from edgernn.errors import DataUnavailable, TrainingError
from edgernn_export.datasets import char_text
from edgernn_export.training import find_recipe

TEXT = "नमस्ते दुनिया, hello world.\n" * 200


def written(tmp_path, content=TEXT, name="text.txt"):
    path = tmp_path / name
    raw = content.encode() if isinstance(content, str) else content
    path.write_bytes(lzma.compress(raw) if path.suffix == ".xz" else raw)
    return str(path)


def targets(part, row):
    """Places in the text of the targets that count in a stream, whose tokens are their places."""
    return part.target[row, part.scored_from :, 0].astype(int).tolist()


@pytest.mark.parametrize("length", [500, 5_600, 40_000])
def test_parts_cover_the_text_without_overlap(length, tmp_path):
    """Every character but the last few of a part is the target of one stream of one part."""
    content = "".join(chr(0x4E00 + at) if at < 20_000 else "a" for at in range(length))
    data = char_text(written(tmp_path, content))
    places = {symbol: at for at, symbol in enumerate(content[:20_000])}
    places["a"] = -1
    tokens = [places[symbol] for symbol in data.symbols]
    found = []
    for part in (data.train, data.validation, data.test):
        assert part.scored_from == (0 if part is data.train else 64)
        rows = [[tokens[at] for at in targets(part, row)] for row in range(len(part.x))]
        for row, x in zip(rows, part.x, strict=True):
            known = [tokens[int(at)] for at in x[part.scored_from :, 0]]
            for before, after in itertools.pairwise(zip(known, row, strict=True)):
                assert before[1] == after[0]  # the target is read next
        found.append([at for row in rows for at in row if at >= 0])
    assert not set(found[0]) & set(found[1])
    train, validation, test = map(set, found)
    assert not (train | validation) & test
    learnt = int(0.9 * length)
    known = min(length, 20_000)
    assert max(train | validation) <= learnt
    if known > learnt:
        assert min(test) == learnt + 1
    steps = min(1024, learnt // 18)
    assert len(data.validation.x) == len(range(9, learnt // steps, 18))
    assert data.validation.x.shape[1] == steps + 64
    if length == 5_600:
        assert sorted(validation) == list(range(9 * steps + 1, 10 * steps + 1))
        assert sorted(test) == list(range(learnt + 1, length))


def test_tokens_are_those_of_the_text(tmp_path):
    data = char_text(written(tmp_path))
    tokens = np.array(Symbols(data.symbols).encode(TEXT))
    assert data.symbols == tuple(sorted(set(TEXT)))
    assert data.output_names[0] == "U+000A"
    steps = int(0.9 * tokens.size) // 18
    np.testing.assert_array_equal(data.train.x[3, :, 0], tokens[3 * steps : 4 * steps])
    np.testing.assert_array_equal(data.train.target[3, :, 0], tokens[3 * steps + 1 : 4 * steps + 1])
    begin = 9 * steps - 64
    np.testing.assert_array_equal(data.validation.x[0, :, 0], tokens[begin : 10 * steps])
    assert data.calibration().shape[1:] == (steps, 1)
    assert "The last 10 % test." in data.protocol


def test_bits_are_those_of_the_probabilities(tmp_path):
    data = char_text(written(tmp_path))
    rng = np.random.default_rng(0)
    logits = rng.normal(size=data.test.base.shape) * 3
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    truth = data.test.target.astype(int)
    wanted = -np.log2(np.take_along_axis(p, truth, axis=-1))[:, 64:].mean()
    score = data.score(logits, data.test)
    assert score["bits_per_character"] == pytest.approx(wanted, rel=1e-12)
    assert set(score) == {"bits_per_character", "accuracy"}
    assert not data.rising


def test_files(tmp_path):
    plain, packed = written(tmp_path), written(tmp_path, name="text.xz")
    lines = written(tmp_path, TEXT.replace("\n", "\r\n"), "lines.txt")
    for other in (packed, lines):
        np.testing.assert_array_equal(char_text(other).train.x, char_text(plain).train.x)
    for content, message in (
        (b"\xff\xfe" * 900, "expected a text in UTF-8"),
        ("short", "at least 500 characters"),
        ("a" * 900, "two of them distinct"),
    ):
        with pytest.raises(DataUnavailable, match=message):
            char_text(written(tmp_path, content, "other.txt"))
    with pytest.raises(DataUnavailable, match="readable file"):
        char_text(str(tmp_path / "none.txt"))


def test_options_of_recipes(tmp_path):
    recipe = find_recipe("char_lm").configured({"text": written(tmp_path)})
    assert recipe.load().symbols == tuple(sorted(set(TEXT)))
    with pytest.raises(TrainingError, match="expected options among text, got 'file'"):
        find_recipe("char_lm").configured({"file": "x"})
    with pytest.raises(TrainingError, match="expected options among no options"):
        find_recipe("hapt").configured({"text": "x"})
