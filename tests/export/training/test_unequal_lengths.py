"""Recipes on streams of unequal length: what is fitted, what is scored, what is written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import edgernn
from edgernn.errors import TrainingError
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export import quantize
from edgernn_export.datasets import Dataset, Part, class_part
from edgernn_export.training import (
    Network,
    Recipe,
    Training,
    calibration,
    equal_lengths,
    evaluate,
    outputs,
    train,
    training_data,
    updates,
)
from edgernn_export.training.fit_arrays import fit_arguments
from edgernn_export.training.pipeline import Order, produce
from tests.support.training.training_runs import SOURCE

pytestmark = [pytest.mark.tf, pytest.mark.filterwarnings("ignore::edgernn.EdgeRnnWarning")]
LONGEST = 9
#: What no model may see.
PADDING = 1e6


def dataset(kind: str, seed: int = 0, padding: float = PADDING, **changes: Any) -> Dataset:
    """Streams of 3 to 9 readings in two channels.

    "last": whether the first channel rose over the whole stream; "steps": whether its next reading,
    which only a network that reads backward knows, is above 0; "values": the sum so far.
    """
    rng = np.random.default_rng(seed)

    def part(count: int) -> Part:
        x = rng.normal(size=(count, LONGEST, 2))
        lengths = rng.integers(3, LONGEST + 1, count)
        lengths[0] = LONGEST
        x[np.arange(LONGEST) >= lengths[:, None]] = padding
        if kind == "last":
            label = (x[np.arange(count), lengths - 1, 0] > x[:, 0, 0]).astype(np.int64)
            return class_part(x, label, 2, lengths)
        if kind == "steps":
            target = (np.roll(x[..., :1], -1, axis=1) > 0).astype(np.float64)
            base = np.zeros((*x.shape[:2], 2))
        else:
            target = np.cumsum(x[..., :1], axis=1)
            base = np.zeros_like(target)
        return Part(x=x, target=target, base=base, scored_from=1, lengths=lengths)

    classes = () if kind == "values" else ("no", "yes")
    names = classes or ("sum",)
    settings: dict[str, Any] = {
        "name": kind, "source": SOURCE, "protocol": "made up",
        "train": part(24), "validation": part(8), "test": part(12),
        "classes": classes, "metric": "accuracy" if classes else "rmse", "metric_unit": "",
        "target_scale": 1.0, "metric_scale": np.ones(1),
        "input_names": ("a", "b"), "input_units": ("", ""),
        "output_names": names, "output_units": ("",) * len(names),
        "step_ms": 1.0, "calibration_stride": 2,
    }  # fmt: skip
    return Dataset(**(settings | changes))


def both_ways(recipe: Recipe, network: Network, data: Dataset) -> Any:
    import keras

    layers = keras.layers
    inside = layers.LSTM(network.units, return_sequences=not data.train.last_only)
    return keras.Sequential(
        [keras.Input((None, 2)), layers.Bidirectional(inside), layers.Dense(2)], name=recipe.name
    )


def recipe_of(kind: str, backward: bool = False, **training: Any) -> Recipe:
    settings: dict[str, Any] = {"epochs": 1, "batch": 8, "learning_rate": 0.02}
    more: dict[str, Any] = {"build": both_ways} if backward else {}
    return Recipe(
        name=kind,
        title=kind,
        load=lambda: dataset(kind),
        network=Network(cell="GRU", units=4),
        training=Training(**(settings | training)),
        **more,
    )


def test_padding_counts_nowhere() -> None:
    recipe = recipe_of("values")
    data = dataset("values")
    x, y, weight = training_data(recipe, data)
    np.testing.assert_array_equal(weight == 0, x[..., 0] == np.float32(PADDING))
    assert weight.mean() == pytest.approx(1.0, rel=1e-6)
    assert y.shape == (24, LONGEST, 1)
    _, _, weight = training_data(recipe_of("values", loss_from=2), data)
    assert weight.shape == (24, LONGEST - 2)  # the steps in the loss
    one, _ = train(recipe, data=data, progress=False)
    other, _ = train(recipe, data=dataset("values", padding=-7.0), progress=False)
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_windows_fit_into_their_streams() -> None:
    data = dataset("values")
    recipe = recipe_of("values", window_steps=5, stride_steps=2)
    x, y = training_data(recipe, data)
    wanted = sum(len(range(0, int(n) - 4, 2)) for n in data.train.steps)
    assert len(x) == len(y) == wanted
    assert np.abs(x).max() < PADDING
    assert updates(recipe, data) == -(-wanted // 8)


def test_batches_of_one_length() -> None:
    data = dataset("last")
    recipe = recipe_of("last", equal_lengths=True)
    batches = fit_arguments(recipe, data, network=None)["x"]
    assert len(batches) == updates(recipe, data)
    seen = []
    for x, y in (batches[i] for i in range(len(batches))):
        assert len(x) == len(y) <= 8 and np.abs(x).max() < PADDING
        seen += [row.tobytes() + bytes([label]) for row, label in zip(x, y, strict=True)]
    streams = zip(data.train.x, data.train.steps, data.train.target[:, 0, 0], strict=True)
    wanted = [x[:n].astype(np.float32).tobytes() + bytes([int(y)]) for x, n, y in streams]
    assert sorted(seen) == sorted(wanted)
    first, second = (
        equal_lengths([[[1.0]], [[2.0]], [[3.0]]], [1, 2, 3], batch=1, seed=5) for _ in "ab"
    )
    assert [first[i][1].tolist() for i in range(3)] == [second[i][1].tolist() for i in range(3)]


@pytest.mark.parametrize("kind", [pytest.param("last", marks=pytest.mark.long), "steps"])
def test_networks_that_read_backward(kind: str, tmp_path: Any) -> None:
    """From a recipe to files; every score is that of the streams one by one."""
    data = dataset(kind, files={"words.txt": "no\nyes\n"})
    recipe = recipe_of(kind, backward=True, equal_lengths=True)
    order = Order(
        seed=0, network=None, epochs=None, density=None, pattern="8x4", precision="w8a16",
        qat_epochs=None, formats=(), out=tmp_path,
    )  # fmt: skip
    result = produce(recipe, data, order)
    assert (tmp_path / "words.txt").read_text(encoding="utf-8") == "no\nyes\n"
    model = ProgramSet.load(result.files["edgernn"])
    assert model.chunk is not None and model.chunk.max_steps == LONGEST
    part = data.test
    streams = [x[:n] for x, n in zip(part.x, part.steps, strict=True)]
    with edgernn.load_chunks(model, "reference") as session:
        answers = [session.run(stream) for stream in streams]
    right = []
    for answer, target in zip(answers, part.target[..., 0], strict=True):
        rows = np.atleast_2d(answer).argmax(axis=1)
        truth = target[: len(rows)]
        right += (rows == truth)[0 if kind == "last" else part.scored_from :].tolist()
    assert result.scores["w8a16"]["test"] == {"accuracy": np.mean(right)}
    assert evaluate(result.files["edgernn"], recipe, data=data) == {"accuracy": np.mean(right)}
    import keras

    network = keras.saving.load_model(result.files["keras"])
    got = outputs(network, part.x, part.lengths)
    for row, stream, answer in zip(got, streams, answers, strict=True):
        wanted = np.asarray(network(stream[None].astype(np.float32)))[0]
        np.testing.assert_allclose(
            row[: len(stream)], np.broadcast_to(wanted, row[: len(stream)].shape), atol=1e-5
        )
        assert not row[len(stream) :].any()
        np.testing.assert_allclose(answer, wanted, atol=0.01)


def test_integers_of_each_stream() -> None:
    """Native and reference agree; calibration is a list of what was read."""
    data, recipe = dataset("values"), recipe_of("values")
    network, _ = train(recipe, data=data, progress=False)
    streams = calibration(data)
    assert [len(s) for s in streams] == data.train.steps[::2].tolist()
    model = quantize(network, streams, "w8a16", **data.labels(), stream="endless", progress=False)
    got = outputs(model, data.test.x, data.test.lengths)
    with edgernn.load(model, "reference") as session:
        for row, x, n in zip(got, data.test.x, data.test.steps, strict=True):
            session.reset()
            np.testing.assert_array_equal(row[:n], session.run(x[:n]))
    own = outputs(network, data.test.x, data.test.lengths)
    rmse = np.sqrt(np.mean(np.square((own - data.test.target)[data.test.counted])))
    assert evaluate(network, recipe, data=data)["rmse"] == pytest.approx(rmse, rel=1e-6)


def test_metrics_of_the_data_set() -> None:
    def late(output: Any, part: Part) -> dict[str, float]:
        return {"late": float(np.mean(part.scored(output) > part.scored(part.target)))}

    data = dataset("values", scorer=late, metric="late")
    scores = data.score(np.full((*data.test.x.shape[:2], 1), 1e9), data.test)
    assert scores["late"] == 1.0 and scores.keys() == {"mse", "rmse", "mae", "late"}
    assert not data.rising and replace(data, metric="f1").rising


@pytest.mark.parametrize(
    ("kind", "backward", "settings", "words"),
    [
        ("last", False, {}, "equal_lengths: expected True"),
        ("steps", True, {}, "Set equal_lengths=True, or begin the network with a Masking layer"),
        ("values", False, {"window_steps": 3, "carry_state": True}, "carry_state: expected False"),
    ],
)
def test_padding_that_would_be_read_is_refused(
    kind: str, backward: bool, settings: Any, words: str
) -> None:
    with pytest.raises(TrainingError, match=words):
        train(recipe_of(kind, backward, **settings), data=dataset(kind), progress=False)
