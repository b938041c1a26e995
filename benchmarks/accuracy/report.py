"""docs/results/accuracy.md, from benchmarks/results/accuracy.json and drift.json."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.accuracy.tasks import TASKS
from benchmarks.pages.markdown import generated, paragraph

FINDINGS = Path(__file__).parent / "findings.md"
PRECISIONS: Final = ("w8a8", "w8a16")
METRIC_NAMES: Final = {"mse": "MSE", "rmse": "RMSE", "mae": "MAE", "accuracy": "accuracy"}
_DEFAULT = ("minmax", "auto")
_HEAD: Final = (
    paragraph(
        "This page shows how much of a float network's accuracy the integer model keeps, on three "
        "public data sets. Every network is trained in float, quantized on the training part of "
        "its data, and streamed over the test part step by step, as on a device. The integer "
        "figures are those of the bit-exact reference, so they hold for every back-end. To measure "
        "your own model, run `edgernn evaluate` "
        "([evaluate accuracy on your data](../guides/evaluate.md))."
    ),
    generated(
        "accuracy",
        "accuracy",
        "drift",
        again="To measure again, run: `python -m benchmarks.all --only accuracy` "
        "(`benchmarks/accuracy/README.md` lists the data sets it needs).",
    ),
)
_KEPT: Final = (
    "Figures are the mean ± standard deviation over {seeds} seeds. *Kept* is the share of the "
    "float metric that the integer model keeps, calculated for each seed and then averaged: "
    "integer/float for accuracies and float/integer for errors. Above 100 %, the integer model "
    "happens to be the better one. The quantizer settings are the defaults "
    '(`range_method="minmax"`, `operand_scales="auto"`) unless a table says otherwise.'
)


def page(results: dict[str, Any], drift: dict[str, Any]) -> str:
    """The whole page as Markdown, from the accuracy and the drift figures."""
    tasks = [(name, results[name]) for name in TASKS if name in results]
    seeds = " / ".join(sorted({str(len(task["seeds"])) for _, task in tasks}))
    opening, source = _HEAD
    blocks = ["# Accuracy on real data", opening, paragraph(in_short(tasks)), source]
    blocks.append(paragraph(_KEPT.format(seeds=seeds)))
    blocks.append("\n".join(_summary(tasks)))
    blocks += ["\n".join(_task(task)) for _, task in tasks]
    blocks.append("\n".join(_drift(drift)))
    blocks.append(FINDINGS.read_text(encoding="utf-8").strip())
    return "\n\n".join(block.strip() for block in blocks) + "\n"


def in_short(tasks: list[tuple[str, dict[str, Any]]]) -> str:
    """What a precision keeps on the worst and on the best of the tasks."""
    ranges = []
    for precision in PRECISIONS:
        kept = [statistics.fmean(shares(task, precision, task["primary"])) for _, task in tasks]
        ranges.append(f"`{precision}` keeps {min(kept):.2%} to {max(kept):.2%}")
    listed = " and ".join(ranges)
    return f"**In short.** Depending on the task, {listed} of the float network's metric."


def _summary(tasks: list[tuple[str, dict[str, Any]]]) -> Iterator[str]:
    yield "## Summary"
    yield ""
    yield "| task | model | metric | float | w8a8 | kept | w8a16 | kept | best naive rule |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for _, task in tasks:
        metric = task["primary"]
        naive = [scores[metric] for scores in task["naive"].values()]
        cells = [task["title"], task["cell"], METRIC_NAMES[metric], _spread(floats(task, metric))]
        for precision in PRECISIONS:
            share = statistics.fmean(shares(task, precision, metric))
            cells += [_spread(_values(task, precision, metric)), f"{share:.2%}"]
        yield _row([*cells, f"{min(naive):.4f}" if naive else "–"])


def _task(task: dict[str, Any]) -> Iterator[str]:
    unit = f" ({task['metric_unit']})" if task["metric_unit"] else ""
    yield f"## {task['title']}"
    yield ""
    yield f"{task['cell']}, {task['parameters']:,} parameters. {task['protocol']}"
    yield ""
    yield f"| metric{unit} | float | w8a8 | kept | w8a16 | kept |{_naive_head(task)}"
    yield "|---|---|---|---|---|---|" + "---|" * len(task["naive"])
    for metric in task["seeds"][0]["float"]:
        cells = [METRIC_NAMES[metric], _spread(floats(task, metric))]
        for precision in PRECISIONS:
            cells += [
                _spread(_values(task, precision, metric)),
                _percent(shares(task, precision, metric)),
            ]
        yield _row(cells + [f"{scores[metric]:.4f}" for scores in task["naive"].values()])
    yield ""
    if task["naive"]:
        yield from _gain(task)
        yield from _validation(task)
        yield ""
    yield from _choices(task)
    yield ""
    yield from _causes(task)


def _gain(task: dict[str, Any]) -> Iterator[str]:
    """The stricter share: of the float model's advantage over the best naive rule."""
    metric = task["primary"]
    naive = min(scores[metric] for scores in task["naive"].values())
    gain = naive - statistics.fmean(floats(task, metric))
    listed = ", ".join(
        f"`{precision}` {(naive - statistics.fmean(_values(task, precision, metric))) / gain:.1%}"
        for precision in PRECISIONS
    )
    yield (
        "Kept share of the float network's advantage over the best naive rule "
        f"({METRIC_NAMES[metric]}): {listed}."
    )
    yield ""


