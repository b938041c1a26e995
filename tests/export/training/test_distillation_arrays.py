"""Arrays of a user's own as a recipe, and the recipes' networks as students."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgernn.errors import DistillationError
from edgernn_export.training.array_recipe import read_recipe

RNG = np.random.default_rng(3)
X = RNG.normal(size=(10, 6, 2))
LABELS = np.arange(10) % 3
VALUES = RNG.normal(size=(10, 6, 4)).astype(np.float32)


def saved(folder: Path, **arrays: Any) -> Path:
    path = folder / "mine.npz"
    np.savez(path, **arrays)
    return path


def test_classes_with_every_fifth_stream_held_out(tmp_path):
    recipe, tested = read_recipe(saved(tmp_path, x=X, y=LABELS), 3)
    data = recipe.load()
    assert not tested
    assert (recipe.name, data.metric, data.classes) == ("mine", "accuracy", ("0", "1", "2"))
    assert np.array_equal(data.validation.x, X[[4, 9]])
    assert np.array_equal(data.train.x, np.delete(X, [4, 9], axis=0))
    assert data.train.target[:, -1, 0].tolist() == np.delete(LABELS, [4, 9]).tolist()
    assert data.train.last_only
    assert data.test.x is not data.train.x
    assert data.input_names == ("input_0", "input_1")


def test_values_with_parts_of_ones_own(tmp_path):
    parts = {"x": X, "y": VALUES, "x_validation": X[:2], "y_validation": VALUES[:2] + 1}
    path = saved(tmp_path, **parts, x_test=X[:3], y_test=VALUES[:3] + 2)
    recipe, tested = read_recipe(path, 4)
    data = recipe.load()
    assert tested
    assert (data.metric, data.classes) == ("mse", ())
    assert [len(p.x) for p in (data.train, data.validation, data.test)] == [10, 2, 3]
    assert np.array_equal(data.test.target, (VALUES[:3] + 2).astype(np.float64))
    assert data.target_scale == pytest.approx(VALUES.std())
    # Every step of every stream counts: predicting 2 too little gives an error of 2.
    assert data.score(VALUES[:3], data.test)["mae"] == pytest.approx(2.0, rel=1e-6)


@pytest.mark.parametrize(
    "arrays, words",
    [
        ({"x": X}, "expected an array y, got none"),
        ({}, "expected arrays x and y, got none of them"),
        ({"x_test": X, "y_test": LABELS}, "expected arrays x and y, got none of them"),
        ({"x": X, "y": LABELS, "z": X}, "got 'z'"),
        ({"x": X, "y": LABELS[:4]}, r"got \(10, 6, 2\) and int64 \(4,\)"),
        ({"x": X[0], "y": LABELS}, r"got \(6, 2\)"),
        ({"x": X[:0], "y": LABELS[:0]}, r"got \(0, 6, 2\)"),
        ({"x": X, "y": VALUES[:, 0]}, r"float32 \(10, 4\)"),
        ({"x": X, "y": np.where(VALUES > 2, np.nan, VALUES)}, "mine.npz y: expected finite"),
        ({"x": X.astype(str), "y": LABELS}, "x: expected finite numbers, got <U"),
        ({"x": X.astype(object), "y": LABELS}, "expected an .npz file of numeric arrays"),
        ({"x": X, "y": LABELS - 1}, r"expected classes 0\.\.2 .* got -1\.\.1"),
        ({"x": X, "y": VALUES[..., :2]}, "expected 3 values per step .* got 2"),
        ({"x": X, "y": LABELS, "x_test": X, "y_test": VALUES}, "got integers and real numbers"),
        ({"x": X[:4], "y": LABELS[:4]}, "at least 5 streams, or x_validation, got 4"),
    ],
)
def test_refusals(arrays, words, tmp_path):
    with pytest.raises(DistillationError, match=words):
        read_recipe(saved(tmp_path, **arrays), 3)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"text"])
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "mine.npz"
    path.write_bytes(content)
    with pytest.raises(DistillationError, match=r"mine.npz: expected an \.npz file"):
        read_recipe(path, 3)
    with pytest.raises(FileNotFoundError):
        read_recipe(tmp_path / "none.npz", 3)
    np.save(path.with_suffix(".npy"), X)
    with pytest.raises(DistillationError, match="a single array"):
        read_recipe(path.with_suffix(".npy"), 3)


@pytest.mark.tf
def test_a_recipe_without_weight_on_the_teacher_is_trained_as_ever():
    from edgernn_export.training import distill, train
    from tests.support.training.training_runs import class_data, classifier

    recipe = classifier(epochs=1)
    teacher = recipe.build(recipe, recipe.network, class_data())
    plain, _ = train(recipe, 1, progress=False)
    taught, result = distill(recipe, teacher, seed=1, alpha=0.0, progress=False)
    pairs = zip(plain.get_weights(), taught.get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)
    assert result.recipe == "ramps"
