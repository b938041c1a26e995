"""Answers of `edgernn run` can be joined with what they answer."""

import csv
import gzip
import io
import json
import lzma

import numpy as np
import pytest

import edgernn
from edgernn.records.writers import Digits, decimals
from tests.support.run_command import RunCommand, answers, named_model

pytestmark = pytest.mark.device

PIPED = pytest.mark.parametrize("piped", [False, True], ids=["file", "pipe"])
TABLE = (
    "time,temperature,note,humidity,load\n"
    '2024-01-01 00:00,20.5,"dry, cold",48.125,7\n'
    "2024-01-01 00:01,21,,48,007\n"
    '2024-01-01 00:02,20.75,"12"" pipe",47.5,1e2\n'
)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    return RunCommand(named_model(tmp_path), tmp_path, monkeypatch, capsys)


@pytest.fixture
def wanted(run):
    return answers(run.model_file)


@PIPED
def test_named_columns_go_through_before_the_outputs(run, wanted, piped):
    code, out, _ = run(TABLE, "--pass-through", "time,note", piped=piped)
    assert code == 0
    rows = list(csv.reader(io.StringIO("\n".join(out))))
    assert rows == [
        ["time", "note", "load"],
        ["2024-01-01 00:00", "dry, cold", wanted[0]],
        ["2024-01-01 00:01", "", wanted[1]],
        ["2024-01-01 00:02", '12" pipe', wanted[2]],
    ]


@PIPED
def test_all_columns_go_through_and_no_name_is_there_twice(run, wanted, piped):
    code, out, _ = run(TABLE, "--pass-through", "all", piped=piped)
    rows = list(csv.DictReader(io.StringIO("\n".join(out))))
    assert code == 0
    assert [row.pop("load_output") for row in rows] == wanted
    assert rows == list(csv.DictReader(io.StringIO(TABLE)))


def test_cells_become_json_of_their_kind(run, wanted):
    code, out, _ = run(TABLE, "--pass-through", "load,note,time", "--output-format", "jsonl")
    assert code == 0
    assert [json.loads(line) for line in out] == [
        {"load": load, "note": note, "time": f"2024-01-01 00:0{t}", "load_output": float(wanted[t])}
        for t, (load, note) in enumerate([(7, "dry, cold"), ("007", None), (100.0, '12" pipe')])
    ]


def test_columns_without_names_go_through_by_position(run, wanted):
    text = "9:00,20.5,48.125\n9:01,21,48\n9:02,20.75,47.5\n"
    code, out, _ = run(text, "--columns", "2,3", "--pass-through", "1")
    assert (code, out) == (0, [f"9:0{t},{y}" for t, y in enumerate(wanted)])
    code, out, _ = run(text, "--columns", "2,3", "--pass-through", "all", "--format", "csv")
    assert out[0] == f"9:00,20.5,48.125,{wanted[0]}"


@PIPED
@pytest.mark.parametrize("passed", ["t,key", "all"])
def test_keys_of_json_go_through_as_they_are(run, wanted, passed, piped):
    objects = [
        {"t": "9:00", "key": {"a": [1]}, "temperature": 20.5, "humidity": 48.125},
        {"t": None, "key": 2, "temperature": 21, "humidity": 48},
        {"t": "é", "key": "3", "temperature": 20.75, "humidity": 47.5},
    ]
    text = "\n".join(map(json.dumps, objects))
    code, out, _ = run(text, "--pass-through", passed, "--one-stream", piped=piped)
    assert code == 0
    for line, given, y in zip(out, objects, wanted, strict=True):
        kept = given if passed == "all" else {name: given[name] for name in ("t", "key")}
        assert json.loads(line) == kept | {"load": float(y)}
    code, out, _ = run(
        text, "--pass-through", passed, "--one-stream", "--output-format", "csv", piped=piped
    )
    rows = list(csv.reader(io.StringIO("\n".join(out))))
    assert rows[0][:2] == ["t", "key"]
    assert [row[:2] for row in rows[1:]] == [["9:00", '{"a": [1]}'], ["", "2"], ["é", "3"]]
    assert [row[-1] for row in rows[1:]] == wanted


def test_new_keys_do_not_get_lost_in_a_table(run):
    text = (
        '{"temperature":1,"humidity":2}\n'
        '{"temperature":1,"humidity":2,"late":3}\n'
    )  # fmt: skip
    code, _, err = run(text, "--pass-through", "all", "--output-format", "csv")
    assert code == 2
    assert "line 2: --pass-through: expected the keys of the first reading, got late." in err


