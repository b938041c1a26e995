"""The recipes of prices on a small file: folds, days ahead, windows and the endless stream."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from edgernn_export.datasets import index_prices, price_windows
from edgernn_export.datasets.series.price_forecast import scored_prices
from edgernn_export.training.reports import price_walk
from edgernn_export.training.reports import price_windows as windows_report
from edgernn_export.training.reports.price_walk import (
    FoldFigures,
    pooled,
    recursive_errors,
    share_interval,
    walk_text,
)
from tests.support.training.data_files import write_prices

DAYS = 600


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGERNN_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write_prices(tmp_path, DAYS)
    return tmp_path


def said(capsys: Any, *arguments: str) -> dict[str, Any]:
    assert main(["train", *arguments, "--epochs", "1", "--json"]) == 0
    record: dict[str, Any] = json.loads(capsys.readouterr().out)
    return record


@pytest.mark.tf
def test_folds_are_trained_and_reported(
    folder: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(price_walk, "FOLDS", 2)  # the first one, and the last one as ever
    record = said(capsys, "price", "--units", "3")
    first, last = record["report"]["folds"]
    data = index_prices()
    assert [first["name"], last["name"]] == [index_prices(fold=1).name, data.name]
    assert last["scores"]["w8a8"]["rmse"] == record["scores"]["w8a8"]["test"]["rmse"]
    truth, now, _ = scored_prices(data.test, np.zeros_like(data.test.target))
    persistence = float(np.sqrt(np.mean(np.square(truth - now))))
    assert last["scores"]["persistence"]["rmse"] == pytest.approx(persistence)
    assert last["scores"]["always up"]["direction"] == np.mean(truth > now)
    assert len(first["ahead"]["w8a8"]) == price_walk.DAYS_AHEAD
    files = {form: Path(file["path"]) for form, file in record["files"].items()}
    assert files["picture"].read_bytes().startswith(b"\x89PNG")
    assert Path("build/price/fold_1/price.edgernn").is_file()
    # One day ahead is the model's own forecast.
    days = len(truth) - price_walk.DAYS_AHEAD + 1
    with edgernn.load(files["edgernn"]) as session:
        changes = session.run(data.test.x[0])[data.test.scored_from :, 0]
    error = (now * np.exp(changes) - truth)[:days]
    assert last["ahead"]["w8a8"][0] == pytest.approx(float(np.mean(np.square(error))))
    again = recursive_errors(files["edgernn"], data.test, "w8a8")
    tenth = (now[:days] - truth[price_walk.DAYS_AHEAD - 1 :]) ** 2
    assert again["persistence"][-1] == pytest.approx(float(np.mean(tenth)))


@pytest.mark.tf
def test_the_textbook_s_windows_and_their_stream(
    folder: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows_report, "_EPOCHS", 1)
    record = said(capsys, "price_textbook", "--units", "4")
    rows, data = record["report"]["all"], price_windows()
    names = ["persistence", "windows, float", "windows, w8a16"]
    assert list(rows) == [*names, "endless stream, float", "endless stream, w8a16"]
    assert rows["windows, w8a16"]["rmse"] == record["scores"]["w8a16"]["test"]["rmse"]
    truth, _, _ = scored_prices(data.test, data.test.base)
    with edgernn.load("build/price_textbook/price_textbook.edgernn") as session:
        assert session.interface.window.steps == 60
        _, high = session.interface.coder().range
        assert high[0] == pytest.approx(3 * data.train.x.max(), rel=0.01)  # the recipe's range
        stream = np.concatenate([data.test.x[0], truth[:-1, None]])
        answers = session.run(stream)[59:, 0]
    assert np.sqrt(np.mean(np.square(answers - truth))) == pytest.approx(
        rows["windows, w8a16"]["rmse"]
    )
    with edgernn.load("build/price_textbook/price_textbook_stream.edgernn") as session:
        assert session.interface.window is None
        closes = np.concatenate(
            [data.train.x[0], *(p.scored(p.target) for p in (data.train, data.validation))]
        )
        session.run(closes[:-1])
        answers = session.run(np.concatenate([closes[-1:], truth[:-1, None]]))[:, 0]
    assert np.sqrt(np.mean(np.square(answers - truth))) == pytest.approx(
        rows["endless stream, w8a16"]["rmse"]
    )


def figures(days: int, moved: int, rmse: float, right: float) -> FoldFigures:
    model = {"rmse": rmse, "mae": rmse / 2, "mape": 1.0, "direction": right}
    still = {"rmse": 2.0, "mae": 1.0, "mape": 0.5}
    ahead = {name: tuple(float(days) for _ in range(10)) for name in ("persistence", "w8a8")}
    scores = {"persistence": still, "always up": {"direction": 0.5}, "w8a8": model}
    return FoldFigures(name=f"{days} days", days=days, moved=moved, scores=scores, ahead=ahead)


def test_all_days_count_alike() -> None:
    found = pooled([figures(10, 10, 1.0, 0.4), figures(30, 20, 3.0, 0.7)])
    assert found["w8a8"]["rmse"] == pytest.approx(np.sqrt((10 * 1 + 30 * 9) / 40))
    assert found["w8a8"]["mae"] == pytest.approx((10 * 0.5 + 30 * 1.5) / 40)
    assert found["w8a8"]["direction"] == pytest.approx(18 / 30)
    assert set(found["persistence"]) == {"rmse", "mae", "mape"}
    assert found["always up"] == {"direction": 0.5}


def test_the_tables() -> None:
    lines = walk_text([figures(10, 10, 1.0, 0.4), figures(30, 20, 3.0, 0.7)])
    cells = [line.split() for line in lines]
    assert ["10", "days", "10", "2.00", "1.00", "40.0%"] in cells
    assert ["mean", "of", "the", "folds", "2.00", "2.00", "55.0%"] in cells
    assert ["always", "up", "50.0%", "33.2%", "to", "66.8%"] in cells
    assert ["w8a8", *["5.0"] * 10] in cells  # the root of (10 * 10 + 30 * 30) / 40


def test_intervals_of_shares() -> None:
    # Newcombe 1998, Statistics in Medicine 17, table I: 81 of 263, and 15 of 148.
    assert share_interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert share_interval(15 / 148, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
