"""docs/results/recipes.md."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.pages.markdown import (
    RESULTS,
    Record,
    bullets,
    generated,
    joined,
    paragraph,
    table,
)
from edgernn_export.evaluation.metrics import kept

#: One file of figures per recipe.
FOLDER: Final = RESULTS / "recipes"
PRECISIONS: Final = ("w8a8", "w8a16")
CORES: Final = {"cortex-m0": "M0", "cortex-m4": "M4", "cortex-m55": "M55"}
_TITLES: Final = {
    "bits_per_character": "bits/character",
    "mse": "MSE",
    "rmse": "RMSE",
    "mae": "MAE",
    "auc": "AUC",
    "average_precision": "average precision",
}
#: Metrics that are shares, and are shown in percent.
_PERCENT: Final = frozenset({"accuracy", "exact_words", "f1"})


def measured(folder: Path = FOLDER) -> dict[str, Record]:
    """Figures of every recipe that has some, by its name."""
    paths = sorted(folder.glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def page(records: Mapping[str, Record]) -> str:
    """The whole page."""
    return joined(
        [
            "# Recipes: accuracy and cost",
            paragraph(
                "This page shows what the networks of the [recipes](../guides/recipes.md) reach on "
                "their test data, how much of it the integer models keep, and what they cost on "
                "microcontrollers and from Python."
            ),
            generated(
                "recipes",
                again="To measure again, set `EDGERNN_DATA` to the folder of the data sets and "
                "run: `python -m benchmarks.recipes --recipe NAME`",
                folder="recipes",
            ),
            "## Accuracy",
            paragraph(
                "Scores of the test part. The validation part selects the epoch and selected the "
                "settings ([exceptions](../guides/recipes.md#train-validation-and-test-parts)). A "
                "score is the mean over the trainings with its standard deviation. *Kept* is the "
                "share of the float score that the integer model keeps, calculated for each "
                "training: integer/float where more is better, float/integer for errors. *Naive "
                "rule* is the score of a rule without a network."
            ),
            table(
                ["recipe", "network", "parameters", "metric", "naive rule", "float",
                 *(cell for name in PRECISIONS for cell in (f"`{name}`", "kept")), "seeds"],
                [_accuracy_row(name, record) for name, record in records.items()],
            ),
            _rules(records),
            "## Cost",
            paragraph(
                "The model of the first seed, in the precision of the recipe. *File* is the size "
                "of the `.edgernn` file. Flash is code and constants on Cortex-M4, RAM is state, "
                "scratch and stack there. Instructions are exact counts of one step of the "
                "generated C under QEMU; every output and state had the bits of the reference on "
                "every core. *Does not fit* means that the emulated machine has too little memory: "
                "that of Cortex-M0 has 256 KiB of flash and 16 KiB of RAM. That of Cortex-M55 has "
                "[a second memory for constants](../guides/simulate.md#large-models) beyond 512 "
                "KiB. *Native* is the median time of one call of `step` from Python, which takes "
                "several microseconds to check tokens. The programs of whole chunks "
                "(bidirectional networks) are passes over a chunk; *native* is then the time per "
                "step of a pass."
            ),
            table(
                ["recipe", "precision", "file, bytes", "flash", "RAM",
                 *(f"instructions, {title}" for title in CORES.values()), "native µs"],
                [row for name, record in records.items() for row in _cost_rows(name, record)],
            ),
            *_words(records),
            "## Boards",
            paragraph(
                "Which boards of `edgernn targets` have the flash and the RAM for the linked model "
                "and finish a step before the next reading comes. Tokens of a text come at no "
                "given pace (–), so memory alone decides there. Times are estimates from the "
                "instructions. Boards that could not be emulated are left out."
            ),
            table(
                ["recipe", "time between readings", "fits", "does not fit", "slowest that fits"],
                [row for name, record in records.items() for row in _board_rows(name, record)],
            ),
            *_processors(records),
        ]
    )  # fmt: skip


def _accuracy_row(name: str, record: Record) -> list[str]:
    metric, rising = record["metric"], record["rising"]
    runs = record["runs"].values()
    cells = []
    for precision in PRECISIONS:
        pairs = [
            (run["scores"]["float"]["test"][metric], run["scores"][precision]["test"][metric])
            for run in runs
            if precision in run["scores"]
        ]
        shares = [share for pair in pairs if (share := kept(*pair, rising)) is not None]
        cells += [
            _spread(metric, [integer for _, integer in pairs]),
            f"{statistics.fmean(shares):.2%}" if shares else "–",
        ]
    floats = _spread(metric, [run["scores"]["float"]["test"][metric] for run in runs])
    naive = [scores[metric] for scores in record["naive"].values() if metric in scores]
    best = (max if rising else min)(naive, default=None)
    return [
        f"`{name}`",
        record["network"],
        f"{record['parameters']:,}",
        _TITLES.get(metric, metric.replace("_", " ")),
        "–" if best is None else _value(metric, best),
        floats,
        *cells,
        str(len(runs)),
    ]


def _rules(records: Mapping[str, Record]) -> str:
    """What the recipes learn, their best naive rules, and what there is to say of the figures."""
    lines = []
    for name, record in records.items():
        metric = record["metric"]
        rules = {rule: scores[metric] for rule, scores in record["naive"].items()}
        line = f"`{name}`, {record['title']}"
        if rules:
            choose = max if record["rising"] else min
            line += f"; naive rule: {choose(rules, key=rules.__getitem__)}"
        note = record.get("note", "")
        lines.append(f"{line}. {note[:1].upper()}{note[1:]}." if note else f"{line}.")
    return bullets(lines)


def _programs(record: Record) -> Iterator[tuple[str, Record]]:
    yield from record["costs"].get("programs", {}).items()


def _label(name: str, program: str) -> str:
    return f"`{name}`, {program}" if program else f"`{name}`"


def _cost_rows(name: str, record: Record) -> Iterator[list[str]]:
    for program, cost in _programs(record):
        on_m4 = cost["cores"].get("cortex-m4", {})
        yield [
            _label(name, program),
            f"`{record['costs']['precision']}`",
            f"{record['costs']['edgernn_bytes']:,}",
            _number(on_m4.get("flash_bytes")),
            _number(on_m4.get("ram_bytes")),
            *(_instructions(cost["cores"].get(core, {})) for core in CORES),
            f"{cost['native_us']:.2f}",
        ]


def _instructions(cost: Record) -> str:
    return _number(cost.get("instructions")) if cost.get("fits", True) else "does not fit"


def _words(records: Mapping[str, Record]) -> Iterator[str]:
    """Whole words on an emulated core, where they were written."""
    found = {
        name: record["costs"]["words"]
        for name, record in records.items()
        if "words" in record["costs"]
    }
    if not found:
        return
    yield "## Words on a microcontroller"
    one = next(iter(found.values()))
    yield paragraph(
        f"Words of the test part, written by the generated C alone: the encoder reads the letters, "
        f"and a beam search of width {one['beams']} (`edgernn_begin_beams`) chooses the word. "
        "Counted under QEMU. *Differing* counts the words whose tokens or costs are not those of "
        "Python. RAM holds the states of all beams."
    )
    yield table(
        ["recipe", "core", "words", "differing", "letters", "tokens", "instructions per word",
         "least", "most", "flash", "RAM"],
        [
            [
                f"`{name}`",
                f"`{words['core']}`",
                str(words["words"]),
                str(words["differing"]),
                f"{words['letters']:.1f}",
                f"{words['tokens']:.1f}",
                *(f"{words['instructions'][which]:,.0f}" for which in ("mean", "least", "most")),
                _number(words["flash_bytes"]),
                _number(words["ram_bytes"]),
            ]
            for name, words in found.items()
        ],
    )  # fmt: skip


def _board_rows(name: str, record: Record) -> Iterator[list[str]]:
    for program, cost in _programs(record):
        judged = {board: found for board, found in cost["boards"].items() if found["ms"]}
        pace_ms = record["step_ms"] or math.inf
        fits = {
            board: found["ms"][1]
            for board, found in judged.items()
            if found["fits"] and found["ms"][1] <= pace_ms
        }
        refused = [board for board, found in cost["boards"].items() if found["fits"] is False]
        refused += [board for board in judged if board not in fits and board not in refused]
        slowest = max(fits, key=fits.__getitem__, default="")
        yield [
            _label(name, program),
            _duration(record["step_ms"]),
            "all" if fits and not refused else ", ".join(f"`{board}`" for board in fits) or "–",
            ", ".join(f"`{board}`" for board in refused) or "–",
            f"{fits[slowest]:.3g} ms (`{slowest}`)" if slowest else "–",
        ]


def _processors(records: Mapping[str, Record]) -> Iterator[str]:
    """Where native steps were timed, if they were."""
    names = dict.fromkeys(
        record["costs"]["processor"] for record in records.values() if record["costs"]
    )
    if names:
        yield paragraph(f"Native steps were timed on {' and '.join(names)}.")


def _duration(step_ms: float | None) -> str:
    if step_ms is None:
        return "–"
    for unit_ms, unit in ((3_600_000, "h"), (60_000, "min"), (1000, "s")):
        if step_ms >= unit_ms:
            return f"{step_ms / unit_ms:g} {unit}"
    return f"{step_ms:g} ms"


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _value(metric: str, value: float) -> str:
    if metric in _PERCENT:
        return f"{value:.2%}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.4g}"


def _spread(metric: str, values: Sequence[Any]) -> str:
    """Mean and standard deviation; the mean alone of one value."""
    if not values:
        return "–"
    if len(values) == 1:
        return _value(metric, values[0])
    deviation = statistics.stdev(values)
    scale = f"{100 * deviation:.2f}" if metric in _PERCENT else f"{deviation:.2g}"
    return f"{_value(metric, statistics.fmean(values))} ± {scale}"
