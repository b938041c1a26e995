"""The benchmark of the recipes resumes, and its page says what the figures say."""

import json
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from benchmarks.pages import recipes as pages
from benchmarks.recipes import __main__ as command
from benchmarks.recipes import costs as costs_of
from benchmarks.recipes import words
from benchmarks.recipes.scores import described, naive
from benchmarks.recipes.words import word_costs
from edgernn.errors import EdgeRnnError, ImageTooLargeError
from edgernn.model.formats import Precision
from edgernn_export.datasets import Part, class_part, sequence_part
from edgernn_export.simulation import firmware_runs
from tests.support.models.hand_made import core_named
from tests.support.models.integer import random_model
from tests.support.models.passes import random_passes
from tests.support.models.writers_of_text import translator
from tests.support.native.programs import require_native
from tests.support.native.word_programs import MOST, answers

SCORES = {
    "float": {"validation": {"accuracy": 0.9}, "test": {"accuracy": 0.8}},
    "w8a8": {"validation": {"accuracy": 0.9}, "test": {"accuracy": 0.76}},
    "w8a16": {"validation": {"accuracy": 0.9}, "test": {"accuracy": 0.8}},
}
COST = {
    "weight_bytes": 90,
    "state_bytes": 8,
    "native_us": 0.5,
    "cores": {
        "cortex-m4": {"instructions": 1500, "flash_bytes": 2000, "ram_bytes": 30, "stack_bytes": 9}
    },
    "boards": {
        "small": {"fits": False, "ms": [1.0, 1.0]},
        "slow": {"fits": True, "ms": [3.0, 30.0]},
        "quick": {"fits": True, "ms": [0.1, 0.25]},
        "unknown": {"fits": None, "ms": None},
    },
}


def stored(**changes):
    record = {
        "recipe": "levels",
        "title": "rising or falling",
        "network": "GRU-8",
        "inputs": 1,
        "outputs": 2,
        "step_ms": 20.0,
        "parameters": 1234,
        "epochs": 6,
        "metric": "accuracy",
        "rising": True,
        "naive": {"always rising": {"accuracy": 0.5}, "always falling": {"accuracy": 0.4}},
        "runs": {"0": {"best_epoch": 3, "seconds": 1.0, "scores": SCORES}},
        "costs": {
            "seed": 0,
            "precision": "w8a8",
            "processor": "a processor",
            "edgernn_bytes": 999,
            "programs": {"": COST},
        },
    }
    return record | changes


def rows(text, title):
    """Cells of the rows of the table below a title."""
    lines = text.partition(f"## {title}\n")[2].split("\n## ")[0].splitlines()
    return [line.strip("| ").split(" | ") for line in lines if line.startswith("| `")]


def test_the_page_shows_scores_costs_and_boards():
    text = pages.page({"levels": stored()})
    assert rows(text, "Accuracy") == [
        ["`levels`", "GRU-8", "1,234", "accuracy", "50.00%", "80.00%", "76.00%", "95.00%",
         "80.00%", "100.00%", "1"]
    ]  # fmt: skip
    assert rows(text, "Cost") == [
        ["`levels`", "`w8a8`", "999", "2,000", "30", "–", "1,500", "–", "0.50"]
    ]
    assert rows(text, "Boards") == [
        ["`levels`", "20 ms", "`quick`", "`small`, `slow`", "0.25 ms (`quick`)"]
    ]
    assert "- `levels`, rising or falling; naive rule: always rising.\n" in text


def test_memory_alone_decides_where_no_clock_sets_the_pace():
    assert rows(pages.page({"levels": stored(step_ms=None)}), "Boards") == [
        ["`levels`", "–", "`slow`, `quick`", "`small`", "30 ms (`slow`)"]
    ]


