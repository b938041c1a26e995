"""docs/results/compression.md, from the results of `score` and `cost`."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from benchmarks.compression.plan import (
    BINARY,
    CURVE_UNITS,
    DENSITIES,
    PATTERN,
    PRUNED,
    QUANTIZED,
    RECIPES,
    STUDENTS,
    TEACHER,
    Run,
)
from benchmarks.pages.markdown import generated, joined, paragraph, stored, table
from edgernn_export.training.compression import QAT_EPOCHS, QAT_RATE_SHARE

FINDINGS: Final = Path(__file__).parent / "findings.md"
#: FastGRNN on UCI HAR v1, the same two classes (Kusupati et al. 2018): percent, kB.
FASTGRNN: Final = (95.59, 3)

Record = dict[str, Any]


class Results:
    """Scores by run, over all seeds there are."""

    def __init__(self, records: Iterable[Record]) -> None:
        """Sort the records by run."""
        self._records = {Run(**record["run"]).name: record for record in records}
        self.seeds = sorted({record["run"]["seed"] for record in self._records.values()})

    @property
    def backends(self) -> str:
        """What trained the networks."""
        return " and ".join(sorted({record["backend"] for record in self._records.values()}))

    def values(self, run: Run, kind: str) -> list[float]:
        """The primary test metric of every seed; ``kind``: float or a key of the scores."""
        return [self._value(record, kind) for record in self.records(run)]

    def records(self, run: Run) -> list[Record]:
        """The records of every seed."""
        names = [replace(run, seed=seed).name for seed in self.seeds]
        return [self._records[name] for name in names]

    def rising(self, recipe: str) -> bool:
        """Whether more is better."""
        return self.metric(recipe) == "accuracy"

    def metric(self, recipe: str) -> str:
        """Name of the primary metric."""
        found = (r["result"]["metric"] for r in self._records.values())
        names = (r["run"]["recipe"] for r in self._records.values())
        return next(m for m, name in zip(found, names, strict=True) if name == recipe)

    def _value(self, record: Record, kind: str) -> float:
        scores = record["test"] if kind == "float" else record["scores"][kind]["test"]
        value: float = scores[record["result"]["metric"]]
        return value


def page() -> str:
    """The whole page."""
    results, costs = Results(stored("compression")), stored("compression_cost")
    return joined(
        [
            "# Compression on real data",
            paragraph(
                "This page shows what quantization-aware training, pruning, 4-bit weights and "
                "distillation gain and cost on the data sets of the "
                "[recipes](../guides/recipes.md): accuracy, bytes, instructions and time."
            ),
            generated(
                "compression",
                "compression",
                "compression_cost",
                again="`benchmarks/compression/README.md` says how to measure again, which takes "
                "hours.",
            ),
            paragraph(
                f"Figures are for the test parts, as the mean ± standard deviation over "
                f"{len(results.seeds)} seeds. HAPT and FSDD show the accuracy in %; ETTh1 shows "
                "the mean squared error in units of 0.001 train variances. Integer figures are "
                "those of the bit-exact integer model. The networks were trained with "
                f"{results.backends}."
            ),
            *quantization(results),
            *pruning(results, costs),
            *distillation(results),
            *curve(results),
            FINDINGS.read_text(encoding="utf-8"),
        ]
    )


def quantization(results: Results) -> list[str]:
    kinds = ("float", "w8a8", "qat w8a8", "w8a16", "w4a8", "qat w4a8", "w4a16")
    rows = []
    for recipe in RECIPES:
        run = Run(recipe=recipe, cell=QUANTIZED[0], units=QUANTIZED[1], seed=0)
        values = {kind: results.values(run, kind) for kind in kinds}
        cells = [shown(results, recipe, values[kind]) for kind in kinds]
        cells.append(change(results, recipe, values["qat w8a8"], values["float"]))
        rows.append([recipe, *cells])
    head = ["recipe", *kinds, "qat w8a8 − float"]
    return [
        "## Post-training quantization and quantization-aware training",
        paragraph(
            f"{named(QUANTIZED)}. *qat*: {QAT_EPOCHS} more epochs in integers, starting from the "
            f"quantized network, with {QAT_RATE_SHARE:g} times the recipe's learning rate. The "
            "integer model learns to reproduce the outputs of the float network. The epoch that "
            "is best on the validation part is kept, or the quantized network if no epoch is "
            "better."
        ),
        table(head, rows),
    ]


def pruning(results: Results, costs: Record) -> list[str]:
    rows = []
    for recipe in RECIPES:
        base = results.values(_pruned(recipe, 1.0), "w8a8")
        dense = costs[recipe]["100%"]
        for density in (1.0, *DENSITIES):
            run, cost = _pruned(recipe, density), costs[recipe][f"{density:.0%}"]
            values = results.values(run, "w8a8")
            rows.append(
                [
                    recipe,
                    f"{density:.0%}",
                    shown(results, recipe, results.values(run, "float")),
                    shown(results, recipe, values),
                    change(results, recipe, values, base),
                    *cost_cells(cost, dense),
                ]
            )
        rows.append([recipe, "4 bits", "", "", "", *cost_cells(costs[recipe]["w4a8"], dense)])
    head = ["recipe", "blocks kept", "float", "w8a8", "w8a8 − dense", "weights, bytes"]
    return [
        "## Block-sparse weights",
        paragraph(
            f"{named(PRUNED)} with blocks of {PATTERN} in both kernels, pruned during training. "
            "Bytes include the index. M0 and M4: instructions per step of the whole network on the "
            "emulated core, and how many times fewer than dense. Native: a bound step. Bytes, "
            "instructions and time are those of seed 0."
        ),
        table([*head, "M0", "M4", "native µs"], rows),
    ]


def _pruned(recipe: str, density: float) -> Run:
    return Run(recipe=recipe, cell=PRUNED[0], units=PRUNED[1], seed=0, density=density)


def cost_cells(cost: Record, dense: Record) -> list[str]:
    """Bytes, instructions and time of one model."""
    counts = [
        f"{count:,} ({dense['instructions'][core] / count:.2f}×)"
        for core, count in cost["instructions"].items()
    ]
    return [f"{cost['weights_bytes']:,}", *counts, f"{cost['native_us']:.3f}"]


def distillation(results: Results) -> list[str]:
    rows = []
    for recipe in RECIPES:
        teacher = Run(recipe=recipe, cell=TEACHER[0], units=TEACHER[1], seed=0)
        rows.append([recipe, named(TEACHER), *_both(results, teacher), "", "", ""])
        for cell, units in STUDENTS:
            alone = Run(recipe=recipe, cell=cell, units=units, seed=0)
            taught = replace(alone, distilled=True)
            gain = [results.values(run, "w8a8") for run in (taught, alone)]
            rows.append(
                [
                    recipe,
                    named((cell, units)),
                    *_both(results, alone),
                    *_both(results, taught),
                    change(results, recipe, *gain),
                ]
            )
    ways = [f"{way}, {kind}" for way in ("alone", "distilled") for kind in ("float", "w8a8")]
    head = ["recipe", "network", *ways, "distilled − alone, w8a8"]
    return [
        "## Distillation",
        paragraph(
            f"Small networks trained alone, and with the {named(TEACHER)} as their teacher "
            "([distillation](../guides/distillation.md))."
        ),
        table(head, rows),
    ]


def _both(results: Results, run: Run) -> list[str]:
    return [shown(results, run.recipe, results.values(run, kind)) for kind in ("float", "w8a8")]


def named(size: tuple[str, int]) -> str:
    """Cell and units as the tables write them."""
    return "-".join(map(str, size))


def curve(results: Results) -> list[str]:
    rows = []
    for units in CURVE_UNITS:
        run = Run(recipe=BINARY, cell="GRU", units=units, seed=0)
        cells = [shown(results, BINARY, results.values(run, "float"))]
        for kind in ("w8a8", "w4a8"):
            sizes = results.records(run)[0]["scores"][kind]
            size = sizes["weights_bytes"] + sizes["constants_bytes"]
            cells += [f"{size / 1000:.2f}", shown(results, BINARY, results.values(run, kind))]
        rows.append([f"GRU-{units}", *cells])
    accuracy, size = FASTGRNN
    return [
        "## HAPT in two classes: accuracy against size",
        paragraph(
            "The classes are {sitting, laying, walking upstairs} and {standing, walking, walking "
            "downstairs}. Sizes in kB count weights, biases and multipliers. For comparison, "
            f"FastGRNN reports {accuracy} % in {size} kB for these classes on UCI HAR v1, which "
            "has other windows of the same experiments (Kusupati et al. 2018)."
        ),
        table(["network", "float", "w8a8, kB", "w8a8", "w4a8, kB", "w4a8"], rows),
    ]


def shown(results: Results, recipe: str, values: Sequence[float]) -> str:
    """Mean ± standard deviation in the unit of the page."""
    factor, digits = (100, 2) if results.rising(recipe) else (1000, 3)
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{factor * statistics.mean(values):.{digits}f} ± {factor * spread:.{digits}f}"


def change(results: Results, recipe: str, values: Sequence[float], base: Sequence[float]) -> str:
    """How much better (+) or worse (−) than ``base``, seed by seed, then averaged."""
    if results.rising(recipe):
        mean = statistics.mean(100 * (v - b) for v, b in zip(values, base, strict=True))
        return f"{mean:+.2f} pt"
    mean = statistics.mean(100 * (b / v - 1) for v, b in zip(values, base, strict=True))
    return f"{mean:+.2f} %"
