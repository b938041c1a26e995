"""`edgernn run --group COLUMN` starts a new stream where the value of a column changes."""

import json

import pytest

from tests.support.run_command import RunCommand, answers, named_model

pytestmark = [
    pytest.mark.device,
    pytest.mark.filterwarnings("ignore::edgernn.errors.ClippedReadingsWarning"),
]

ROWS = [
    ("a", 20.5, 99.0),
    ("a", 21.0, 48.0),
    ("b", 20.75, 47.5),
    ("b", 20.5, 48.25),
    ("a", 22.0, 48.0),
]
PARTS = (ROWS[:2], ROWS[2:4], ROWS[4:])
TABLE = "site,temperature,humidity\n" + "".join(f"{s},{t},{h}\n" for s, t, h in ROWS)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    return RunCommand(named_model(tmp_path), tmp_path, monkeypatch, capsys)


@pytest.fixture
def wanted(run):
    parts = [answers(run.model_file, [row[1:] for row in part]) for part in PARTS]
    names = [row[0] for row in ROWS]
    return [
        f"{name},{y}" for name, y in zip(names, [y for part in parts for y in part], strict=True)
    ]


def test_a_table(run, wanted, tmp_path):
    code, out, err = run(TABLE, "--group", "site", "--summary", str(tmp_path / "s.json"))
    assert (code, out) == (0, ["site,load", *wanted])
    assert "3 streams, 5 readings, 0 bad (raise); clipped: humidity 1" in err
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["streams"] == 3
    assert summary["clipped_readings"] == {"temperature": 0, "humidity": 1}


@pytest.mark.parametrize("group", ["site", "1"])
def test_with_other_columns(run, wanted, group):
    table = "\n".join(f"{line},{n}" for n, line in enumerate(TABLE.splitlines())).replace(
        ",0", ",n", 1
    )
    code, out, _ = run(table, "--group", group, "--pass-through", "n,site")
    assert (code, out[0]) == (0, "site,n,load")
    assert [",".join(line.split(",")[::2]) for line in out[1:]] == wanted


def test_json_lines(run, wanted):
    lines = "\n".join(json.dumps({"site": s, "temperature": t, "humidity": h}) for s, t, h in ROWS)
    code, out, _ = run(lines, "--group", "site", name="readings.jsonl")
    assert code == 0
    assert [f"{json.loads(line)['site']},{json.loads(line)['load']:.4f}" for line in out] == wanted


def test_refused(run):
    code, _, err = run(TABLE, "--group", "place")
    assert code == 2 and "expected a table with the columns place" in err
    code, _, err = run(TABLE, "--group", "place", "--pass-through", "all")
    assert code == 2 and "--group: expected a table with the column 'place'" in err
