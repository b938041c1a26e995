"""Report of the recipe price_textbook: windows, and the same network on an endless stream."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn.cli.style import say, table
from edgernn.model.formats import FloatArray
from edgernn_export.datasets import Dataset
from edgernn_export.datasets.series.price_forecast import price_errors, scored_prices
from edgernn_export.quantizer.quantizer import quantize
from edgernn_export.training.compression import quantizer_options
from edgernn_export.training.evaluation import outputs
from edgernn_export.training.pipeline import Produced, Report
from edgernn_export.training.reports.price_picture import draw_prices
from edgernn_export.training.streams.tuning import to_stream

#: Of the fine-tuning.
_EPOCHS: Final = 30


def textbook_report(produced: Produced) -> Report:
    """Compare windows with persistence, and fine-tune the network for an endless stream.

    Args:
        produced: of `price_windows`.
    """
    recipe, data, order = produced.recipe, produced.data, produced.order
    truth, now, _ = scored_prices(data.test, np.zeros_like(data.test.target))
    said = {
        name: scored_prices(data.test, outputs(model, data.test.x))[2]
        for name, model in produced.models.items()
    }
    rows = {"persistence": price_errors(truth, now, now)}
    del rows["persistence"]["direction"]
    rows |= {f"windows, {name}": price_errors(truth, now, values) for name, values in said.items()}
    say(f"tune {recipe.name} for an endless stream")
    closes = _closes(data)
    endless, tuning = to_stream(
        produced.models["float"], closes[:-1], closes[1:], epochs=_EPOCHS, seed=order.seed
    )
    options = quantizer_options(recipe, endless, data) | {
        "name": f"{recipe.name}_stream", "stream": "endless", "progress": False,
        "seeds": [("training", order.seed)],
    }  # fmt: skip
    model = quantize(endless, closes[: sum(data.train.x.shape[:2])], order.precision, **options)
    found = {"float": endless, order.precision: model}
    for name, one in found.items():
        answers = outputs(one, closes[None, :-1])[0, -len(truth) :, 0]
        rows[f"endless stream, {name}"] = price_errors(truth, now, answers)
    picture = draw_prices(truth, now, said, order.out / f"{recipe.name}.png", data.name)
    stream: Path = model.save(order.out / f"{recipe.name}_stream.edgernn")
    return Report(
        text="\n".join([*_table(rows), "", tuning.table()]),
        record={"all": rows, "tuning": asdict(tuning)},
        files={"stream": stream, "picture": picture},
    )


def _closes(data: Dataset) -> FloatArray:
    """All closes of the three parts, float64 [T, 1]."""
    targets = [part.scored(part.target) for part in (data.train, data.validation, data.test)]
    closes: FloatArray = np.concatenate([data.train.x[0], *targets])
    return closes


def _table(rows: dict[str, dict[str, float]]) -> list[str]:
    def cells(name: str, found: dict[str, float]) -> list[Any]:
        errors = [f"{found['rmse']:.2f}", f"{found['mae']:.2f}", f"{found['mape']:.3f} %"]
        return [name, *errors, f"{found['direction']:.1%}" if "direction" in found else ""]

    headings = ["test part", "RMSE", "MAE", "MAPE", "direction"]
    return table(headings, [cells(name, found) for name, found in rows.items()], "<>>>>")
