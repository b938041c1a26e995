"""Quantize the trained networks, after training and with it, and score them on the test parts.

    python -m benchmarks.compression.score --cache build/compression
        --out benchmarks/results/compression.json [--workers N] [--recipes NAME ...] [--seeds N]

Scores are stored with the networks in the cache and not computed again. Quantization-aware
training needs Keras on TensorFlow.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.compression.plan import BINARY, QUANTIZED, RECIPES, SEEDS, Run, runs
from benchmarks.compression.train import data_of, in_processes, network_path, record_path
from edgernn.container.memory import weight_memory
from edgernn.model.affine import Affine8
from edgernn.model.integer_model import IntegerModel


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True, help="folder of the trained networks")
    parser.add_argument("--out", type=Path, help="write all scores here")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--recipes", nargs="+", choices=[*RECIPES, BINARY], default=[*RECIPES, BINARY]
    )
    parser.add_argument("--seeds", type=int, default=SEEDS)
    args = parser.parse_args(argv)
    planned = runs(args.recipes, args.seeds)
    missing = [run for run in planned if not scores_path(args.cache, run).exists()]
    in_processes(score_one, [(run, args.cache) for run in missing], args.workers)
    if args.out:
        records = [collected(args.cache, run) for run in planned]
        args.out.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    return 0


def scores_path(folder: Path, run: Run) -> Path:
    return folder / f"{run.name}.scores.json"


def collected(folder: Path, run: Run) -> dict[str, Any]:
    """Everything known of one network."""
    record: dict[str, Any] = json.loads(record_path(folder, run).read_text(encoding="utf-8"))
    record["scores"] = json.loads(scores_path(folder, run).read_text(encoding="utf-8"))
    return record


def score_one(run: Run, folder: Path) -> None:
    """Quantize one network in every way that its tables show."""
    path = network_path(folder, run)
    found = {name: after_training(run, path, name) for name in precisions(run)}
    if is_trained_quantized(run):
        for name in ("w8a8", "w4a8"):
            found[f"qat {name}"] = with_training(run, path, name)
    scores_path(folder, run).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def precisions(run: Run) -> tuple[str, ...]:
    if is_trained_quantized(run):
        return ("w8a8", "w8a16", "w4a8", "w4a16")
    return ("w8a8", "w4a8") if run.recipe == BINARY else ("w8a8",)


def is_trained_quantized(run: Run) -> bool:
    """Whether the run belongs to the table that compares quantization with and after training."""
    return (run.cell, run.units) == QUANTIZED and run.recipe != BINARY and run.density == 1.0


def after_training(run: Run, path: Path, precision: str) -> dict[str, Any]:
    """The quantizer alone."""
    from edgernn_export import quantize
    from edgernn_export.training import calibration

    data = data_of(run.recipe)
    return scored(
        run, quantize(path, calibration(data), precision, stream="endless", progress=False)
    )


def with_training(run: Run, path: Path, precision: str) -> dict[str, Any]:
    """The quantizer, then quantization-aware training as `edgernn train --qat` does it."""
    import keras

    from edgernn_export.training import find_recipe, train_integers

    model, result = train_integers(
        find_recipe(run.recipe),
        keras.saving.load_model(path, compile=False),
        precision,
        seed=run.seed,
        data=data_of(run.recipe),
        progress=False,
    )
    record = asdict(result)
    told = ("seconds", "best_epoch", "start_validation", "validation")
    return scored(run, model) | {name: record[name] for name in told}


def scored(run: Run, model: IntegerModel) -> dict[str, Any]:
    """Test metrics and sizes of an integer model."""
    from edgernn_export.training import evaluate, find_recipe

    memory = weight_memory(model.layers)
    return {
        "test": evaluate(model, find_recipe(run.recipe), data=data_of(run.recipe)),
        "weights_bytes": memory.total_bytes,
        "index_bytes": memory.index_bytes,
        "dense_bytes": memory.dense_bytes,
        "constants_bytes": constants_bytes(model),
        "density": memory.density,
        "macs": model.macs,
    }


def constants_bytes(model: IntegerModel) -> int:
    """Biases, multipliers and shifts of all rows, as C holds them, without the padding of tiles."""
    total = 0
    for layer in model.layers:
        for affine in layer.affines.values():
            if isinstance(affine, Affine8):
                total += affine.bias.nbytes + sum(t.multiplier.nbytes for t in affine.terms)
            else:  # per term an int32 bias, an int16 multiplier, a uint8 shift
                total += 7 * affine.rows * len(affine.terms)
    return total


if __name__ == "__main__":
    sys.exit(main())
