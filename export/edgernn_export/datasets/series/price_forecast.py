"""Tomorrow's closing price as a task, in folds that walk forward; and the textbook's windows."""

from __future__ import annotations

from typing import Final

import numpy as np

from edgernn.errors import DataUnavailable, TrainingError
from edgernn.model.formats import FloatArray
from edgernn_export.datasets.dataset import Dataset
from edgernn_export.datasets.series.price_tables import COLUMNS, PriceTable, load_prices
from edgernn_export.datasets.splits import Part, change_scale, forecast_part

#: Test parts, one after the other; together they are the last fifth of the days.
FOLDS: Final = 5
_TESTED: Final = 0.2
#: Days before each test part that choose the epoch, as a share of all days.
_VALIDATED: Final = 0.1
#: Days before the first one that counts, which only bring the state up to date.
WARM_UP_DAYS: Final = 60
#: The shortest table that has something to learn.
_LEAST_DAYS: Final = 600
#: Days of a window of the textbook's network.
WINDOW_DAYS: Final = 60
INPUTS: Final = ("close", "ohlcv")
_DAY_MS: Final = 86_400_000.0


def index_prices(
    index: str = "sp500", inputs: str = "close", file: str = "", fold: str | int = FOLDS
) -> Dataset:
    """The change of the close until the next trading day, from the changes so far.

    Inputs and output are changes of logarithms, so they have no level and no currency. With
    "close" the input is the change of the close. With "ohlcv" there are five: open, high, low and
    close relative to the close of the day before, and the change of the volume; without volume in
    the file there are four.

    Args:
        index: "sp500" or "nifty50".
        inputs: "close" or "ohlcv".
        file: path of the user's own CSV file; see `load_prices`.
        fold: 1 to 5; its test part is that fifth of the last fifth of the days. The model learns
            from the days before its validation part, which ends where the test part begins.

    Raises:
        DataUnavailable: the file is missing, damaged or too short.
        TrainingError: an unknown index, other inputs, or another fold.
    """
    if inputs not in INPUTS:
        raise TrainingError(f"inputs: expected {' or '.join(INPUTS)}, got {inputs!r:.40}.")
    if str(fold) not in map(str, range(1, FOLDS + 1)):
        raise TrainingError(f"fold: expected a number 1..{FOLDS}, got {fold!r:.40}.")
    table = _long_enough(load_prices(index, file))
    x, names = _changes(table, inputs)
    level = np.log(table.column("close"))[1:, None]
    train_end, validation_end, test_end = borders(len(level), int(fold))
    train = forecast_part(x, level, [1], 0, train_end, 0)
    return Dataset(
        name=f"{table.name}, {table.days[validation_end + 1]} to {table.days[test_end]}",
        source=table.source,
        protocol=(
            f"In at every trading day: changes of the logarithm of {', '.join(names)}; out: the "
            "change until the next close. Expanding train part; the days before the test part "
            "choose the epoch; errors in index points."
        ),
        train=train,
        validation=forecast_part(x, level, [1], train_end, validation_end, WARM_UP_DAYS),
        test=forecast_part(x, level, [1], validation_end, test_end, WARM_UP_DAYS),
        classes=(),
        metric="rmse",
        metric_unit="index points",
        target_scale=float(change_scale(train)[0]),
        metric_scale=np.ones(1),
        input_names=tuple(f"{name}_change" for name in names),
        input_units=("",) * len(names),
        output_names=("next_close_change",),
        output_units=("",),
        step_ms=_DAY_MS,
        calibration_stride=1,
        scorer=_errors,
    )


def borders(days: int, fold: int) -> tuple[int, int, int]:
    """Rows after the last of train, validation and test of a fold."""
    first = days - round(_TESTED * days)
    ends = np.linspace(first, days, FOLDS + 1).round().astype(int)
    begin, end = int(ends[fold - 1]), int(ends[fold])
    return begin - round(_VALIDATED * days), begin, end


