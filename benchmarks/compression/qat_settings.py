"""Compare settings of quantization-aware training on the validation parts.

    python -m benchmarks.compression.qat_settings --cache build/compression
        --out benchmarks/results/qat_settings.json [--seeds N]

Starts from the trained networks of `train`; what is in the results file is not trained again. The
test parts are not looked at.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.compression.plan import QUANTIZED, RECIPES, Run
from benchmarks.compression.train import data_of, network_path

RESULTS: Final = Path("benchmarks/results/qat_settings.json")
PRECISIONS: Final = ("w8a8", "w4a8")
SEEDS: Final = 2

Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How integers are trained.

    Attributes:
        alpha: share of the float network's answers in the loss.
        rate_share: start of the learning rate, as a share of the recipe's.
        epochs: passes over the examples.
    """

    alpha: float
    rate_share: float
    epochs: int


#: The answers alone at three rates, for longer at two of them; the labels alone.
SETTINGS: Final = (
    *(Setting(alpha=1.0, rate_share=share, epochs=2) for share in (0.1, 0.03, 0.01)),
    *(Setting(alpha=1.0, rate_share=share, epochs=4) for share in (0.1, 0.03)),
    Setting(alpha=0.0, rate_share=0.1, epochs=2),
)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True, help="folder of the trained networks")
    parser.add_argument("--out", type=Path, required=True, help="results, merged into this file")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    args = parser.parse_args(argv)
    records = json.loads(args.out.read_text(encoding="utf-8")) if args.out.exists() else []
    for job in jobs(args.seeds):
        if not any(record.items() >= job.items() for record in records):
            records.append(job | measure(args.cache, **job))
            args.out.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    return 0


def jobs(seeds: int) -> list[Record]:
    """Every setting on every recipe, precision and seed."""
    return [
        {"recipe": recipe, "precision": precision, "seed": seed, **asdict(setting)}
        for setting in SETTINGS
        for precision in PRECISIONS
        for seed in range(seeds)
        for recipe in RECIPES
    ]


def measure(cache: Path, *, recipe: str, precision: str, seed: int, **setting: Any) -> Record:
    """Validation metrics of the float network, and of its integers before and after each epoch."""
    import keras

    from edgernn_export.training import evaluate, find_recipe, train_integers

    run = Run(recipe=recipe, cell=QUANTIZED[0], units=QUANTIZED[1], seed=seed)
    task, data = find_recipe(recipe), data_of(recipe)
    network = keras.saving.load_model(network_path(cache, run), compile=False)
    _, result = train_integers(task, network, precision, seed=seed, data=data, **setting)
    return {
        "metric": result.metric,
        "float": evaluate(network, task, part="validation", data=data)[result.metric],
        "validation": [result.start_validation, *result.history],
    }


def table(records: Iterable[Record]) -> list[str]:
    """Per setting and recipe, how much better (+) or worse (−) than float; means over seeds."""
    known = list(records)
    head = [f"{recipe}, {precision}" for precision in PRECISIONS for recipe in RECIPES]
    lines = [
        f"| trained on | rate | epochs | {' | '.join(head)} |",
        "|---" * (3 + len(head)) + "|",
        _row(["none (rounded)", "", ""], [r for r in known if _is(r, SETTINGS[0])], kept=False),
    ]
    for setting in SETTINGS:
        source = "float outputs" if setting.alpha else "labels"
        first = [source, f"{setting.rate_share:g}", str(setting.epochs)]
        lines.append(_row(first, [r for r in known if _is(r, setting)], kept=True))
    return lines


def _is(record: Record, setting: Setting) -> bool:
    return record.items() >= asdict(setting).items()


def _row(first: Sequence[str], records: Sequence[Record], *, kept: bool) -> str:
    cells = []
    for precision in PRECISIONS:
        for recipe in RECIPES:
            found = [r for r in records if (r["recipe"], r["precision"]) == (recipe, precision)]
            cells.append(_change(found, kept=kept))
    return f"| {' | '.join([*first, *cells])} |"


def _change(records: Sequence[Record], *, kept: bool) -> str:
    rising = records[0]["metric"] == "accuracy"
    changes = []
    for record in records:
        values = record["validation"] if kept else record["validation"][:1]
        best = max(values) if rising else min(values)
        changes.append(100 * (best - record["float"] if rising else record["float"] / best - 1))
    mean = round(statistics.mean(changes), 2) + 0.0  # no -0.00
    return f"{mean:+.2f} {'pt' if rising else '%'}"


if __name__ == "__main__":
    sys.exit(main())
