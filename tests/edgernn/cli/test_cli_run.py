import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from edgernn.cli.arguments import runtime_list
from tests.support.models.integer import random_codes, random_model

pytestmark = pytest.mark.device

ROOT = Path(__file__).parents[3]
XS = [[1.0, 0.5, -2.0], [0.25, -1.0, 3.0], [2.0, 2.0, 2.0]]
PLAIN = "1,0.5,-2\n0.25,-1,3\n2,2,2\n"


@pytest.fixture
def model_file(tmp_path):
    return random_model("lstm").save(tmp_path / "m.edgernn")


@pytest.fixture
def run(model_file, monkeypatch, capsys):
    """Run the command over a text on stdin: exit code, lines on stdout, text on stderr."""

    def call(text, *arguments):
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        code = main(["run", str(model_file), *arguments])
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err

    return call


@pytest.fixture
def wanted(model_file):
    """Outputs of the session over XS."""
    return edgernn.load(model_file).run(XS).tolist()


def as_csv(rows):
    """Four decimals: the models here have output steps of 2**-10."""
    return [",".join(f"{value:.4f}" for value in row) for row in rows]


def rounded(values):
    return [round(value, 4) for value in values]


def test_csv_without_a_header(run, wanted):
    assert run(PLAIN) == (0, as_csv(wanted), "3 readings, 0 bad (raise)\n")


@pytest.mark.parametrize(
    "text",
    [
        "time,x2,x0,x1\n9:00,-2,1,0.5\n9:01,3,0.25,-1\n9:02,2,2,2\n",
        "x0, x1, x2\r\n\r\n 1, 0.5, -2\r\n0.25,-1,3\r\n   \r\n2,2,2\r\n",
        'a,"b ""c""",d\n"1",0.5,-2\n0.25,-1,3\n2,2,2\n',
    ],
    ids=["columns picked by name", "blank lines and space", "other names, same width"],
)
def test_csv_with_a_header_answers_with_one(run, wanted, text):
    assert run(text)[:2] == (0, ["y0,y1", *as_csv(wanted)])


@pytest.mark.parametrize("form", [list, dict])
def test_json_lines_are_answered_in_their_own_form(run, wanted, form):
    if form is list:
        text, answers = XS, list(map(rounded, wanted))
    else:
        text = [dict(zip(("x2", "x1", "x0", "t"), (*x[::-1], "9:00"), strict=True)) for x in XS]
        answers = [dict(zip(("y0", "y1"), rounded(y), strict=True)) for y in wanted]
    code, lines, _ = run("\n".join(map(json.dumps, text)))
    assert (code, [json.loads(line) for line in lines]) == (0, answers)


def test_json_numbers_are_readings_of_one_channel(tmp_path, monkeypatch, capsys):
    model = random_model("gru_after", inputs=1, outputs=1)
    path = model.save(tmp_path / "one.edgernn")
    monkeypatch.setattr(sys, "stdin", io.StringIO("0.5\n-1\n"))
    assert main(["run", str(path), "--format", "jsonl"]) == 0
    wanted = edgernn.load(model).run([0.5, -1]).ravel().tolist()
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == rounded(wanted)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".txt"])
def test_files_in_and_out(run, wanted, tmp_path, suffix):
    source, sink = tmp_path / f"x{suffix}", tmp_path / "y"
    text = "\n".join(map(json.dumps, XS)) if suffix == ".jsonl" else PLAIN
    source.write_text("\ufeff" + text, encoding="utf-8")
    assert run("", "--input", str(source), "--output", str(sink))[:2] == (0, [])
    lines = sink.read_text().splitlines()
    assert lines == (
        [json.dumps(rounded(y)) for y in wanted] if suffix == ".jsonl" else as_csv(wanted)
    )


def test_the_output_must_not_erase_the_input(run, tmp_path):
    readings = tmp_path / "x.csv"
    readings.write_text(PLAIN)
    (tmp_path / "link.csv").symlink_to(readings)
    for sink in (readings, tmp_path / "link.csv"):
        code, lines, stderr = run("", "--input", str(readings), "--output", str(sink))
        assert (code, lines) == (2, [])
        assert "--output: expected a different file from --input, got" in stderr
        assert readings.read_text() == PLAIN