def price_windows(index: str = "sp500", file: str = "") -> Dataset:
    """The next close from a window of the last 60: the task of textbooks.

    The first 70 % of the days train, the next 10 % choose the epoch, and the last fifth is the
    test part, whose windows reach back before it.

    Args:
        index: "sp500" or "nifty50".
        file: path of the user's own CSV file; see `load_prices`.

    Raises:
        DataUnavailable: the file is missing, damaged or too short.
        TrainingError: an unknown index.
    """
    table = _long_enough(load_prices(index, file))
    close = table.column("close")
    tested = len(close) - round(_TESTED * len(close))
    trained = tested - round(_VALIDATED * len(close))
    views = np.lib.stride_tricks.sliding_window_view(close, WINDOW_DAYS)[:-1, :, None]

    def part(first: int, last: int) -> Part:
        x = views[first - WINDOW_DAYS : last - WINDOW_DAYS].copy()
        target = np.broadcast_to(close[first:last, None, None], x.shape)
        base = np.broadcast_to(np.zeros(1), x.shape)
        return Part(x=x, target=target, base=base, scored_from=0, last_only=True)

    test = part(tested, len(close))
    return Dataset(
        name=f"{table.name}, windows of {WINDOW_DAYS} days",
        source=table.source,
        protocol=(
            f"In: the last {WINDOW_DAYS} closes; out: the next one. 70 % train, 10 % validate, "
            "20 % test, in this order of time; the scaler sees the train part only."
        ),
        train=part(WINDOW_DAYS, trained),
        validation=part(trained, tested),
        test=test,
        classes=(),
        metric="rmse",
        metric_unit="index points",
        target_scale=float(np.std(close[:trained])),
        metric_scale=np.ones(1),
        input_names=("close",),
        input_units=("points",),
        output_names=("next_close",),
        output_units=("points",),
        step_ms=_DAY_MS,
        calibration_stride=4,
        naive={"no change": test.x},
        scorer=_errors,
    )


def price_errors(truth: FloatArray, now: FloatArray, said: FloatArray) -> dict[str, float]:
    """RMSE and MAE in points, MAPE in percent, and the share of days with the right direction.

    Days whose price does not change have no direction and are left out of that share; a forecast
    without a change is wrong there.

    Args:
        truth: the true prices, float64 [N].
        now: the prices on the days of the forecasts, float64 [N].
        said: the forecasts, float64 [N].
    """
    error, moved = said - truth, truth != now
    right = np.sign(said - now)[moved] == np.sign(truth - now)[moved]
    return {
        "rmse": float(np.sqrt(np.mean(np.square(error)))),
        "mae": float(np.mean(np.abs(error))),
        "mape": 100.0 * float(np.mean(np.abs(error) / truth)),
        "direction": float(np.mean(right)) if len(right) else float("nan"),
    }


def scored_prices(part: Part, output: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """True prices, prices on the days of the forecasts, and the forecasts, each float64 [N].

    Args:
        part: of `index_prices` or `price_windows`.
        output: of a model, float64 [B, T, 1].
    """
    truth, said = part.scored(part.target)[:, 0], part.scored(part.base + output)[:, 0]
    if part.last_only:  # windows of closes
        return truth, part.scored(part.x)[:, 0], said
    return np.exp(truth), np.exp(part.scored(part.base)[:, 0]), np.exp(said)


def _errors(output: FloatArray, part: Part) -> dict[str, float]:
    """The metrics of both data sets, in index points."""
    found = price_errors(*scored_prices(part, output))
    return {"mse": found["rmse"] ** 2, **found}


def _changes(table: PriceTable, inputs: str) -> tuple[FloatArray, tuple[str, ...]]:
    """Inputs [T - 1, I] of the days from the second on, and the names of their columns."""
    close = np.log(table.column("close"))
    if inputs == "close":
        return np.diff(close)[:, None], ("close",)
    if np.isnan(table.values[:, :4]).any():
        raise DataUnavailable(
            f"{table.name}, inputs ohlcv: expected the columns Open, High, Low and Close, got none "
            "of some of them. Use: --set inputs=close"
        )
    columns = [np.log(table.values[1:, k]) - close[:-1] for k in range(4)]
    volume = table.column("volume")
    if np.isnan(volume).any():
        return np.stack(columns, axis=1), COLUMNS[:4]
    # A day without a volume, as of some holidays, has that of the day before.
    known = np.maximum.accumulate(np.where(volume > 0, np.arange(len(volume)), -1))
    filled = np.where(known >= 0, volume[np.maximum(known, 0)], 1.0)
    columns.append(np.diff(np.log(filled)))
    return np.stack(columns, axis=1), COLUMNS


def _long_enough(table: PriceTable) -> PriceTable:
    if len(table.days) < _LEAST_DAYS:
        raise DataUnavailable(
            f"{table.name}: expected the prices of at least {_LEAST_DAYS} days, got "
            f"{len(table.days)}."
        )
    return table
