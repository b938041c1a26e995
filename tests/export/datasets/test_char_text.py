"""Texts as data sets: parts without overlap, any script, the metric, the refusals."""

from __future__ import annotations

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


def test_parts_follow_one_another(tmp_path):
    data = char_text(written(tmp_path))
    tokens = np.array(Symbols(data.symbols).encode(TEXT))
    assert data.symbols == tuple(sorted(set(TEXT)))
    assert data.output_names[0] == "U+000A"
    train = data.train.x.reshape(-1)
    np.testing.assert_array_equal(train, tokens[: train.size])
    np.testing.assert_array_equal(data.train.target.reshape(-1), tokens[1 : train.size + 1])
    first, second = int(0.85 * tokens.size), int(0.9 * tokens.size)
    assert train.size <= first
    for part, begin, end in (
        (data.validation, first, second),
        (data.test, second, tokens.size - 1),
    ):
        scored = part.scored(part.target)[..., 0].reshape(-1)
        assert end - begin - 1024 < scored.size <= end - begin
        np.testing.assert_array_equal(scored, tokens[begin + 1 : begin + 1 + scored.size])
        np.testing.assert_array_equal(
            part.x[0, :, 0], tokens[begin - 64 : begin + part.x.shape[1] - 64]
        )
    assert data.calibration().shape[1:] == (1024, 1)


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