def test_several_seeds_have_a_spread_and_an_error_is_kept_the_other_way_round():
    def run(of_float, of_integer):
        scores = {"float": {"test": {"mse": of_float}}, "w8a8": {"test": {"mse": of_integer}}}
        return {"best_epoch": 1, "seconds": 1.0, "scores": scores}

    runs = {"0": run(0.1, 0.2), "1": run(0.3, 0.3)}
    record = stored(metric="mse", rising=False, runs=runs, naive={"no change": {"mse": 0.4}})
    ((*_, naive_rule, of_float, of_integer, share, wide, wide_share, seeds),) = rows(
        pages.page({"levels": record}), "Accuracy"
    )
    assert (naive_rule, of_float, of_integer) == ("0.4000", "0.2000 ± 0.14", "0.2500 ± 0.071")
    assert (share, wide, wide_share, seeds) == ("75.00%", "–", "–", "2")


def test_a_core_with_too_little_memory_does_not_fit():
    cost = COST | {"cores": COST["cores"] | {"cortex-m0": {"fits": False}}}
    text = pages.page({"levels": stored(costs=stored()["costs"] | {"programs": {"": cost}})})
    assert rows(text, "Cost") == [
        ["`levels`", "`w8a8`", "999", "2,000", "30", "does not fit", "1,500", "–", "0.50"]
    ]


def test_programs_of_one_model_have_a_row_each():
    costs = stored()["costs"] | {"programs": {"encoder": COST, "decoder": COST}}
    text = pages.page({"levels": stored(costs=costs)})
    for title in ("Cost", "Boards"):
        assert [cells[0] for cells in rows(text, title)] == [
            "`levels`, encoder",
            "`levels`, decoder",
        ]


def word_part():
    rng = np.random.default_rng(0)
    made = [rng.integers(1, 7, rng.integers(1, 12)).tolist() for _ in range(60)]
    made.insert(0, [1] * (MOST + 1))  # too long for the C
    return sequence_part([np.array(word)[:, None] for word in made], made, 9)


@pytest.mark.slow
def test_words_are_written_on_an_emulated_core_and_counted():
    core_named("cortex-m55")
    found = word_costs(translator(), word_part())
    assert (found["core"], found["words"], found["differing"]) == ("cortex-m55", 24, 0)
    counts = found["instructions"]
    assert 1000 < counts["least"] < counts["mean"] < counts["most"]
    assert found["ram_bytes"] > 6 * translator().state_bytes


@pytest.mark.slow
def test_words_that_differ_are_refused(monkeypatch):
    core_named("cortex-m55")
    monkeypatch.setattr(words, "answers", lambda *given: answers(*given) + 1)
    with pytest.raises(
        EdgeRnnError, match="tokens and costs of Python for all 3 words, got others"
    ):
        word_costs(translator(), word_part(), count=3)


def test_the_page_shows_words_where_some_were_written():
    told = {
        "core": "cortex-m55", "beams": 3, "words": 24, "differing": 0, "letters": 7.04,
        "tokens": 6.5, "instructions": {"least": 900, "mean": 4567.5, "most": 12_345},
        "flash_bytes": 500_000, "ram_bytes": 9_000,
    }  # fmt: skip
    text = pages.page({"levels": stored(costs=stored()["costs"] | {"words": told})})
    assert rows(text, "Words on a microcontroller") == [
        ["`levels`", "`cortex-m55`", "24", "0", "7.0", "6.5", "4,568", "900", "12,345", "500,000",
         "9,000"]
    ]  # fmt: skip
    assert "Words on a microcontroller" not in pages.page({"levels": stored()})


class Recipe:
    """A recipe whose data set is itself."""

    metric = "accuracy"
    precision = "w8a8"

    def load(self):
        return self


