"""Train every recipe with several seeds, score its models and measure what they cost.

    python -m benchmarks.recipes --recipe hapt --recipe fsdd --seeds 5
    python -m benchmarks.recipes                the seeds 0 to 4 of all recipes, which takes hours
    python -m benchmarks.pages recipes          rebuild docs/results/recipes.md

Reads the data sets that EDGERNN_DATA names. Every recipe has a file of figures, which is written
after every seed; seeds that it holds are not trained again. The costs are those of the model of the
first seed, in the recipe's precision. Figures with a note are measured again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.pages.markdown import Record, store
from benchmarks.pages.recipes import FOLDER
from benchmarks.recipes.costs import costs
from benchmarks.recipes.scores import PRECISIONS, facts, run
from benchmarks.recipes.words import word_costs
from edgernn.container.file import load_either
from edgernn.errors import EdgeRnnError
from edgernn.model.integer_model import IntegerModel
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.training import Recipe, SequenceMethod, evaluate, find_recipe, recipe_names

_SEEDS: Final = 5


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    description, _, examples = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recipes",
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--recipe", action="append", choices=recipe_names(), help="repeatable (default: all)"
    )
    parser.add_argument(
        "--seeds", type=int, default=_SEEDS, help="number of trainings (default: %(default)s)"
    )
    parser.add_argument(
        "--first-seed", type=int, default=0, help="seed of the first one (default: %(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, default=FOLDER, metavar="DIR", help="folder of the figures"
    )
    parser.add_argument("--no-costs", action="store_true", help="scores alone")
    parser.add_argument(
        "--model", type=Path, metavar="FILE",
        help="train nothing: measure the costs of this model of the one recipe",
    )  # fmt: skip
    args = parser.parse_args(argv)
    if args.model is not None:
        if len(args.recipe or ()) != 1:
            parser.error("--model: expected one --recipe with it.")
        (name,) = args.recipe
        try:
            measure_costs(name, args.model, args.out / f"{name}.json")
        except EdgeRnnError as error:
            parser.error(str(error))
        return 0
    if args.seeds < 1:
        parser.error(f"--seeds: expected 1 or more, got {args.seeds}.")
    for name in args.recipe or recipe_names():
        seeds = range(args.first_seed, args.first_seed + args.seeds)
        measure(name, seeds, args.out / f"{name}.json", with_costs=not args.no_costs)
    return 0


def measure(name: str, seeds: Sequence[int], path: Path, *, with_costs: bool) -> None:
    """Measure the seeds and costs of one recipe that its file does not have yet.

    Args:
        name: of the recipe.
        seeds: of its trainings.
        path: the file of its figures, made if missing.
        with_costs: also measure what the model costs.
    """
    record = _known(path)
    if record.get("note"):
        record = {}  # the note says why these figures are to be replaced
    missing = [seed for seed in seeds if str(seed) not in record.get("runs", {})]
    costless = with_costs and not record.get("costs")
    if not missing and not costless:
        _say(f"{name}: all figures are stored")
        return
    recipe = find_recipe(name)
    data = recipe.load()
    # A model that only the costs need is trained again.
    for seed in missing or [seeds[0]]:
        known, entry, model = run(recipe, data, seed)
        runs = record.get("runs", {}) | {str(seed): entry}
        record = facts(recipe, data) | known | {"runs": runs, "costs": record.get("costs", {})}
        _store(path, record)
        _say(f"{name} seed {seed}: {_scores(entry, record['metric'])}")
        if costless:
            _say(f"{name}: instructions, bytes and time of the {recipe.precision} model")
            record["costs"] = _costs(recipe, seed, model)
            _store(path, record)
            costless = False
    for model_name in ("float", *PRECISIONS):
        values = [one["scores"][model_name]["test"][data.metric] for one in record["runs"].values()]
        _say(f"{name} {model_name}: {data.metric} {_spread(values)}, {len(values)} seeds")


def measure_costs(name: str, file: Path, path: Path) -> None:
    """Measure what a stored model costs, if its scores are those of the first stored seed.

    Args:
        name: of the recipe.
        file: the .edgernn file in the recipe's precision, as `edgernn train` wrote it.
        path: the file of the recipe's figures.

    Raises:
        EdgeRnnError: no seed is stored, or the model is another one.
    """
    record, recipe = _known(path), find_recipe(name)
    runs: Record = record.get("runs", {})
    seed = next(iter(runs), "0")
    scores = runs[seed]["scores"].get(recipe.precision, {}) if runs else {}
    model = load_either(file)
    if evaluate(model, recipe) != scores.get("test"):
        raise EdgeRnnError(
            f"--model: expected the {recipe.precision} model of {name} whose scores are stored as "
            f"seed {seed}, got another one. Measure without --model."
        )
    record["costs"] = _costs(recipe, int(seed), model)
    _store(path, record)
    _say(f"{name}: costs of seed {seed} are stored")


def _costs(recipe: Recipe, seed: int, model: IntegerModel | ProgramSet) -> Record:
    """Costs of a model, and of whole words where it writes such."""
    found = {"seed": seed, "precision": recipe.precision, **costs(model)}
    if not isinstance(model, ProgramSet):
        return found
    if isinstance(recipe.method, SequenceMethod) and recipe.method.tokens:
        found["words"] = word_costs(model, recipe.load().test)
    return found


def _known(path: Path) -> Record:
    known: Record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return known


def _store(path: Path, record: Record) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    store(path, record)


def _scores(entry: Record, metric: str) -> str:
    found = (f"{name} {parts['test'][metric]:.5f}" for name, parts in entry["scores"].items())
    return f"{', '.join(found)} ({metric}, {entry['seconds']:.0f} s)"


def _spread(values: Sequence[float]) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.5f} ± {deviation:.5f}"


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
