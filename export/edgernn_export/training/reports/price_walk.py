"""Report of the recipe price: every fold, all folds together, days ahead, a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Final

import numpy as np

import edgernn
from edgernn.cli.style import say, table
from edgernn.decoding import continue_series
from edgernn.model.formats import FloatArray
from edgernn_export.datasets import Dataset, Part
from edgernn_export.datasets.series.price_forecast import FOLDS, scored_prices
from edgernn_export.training.evaluation import outputs
from edgernn_export.training.pipeline import Produced, RecipeResult, Report, produce
from edgernn_export.training.reports.price_picture import draw_prices

#: Days ahead of the recursive forecast.
DAYS_AHEAD: Final = 10
#: Standard normal quantile of an interval of 95 %.
_QUANTILE: Final = 1.959964
METRICS: Final = ("rmse", "mae", "mape", "direction")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldFigures:
    """One fold's test part, in index points.

    Attributes:
        name: index and days.
        days: that were forecast.
        moved: of those, days whose close is not that of the day before.
        scores: metrics by model; "persistence" is the last close, "always up" its direction.
        ahead: mean squared errors by days ahead, from 1: "persistence" and the integer model;
            empty where the model cannot read its own forecasts.
    """

    name: str
    days: int
    moved: int
    scores: Mapping[str, Mapping[str, float]]
    ahead: Mapping[str, tuple[float, ...]]


def walk_forward_report(produced: Produced) -> Report:
    """Train the other folds as the last one was, and show all of them.

    Args:
        produced: of the last fold of `index_prices`.
    """
    recipe, order = produced.recipe, produced.order
    figures = []
    for fold in range(1, FOLDS):
        say(f"fold {fold} of {FOLDS}")
        data = recipe.load(fold=fold)
        own = replace(order, out=order.out / f"fold_{fold}", formats=())
        result = produce(replace(recipe, report=None), data, own)
        figures.append(_figures(data, result))
    figures.append(_figures(produced.data, produced.result))
    picture = _draw(produced, order.out / f"{recipe.name}.png")
    return Report(
        text="\n".join(walk_text(figures)),
        record={"folds": [asdict(one) for one in figures], "all": pooled(figures)},
        files={"picture": picture},
    )


def pooled(figures: Sequence[FoldFigures]) -> dict[str, dict[str, float]]:
    """Metrics over the days of all folds, by model."""
    found = {}
    for name in figures[0].scores:
        days = np.array([one.days for one in figures])
        moved = np.array([one.moved for one in figures])
        per = {m: np.array([one.scores[name].get(m, np.nan) for one in figures]) for m in METRICS}
        found[name] = {
            "rmse": float(np.sqrt(np.average(per["rmse"] ** 2, weights=days))),
            "mae": float(np.average(per["mae"], weights=days)),
            "mape": float(np.average(per["mape"], weights=days)),
            "direction": float(np.average(per["direction"], weights=moved)),
        }
    return {n: {m: v for m, v in row.items() if v == v} for n, row in found.items()}


def share_interval(share: float, count: int) -> tuple[float, float]:
    """The interval of 95 % of a share of independent cases (Wilson 1927).

    Args:
        share: that was found, 0 to 1.
        count: of the cases.
    """
    square = _QUANTILE**2 / count
    middle = (share + square / 2) / (1 + square)
    half = _QUANTILE / (1 + square) * np.sqrt(share * (1 - share) / count + square / (4 * count))
    return middle - float(half), middle + float(half)


def walk_text(figures: Sequence[FoldFigures]) -> list[str]:
    """The tables as lines."""
    models = [name for name in figures[0].scores if name not in ("persistence", "always up")]
    return [
        *_fold_table(figures, models),
        "",
        *_pooled_table(figures),
        *(["", *_ahead_table(figures)] if figures[0].ahead else []),
    ]


def _fold_table(figures: Sequence[FoldFigures], models: Sequence[str]) -> list[str]:
    last = models[-1]
    headings = ["test part", "days", "RMSE: persistence", *models, f"direction: {last}"]
    rows: list[list[str] | None] = []
    for one in figures:
        errors = [f"{one.scores[name]['rmse']:.2f}" for name in ("persistence", *models)]
        rows.append([one.name, str(one.days), *errors, f"{one.scores[last]['direction']:.1%}"])
    means = [mean(f.scores[name]["rmse"] for f in figures) for name in ("persistence", *models)]
    direction = mean(f.scores[last]["direction"] for f in figures)
    rows.append(None)
    rows.append(["mean of the folds", "", *(f"{v:.2f}" for v in means), f"{direction:.1%}"])
    return table(headings, rows, "<>" + ">" * (len(models) + 2))


def _pooled_table(figures: Sequence[FoldFigures]) -> list[str]:
    moved = sum(one.moved for one in figures)
    headings = ["all days", "RMSE", "MAE", "MAPE", "direction", "95 % interval"]
    rows = []
    for name, found in pooled(figures).items():
        errors = ["", "", ""]
        if "rmse" in found:
            errors = [f"{found['rmse']:.2f}", f"{found['mae']:.2f}", f"{found['mape']:.3f} %"]
        sides = ["", ""]
        if "direction" in found:
            low, high = share_interval(found["direction"], moved)
            sides = [f"{found['direction']:.1%}", f"{low:.1%} to {high:.1%}"]
        rows.append([name, *errors, *sides])
    return table(headings, rows, "<>>>>>")


def _ahead_table(figures: Sequence[FoldFigures]) -> list[str]:
    headings = ["RMSE by days ahead", *map(str, range(1, DAYS_AHEAD + 1))]
    rows = []
    weights = [one.days for one in figures]
    for name in figures[0].ahead:
        squares = np.average([one.ahead[name] for one in figures], axis=0, weights=weights)
        rows.append([name, *(f"{value:.1f}" for value in np.sqrt(squares))])
    return table(headings, rows, "<" + ">" * DAYS_AHEAD)


def _figures(data: Dataset, result: RecipeResult) -> FoldFigures:
    part = data.test
    still = np.zeros_like(part.target)
    truth, now, _ = scored_prices(part, still)
    moved = truth != now
    persistence = data.score(still, part)
    scores: dict[str, dict[str, float]] = {
        "persistence": {name: persistence[name] for name in METRICS[:-1]},
        "always up": {"direction": float(np.mean(truth[moved] > now[moved]))},
    }
    for name, parts in result.scores.items():
        scores[name] = {metric: parts["test"][metric] for metric in METRICS}
    ahead = {}
    if len(data.input_names) == 1:
        ahead = recursive_errors(result.files["edgernn"], part, list(result.scores)[-1])
    return FoldFigures(
        name=data.name,
        days=len(truth),
        moved=int(np.sum(moved)),
        scores=scores,
        ahead=ahead,
    )


def recursive_errors(path: Path, part: Part, name: str) -> dict[str, tuple[float, ...]]:
    """Mean squared errors 1 to 10 days ahead of a model that reads its own forecasts.

    Args:
        path: of the .edgernn file.
        part: of `index_prices` with the close as the only input.
        name: of the model.
    """
    level = part.base[0, :, 0]
    forecasts, wanted, now = [], [], []
    with edgernn.load(path) as session:
        for step, change in enumerate(part.x[0]):
            tomorrow = session.step(change)
            if part.counted[0, step] and step + DAYS_AHEAD <= len(level):
                changes = continue_series(session, tomorrow, DAYS_AHEAD)[:, 0]
                forecasts.append(level[step] + np.cumsum(changes))
                wanted.append(part.target[0, step : step + DAYS_AHEAD, 0])
                now.append(np.full(DAYS_AHEAD, level[step]))
    truth = np.exp(wanted)

    def squares(said: list[FloatArray]) -> tuple[float, ...]:
        return tuple(np.mean(np.square(np.exp(said) - truth), axis=0).tolist())

    return {"persistence": squares(now), name: squares(forecasts)}


def _draw(produced: Produced, path: Path) -> Path:
    part = produced.data.test
    said = {}
    for name, model in produced.models.items():
        truth, now, said[name] = scored_prices(part, outputs(model, part.x))
    return draw_prices(truth, now, said, path, produced.data.name)