def test_a_seed_that_is_stored_is_not_trained_again(tmp_path, monkeypatch):
    trained = []

    def run(recipe, data, seed):
        trained.append(seed)
        entry = {"best_epoch": 1, "seconds": 1.0, "scores": SCORES}
        return {"network": "GRU-8", "parameters": 5}, entry, f"model {seed}"

    monkeypatch.setattr(command, "find_recipe", lambda name: Recipe())
    monkeypatch.setattr(command, "run", run)
    monkeypatch.setattr(command, "facts", lambda recipe, data: stored(runs={}, costs={}))
    monkeypatch.setattr(command, "costs", lambda model: {"programs": {"": model}})
    path = tmp_path / "hapt.json"
    arguments = ["--recipe", "hapt", "--out", str(tmp_path), "--seeds"]
    assert command.main([*arguments, "1", "--no-costs"]) == 0
    assert json.loads(path.read_text())["costs"] == {}
    assert command.main([*arguments, "3"]) == 0
    assert trained == [0, 1, 2]
    record = json.loads(path.read_text())
    assert [*record["runs"]] == ["0", "1", "2"]
    assert record["costs"] == {"seed": 1, "precision": "w8a8", "programs": {"": "model 1"}}
    assert command.main([*arguments, "3"]) == 0
    assert trained == [0, 1, 2]
    assert command.main([*arguments, "1", "--first-seed", "7"]) == 0
    assert trained == [0, 1, 2, 7]
    with pytest.raises(SystemExit):
        command.main([*arguments, "0"])


def test_the_costs_of_a_stored_model_need_its_stored_scores(tmp_path, monkeypatch, capsys):
    path = tmp_path / "hapt.json"
    path.write_text(json.dumps(stored(costs={})))
    monkeypatch.setattr(command, "find_recipe", lambda name: Recipe())
    monkeypatch.setattr(command, "load_either", lambda file: file.name)
    monkeypatch.setattr(command, "costs", lambda model: {"programs": {"": model}})
    monkeypatch.setattr(command, "evaluate", lambda model, recipe: {"accuracy": 0.76})
    arguments = ["--recipe", "hapt", "--out", str(tmp_path), "--model", "a.edgernn"]
    assert command.main(arguments) == 0
    record = json.loads(path.read_text())
    assert record == stored(costs={"seed": 0, "precision": "w8a8", "programs": {"": "a.edgernn"}})
    monkeypatch.setattr(command, "evaluate", lambda model, recipe: {"accuracy": 0.77})
    with pytest.raises(SystemExit):
        command.main(arguments)
    assert "stored as seed 0, got another one. Measure without --model." in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command.main(arguments[2:])
    assert "--model: expected one --recipe with it." in capsys.readouterr().err


def test_figures_with_a_note_are_measured_again(tmp_path, monkeypatch):
    path = tmp_path / "hapt.json"
    path.write_text(json.dumps(stored(note="with an older quantizer", parameters=1)))
    monkeypatch.setattr(command, "find_recipe", lambda name: Recipe())
    monkeypatch.setattr(command, "facts", lambda recipe, data: stored(runs={}, costs={}))
    entry = {"best_epoch": 9, "seconds": 1.0, "scores": SCORES}
    monkeypatch.setattr(command, "run", lambda *_: ({"parameters": 2}, entry, None))
    arguments = ["--recipe", "hapt", "--out", str(tmp_path), "--seeds", "1", "--no-costs"]
    assert command.main(arguments) == 0
    record = json.loads(path.read_text())
    assert (record["parameters"], record["runs"], record.get("note")) == (2, {"0": entry}, None)


def test_the_costs_of_a_model_are_those_of_its_firmware(monkeypatch):
    require_native()
    core_named("cortex-m4")
    monkeypatch.setattr(costs_of, "cores", lambda: ["cortex-m4"])
    monkeypatch.setattr(costs_of, "boards", lambda: ["uno-r4"])
    monkeypatch.setattr(costs_of, "ROUNDS", 1)
    model = random_model("gru_after", Precision.W8A8, inputs=2, units=4, outputs=2)
    found = costs_of.costs(model)
    program = found["programs"][""]
    core, board = program["cores"]["cortex-m4"], program["boards"]["uno-r4"]
    assert model.macs < core["instructions"] < 100 * model.macs
    assert core["flash_bytes"] > program["weight_bytes"] > 0
    assert board["fits"] is True
    assert board["ms"][0] >= core["instructions"] / 48e6 * 1e3 * 0.9
    assert 0 < program["native_us"] < 1000
    assert core["fits"] is True
    assert found["edgernn_bytes"] > program["weight_bytes"]


