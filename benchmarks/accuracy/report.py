"""Write docs/accuracy.md from benchmarks/results/accuracy.json.

Type: python -m benchmarks.accuracy.report
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.accuracy.tasks import TASKS

RESULTS = Path(__file__).parents[1] / "results" / "accuracy.json"
PAGE = Path(__file__).parents[2] / "docs" / "accuracy.md"
FINDINGS = Path(__file__).parent / "findings.md"
#: Share of the float metric a precision should keep on average.
AIMS: Final = {"w8a8": 0.99, "w8a16": 0.998}
_METRIC_NAMES: Final = {"mse": "MSE", "rmse": "RMSE", "mae": "MAE", "accuracy": "accuracy"}
_DEFAULT = ("minmax", "auto")
_HEAD = """# INT8 accuracy on real data

Written by `python -m benchmarks.accuracy.report` from `benchmarks/results/accuracy.json`; how to
run: `benchmarks/accuracy/README.md`.

Every model is trained in float, quantized after training on its train part, and streamed over the
test part step by step as on the device; the integer figures are those of the bit-exact reference.
Mean ± standard deviation over {seeds} seeds. *Kept* is the share of the float metric that the
integer model keeps, per seed, then averaged: integer/float for accuracies, float/integer for errors
(above 100 % the integer model happens to be the better one). Aims: {aims}. Quantizer settings are
the defaults (`range_method="minmax"`, `operand_scales="auto"`) unless a table says otherwise.
"""


def page(results: dict[str, Any]) -> str:
    """The whole page as Markdown."""
    tasks = [(name, results[name]) for name in TASKS if name in results]
    seeds = " / ".join(sorted({str(len(task["seeds"])) for _, task in tasks}))
    aims = ", ".join(f"`{p}` ≥ {aim:.1%}" for p, aim in AIMS.items())
    blocks = [_HEAD.format(seeds=seeds, aims=aims), "\n".join(_summary(tasks))]
    blocks += ["\n".join(_task(task)) for _, task in tasks]
    blocks.append(FINDINGS.read_text(encoding="utf-8").strip())
    return "\n\n".join(block.strip() for block in blocks) + "\n"


def _summary(tasks: list[tuple[str, dict[str, Any]]]) -> Iterator[str]:
    yield "## Summary"
    yield ""
    yield "| task | model | metric | float | w8a8 | kept | w8a16 | kept | best naive rule |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for _, task in tasks:
        metric = task["primary"]
        naive = [scores[metric] for scores in task["naive"].values()]
        cells = [task["title"], task["cell"], _METRIC_NAMES[metric], _spread(_floats(task, metric))]
        for precision, aim in AIMS.items():
            share = _shares(task, precision, metric)
            met = "" if statistics.fmean(share) >= aim else " (below the aim)"
            cells += [
                _spread(_values(task, precision, metric)),
                f"{statistics.fmean(share):.2%}{met}",
            ]
        yield _row([*cells, f"{min(naive):.4f}" if naive else "–"])


def _task(task: dict[str, Any]) -> Iterator[str]:
    unit = f" ({task['metric_unit']})" if task["metric_unit"] else ""
    yield f"## {task['title']}"
    yield ""
    yield f"{task['cell']}, {task['parameters']:,} parameters. {task['protocol']}"
    yield ""
    yield f"| metric{unit} | float | w8a8 | kept | w8a16 | kept | {_naive_head(task)}"
    yield "|---|---|---|---|---|---|" + "---|" * len(task["naive"])
    for metric in task["seeds"][0]["float"]:
        cells = [_METRIC_NAMES[metric], _spread(_floats(task, metric))]
        for precision in AIMS:
            cells += [
                _spread(_values(task, precision, metric)),
                _percent(_shares(task, precision, metric)),
            ]
        yield _row(cells + [f"{scores[metric]:.4f}" for scores in task["naive"].values()])
    yield ""
    yield from _choices(task)
    yield ""
    yield from _causes(task)


def _choices(task: dict[str, Any]) -> Iterator[str]:
    """Kept share of the primary metric per quantizer setting."""
    metric = task["primary"]
    yield f"Kept {_METRIC_NAMES[metric]} by quantizer setting:"
    yield ""
    yield "| range_method | operand_scales | w8a8 | w8a16 |"
    yield "|---|---|---|---|"
    choices = {(v["range_method"], v["operand_scales"]): None for v in _variants(task)}
    for choice in choices:
        shares = [_percent(_shares(task, precision, metric, choice)) for precision in AIMS]
        yield _row([*choice, *shares])


def _causes(task: dict[str, Any]) -> Iterator[str]:
    """Means over the seeds of what `quantization_report` and coded inputs show."""
    first = task["seeds"][0]["w8a8"]["sqnr_db"]
    yield "Where the difference comes from (means over the seeds, test streams):"
    yield ""
    yield (
        "| precision | kept with coded inputs, float network | inputs clipped, worst channel | "
        + ("".join(f"SQNR {_plain(name)} | " for name in first).rstrip())
    )
    yield "|---|---|---|" + "---|" * len(first)
    for precision in AIMS:
        found = [record[precision] for record in task["seeds"]]
        noise = zip(*(f["sqnr_db"].values() for f in found), strict=True)
        yield _row(
            [
                precision,
                _percent([f["kept_with_coded_input_only"] for f in found]),
                f"{statistics.fmean(f['input_clip_rate_max'] for f in found):.3%}",
                *(f"{statistics.fmean(values):.1f} dB" for values in noise),
            ]
        )


def _plain(name: str) -> str:
    """`gru_3.h` -> `h`: Keras numbers layers by the order in which a process makes them."""
    layer, tensor = name.rsplit(".", 1)
    return tensor if tensor != "out" else f"{layer.split('_')[0]} out"


def _naive_head(task: dict[str, Any]) -> str:
    return "".join(f"{name} | " for name in task["naive"]).rstrip()


def _variants(task: dict[str, Any]) -> list[dict[str, Any]]:
    variants: list[dict[str, Any]] = task["seeds"][0]["variants"]
    return variants


def _chosen(
    task: dict[str, Any], precision: str, choice: tuple[str, str]
) -> Iterator[dict[str, Any]]:
    """The variant of each seed with this precision and choice."""
    for record in task["seeds"]:
        for variant in record["variants"]:
            made = (variant["range_method"], variant["operand_scales"])
            if variant["precision"] == precision and made == choice:
                yield variant


def _floats(task: dict[str, Any], metric: str) -> list[float]:
    return [record["float"][metric] for record in task["seeds"]]


def _values(task: dict[str, Any], precision: str, metric: str) -> list[float]:
    return [v["metrics"][metric] for v in _chosen(task, precision, _DEFAULT)]


def _shares(
    task: dict[str, Any], precision: str, metric: str, choice: tuple[str, str] = _DEFAULT
) -> list[float]:
    return [v["kept"][metric] for v in _chosen(task, precision, choice)]


def _deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.fmean(values):.4f} ± {_deviation(values):.4f}"


def _percent(values: Sequence[float]) -> str:
    return f"{statistics.fmean(values):.2%} ± {_deviation(values):.2%}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; 0 when written, 1 when ``--check`` finds an outdated page."""
    parser = argparse.ArgumentParser(description="Write docs/accuracy.md from the results.")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=PAGE)
    parser.add_argument("--check", action="store_true", help="compare only, write nothing")
    args = parser.parse_args(argv)
    text = page(json.loads(args.results.read_text(encoding="utf-8")))
    if args.check:
        if args.out.exists() and args.out.read_text(encoding="utf-8") == text:
            return 0
        print(
            f"{args.out.name}: expected the text made from {args.results.name}, got another. "
            "Run without --check."
        )
        return 1
    args.out.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
