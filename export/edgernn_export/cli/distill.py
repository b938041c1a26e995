"""`edgernn distill`: train a small network on the outputs of a large one."""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from edgernn.cli.style import table
from edgernn.errors import DistillationError
from edgernn_export.compress.pruning.masks import PATTERNS

HELP: Final = """Train a small network, the student, on labels and on the outputs of a teacher.

The teacher is any trained Keras 3 model with the same inputs and outputs as the recipe or the
arrays. --data is an .npz file with x [N, T, I] and y: integers [N] (the class of each stream), or
floats [N, T, O] (values at every step). The epoch with the best validation score is kept: on
x_validation and y_validation, or on every fifth stream if the file does not contain them. x_test
and y_test are scored if the file contains them.
"""
EXAMPLES: Final = """examples:
  edgernn train fsdd --cell LSTM --units 64 -o teacher
  edgernn distill --teacher teacher/fsdd.keras --recipe fsdd --units 16 -o student.keras
  edgernn distill --teacher big.keras --data streams.npz --cell SimpleRNN --units 12 \\
      --density 0.5 --alone -o small.keras
"""
_PATTERN: Final = "8x4"


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillationTask:
    """A task with its teacher.

    Attributes:
        recipe: the task.
        data: its data set.
        tested: whether the data set has a test part.
        teacher: the keras.Model to learn from.
    """

    recipe: Any
    data: Any
    tested: bool
    teacher: Any

    def scores(self, model: Any) -> dict[str, Any]:
        """Size of a model, and its metrics by part."""
        from edgernn_export.training import evaluate

        parts = ("validation", "test") if self.tested else ("validation",)
        found = {p: evaluate(model, self.recipe, part=p, data=self.data) for p in parts}
        return {"parameters": sum(math.prod(w.shape) for w in model.trainable_weights), **found}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--teacher", required=True, type=Path, metavar="TEACHER.keras", help="trained model"
    )
    tasks = parser.add_mutually_exclusive_group(required=True)
    tasks.add_argument(
        "--recipe", metavar="RECIPE", help="name (see edgernn train --list) or .py file"
    )
    tasks.add_argument("--data", type=Path, metavar="FILE.npz", help="your own arrays")
    parser.add_argument(
        "-o", "--output", required=True, type=Path, metavar="STUDENT.keras", help="file to write"
    )
    parser.add_argument(
        "--cell", choices=("SimpleRNN", "LSTM", "GRU"), default="GRU",
        help="cell of the student (default: GRU)",
    )  # fmt: skip
    parser.add_argument("--units", type=int, default=16, help="units per layer (default: 16)")
    parser.add_argument("--layers", type=int, default=1, help="recurrent layers (default: 1)")
    _add_distillation(parser)
    parser.add_argument(
        "--density", type=float, metavar="D", help="prune the student to this share of its weights"
    )
    parser.add_argument(
        "--pattern", choices=PATTERNS, help=f"with --density: blocks to prune (default: {_PATTERN})"
    )
    parser.add_argument(
        "--epochs", type=int, metavar="N", help="epochs (default: the recipe's, or 30)"
    )
    parser.add_argument("--learning-rate", type=float, metavar="R", help="default: the recipe's")
    parser.add_argument("--seed", type=int, default=0, help="seed of the training (default: 0)")
    parser.add_argument(
        "--alone", action="store_true", help="also train the same network without the teacher"
    )


def _add_distillation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--temperature", type=float, default=1.0, help="temperature of the softmax (default: 1)"
    )
    parser.add_argument(
        "--alpha", type=float, default=0.7, help="weight of the teacher, 0 to 1 (default: 0.7)"
    )
    parser.add_argument(
        "--hidden-weight", type=float, default=0.0, metavar="W",
        help="weight of the distance between hidden states (default: 0)",
    )  # fmt: skip


def main(args: argparse.Namespace) -> int:
    """Distill, write, report."""
    _check(args)
    from edgernn_export.training import Network
    from edgernn_export.training.networks import repeatable_keras

    network = Network(cell=args.cell, units=args.units, layers=args.layers)
    repeatable_keras(args.seed)
    run = _open(args)
    record: dict[str, Any] = {"recipe": run.recipe.name, "metric": run.data.metric}
    record["teacher"] = run.scores(run.teacher)
    if args.alone:
        _, record["alone"] = _train(run, args, network, taught=False)
    student, record["student"] = _train(run, args, network, taught=True)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    student.save(args.output)
    asked = ("temperature", "alpha", "hidden_weight", "density", "pattern", "seed")
    record["settings"] = {name: getattr(args, name) for name in asked}
    record["path"] = str(args.output)
    print(json.dumps(record) if args.json else _table(record))
    return 0


def _check(args: argparse.Namespace) -> None:
    for option, path, suffix in (
        ("--teacher", args.teacher, ".keras"),
        ("--output", args.output, ".keras"),
        ("--data", args.data, ".npz"),
    ):
        if path is not None and path.suffix != suffix:
            raise DistillationError(f"{option}: expected a name ending in {suffix}, got '{path}'.")
    if args.pattern and args.density is None:
        raise DistillationError(
            "--pattern: expected --density as well, got none. Add: --density 0.5"
        )


def _open(args: argparse.Namespace) -> DistillationTask:
    from edgernn_export.keras_reader.source import open_source
    from edgernn_export.training import find_recipe
    from edgernn_export.training.array_recipe import read_recipe

    teacher = open_source(args.teacher)
    if args.data is None:
        recipe, tested = find_recipe(args.recipe), True
    else:
        recipe, tested = read_recipe(args.data, int(teacher.output_shape[-1]))
    return DistillationTask(recipe=recipe, data=recipe.load(), tested=tested, teacher=teacher)


def _train(
    run: DistillationTask, args: argparse.Namespace, network: Any, *, taught: bool
) -> tuple[Any, dict[str, Any]]:
    """A student and its scores, trained with or without the teacher."""
    from edgernn_export.training import distill, pruning_callback, train

    callbacks = []
    if args.density is not None:
        pattern = args.pattern or _PATTERN
        callbacks.append(pruning_callback(run.recipe, run.data, args.density, pattern, args.epochs))
    settings = {
        "network": network,
        "seed": args.seed,
        "data": run.data,
        "epochs": args.epochs,
        "learning_rate": args.learning_rate,
        "callbacks": callbacks,
    }
    if taught:
        names = ("temperature", "alpha", "hidden_weight")
        asked = {name: getattr(args, name) for name in names}
        model, result = distill(run.recipe, run.teacher, **settings, **asked)
    else:
        model, result = train(run.recipe, **settings)
    record = run.scores(model) | {"training": asdict(result)}
    if callbacks:
        record["densities"] = callbacks[0].densities()
    return model, record


def _table(record: dict[str, Any]) -> str:
    """One line per model with the main metric of each part, then the file."""
    rows = {name: record[name] for name in ("teacher", "alone", "student") if name in record}
    parts = [part for part in ("validation", "test") if part in record["student"]]
    metric = record["metric"]
    cells = [
        (name, row["parameters"], *(f"{row[part][metric]:.4f}" for part in parts))
        for name, row in rows.items()
    ]
    return "\n".join([*table([metric, "parameters", *parts], cells), record["path"]])
