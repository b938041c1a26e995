"""Train the networks of the compression tables in parallel processes.

    python -m benchmarks.compression.train --cache build/compression [--workers N]
        [--recipes NAME ...] [--seeds N] [--epochs N]

A network that is in the cache, trained and pruned with the present settings, is not trained again:
an interrupted run goes on where it was. Any Keras backend does (KERAS_BACKEND); figures differ by a
seed's worth between them.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.compression.plan import BINARY, PATTERN, RECIPES, SEEDS, Run, runs

#: One thread a process: two trainings side by side are faster than one on two threads.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True, help="folder of the trained networks")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--recipes", nargs="+", choices=[*RECIPES, BINARY], default=[*RECIPES, BINARY]
    )
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--epochs", type=int, help="fewer than the recipe's, to try the program")
    args = parser.parse_args(argv)
    args.cache.mkdir(parents=True, exist_ok=True)
    missing = [r for r in runs(args.recipes, args.seeds) if not is_trained(args.cache, r)]
    for distilled in (False, True):  # teachers first
        chosen = [(r, args.cache, args.epochs) for r in missing if r.distilled == distilled]
        in_processes(train_one, chosen, args.workers)
    return 0


def record_path(folder: Path, run: Run) -> Path:
    """Written last: where it is, the network is too."""
    return folder / f"{run.name}.json"


def is_trained(folder: Path, run: Run) -> bool:
    """Whether the cache holds the network as the recipe says now."""
    path = record_path(folder, run)
    if not path.exists():
        return False
    from edgernn_export.training import Training

    record = json.loads(path.read_text())
    # A setting that a record does not know had its default.
    trained = asdict(Training(**record["training"])) == settings(run)
    return trained and record.get("pruning") == pruning(run)


def settings(run: Run) -> dict[str, Any]:
    """The recipe's training settings."""
    from edgernn_export.training import find_recipe

    return asdict(find_recipe(run.recipe).training)


def pruning(run: Run) -> dict[str, Any] | None:
    """How the run is pruned; None where it is not."""
    from edgernn_export.training.compression import PRUNING

    return asdict(PRUNING) | {"pattern": PATTERN} if run.density < 1.0 else None


def network_path(folder: Path, run: Run) -> Path:
    return folder / f"{run.name}.keras"


def in_processes(work: Callable[..., None], jobs: Sequence[tuple[Any, ...]], workers: int) -> None:
    """Call ``work`` with the arguments of every job, in order, in processes of one thread each."""
    os.environ.update({k: v for k, v in _ENVIRONMENT.items() if k not in os.environ})
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=workers, mp_context=spawn) as pool:
        pending = [pool.submit(work, *arguments) for arguments in jobs]
        for job in tqdm(as_completed(pending), total=len(pending), desc="networks", disable=None):
            job.result()


def train_one(run: Run, folder: Path, epochs: int | None) -> None:
    """Train one network, score it, write its two files."""
    from edgernn_export.training import Network, evaluate, find_recipe, pruning_callback, train

    recipe, data = find_recipe(run.recipe), data_of(run.recipe)
    callbacks = []
    if run.density < 1.0:
        callbacks = [
            pruning_callback(recipe, data, density=run.density, pattern=PATTERN, epochs=epochs)
        ]
    model, result = train(
        recipe,
        run.seed,
        data=data,
        network=Network(cell=run.cell, units=run.units),
        epochs=epochs,
        callbacks=callbacks,
        learner=_distiller(run, folder) if run.distilled else None,
        progress=False,
    )
    model.save(network_path(folder, run))
    record = {
        "run": asdict(run),
        "training": settings(run),
        "pruning": pruning(run),
        "result": asdict(result),
        "test": evaluate(model, recipe, part="test", data=data),
        "backend": _backend(),
    }
    record_path(folder, run).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


@cache
def data_of(recipe: str) -> Any:
    """A recipe's data set, loaded once a process."""
    from edgernn_export.training import find_recipe

    return find_recipe(recipe).load()


def _distiller(run: Run, folder: Path) -> Any:
    import keras

    from edgernn_export.compress.distillation import Distiller

    teacher = keras.saving.load_model(network_path(folder, run.teacher), compile=False)
    task = "classes" if data_of(run.recipe).classes else "values"
    return lambda student: Distiller(student, teacher, task=task)


def _backend() -> str:
    import keras

    return f"keras {keras.__version__}, {keras.backend.backend()}"


if __name__ == "__main__":
    sys.exit(main())
