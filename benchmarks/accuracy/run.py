"""Train, quantize and score every task over several seeds; results as JSON.

Run: python -m benchmarks.accuracy.run --seeds 5 --out benchmarks/results/accuracy.json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.accuracy.evaluate import evaluate
from benchmarks.accuracy.tasks import TASKS, Task
from benchmarks.accuracy.train import float_model
from edgernn.errors import DataUnavailable


def run_task(task: Task, seeds: int, cache: Path | None) -> dict[str, Any]:
    """Everything about one task: protocol, naive rules and one record per seed."""
    splits = task.load()
    records, parameters = [], 0
    for seed in range(seeds):
        model = float_model(task, splits, seed, cache)
        parameters = model.parameters
        records.append(evaluate(task, splits, model, seed))
        _say(task, records[-1])
    validation = splits.validation
    return {
        "title": task.title,
        "protocol": task.protocol,
        "cell": f"{task.cell}-{task.units}",
        "parameters": parameters,
        "primary": task.primary,
        "metric_unit": task.metric_unit,
        "test_streams": splits.test.x.shape[0],
        "test_steps": splits.test.x.shape[1],
        "naive": {
            name: task.score_prediction(prediction, splits.test, splits)
            for name, prediction in splits.naive.items()
        },
        "validation_last_value": None
        if validation is None
        else task.score_prediction(validation.base, validation, splits),
        "seeds": records,
    }


def _say(task: Task, record: dict[str, Any]) -> None:
    """One line per seed on stderr, while the rest is running."""
    shares = ", ".join(
        f"{v['precision']} {v['kept'][task.primary]:.2%}" for v in record["variants"][:2]
    )
    value = record["float"][task.primary]
    print(
        f"{task.name} seed {record['seed']}: {task.primary} {value:.4f}, kept {shares}",
        file=sys.stderr,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; 0 when done, 2 when the data is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--task", action="append", choices=sorted(TASKS), help="default: all")
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0..N-1 (default 5)")
    parser.add_argument("--cache", type=Path, help="folder of trained models, reused if there")
    parser.add_argument("--json", action="store_true", help="print the results on stdout")
    parser.add_argument("--out", type=Path, help="merge the results into this file")
    args = parser.parse_args(argv)
    results: dict[str, Any] = {}
    try:
        for name in args.task or TASKS:
            results[name] = run_task(TASKS[name], args.seeds, args.cache)
            if args.out is not None:
                _merge(args.out, {name: results[name]})
    except DataUnavailable as error:
        print(error, file=sys.stderr)
        return 2
    if args.json or args.out is None:
        print(json.dumps(results, indent=1, sort_keys=True))
    return 0


def _merge(path: Path, results: dict[str, Any]) -> None:
    """Replace the tasks just run in the results file and keep the others."""
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**before, **results}, indent=1, sort_keys=True) + "\n"
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