def _validation(task: dict[str, Any]) -> Iterator[str]:
    """The validation part, in case the test part is unusually easy or hard."""
    parts = []
    for metric, naive in task["validation_last_value"].items():
        value = statistics.fmean(r["float_validation"][metric] for r in task["seeds"])
        parts.append(f"{METRIC_NAMES[metric]} {value:.4f} (last value {naive:.4f})")
    figures = ", ".join(parts)
    yield f"For comparison, the float networks score on the validation part: {figures}."


def _choices(task: dict[str, Any]) -> Iterator[str]:
    """Kept share of the primary metric per quantizer setting."""
    metric = task["primary"]
    yield f"Kept share of {METRIC_NAMES[metric]} by quantizer setting:"
    yield ""
    yield "| range_method | operand_scales | w8a8 | w8a16 |"
    yield "|---|---|---|---|"
    choices = {(v["range_method"], v["operand_scales"]): None for v in _variants(task)}
    for choice in choices:
        kept = [_percent(shares(task, precision, metric, choice)) for precision in PRECISIONS]
        yield _row([*choice, *kept])


def _causes(task: dict[str, Any]) -> Iterator[str]:
    """Means over the seeds of the figures of `quantization_report` and of coded inputs."""
    first = task["seeds"][0]["w8a8"]["sqnr_db"]
    yield "Sources of the error (means over the seeds, test streams including the warm-up):"
    yield ""
    yield (
        "| precision | kept by the float network with quantized inputs | "
        "clipped inputs, worst channel | "
        + ("".join(f"SQNR {_plain(name)} | " for name in first).rstrip())
    )
    yield "|---|---|---|" + "---|" * len(first)
    for precision in PRECISIONS:
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


def _drift(drift: dict[str, Any]) -> Iterator[str]:
    """The state differences over the long stream."""
    yield f"## A stream of {drift['steps']:,} steps"
    yield ""
    yield paragraph(
        "This test checks whether errors build up: it streams real 50 Hz readings (HAPT) "
        f"through networks of {drift['units']} units that are never reset "
        "(`python -m benchmarks.drift`). RMS is that of the integer state minus the float64 state, "
        "by tenth of the stream. *Age* is this RMS relative to runs that restart every 20,000 "
        "steps on the same readings; above 1, the past adds error. *Growth* is the Theil-Sen slope "
        "of this ratio over the whole stream."
    )
    yield ""
    yield (
        "| cell | precision | state | float RMS | RMS, first tenth | last tenth | largest tenth "
        "| age, largest tenth | growth [95 % interval] | float state out of range |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for cell, runs in drift["cells"].items():
        for precision, states in runs.items():
            for name, found in states.items():
                yield _row([cell, precision, name, *_drift_figures(found)])


def _drift_figures(found: dict[str, Any]) -> Iterator[str]:
    tenths = found["rms_by_tenth"]
    low, high = found["growth_interval_95"]
    verdict = "growth" if found["growth_trend"] else "none"
    yield f"{found['float_rms']:.3f}"
    yield from (f"{value:.4f}" for value in (tenths[0], tenths[-1], max(tenths)))
    yield f"{max(found['age_ratio_by_tenth']):.3f}"
    yield f"{verdict}: {found['growth']:+.2%} [{low:+.2%}, {high:+.2%}]"
    yield f"{statistics.fmean(found['outside_format_by_tenth']):.3%}"


def _plain(name: str) -> str:
    """`gru_3.h` -> `h`: Keras numbers layers by the order in which a process makes them."""
    layer, tensor = name.rsplit(".", 1)
    return tensor if tensor != "out" else f"{layer.split('_')[0]} out"


def _naive_head(task: dict[str, Any]) -> str:
    return "".join(f" {name} |" for name in task["naive"])


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


def floats(task: dict[str, Any], metric: str) -> list[float]:
    return [record["float"][metric] for record in task["seeds"]]


def _values(task: dict[str, Any], precision: str, metric: str) -> list[float]:
    return [v["metrics"][metric] for v in _chosen(task, precision, _DEFAULT)]


def shares(
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
