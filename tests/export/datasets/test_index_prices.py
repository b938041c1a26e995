"""Daily prices: the reader, inputs without a look ahead, folds that follow one another, errors."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn.errors import DataUnavailable, TrainingError
from edgernn_export.datasets import index_prices, price_windows
from edgernn_export.datasets.series.price_forecast import borders, price_errors, scored_prices
from edgernn_export.datasets.series.price_tables import load_prices
from tests.support.training.data_files import price_rows, write_prices

DAYS = 640


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGERNN_DATA", str(tmp_path))
    write_prices(tmp_path, DAYS)
    return tmp_path


def written(folder, rows, name="mine.csv"):
    path = folder / name
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return str(path)


def closes(folder):
    return load_prices("sp500").column("close")


def test_columns_in_any_order_and_both_forms_of_dates(folder):
    rows = ["close, Date ,Volume", "12.5,1/31/2020,7", "13,2/3/2020,8"]
    table = load_prices(file=written(folder, rows))
    assert (table.name, [str(day) for day in table.days]) == ("mine", ["2020-01-31", "2020-02-03"])
    np.testing.assert_array_equal(table.column("close"), [12.5, 13.0])
    np.testing.assert_array_equal(table.column("volume"), [7.0, 8.0])
    assert np.isnan(table.column("open")).all()
    assert str(load_prices("sp500").days[-1]) == str(np.datetime64("2001-01-01") + DAYS - 1)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["Date,Open", "2020-01-01,3"], "without close. Name the columns Date, Open"),
        (["Date,Close"], "got 1 lines without prices"),
        (["Date,Close", "2020-01-01,3", "2020-01-02,"], "line 3: expected a day and prices"),
        (["Date,Close", "01.02.2020,3"], "line 2: expected a day and prices, got the date"),
        (["Date,Close", "2020-01-02,3", "2020-01-01,3"], "line 3: expected days in ascending"),
        (["Date,Close", "2020-01-01,3", "2020-01-02,0"], "line 3: expected a price above 0 in clo"),
    ],
)
def test_damaged_files_are_refused(folder, rows, message):
    with pytest.raises(DataUnavailable, match=message):
        load_prices(file=written(folder, rows))


def test_wrong_options_are_refused(folder):
    for options, message in (
        ({"index": "dax"}, "index: expected nifty50 or sp500, got 'dax'"),
        ({"inputs": "all"}, "inputs: expected close or ohlcv, got 'all'"),
        ({"fold": 6}, r"fold: expected a number 1\.\.5, got 6"),
    ):
        with pytest.raises(TrainingError, match=message):
            index_prices(**options)
    with pytest.raises(DataUnavailable, match=r"expected the file index_prices/NIFTY_50\.csv or"):
        index_prices("nifty50")
    with pytest.raises(DataUnavailable, match=r"a CSV file of daily prices, got none at none\.csv"):
        index_prices(file="none.csv")
    short = written(folder, price_rows(599))
    with pytest.raises(DataUnavailable, match="at least 600 days, got 599"):
        index_prices(file=short)
    only = [",".join(np.array(row.split(","))[[0, 4]]) for row in price_rows(600)]
    with pytest.raises(DataUnavailable, match="Use: --set inputs=close"):
        index_prices(file=written(folder, only), inputs="ohlcv")
    assert index_prices(file=written(folder, only)).input_names == ("close_change",)


@pytest.mark.parametrize("inputs", ["close", "ohlcv"])
def test_an_input_depends_on_no_later_price(folder, inputs):
    rows = price_rows(DAYS)
    cut = 500  # the table's line of day 499 is the last one that both files share
    other = rows[: cut + 1] + price_rows(DAYS, seed=9)[cut + 1 :]
    one, two = (
        index_prices(file=written(folder, lines, name), inputs=inputs, fold=1)
        for lines, name in ((rows, "a.csv"), (other, "b.csv"))
    )
    first, second = one.test.x[0], two.test.x[0]
    begin = borders(DAYS - 1, 1)[1] - 1 - one.test.scored_from
    same = cut - 1 - begin  # input row r is day r + 1
    np.testing.assert_array_equal(first[:same], second[:same])
    assert not np.array_equal(first[: same + 1], second[: same + 1])
    np.testing.assert_array_equal(one.train.x, two.train.x)


def test_folds_walk_over_the_last_fifth_of_the_days(folder):
    close = closes(folder)
    scored = []
    for fold in range(1, 6):
        data = index_prices(fold=fold)
        _, validation_end, _ = borders(DAYS - 1, fold)
        truth, now, said = scored_prices(data.test, np.zeros_like(data.test.target))
        np.testing.assert_allclose(said, now, rtol=1e-12)
        at = validation_end + 1
        np.testing.assert_allclose(truth, close[at : at + len(truth)], rtol=1e-12)
        np.testing.assert_allclose(now, close[at - 1 : at - 1 + len(truth)], rtol=1e-12)
        assert data.name == f"S&P 500, {load_prices().days[at]} to " + str(
            load_prices().days[at + len(truth) - 1]
        )
        held, _, _ = scored_prices(data.validation, np.zeros_like(data.validation.target))
        np.testing.assert_allclose(held, close[at - len(held) : at], rtol=1e-12)
        learnt = data.train.target.shape[1] + 1
        assert 1 + learnt + len(held) == at
        scored.append(truth)
    np.testing.assert_allclose(np.concatenate(scored), close[-round(0.2 * (DAYS - 1)) :])


def test_five_inputs_are_relative_to_the_close_of_the_day_before(folder):
    data, table = index_prices(inputs="ohlcv"), load_prices()
    assert data.input_names == tuple(
        f"{name}_change" for name in ("open", "high", "low", "close", "volume")
    )
    prices, volume, close = table.values[:, :4], table.column("volume"), table.column("close")
    x = data.train.x[0]
    np.testing.assert_allclose(x[6, :4], np.log(prices[7] / close[6]))
    np.testing.assert_allclose(x[6, 4], np.log(volume[7] / volume[6]))


def test_days_without_a_volume_keep_the_last_one(folder):
    rows = price_rows(600)
    for line in (1, 9):
        rows[line] = rows[line].rpartition(",")[0] + ",0"
    x = index_prices(file=written(folder, rows), inputs="ohlcv").train.x[0, :, 4]
    assert x[7] == 0.0  # day 8, whose volume is that of day 7
    assert np.isfinite(x).all()


def test_windows_end_the_day_before_their_target(folder):
    data, close = price_windows(), closes(folder)
    parts = (data.train, data.validation, data.test)
    truth, now, _ = (
        np.concatenate(v) for v in zip(*(scored_prices(p, p.base) for p in parts), strict=True)
    )
    np.testing.assert_array_equal(truth, close[60:])
    np.testing.assert_array_equal(now, close[59:-1])
    np.testing.assert_array_equal(data.test.x[3, :, 0], close[DAYS - 128 + 3 - 60 : DAYS - 128 + 3])
    still = data.score(data.naive["no change"], data.test)
    assert still["rmse"] == pytest.approx(np.sqrt(np.mean(np.diff(close[-129:]) ** 2)))
    assert [len(part.x) for part in parts] == [DAYS - 60 - 64 - 128, 64, 128]


def test_errors_of_prices():
    truth, now = np.array([100.0, 110.0, 110.0, 99.0]), np.array([90.0, 100.0, 110.0, 110.0])
    found = price_errors(truth, now, np.array([104.0, 99.0, 111.0, 110.0]))
    assert found["mae"] == (4 + 11 + 1 + 11) / 4
    assert found["rmse"] == pytest.approx(np.sqrt((16 + 121 + 1 + 121) / 4))
    assert found["mape"] == pytest.approx(100 * (0.04 + 0.1 + 1 / 110 + 11 / 99) / 4)
    assert found["direction"] == pytest.approx(1 / 3)  # right, wrong, left out, no change said


def test_a_data_set_scores_in_index_points(folder):
    data = index_prices()
    truth, now, _ = scored_prices(data.test, data.test.base * 0)
    found = data.score(np.zeros_like(data.test.target), data.test)
    assert found["rmse"] == pytest.approx(np.sqrt(np.mean((truth - now) ** 2)))
    assert found["mse"] == pytest.approx(found["rmse"] ** 2)
    assert not data.rising
