"""Folds of a stream in time order: a model is always tested on what comes after its training."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgernn.errors import TrainingError
from edgernn_export.compress.checks import is_whole
from edgernn_export.training.recipe import check_count

#: Rows of the training part and of the test part, ascending.
Fold = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]


def walk_forward(
    n: int,
    train: int,
    test: int,
    *,
    step: int | None = None,
    gap: int = 0,
    expanding: bool = False,
) -> list[Fold]:
    """Divide a stream into folds that walk forward in time.

    Each fold trains on consecutive rows, leaves out ``gap`` rows and tests on the rows after them
    (Tashman 2000, rolling-origin evaluation). Rows that do not fill a test part are not used. The
    list is a ``cv`` of scikit-learn:

        GridSearchCV(estimator, grid, cv=walk_forward(len(x), 2000, 500, gap=24))

    Args:
        n: rows of the stream.
        train: rows of the training part; of the first fold where it expands.
        test: rows of the test part.
        step: rows between two folds; default ``test``, so that test parts do not overlap.
        gap: rows between training and test, at least the horizon of forecasts: the targets of the
            last training rows lie in it.
        expanding: train on all rows from the first on, instead of the last ``train`` rows.

    Returns:
        One pair of row numbers for each fold, the earliest first.

    Raises:
        TrainingError: a number that cannot be one, or a stream that is too short for one fold.
    """
    step = test if step is None else step
    for owner, value in (("n", n), ("train", train), ("test", test), ("step", step)):
        check_count(f"walk_forward {owner}", value)
    if not is_whole(gap) or gap < 0:
        raise TrainingError(f"walk_forward gap: expected a whole number >= 0, got {gap!r:.40}.")
    needed = train + gap + test
    if n < needed:
        raise TrainingError(
            f"walk_forward n: expected at least {needed} rows (train {train}, gap {gap}, test "
            f"{test}), got {n}. Pass a smaller train or test."
        )
    rows = np.arange(n)
    return [
        (
            rows[0 if expanding else start : start + train],
            rows[start + train + gap : start + needed],
        )
        for start in range(0, n - needed + 1, step)
    ]
