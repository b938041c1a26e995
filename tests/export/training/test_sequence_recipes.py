"""Recipes that write rows of tokens: batches, searches, training, integers, files."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

import edgernn
import edgernn.decoding
from edgernn.cli import main
from edgernn.errors import TrainingError
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.datasets import Dataset, sequence_part
from edgernn_export.search.recipe_trainer import RecipeTrainer
from edgernn_export.training import Network, Recipe, SequenceMethod, Training, evaluate, train
from edgernn_export.training.pipeline import Order, produce
from edgernn_export.training.programs.decoders import build_captioner, build_translator
from edgernn_export.training.programs.teaching import (
    batches,
    partly_written,
    read_before,
    row_steps,
)
from edgernn_export.training.programs.written_rows import float_rows, integer_rows
from tests.support.training.training_runs import SOURCE

pytestmark = [pytest.mark.tf, pytest.mark.filterwarnings("ignore::edgernn.EdgeRnnWarning")]
OUTPUTS = 4


def words(count: int = 300, seed: int = 0, *, vectors: bool = False) -> Dataset:
    """Letters 1 to 3, which are written unchanged; or a vector of them, in two words."""
    rng = np.random.default_rng(seed)

    def part(rows: int) -> Any:
        if vectors:
            own = rng.normal(size=(rows, 1, 3))
            written = [[1 + int(x[0, 0] > 0), 1 + int(x[0, 1:].argmax())] for x in own]
            return sequence_part(list(own), written, OUTPUTS)
        lists = [rng.integers(1, OUTPUTS, rng.integers(1, 5)) for _ in range(rows)]
        return sequence_part([a[:, None] for a in lists], [a.tolist() for a in lists], OUTPUTS)

    names = ("end", "a", "b", "c")
    inputs = ("x", "y", "z") if vectors else ("letter",)
    return Dataset(
        name="made up", source=SOURCE, protocol="made up", train=part(count), validation=part(40),
        test=part(40), classes=names, metric="exact_words", metric_unit="", target_scale=1.0,
        metric_scale=np.ones(1), input_names=inputs, input_units=("",) * len(inputs),
        output_names=names, output_units=("",) * OUTPUTS, step_ms=1.0, calibration_stride=4,
        files={"words.txt": "a b c"},
    )  # fmt: skip


def writer(*, attention: bool = True, vectors: bool = False, **changes: Any) -> Recipe:
    """A recipe that reads what `words` makes."""
    build = partial(build_translator, attention=attention, taught=False)
    taught = partial(build_translator, attention=attention, taught=True)
    return Recipe(
        name="writer",
        title="made up",
        load=partial(words, vectors=vectors),
        network=Network(cell="GRU", units=16),
        training=Training(**{"epochs": 1, "batch": 20, "learning_rate": 0.02} | changes),
        build=build_captioner if vectors else build,
        method=SequenceMethod(tokens=not vectors, taught=None if vectors else taught),
    )


def test_batches_have_every_row_once_and_teach_what_is_written():
    data = words(50)
    seen = []
    for (source, before), target, weights in batches(
        data.train, 8, np.random.default_rng(1), tokens=True
    ):
        assert source.dtype == before.dtype == target.dtype == np.int32
        for x, b, y, w in zip(source, before, target, weights, strict=True):
            steps = int(w.sum())
            assert (w[:steps] == 1).all()
            assert y[steps - 1] == 0  # the end
            assert b[0] == 0
            np.testing.assert_array_equal(b[1:], y[:-1])
            seen.append((tuple(x[x > 0]), tuple(y[: steps - 1])))
    rows = data.train.target[..., 0].astype(int)
    wanted = [
        (tuple(x[:n, 0].astype(int)), tuple(row[: steps - 1]))
        for x, n, row, steps in zip(
            data.train.x, data.train.steps, rows, row_steps(data.train), strict=True
        )
    ]
    assert sorted(seen) == sorted(wanted)
    np.testing.assert_array_equal(read_before(np.array([[3, 2, 0]])), [[0, 3, 2]])


def test_a_decoder_may_read_what_it_chose_itself():
    """Scheduled sampling replaces the tokens after the first, by those of the step before."""
    before = np.array([[0, 1, 2, 3]] * 500, np.int32)
    chosen = np.array([[7, 8, 9, 6]] * 500)
    mixed = partly_written(before, chosen, 0.25, np.random.default_rng(0))
    own = mixed != before
    np.testing.assert_array_equal(mixed[own], np.array([[0, 7, 8, 9]] * 500)[own])
    assert not own[:, 0].any()
    assert 0.2 < own[:, 1:].mean() < 0.3
    assert (before == [0, 1, 2, 3]).all()
    np.testing.assert_array_equal(
        partly_written(before, chosen, 1.0, np.random.default_rng(0))[0], [0, 7, 8, 9]
    )
    with pytest.raises(TrainingError, match="own_share: expected a share from 0 to 1"):
        SequenceMethod(own_share=1.5)


def log_probabilities(network: Any, source: np.ndarray, rows: Any, most: int) -> dict[Any, float]:
    """Of rows, as Keras computes them; those of the most tokens need no end."""
    written = np.array([[*row, *[0] * (most - len(row))] for row in rows])
    sources = np.repeat(source[None], len(rows), axis=0)
    shares = network([sources, read_before(written)]).numpy()
    own = np.log(np.take_along_axis(shares, written[..., None], axis=2)[..., 0])
    return {row: float(own[n, : len(row) + 1].sum()) for n, row in enumerate(rows)}


def test_a_search_with_many_beams_finds_the_likeliest_row():
    """Brute force over all rows of up to three tokens, by the Keras network."""
    data = words(100)
    recipe = writer(attention=False)
    network = recipe.build(recipe, recipe.network, data)
    network.set_weights([3.0 * w for w in network.get_weights()])
    from edgernn_export.keras_reader.program_sets.programs import read_programs

    part = replace(
        data.test, x=data.test.x[:6], target=data.test.target[:6], lengths=data.test.lengths[:6]
    )
    found = float_rows(read_programs(network), part, width=64, max_tokens=3)
    greedy = float_rows(read_programs(network), part, width=1, max_tokens=3)
    every = [row for n in range(4) for row in itertools.product(range(1, OUTPUTS), repeat=n)]
    for source, steps, row, quick in zip(part.x, part.steps, found, greedy, strict=True):
        letters = source[:steps, 0].astype(np.int32)
        costs = log_probabilities(network, letters, every, 3)
        assert costs[row] == pytest.approx(max(costs.values()), abs=1e-4)
        chosen: list[int] = []
        while len(chosen) < 3:
            before = read_before(np.array([*chosen, 0]))
            token = int(network([letters[None], before[None]]).numpy()[0, -1].argmax())
            if token == 0:
                break
            chosen.append(token)
        assert quick == tuple(chosen)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("vectors", [False, True])
def test_a_recipe_trains_quantizes_and_writes_programs(vectors, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe, data = writer(vectors=vectors, epochs=6), words(400, vectors=vectors)
    order = Order(
        seed=0, network=None, epochs=None, density=None, pattern="8x4", precision="w8a16",
        qat_epochs=None, formats=("tflite", "onnx", "c"), out=tmp_path,
    )  # fmt: skip
    result = produce(recipe, data, order)
    assert result.training.best_epoch > 0
    assert len(result.training.history) == 6
    exact = {name: parts["test"]["exact_words"] for name, parts in result.scores.items()}
    assert exact["float"] > 0.5
    assert abs(exact["w8a16"] - exact["float"]) <= 0.05
    assert (tmp_path / "words.txt").read_text() == "a b c"
    made = ProgramSet.load(tmp_path / "writer.edgernn")
    assert made["encode"].input.names == data.input_names
    runtimes = "native,tflite-runtime" + ",onnxruntime" * (not vectors)
    assert main(["verify", "writer.edgernn", "--steps", "20", "--backends", runtimes]) == 0
    for path in (tmp_path / "writer.keras", tmp_path / "writer.edgernn"):
        again = evaluate(path, recipe, data=data)
        assert again == result.scores["float" if path.suffix == ".keras" else "w8a16"]["test"]
    rows = integer_rows(made, data.test, width=3, max_tokens=6)
    with edgernn.load_programs(made, "reference") as session:
        for x, steps, row in zip(data.test.x[:8], data.test.steps, rows, strict=False):
            session.begin("encode")
            session.run("encode", x[:steps])
            session.begin("decode")
            best = edgernn.decoding.beam(
                session, first=0, end=0, max_tokens=6, width=3, program="decode"
            )[0]
            assert best.tokens == row


def test_what_such_a_recipe_cannot_do_is_refused(tmp_path):
    recipe, data = writer(), words(20)
    with pytest.raises(TrainingError, match="expected no start, learner or callbacks"):
        train(recipe, data=data, callbacks=[object()])
    order = Order(
        seed=0, network=None, epochs=None, density=0.5, pattern="8x4", precision="w8a8",
        qat_epochs=None, formats=(), out=tmp_path,
    )  # fmt: skip
    with pytest.raises(TrainingError, match=r"--density: expected a recipe of one stream.* Omit"):
        produce(recipe, data, order)
    with pytest.raises(TrainingError, match=r"search: expected a recipe of one stream.*--units"):
        assert RecipeTrainer(source="caption").metric
    for vectors in (False, True):
        stacked, its = writer(vectors=vectors), words(20, vectors=vectors)
        with pytest.raises(TrainingError, match="expected 1 in the encoder and in the decoder"):
            train(stacked, data=its, network=Network(units=4, layers=2))
    with pytest.raises(TrainingError, match="--qat"):
        produce(recipe, data, replace(order, density=None, qat_epochs=1))
    with pytest.raises(TrainingError, match=r"expected a \.keras or \.edgernn file"):
        evaluate("words.txt", recipe, data=data)


def test_the_rule_without_a_model_knows_the_train_part_by_heart():
    recipe, data = writer(), words(300)
    (scores,) = recipe.method.naive(data).values()
    known = {tuple(x[:n, 0]) for x, n in zip(data.train.x, data.train.steps, strict=True)}
    tested = [tuple(x[:n, 0]) for x, n in zip(data.test.x, data.test.steps, strict=True)]
    wanted = np.mean([one in known for one in tested])
    assert wanted > 0.5
    assert scores["exact_words"] == pytest.approx(wanted, abs=1 / 40)
