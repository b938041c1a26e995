"""`edgernn train`: train the network of a recipe and write its files."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from edgernn.cli.style import table
from edgernn.errors import TrainingError
from edgernn_export.cli.arguments import comma_list
from edgernn_export.compress.pruning.masks import PATTERNS
from edgernn_export.datasets import Dataset
from edgernn_export.quantizer.weight_storage import PRECISIONS
from edgernn_export.training.compression import QAT_EPOCHS
from edgernn_export.training.networks import CELLS
from edgernn_export.training.pipeline import SCORED, Order, RecipeResult, produce
from edgernn_export.training.recipe import Network, Recipe
from edgernn_export.training.recipe_files import find_recipe, recipe_names
from edgernn_export.writers.file_formats import WRITERS

HELP: Final = """Train the network of a recipe on its data set, quantize it and write the files.

A recipe is a name (see --list) or a Python file that defines RECIPE. Data sets are read from the
folder in the environment variable EDGERNN_DATA. The command writes a .keras file, an .edgernn file
and the formats of --to. It keeps the epoch with the best validation score, or the last epoch if the
recipe requires that; the validation part is then used for training, too. The test part is scored
once, at the end.

With --qat, the integer model is trained further after quantization, to reproduce the outputs of the
float network. If no epoch improves the validation score, the rounded model is kept. All three
models are scored, and the trained integer model is written.
"""
EXAMPLES: Final = """examples:
  edgernn train --list
  edgernn train hapt
  edgernn train hapt --seed 1 --cell LSTM --units 24 --to tflite,c -o build/hapt
  edgernn train fsdd --density 0.3 --pattern 8x4 --json
  edgernn train hapt --qat --precision w4a8
  edgernn train char_lm --set text=novel.txt
  edgernn train my_recipe.py
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("recipe", nargs="?", metavar="RECIPE", help="name of a recipe, or .py file")
    parser.add_argument("--list", action="store_true", help="list the recipes")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE",
        help="an option of the recipe's data set (--list shows them); may be repeated",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="seed of the training (default: 0)")
    parser.add_argument("--cell", choices=CELLS, help="recurrent cell (default: the recipe's)")
    parser.add_argument("--units", type=int, help="units of every recurrent layer")
    parser.add_argument("--layers", type=int, help="number of recurrent layers")
    parser.add_argument("--epochs", type=int, help="passes over the training data")
    parser.add_argument(
        "--density", type=float, metavar="D",
        help="prune to this share of the recurrent weights (default: no pruning)",
    )  # fmt: skip
    parser.add_argument(
        "--pattern", choices=PATTERNS, default="8x4", help="blocks to prune (default: 8x4)"
    )
    parser.add_argument(
        "--precision", choices=list(PRECISIONS),
        help="bits of weights (w) and operands (a) (default: the recipe's)",
    )  # fmt: skip
    parser.add_argument(
        "--qat", action="store_true", help="quantization-aware training after quantization"
    )
    parser.add_argument(
        "--qat-epochs", type=int, metavar="N",
        help=f"with --qat: passes over the training data (default: {QAT_EPOCHS})",
    )  # fmt: skip
    parser.add_argument(
        "--to", type=comma_list, default=(), metavar="FORMATS",
        help=f"more formats to write, comma-separated list of {', '.join(WRITERS)}",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="folder (default: build/RECIPE)"
    )


def main(args: argparse.Namespace) -> int:
    """Train one recipe, or list them."""
    if args.list:
        return _list(args.json)
    if args.recipe is None:
        raise TrainingError(
            f"recipe: expected {', '.join(recipe_names())} or a .py file, got none."
        )
    recipe = find_recipe(args.recipe).configured(_options(args.set))
    order = _order(args, recipe)
    data = recipe.load()
    outcome = produce(recipe, data, order)
    if args.json:
        print(json.dumps(_record(recipe, data, order, outcome), allow_nan=False))
    else:
        _show(recipe, data, outcome)
    return 0


