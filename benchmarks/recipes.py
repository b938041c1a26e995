"""Train every recipe once and score its float and integer models.

    python -m benchmarks.recipes [--seed 0] [--recipe NAME ...] [--out FILE]

Reads the data sets that EDGERNN_DATA names; about half a minute per recipe on one free core. The
results file becomes the table in docs/guides/recipes.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgernn_export import quantize
from edgernn_export.training import calibration, evaluate, find_recipe, recipe_names, train

RESULTS = Path(__file__).parent / "results" / "recipes.json"
PRECISIONS = ("w8a8", "w8a16")
_TITLES = {"accuracy": "accuracy", "mse": "MSE"}


def measure(name: str, seed: int) -> dict[str, Any]:
    """Train one recipe; metrics of the validation and the test part by model."""
    recipe = find_recipe(name)
    data = recipe.load()
    network, result = train(recipe, seed, data=data)
    options = {**data.labels(), "stream": "endless", "progress": False}
    models = {"float": network} | {
        precision: quantize(network, calibration(data), precision, **options)
        for precision in PRECISIONS
    }
    return {
        "title": recipe.title,
        "network": f"{recipe.network.cell}-{recipe.network.units}",
        "inputs": len(data.input_names),
        "step_ms": data.step_ms,
        "parameters": result.parameters,
        "seed": seed,
        "epochs": result.epochs,
        "best_epoch": result.best_epoch,
        "metric": data.metric,
        "scores": {
            model_name: {
                part: evaluate(model, recipe, part=part, data=data)[data.metric]
                for part in ("validation", "test")
            }
            for model_name, model in models.items()
        },
    }


def table(results: Mapping[str, Any]) -> list[str]:
    """The table of docs/guides/recipes.md."""
    lines = [
        "| recipe | learns | network | parameters | metric | float | w8a8 | w8a16 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in sorted(results.items()):
        rising = row["metric"] == "accuracy"
        shown = (row["scores"][model]["test"] for model in ("float", *PRECISIONS))
        values = " | ".join(f"{v:.2%}" if rising else f"{v:.5f}" for v in shown)
        lines.append(
            f"| `{name}` | {row['title']} | {row['network']} | {row['parameters']:,} | "
            f"{_TITLES[row['metric']]} | {values} |"
        )
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Train every recipe once.")
    parser.add_argument("--seed", type=int, default=0, help="of the training (default: 0)")
    parser.add_argument("--recipe", action="append", choices=recipe_names(), help="default: all")
    parser.add_argument("--out", type=Path, help="merge the results into this file")
    args = parser.parse_args(argv)
    for name in args.recipe or recipe_names():
        known = {} if args.out is None or not args.out.exists() else _read(args.out)
        known[name] = measure(name, args.seed)
        if args.out is not None:
            args.out.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", "utf-8")
        print("\n".join(table({name: known[name]})[2:]), flush=True)
    return 0


def _read(path: Path) -> dict[str, Any]:
    known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return known


if __name__ == "__main__":
    sys.exit(main())
