"""Scores that NAB publishes for a detector are scored by the rules of the recipe `anomaly`."""

import json

import numpy as np
import pytest

from benchmarks import nab_detectors
from edgernn_export.datasets.machines.nab_streams import FOLDER, LABELS

ROWS = 400
NAME = "realTweets/one.csv"
#: Of the 400 rows, the first 60 are not scored; these are labeled.
FIRST, LAST = 200, 239


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A folder of a detector whose score is 1 in the labeled rows, and 0 elsewhere."""
    times = [f"2014-07-{1 + i // 24:02d} {i % 24:02d}:00:00" for i in range(ROWS)]
    files = {
        f"{FOLDER}/data/{NAME}": "\n".join(["timestamp,value", *(f"{t},1.0" for t in times)]),
        f"{FOLDER}/{LABELS}": json.dumps({NAME: [[times[FIRST], times[LAST]]]}),
        "perfect/realTweets/perfect_one.csv": "\n".join(
            ["timestamp,value,anomaly_score,label"]
            + [f"{t},1.0,{float(FIRST <= i <= LAST)},0" for i, t in enumerate(times)]
        ),
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    monkeypatch.setenv("EDGERNN_DATA", str(tmp_path))
    return tmp_path / "perfect"


def test_an_alarm_at_the_first_labeled_row_has_the_full_score(published, capsys):
    assert nab_detectors.main([str(published)]) == 0
    heading, _, *rows = capsys.readouterr().out.splitlines()
    assert heading.split() == ["perfect", "standard", "low_fp", "low_fn"]
    assert [row.split()[-3:] for row in rows] == [["100.0"] * 3] * 2
    assert rows[0].startswith("every row ") and rows[1].startswith("same rule of alarms ")


def test_a_later_alarm_has_less(published):
    path = published / "realTweets" / "perfect_one.csv"
    early = nab_detectors.scored(published)
    lines = path.read_text().splitlines()
    for row in range(FIRST, LAST - 4):
        lines[1 + row] = lines[1 + row].replace("1.0,1.0,", "1.0,0.0,")
    path.write_text("\n".join(lines) + "\n")
    late = nab_detectors.scored(published)
    for rule, scores in late.items():
        assert np.all(np.array(scores) < np.array(early[rule]))
        assert np.all(np.array(scores) > 0.0)


def test_files_that_do_not_belong_to_the_recordings_are_refused(published, capsys):
    path = published / "realTweets" / "perfect_one.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-5]) + "\n")
    with pytest.raises(SystemExit):
        nab_detectors.main([str(published)])
    assert "expected 400 rows in perfect_one.csv, got 395." in capsys.readouterr().err
    path.unlink()
    with pytest.raises(SystemExit):
        nab_detectors.main([str(published)])
    assert "expected perfect_one.csv in " in capsys.readouterr().err