def test_passes_over_a_chunk_are_timed_by_chunks_and_other_programs_by_steps(monkeypatch):
    timed = [
        SimpleNamespace(way="step", median_us=9.0, run_us=0.5),
        SimpleNamespace(way="step", median_us=8.0, run_us=0.75),
        SimpleNamespace(way="bind", median_us=1.0, run_us=None),
    ]
    monkeypatch.setattr(costs_of, "benchmark", lambda *_, **__: SimpleNamespace(timings=timed))
    monkeypatch.setattr(costs_of, "board_costs", lambda *_: ())
    for programs, wanted in ((random_passes(Precision.W8A8, 1), 0.5), (translator(), 8.0)):
        found = costs_of.costs(programs)["programs"]
        assert [cost["native_us"] for cost in found.values()] == [wanted] * len(found)


def test_a_core_that_a_model_does_not_fit_has_no_figures(monkeypatch):
    core_named("cortex-m0")

    def too_large(*_):
        raise ImageTooLargeError("too large")

    monkeypatch.setattr(firmware_runs, "emulate", too_large)
    monkeypatch.setattr(costs_of, "cores", lambda: ["cortex-m0"])
    monkeypatch.setattr(costs_of, "boards", lambda: ["microbit", "pico"])
    monkeypatch.setattr(costs_of, "_native_us", lambda *_: 1.0)
    model = random_model("gru_after", Precision.W8A8, units=110)
    program = costs_of.costs(model)["programs"][""]
    assert program["cores"] == {"cortex-m0": {"fits": False}}
    # The board has the room that the emulated machine lacks, and no time is known.
    assert program["boards"] == {name: {"fits": True, "ms": None} for name in ("microbit", "pico")}
    text = pages.page({"levels": stored(costs=stored()["costs"] | {"programs": {"": program}})})
    assert rows(text, "Cost")[0][5] == "does not fit"
    assert rows(text, "Boards") == [["`levels`", "20 ms", "–", "–", "–"]]


class Data:
    """As much of a data set as a naive rule reads."""

    naive: ClassVar[dict[str, object]] = {}

    def __init__(self, part, outputs, classes=()):
        self.train = self.test = part
        self.output_names, self.classes = outputs, classes


def test_the_naive_rule_of_classes_is_their_frequency():
    part = class_part(np.zeros((4, 3, 1)), np.array([2, 2, 0, 2]), 3)
    (logits,) = naive(Data(part, "abc", "abc")).values()
    assert logits.shape == (4, 3, 3)
    np.testing.assert_allclose(np.exp(logits[0, 0]), [1, 0.5, 3])


@pytest.mark.parametrize(
    ("base", "rule", "value"), [(2.0, "no change", 0.0), (0.0, "mean of the train part", 3.0)]
)
def test_the_naive_rule_of_a_forecast(base, rule, value):
    shape = (1, 4, 1)
    target = np.array([0.0, 2.0, 3.0, 4.0]).reshape(shape)
    part = Part(x=np.zeros(shape), target=target, base=np.full(shape, base), scored_from=1)
    assert {rule: np.full(shape, value).tolist()} == {
        name: answer.tolist() for name, answer in naive(Data(part, "a")).items()
    }


@pytest.mark.tf
def test_networks_are_described_by_their_recurrent_layers():
    import keras

    layers = keras.layers
    network = keras.Sequential([
        keras.Input((None, 2)),
        layers.Dense(3),
        layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
        layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
        layers.RNN(layers.GRUCell(5), return_sequences=True),
    ])  # fmt: skip
    assert described(network) == "2 x BiLSTM-4, GRU-5"
    rows = network.outputs[0]
    looking = keras.Model(network.inputs, layers.Attention()([rows, rows]))
    assert described(looking) == "2 x BiLSTM-4, GRU-5, attention"
