"""docs/results/arithmetic.md."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.pages.markdown import Record, generated, joined, paragraph, table

PRECISIONS = ("w8a8", "w8a16")
_DECIBELS = ("short_db", "long_db", "last_db")


def page(record: Record) -> str:
    """The whole page."""
    short, long = record["steps"]
    blocks = [
        "# Long memories and other activations",
        paragraph(
            "This page shows how quantized networks behave in two demanding cases: units that "
            "remember for hundreds or thousands of steps, and cells with activations other than "
            "tanh. The guides on [long memory](../guides/long-memory.md) and "
            "[activation functions](../guides/activations.md) show how to use them."
        ),
        generated(
            "arithmetic",
            again="To measure again, set `EDGERNN_DATA` to the folder of the data sets and run: "
            "`python -m benchmarks.all --only arithmetic`",
        ),
        paragraph(
            "All networks are trained for this benchmark on the first part of the streams. The "
            "integer models are calibrated on the same part and tested on later readings. Errors "
            "are mean absolute errors in standard deviations of the target. *Kept* is the float "
            "network's error divided by the integer model's; for several outputs, it is the "
            "lowest of them."
        ),
    ]
    if record["long"]:
        seeds = ", ".join(map(str, record["seeds"]["long"]))
        blocks += [
            "## Long memories",
            paragraph(
                "Networks of 24 units with chrono initialization. *soil*: 13 probes; the target "
                "is how soil moisture changes within 24 h; memories are initialized to as long as "
                "1,000 h. *seasons*: a synthetic hourly series with daily, yearly and weather "
                "components; the targets are its value in 24 h and its season in 91 days; memories "
                "are initialized to as long as 8,760 h."
            ),
            paragraph(
                "A unit's memory is 1 divided by the median share of its state that it forgets per "
                "step. *State* is the storage of states: 16 bits, or `auto`, which uses 31 bits "
                "where they help. dB is the signal-to-noise ratio: the variance of the float64 "
                f"network's outputs over the noise, for {short:,} and {long:,} steps of one stream "
                f"that is never reset. *End* uses the noise of the last {short:,} steps. With two "
                "outputs, the worse one counts. The largest error is a share of the output's range "
                f"over {long:,} steps. A dot separates the seeds {seeds}."
            ),
            _long_in_short(record),
            _long_table(record),
        ]
    if record["activations"]:
        blocks += [
            "## Activations",
            paragraph(
                "Networks of 12 units predict how the temperature of a heated room changes within "
                "six readings (synthetic data). Streams have 2,000 steps and start from the zero "
                f"state. Each figure is the mean of {len(record['seeds']['activations'])} "
                "trainings."
            ),
            _activation_table(record),
        ]
    return joined(blocks)


def _long_in_short(record: Record) -> str:
    """The least that a storage of states keeps in either precision."""
    least: dict[str, dict[str, float]] = {}
    for network in record["long"]:
        for row in network["rows"]:
            kept = [seed["kept"] for seed in row["seeds"] if "kept" in seed]
            found = least.setdefault(row["state"], {})
            found[row["precision"]] = min([found.get(row["precision"], math.inf), *kept])
    listed = (
        f"with state `{state}`, {' and '.join(f'{v:.1%} (`{p}`)' for p, v in found.items())}"
        for state, found in least.items()
    )
    return paragraph(
        "**In short.** The least that a network keeps of the float network's accuracy: "
        f"{'; '.join(listed)}."
    )


def _long_table(record: Record) -> str:
    """Noise on long streams, for every seed."""
    short, long = record["steps"]
    rows = []
    for network in record["long"]:
        memories = " · ".join(
            f"{m['median']:,.0f}, {m['longest']:,.0f}" for m in network["memories"]
        )
        for row in network["rows"]:
            ran = [figures for figures in row["seeds"] if "refused" not in figures]
            start = [network["network"], memories, _each(network["naive"])]
            if not ran:
                why = refused(row["seeds"])
                rows.append([*start, why, row["precision"], row["state"], *[""] * 5])
                continue
            rows.append(
                [
                    *start,
                    " · ".join(_each(figures["floats"]) for figures in ran),
                    row["precision"],
                    row["state"] + refused(row["seeds"], of_all=True),
                    _all(ran, "kept", ".1%"),
                    *(_all(ran, name, ".1f") for name in _DECIBELS),
                    _all(ran, "peak", ".2%"),
                ]
            )
    head = ["network", "memory, steps: median, longest", "error without a network"]
    head += ["float error", "precision", "state", "kept", f"dB, {short:,} steps", f"dB, {long:,}"]
    return table([*head, "dB, end", "largest error"], rows)


def _activation_table(record: Record) -> str:
    """The metric in both precisions: mean over the seeds, and the least that one seed keeps."""
    rows = []
    for network in record["activations"]:
        cells = [network["network"], "–" if network["float"] is None else _four(network["float"])]
        for precision in PRECISIONS:
            found = network["precisions"][precision]
            if "integer" not in found:
                cells += [found["refused"], "–"]
                continue
            kept = f"{found['kept_mean']:.2%}, {found['kept_least']:.2%}"
            cells += [_four(found["integer"]), kept + found.get("refused", "")]
        rows.append(cells)
    columns = [title for p in PRECISIONS for title in (p, "kept: mean, lowest")]
    return table(["network", "float", *columns], rows)


def refused(seeds: Sequence[Record], *, of_all: bool = False) -> str:
    """Why models were refused.

    Args:
        seeds: figures of every seed.
        of_all: also say how many of the networks; "" if none was refused.
    """
    reasons = list(dict.fromkeys(f["refused"] for f in seeds if "refused" in f))
    if not of_all:
        return f"refused: {reasons[0]}"
    count = sum("refused" in figures for figures in seeds)
    return f" ({count} of {len(seeds)} refused: {reasons[0]})" if reasons else ""


def _all(seeds: Sequence[Record], name: str, form: str) -> str:
    return " · ".join(format(figures[name], form) for figures in seeds)


def _each(values: Iterable[float]) -> str:
    """Of every output."""
    return " / ".join(f"{value:.3f}" for value in values)


def _four(value: Any) -> str:
    return f"{value:.4f}"
