"""What INT8 costs on the demo's forecast, over several seeds.

    python -m benchmarks.demo_accuracy [--seeds N] [--out FILE]

Trains the forecaster of `edgernn demo` once per seed, quantizes it to both precisions and streams
the whole record through the float64 model and the integer reference; errors are those of the test
part. *kept* is float RMSE over integer RMSE. Prints a table, writes all figures as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.pages.markdown import generated, joined, paragraph
from edgernn_export.demo.data import Co2Record, load_record
from edgernn_export.demo.forecaster import (
    EPOCHS,
    ForecastErrors,
    float_forecast,
    integer_forecast,
    score,
    train,
)
from edgernn_export.keras_reader import read_keras
from edgernn_export.quantizer.quantizer import quantize

RESULTS = Path(__file__).parent / "results" / "demo_accuracy.json"
PRECISIONS = ("w8a8", "w8a16")


def measure(record: Co2Record, seed: int) -> dict[str, ForecastErrors]:
    """Errors over the test part, by model."""
    model = read_keras(train(record, EPOCHS, seed, progress=False))
    scores = {"float": score(record, float_forecast(model, record), record.test)}
    for precision in PRECISIONS:
        integer = quantize(model, record.readings[: record.train_weeks], precision, progress=False)
        scores[precision] = score(record, integer_forecast(integer, record), record.test)
    return scores


def summary(results: dict[str, Any]) -> list[str]:
    """A Markdown table: mean ± standard deviation over the seeds, then the rules."""
    lines = ["| forecast | RMSE, ppm | MAE, ppm | kept |", "|---|---|---|---|"]
    runs = results["seeds"]
    for name in ("float", *PRECISIONS):
        shares = [100 * run["float"]["rmse_ppm"] / run[name]["rmse_ppm"] for run in runs]
        cells = [spread([run[name][error] for run in runs], 3) for error in ("rmse_ppm", "mae_ppm")]
        kept = "" if name == "float" else f"{spread(shares, 2)} %"
        lines.append(f"| {name} | {' | '.join(cells)} | {kept} |")
    for name, rule in results["rules"].items():
        lines.append(f"| {name} | {rule['rmse_ppm']:.3f} | {rule['mae_ppm']:.3f} | |")
    return lines


def spread(values: Sequence[float], digits: int) -> str:
    """Mean ± standard deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.{digits}f} ± {deviation:.{digits}f}"


def page(results: dict[str, Any]) -> str:
    """docs/results/demo.md."""
    return joined(
        [
            "# Accuracy of the demo",
            paragraph(
                "This page shows the forecast errors of the `edgernn demo` network, in float and "
                "in integers. A GRU reads the weekly CO₂ record of Mauna Loa and forecasts 13 "
                "weeks ahead. The errors are those of the last 15 % of the record, which is not "
                "used for training."
            ),
            generated("demo", "demo_accuracy"),
            "\n".join(summary(results)),
            paragraph(
                f"Each figure is the mean ± standard deviation over {len(results['seeds'])} "
                f"trainings of {results['epochs']} epochs. *Kept* is the float RMSE divided by the "
                "integer RMSE. Above 100 % the integer model happens to be the better one: "
                "rounding is noise, and the test part is only a few years of weekly readings. "
                "*Seasonal naive* forecasts the change over the same weeks one year ago, "
                "*persistence* no change."
            ),
            paragraph(
                "Quantization is the only step that changes results. The outputs of `w8a8` (8-bit "
                "weights and operands, 16-bit gates and state) and `w8a16` (16-bit operands) "
                "differ slightly from those of the float network. Every back-end then returns "
                "exactly the integer model's outputs. Other data: "
                "[accuracy on real data](accuracy.md)."
            ),
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="INT8 accuracy on the demo's forecast.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    record = load_record()
    runs = []
    for seed in range(args.seeds):
        runs.append(measure(record, seed))
        print(f"seed {seed}: float RMSE {runs[-1]['float'].rmse_ppm:.3f} ppm", file=sys.stderr)
    naive = {
        "seasonal naive": score(record, record.seasonal_naive(), record.test),
        "persistence": score(record, record.persistence(), record.test),
    }
    results: dict[str, Any] = {
        "epochs": EPOCHS,
        "seeds": [{name: asdict(s) for name, s in run.items()} for run in runs],
        "rules": {name: asdict(s) for name, s in naive.items()},
    }
    args.out.parent.mkdir(exist_ok=True)
    args.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(page(results), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
