"""`edgernn run` and `edgernn info` of networks that answer whole chunks."""

from __future__ import annotations

import json

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from edgernn.model.formats import Precision
from tests.support.models.integer import random_model
from tests.support.models.passes import random_passes


@pytest.fixture
def model(tmp_path):
    """A file of passes with one answer per chunk, and a table with two groups."""
    path = random_passes(Precision.W8A8, 2).save(tmp_path / "chunks.edgernn")
    rng = np.random.default_rng(1)
    rows = [f"{group},{a:.2f},{b:.2f},{c:.2f}" for group, count in (("left", 4), ("right", 7))
            for a, b, c in rng.normal(1, 1, (count, 3))]  # fmt: skip
    (tmp_path / "t.csv").write_text("\n".join(["hand,x0,x1,x2", *rows]) + "\n")
    return path


def table(path):
    rows = [line.split(",") for line in (path.parent / "t.csv").read_text().splitlines()[1:]]
    return [row[0] for row in rows], np.array([row[1:] for row in rows], dtype=float)


def run(path, capsys, *options):
    code = main(["run", str(path), "--input", str(path.parent / "t.csv"), *options])
    captured = capsys.readouterr()
    return code, captured.out.splitlines(), captured.err


def test_groups_are_chunks(model, capsys):
    code, (header, *lines), err = run(model, capsys, "--group", "hand", "--backend", "reference")
    assert (code, header.split(",")[0]) == (0, "hand")
    assert "11 readings in 2 chunks" in err
    groups, xs = table(model)
    with edgernn.load(model, "reference") as session:
        for line, name in zip(lines, ("left", "right"), strict=True):
            got, *values = line.split(",")
            wanted = session.run(xs[[group == name for group in groups]])
            assert got == name
            np.testing.assert_allclose(np.array(values, float), wanted, atol=1e-3)


def test_chunks_of_a_length_and_every_step(model, capsys, tmp_path):
    sequence = random_passes(Precision.W8A8, 1, sequence=True).save(tmp_path / "every.edgernn")
    options = ("--one-stream", "--columns", "x0,x1,x2", "--backend", "reference")
    code, lines, err = run(sequence, capsys, "--chunk", "4", *options)
    assert (code, len(lines)) == (0, 1 + 11)
    assert "11 readings in 3 chunks" in err
    code, lines, _ = run(model, capsys, "--chunk", "4", *options, "--json")
    assert (code, len(lines)) == (0, 3)
    assert len(json.loads(lines[0])) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "expected --chunk N or --group COLUMN"),
        (("--chunk", "10"), "--chunk: expected 1 to 9 readings, got 10"),
        (("--chunk", "4", "--warm-up", "pad"), "warm_up='nothing'"),
        (("--chunk", "4", "--on-bad-reading", "hold"), "Fill missing values of a chunk"),
        (("--group", "side"), "side"),
    ],
)
def test_what_is_refused(model, capsys, options, message):
    code, _, err = run(model, capsys, *options)
    assert code != 0
    assert message in err


def test_a_bad_line_and_a_long_group(model, capsys):
    csv = model.parent / "t.csv"
    text = csv.read_text()
    csv.write_text(text.replace("left,", "left,x", 1))
    code, _, err = run(model, capsys, "--group", "hand")
    assert code != 0
    assert "line 2" in err
    assert "A chunk needs all of its readings" in err
    csv.write_text(text.replace("right,", "left,"))
    code, _, err = run(model, capsys, "--group", "hand")
    assert code != 0
    assert "lines 2 to 12" in err
    assert "expected a chunk of 1 to 9 steps, got 11" in err


def test_a_model_over_a_stream_has_no_chunks(model, capsys, tmp_path):
    stream = random_model("lstm").save(tmp_path / "stream.edgernn")
    code, _, err = run(stream, capsys, "--chunk", "4")
    assert code != 0
    assert "--chunk: expected a network that answers whole chunks" in err


def test_info(model, capsys):
    assert main(["info", str(model)]) == 0
    text = capsys.readouterr().out
    assert "answers chunks of 1 to 9 steps, one output; 36 bytes between passes" in text
    assert "readings, last one.output" in text
    assert main(["info", str(model), "--json"]) == 0
    chunk = json.loads(capsys.readouterr().out)["chunk"]
    assert [one["direction"] for one in chunk["passes"]] == ["forward", "backward", "forward"]
    assert chunk["buffer_bytes"] == 36
