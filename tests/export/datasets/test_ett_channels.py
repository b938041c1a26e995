"""All channels of ETTh1 as a task."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn_export.datasets import ett

MONTH = 720
ROWS = 20 * MONTH + 50


@pytest.fixture
def values(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGERNN_DATA", str(tmp_path))
    rng = np.random.default_rng(6)
    table = np.round(np.cumsum(rng.normal(size=(ROWS, 7)), axis=0), 1)

    def write(rows):
        names = "date,HUFL,HULL,MUFL,MULL,LUFL,LULL,OT"
        lines = [f"2016-07-01 00:00:00,{','.join(map(repr, row))}" for row in rows.tolist()]
        path = tmp_path / "ett/ETTh1.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join([names, *lines]) + "\n", encoding="utf-8")
        return ett()

    return table, write


def test_targets_bases_and_splits_by_index(values):
    table, write = values
    task = write(table)
    assert (task.train.x.shape[2], len(task.output_names)) == (18, 168)
    assert task.output_names[6] == "OT in 1 h"
    assert task.output_names[23 * 7] == "HUFL in 24 h"
    for part, first, last in (
        (task.train, 24, 12 * MONTH),
        (task.validation, 12 * MONTH, 16 * MONTH),
        (task.test, 16 * MONTH, 20 * MONTH),
    ):
        counted = np.flatnonzero(part.counted[0])
        row = counted[0] - part.scored_from + max(first - 1, 24)  # of the first step that counts
        at = counted[0]
        target = part.target[0, at].reshape(24, 7)
        np.testing.assert_array_equal(target, table[row + 1 : row + 25])
        base = part.base[0, at].reshape(24, 7)
        np.testing.assert_array_equal(base[:, :6], table[row - 23 : row + 1, :6])
        np.testing.assert_array_equal(base[:, 6], table[row, 6])
        np.testing.assert_allclose(part.x[0, at, 1], table[row, 0] - table[row - 24, 0], atol=1e-9)
        final = part.target[0, counted[-1]].reshape(24, 7)
        np.testing.assert_array_equal(final[-1], table[last - 1])
    deviation = table[: 12 * MONTH].std(axis=0)
    np.testing.assert_allclose(task.metric_scale.reshape(24, 7)[5], deviation)
    part, rows = task.test, np.arange(16 * MONTH - 1, 20 * MONTH - 24)
    error = np.stack([table[rows + h] - table[rows + h - 24] for h in range(1, 25)])
    wanted = np.mean(np.square(error / deviation))
    again = task.score(task.naive["the last 24 hours again"], part)
    assert again["mse"] == pytest.approx(wanted)


def test_no_input_looks_ahead(values):
    table, write = values
    before = write(table)
    later = 18 * MONTH
    changed = table.copy()
    changed[later:] += 3.0
    after = write(changed)
    np.testing.assert_array_equal(before.train.x, after.train.x)
    np.testing.assert_array_equal(before.target_scale, after.target_scale)
    known = later - (20 * MONTH - 24 - before.test.x.shape[1])
    for name in ("x", "base"):
        one, other = getattr(before.test, name)[0], getattr(after.test, name)[0]
        np.testing.assert_array_equal(one[:known], other[:known])
    assert not np.array_equal(before.test.x[0, known], after.test.x[0, known])