@pytest.mark.parametrize("policy", ["hold", "skip"])
def test_what_goes_through_beside_a_bad_reading(run, policy):
    text = "time,temperature,humidity\n9:00,20.5,48\n9:01,,48\n9:02\n9:03,21,48\n"
    code, out, err = run(text, "--pass-through", "time", "--on-bad-reading", policy)
    assert (code, err) == (0, f"4 readings, 2 bad ({policy})\n")
    assert [line.split(",")[0] for line in out] == ["time", "9:00", "9:01", "", "9:03"]


def test_columns_that_are_not_there_do_not_go_through(run):
    code, out, err = run(TABLE, "--pass-through", "time,key")
    assert (code, out) == (2, [])
    assert "expected a table with the columns key, got one with time, temperature, note, " in err
    code, _, err = run("1,2\n", "--pass-through", "3")
    assert code == 2
    assert "expected a table with the columns 3, got one with 2 columns without names." in err


# ---------------------------------------------------------------- formats and files


@pytest.mark.parametrize(
    ("name", "output", "options", "is_json"),
    [
        ("x.csv", "y.jsonl", (), True),
        ("x.csv", "y.NDJSON", (), True),
        ("x.csv", "y.txt", (), False),
        ("x.csv", "y.jsonl", ("--format", "csv"), False),
        ("x.csv", "y.csv", ("--output-format", "jsonl"), True),
        ("x.jsonl", "y.jsonl", ("--input-format", "csv"), True),
        ("x.log", "y.jsonl.gz", ("--input-format", "csv"), True),
        ("x.csv", "y.csv.xz", (), False),
    ],
)
def test_both_formats_are_chosen_apart_and_by_suffix(
    run, wanted, tmp_path, name, output, options, is_json
):
    path = tmp_path / output
    code, out, _ = run(
        TABLE, "--pass-through", "time", "--output", str(path), *options, name=name
    )  # fmt: skip
    assert (code, out) == (0, [])
    content = path.read_bytes()
    if output.endswith(".gz"):
        content = gzip.decompress(content)
    elif output.endswith(".xz"):
        content = lzma.decompress(content)
    lines = content.decode().splitlines()
    if is_json:
        assert [json.loads(line)["load"] for line in lines] == list(map(float, wanted))
    else:
        assert [line.split(",")[-1] for line in lines] == ["load", *wanted]


@pytest.mark.parametrize("output", ["y.csv.gz", "y.csv.xz"])
def test_compressed_answers_are_the_same_bytes_every_time(run, tmp_path, output):
    contents = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / output
        assert run(TABLE, "--output", str(path))[0] == 0
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]


# ---------------------------------------------------------------- digits


@pytest.mark.parametrize(
    "step", [2.0**-10, 1e-3, 0.25, 1.0, 100.0, 0.03, 2.0**-15 * 7.3, 3e-13, 1e-12, 7e12, 1e-30]
)
def test_the_digits_tell_every_code(step):
    codes = np.arange(-32768, 32768)
    values = codes * step
    texts = [Digits([step]).texts([value])[0] for value in values.tolist()]
    assert np.array_equal(np.rint(np.array(texts, dtype=np.float64) / step), codes)
    assert len(set(texts)) == len(texts)
    places = decimals(step)
    if places is not None:  # one digit less would not do
        assert places == 0 or 10.0 ** -(places - 1) >= step


def test_no_answer_has_more_digits_than_its_step(run):
    lines = "\n".join(f"{20 + k / 7},{48 - k / 9}" for k in range(50))
    code, out, _ = run(lines)
    assert code == 0
    assert max(len(text.partition(".")[2]) for text in out) == 4


def test_the_digits_follow_the_scale_of_the_output(tmp_path, monkeypatch, capsys):
    path = named_model(tmp_path, scale=np.array([0.5]))
    run = RunCommand(path, tmp_path, monkeypatch, capsys)
    code, out, _ = run(TABLE)
    with edgernn.load(path) as session:
        ys = session.run([[20.5, 48.125], [21, 48], [20.75, 47.5]])[:, 0]
    assert (code, out[1:]) == (0, [f"{y:.1f}" for y in ys])
