"""The demo's results as tables and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from edgernn.cli.style import bad, good, table
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
    """A runtime and the reference ran for every precision, none failed, nothing differs."""
    return all(stream.passed for stream in outcome.streams.values())


def show(outcome: DemoResult) -> None:
    """Print the tables to stdout, the count of differing values last."""
    for title, lines in (_accuracy(outcome), _files(outcome), _backends(outcome)):
        print("\n".join([title, "", *lines, ""]))
    count = differing(outcome)
    print(f"differing values: {good('0') if not count else bad(str(count))}")


def _accuracy(outcome: DemoResult) -> tuple[str, list[str]]:
    rows = []
    for name, title in _TITLES.items():
        test, validation = outcome.test[name], outcome.validation[name]
        share = f"{kept(outcome, name):.1%}" if name in outcome.streams else ""
        errors = (test.rmse_ppm, test.mae_ppm, validation.rmse_ppm)
        rows.append((title, *(f"{error:.3f}" for error in errors), share))
    titles = ("forecast", "RMSE test", "MAE test", "RMSE validation", "kept")
    title = f"Forecast of the CO2 level {HORIZON_WEEKS} weeks ahead, error in ppm"
    return title, table(titles, rows, "<>>>>")


def _files(outcome: DemoResult) -> tuple[str, list[str]]:
    formats = ("keras", "edgernn", "tflite", "onnx")
    rows = [
        (
            _TITLES[name],
            *(f"{written[f].stat().st_size:,}" if f in written else "" for f in formats),
        )
        for name, written in outcome.files.items()
    ]
    return "File sizes in bytes", table(["model", *(f".{f}" for f in formats)], rows, "<>>>>")


def _backends(outcome: DemoResult) -> tuple[str, list[str]]:
    first = next(iter(outcome.streams.values()))
    title = f"µs per step over {first.steps:,} readings; every output and state is compared"
    times = [*outcome.streams]
    titles = ["runtime", "version", "configuration", *times, "differing"]
    lines: list[tuple[str, ...]] = []
    shown = ""
    for rows in zip(*(stream.outcomes for stream in outcome.streams.values()), strict=True):
        head = rows[0]
        again = head.runtime == shown
        shown = head.runtime
        if all(row.status == NOT_INSTALLED for row in rows):
            if not again:
                lines.append((head.runtime, "", NOT_INSTALLED))
            continue
        named = ("", "") if again else (head.runtime, head.version or "")
        lines.append((*named, head.variant, *map(_time, rows), _difference(rows)))
    return title, table(titles, lines, "<<<" + ">" * (len(times) + 1))


def _time(row: RuntimeOutcome) -> str:
    return row.status if row.step_us is None else f"{row.step_us:.1f}"


def _difference(rows: Sequence[RuntimeOutcome]) -> str:
    """Differing values of the streams that ran; blank where none did."""
    ran = [row.differing for row in rows if row.status == RAN]
    return f"{sum(ran):,}" if ran else ""