def test_codes_in_and_out(run, model_file):
    q_xs = random_codes(edgernn.IntegerModel.load(model_file), 5)
    q_ys = edgernn.load(model_file).run_codes(q_xs).tolist()
    for text, lines in (
        (
            "\n".join(",".join(map(str, q)) for q in q_xs.tolist()),
            [",".join(map(str, q)) for q in q_ys],
        ),
        ("\n".join(map(json.dumps, q_xs.tolist())), [json.dumps(q) for q in q_ys]),
    ):
        assert run(text, "--codes")[:2] == (0, lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,0.5,-2\n1,x,2", "stdin, line 2: expected a number, got 'x' (column 2)"),
        ("1,0.5,-2\n\n1,1_0,2", "stdin, line 3: expected a number, got '1_0' (column 2)"),
        ("1,0.5\n", "stdin, line 1: expected 3 values (x0, x1, x2), got 2"),
        ("1,,2\n", "stdin, line 1: expected a number, got an empty cell (column 2). Repair the"),
        ("x0,x1,t,x2\n1,2,3\n", "stdin, line 2: expected 4 columns as in the header, got 3"),
        ("a,b,c\n1,2,3,4\n", "stdin, line 2: expected 3 columns as in the header, got 4"),
        ("x0,x1\n1,2\n", "expected a header with the columns x0, x1, x2, got one without x2."),
        ("x1,x0,b\n1,2,3\n", "expected a header with the columns x0, x1, x2, got one without x2."),
        ("x0,x1,x2,x1\n1,2,3,4\n", "expected a header with one column per name, got x1 more than"),
        (",,\n1,2,3\n", "stdin, line 1: expected a number, got an empty cell (column 1)"),
        ("[1,2,3]\n[1,2", "stdin, line 2: expected a JSON value, got '[1,2'"),
        ("[" * 100_000, "stdin, line 1: expected a JSON value, got '[[[["),
        ('[1,"2",3]', 'stdin, line 1: expected a number, got "2"'),
        ("[1,true,3]", "stdin, line 1: expected a number, got true"),
        (
            "[1,null,3]",
            "stdin, line 1: expected a number, got null (channel 'x1'). Repair the line",
        ),
        ("[1,NaN,3]", "stdin, line 1: expected a number, got NaN (channel 'x1')"),
        ('{"x0":1,"x1":2}', "expected the keys x0, x1, x2, got an object without x2"),
        ("1,\x00", "stdin, line 1: expected "),
    ],
)
def test_raise_stops_at_a_bad_line_and_names_it(run, text, message):
    code, _, stderr = run(text)
    assert code == 2
    assert message in stderr
    assert len([line for line in stderr.splitlines() if ": warning: " not in line]) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2.5,3", "stdin, line 1: expected an integer, got '2.5' (column 2)"),
        ("1,,3", "stdin, line 1: expected an integer, got an empty cell (column 2)"),
        ("[1,2.5,3]", "stdin, line 1: session: expected integer codes [3], got float64 [3]."),
        ("1,2,128", "stdin, line 1: session: expected codes in [-128, 127], got 128"),
    ],
)
def test_codes_are_integers_in_range(run, text, message):
    code, _, stderr = run(text, "--codes")
    assert code == 2
    assert message in stderr


@pytest.mark.parametrize("other", [["--softmax"], ["--on-bad-reading", "skip"]])
def test_codes_go_with_neither_softmax_nor_a_policy(run, other):
    code, _, stderr = run(PLAIN, "--codes", *other)
    assert code == 2
    assert "--codes: expected no --softmax and no --on-bad-reading, got one" in stderr


@pytest.mark.parametrize("policy", ["hold", "skip"])
def test_policies_cover_malformed_lines(run, model_file, policy):
    nan = [np.nan] * 3
    session = edgernn.load(model_file, on_bad_reading=policy)
    answers = session.run([nan, XS[0], nan, [np.nan, 0, 0], XS[1]]).tolist()
    code, lines, stderr = run(
        "0,x,0\n1,0.5,-2\n1,2\nnan,0,0\n0.25,-1,3", "--on-bad-reading", policy
    )
    assert (code, lines) == (0, as_csv(answers))
    assert lines[0] == "nan,nan"
    assert stderr == f"5 readings, 3 bad ({policy})\n"
    text = "[0,[],0]\n[1,0.5,-2]\n[1,2]\n[null,0,0]\n[0.25,-1,3]"
    code, lines, _ = run(text, "--on-bad-reading", policy)
    assert (code, lines[0]) == (0, "[null, null]")
    assert [json.loads(line) for line in lines[1:]] == list(map(rounded, answers[1:]))


def test_softmax_is_refused_where_the_model_has_none(run):
    code, _, stderr = run(PLAIN, "--softmax")
    assert code == 2
    assert "expected a model that ends in a softmax" in stderr


def test_an_unknown_backend_is_refused(run):
    code, _, stderr = run(PLAIN, "--backend", "tpu")
    assert code == 2
    assert "expected backend 'auto' or one of native, reference, tflite, onnx, got 'tpu'." in stderr


def test_every_line_is_answered_before_the_next_is_read(model_file, wanted):
    paths = os.pathsep.join(str(ROOT / p) for p in ("", "export", "firmware_sim"))
    process = subprocess.Popen(
        [sys.executable, "-m", "edgernn", "run", str(model_file)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, env=os.environ | {"PYTHONPATH": paths},
    )  # fmt: skip
    with process:
        for x, y in zip(XS, wanted, strict=True):
            process.stdin.write(",".join(map(str, x)) + "\n")
            process.stdin.flush()
            assert process.stdout.readline().strip() == as_csv([y])[0]
        process.stdin.close()
        assert process.stdout.read() == ""
    assert process.returncode == 0


def test_back_ends_have_the_names_of_their_runtimes_too():
    assert runtime_list("native, tflite,onnx,ai-edge-litert") == (
        "native", "tflite-runtime", "ai-edge-litert", "onnxruntime",
    )  # fmt: skip