def _options(given: Sequence[str]) -> dict[str, str]:
    """Options as values by name."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name or name in found:
            raise TrainingError(f"--set: expected NAME=VALUE, each name once, got {text!r:.60}.")
        found[name] = value
    return found


def _order(args: argparse.Namespace, recipe: Recipe) -> Order:
    sizes = {key: getattr(args, key) for key in ("cell", "units", "layers")}
    if args.qat_epochs is not None and not args.qat:
        raise TrainingError("--qat-epochs: expected --qat as well, got none. Add --qat.")
    qat_epochs = QAT_EPOCHS if args.qat_epochs is None else args.qat_epochs
    return Order(
        seed=args.seed,
        network=replace(recipe.network, **{k: v for k, v in sizes.items() if v is not None}),
        epochs=args.epochs,
        density=args.density,
        pattern=args.pattern,
        precision=args.precision or recipe.precision,
        qat_epochs=qat_epochs if args.qat else None,
        formats=args.to,
        out=args.output or Path("build") / recipe.name,
    )


def _list(as_json: bool) -> int:
    recipes = [find_recipe(name) for name in recipe_names()]
    if as_json:
        described = [
            {"name": r.name, "title": r.title, "options": dict(r.options)} | asdict(r.network)
            for r in recipes
        ]
        print(json.dumps({"recipes": described}))
        return 0
    rows = [(r.name, _size(r.network), r.title) for r in recipes]
    print("\n".join(table(["recipe", "network", "task"], rows)))
    for recipe in recipes:
        for name, meaning in recipe.options.items():
            print(f"edgernn train {recipe.name} --set {name}=VALUE: {meaning}")
    return 0


def _size(network: Network) -> str:
    times = "" if network.layers == 1 else f"{network.layers} x "
    return f"{times}{network.cell}-{network.units}"


def _record(recipe: Recipe, data: Dataset, order: Order, outcome: RecipeResult) -> dict[str, Any]:
    return {
        "recipe": recipe.name,
        "data": asdict(data.source) | {"name": data.name, "protocol": data.protocol},
        "training": asdict(outcome.training),
        "qat": None if outcome.qat is None else asdict(outcome.qat),
        "pruning": None
        if order.density is None
        else {"density": order.density, "pattern": order.pattern, "reached": outcome.densities},
        "precision": order.precision,
        "metric": data.metric,
        "scores": outcome.scores,
        "naive": _naive(data),
        "report": None if outcome.report is None else dict(outcome.report.record),
        "files": {
            form: {"path": str(path), "bytes": _bytes(path)} for form, path in outcome.files.items()
        },
    }


def _naive(data: Dataset) -> dict[str, dict[str, float]]:
    """Metrics of the rules without a model over the test part."""
    return {name: data.score(answer, data.test) for name, answer in data.naive.items()}


def _show(recipe: Recipe, data: Dataset, outcome: RecipeResult) -> None:
    done = outcome.training
    size = "" if done.network is None else f"{_size(done.network)}, "
    print(
        f"{recipe.name}: {size}{done.parameters} parameters, epoch {done.best_epoch} of "
        f"{done.epochs}, {done.seconds:.0f} s"
    )
    if outcome.qat is not None:
        tuned = outcome.qat
        kept = (
            f"epoch {tuned.best_epoch} of {tuned.epochs}" if tuned.best_epoch else "rounded model"
        )
        print(f"quantization-aware training: {kept}, {tuned.seconds:.0f} s")
    if outcome.densities:
        from edgernn_export.compress.pruning.density import density_table

        print(density_table(outcome.densities))
    rows = [
        (name, *(f"{parts[part][data.metric]:.4f}" for part in SCORED))
        for name, parts in outcome.scores.items()
    ]
    rows += [(name, "", f"{scores[data.metric]:.4f}") for name, scores in _naive(data).items()]
    print("\n".join(table([data.metric, *SCORED], rows)))
    if outcome.report is not None:
        print(outcome.report.text)
    for path in outcome.files.values():
        print(f"{path}  {_bytes(path)} bytes")


def _bytes(path: Path) -> int:
    """Size of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
