"""The demo's findings as tables for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from edgernn_export.demo.data import HORIZON_WEEKS
from edgernn_export.demo.pipeline import DemoResult
from edgernn_export.verification.comparison import NOT_INSTALLED, RAN, RuntimeOutcome

_TITLES: Final = {
    "float": "GRU, float",
    "w8a8": "GRU, INT8 (w8a8)",
    "w8a16": "GRU, w8a16",
    "seasonal naive": "seasonal naive rule",
    "persistence": "persistence rule",
}


def to_json(outcome: DemoResult) -> str:
    """All figures; bytes and errors repeat on one machine, times do not."""
    record = {
        "horizon_weeks": HORIZON_WEEKS,
        "validation": {name: asdict(score) for name, score in outcome.validation.items()},
        "test": {name: asdict(score) for name, score in outcome.test.items()},
        "kept": {name: kept(outcome, name) for name in outcome.streams},
        "file_bytes": {
            name: {form: path.stat().st_size for form, path in written.items()}
            for name, written in outcome.files.items()
        },
        "streams": {n: json.loads(stream.to_json()) for n, stream in outcome.streams.items()},
        "differing": differing(outcome),
        "passed": passed(outcome),
    }
    return json.dumps(record, indent=2, allow_nan=False) + "\n"


def kept(outcome: DemoResult, name: str) -> float:
    """Share of the float model's accuracy: float RMSE over this forecaster's, test part."""
    return outcome.test["float"].rmse_ppm / outcome.test[name].rmse_ppm


def differing(outcome: DemoResult) -> int:
    """Differing values over both precisions and all backends."""
    return sum(stream.differing for stream in outcome.streams.values())


def passed(outcome: DemoResult) -> bool:
    """A runtime ran beside the reference for every precision, none failed, nothing differs."""
    return all(stream.passed for stream in outcome.streams.values())


def show(outcome: DemoResult) -> None:
    """Print the tables to stdout, the count of differing values last."""
    from rich.console import Console

    console = Console(highlight=False)
    for table in (_accuracy(outcome), _files(outcome), _backends(outcome)):
        console.print(table)
        console.print()
    console.print(f"differing values: {differing(outcome)}")


def _accuracy(outcome: DemoResult) -> object:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    title = f"CO2 level {HORIZON_WEEKS} weeks ahead, error in ppm"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column("forecast")
    for column in ("RMSE test", "MAE test", "RMSE validation", "kept"):
        table.add_column(column, justify="right")
    for name, title in _TITLES.items():
        test, validation = outcome.test[name], outcome.validation[name]
        share = f"{kept(outcome, name):.1%}" if name in outcome.streams else ""
        table.add_row(
            title,
            f"{test.rmse_ppm:.3f}",
            f"{test.mae_ppm:.3f}",
            f"{validation.rmse_ppm:.3f}",
            share,
        )
    return table


def _files(outcome: DemoResult) -> object:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    formats = ("keras", "edgernn", "tflite", "onnx")
    table = Table(title="bytes of each file", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("model")
    for form in formats:
        table.add_column(f".{form}", justify="right")
    for name, written in outcome.files.items():
        sizes = [f"{written[f].stat().st_size:,}" if f in written else "" for f in formats]
        table.add_row(_TITLES[name], *sizes)
    return table


def _backends(outcome: DemoResult) -> object:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    first = next(iter(outcome.streams.values()))
    table = Table(
        title=f"{first.steps:,} readings, one by one, every output and state compared",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for column in ("runtime", "version", "configuration"):
        table.add_column(column, no_wrap=True)
    for name in outcome.streams:
        table.add_column(f"{name}\nµs/step", justify="right")
    table.add_column("values\ndiffer", justify="right")
    shown = ""
    for rows in zip(*(stream.outcomes for stream in outcome.streams.values()), strict=True):
        head = rows[0]
        again = head.runtime == shown
        shown = head.runtime
        if all(row.status == NOT_INSTALLED for row in rows):
            if not again:
                table.add_row(head.runtime, "", NOT_INSTALLED)
            continue
        named = ("", "") if again else (head.runtime, head.version or "")
        table.add_row(*named, head.variant, *map(_time, rows), _difference(rows))
    return table


def _time(row: RuntimeOutcome) -> str:
    return row.status if row.step_us is None else f"{row.step_us:.1f}"


def _difference(rows: Sequence[RuntimeOutcome]) -> str:
    """Differing values of the streams that ran; blank where none did."""
    ran = [row.differing for row in rows if row.status == RAN]
    return f"{sum(ran):,}" if ran else ""
