"""Benchmarks that compare checkouts: one row for every case, with both sides; times are free."""

import re
from pathlib import Path

import pytest

from benchmarks import quantize_speed, reference_speed
from benchmarks.checkouts import figures

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("benchmark", "case", "row"),
    [
        (
            quantize_speed,
            ("tiny", "gru_before", "2", "3", "2", "4", "50", "w8a16"),
            r"\| tiny \| 200 \| `w8a16` \| \d+\.\d → \d+\.\d \| [\d.]+× \| \d+\.\d → \d+\.\d "
            r"\| \d+\.\d\d → \d+\.\d\d \| yes \|",
        ),
        (
            reference_speed,
            ("tiny", "lstm", "w8a8", "2", "3", "4", "5"),
            r"\| tiny \| \d+ → \d+ \| [\d.]+× \| yes \|",
        ),
    ],
)
def test_both_checkouts_are_measured(benchmark, case, row, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "CASES", (case, ("another", *case[1:])))
    options = ["--against", str(ROOT), "--rounds", "1", "--only", "tiny"]
    assert benchmark.main(options) == 0
    assert re.fullmatch(row, capsys.readouterr().out.splitlines()[2])
    assert benchmark.main(["--rounds", "1", "--only", "tiny"]) == 0
    alone = capsys.readouterr().out.splitlines()[2]
    assert "→" not in alone
    assert alone.endswith("| – |")


def test_the_packages_are_those_of_the_checkout(tmp_path):
    package = tmp_path / "export" / "edgernn_export"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("SIDE = 'the other one'\n")
    program = "import json, edgernn_export as e; print(json.dumps({'side': e.SIDE}))"
    assert figures(program, tmp_path, (), None) == {"side": "the other one"}


def test_other_bits_of_the_reference_end_in_exit_code_1(monkeypatch):
    sides = [{"step_us": 1.0, "bits": "a"}, {"step_us": 1.0, "bits": "b"}]
    monkeypatch.setattr(reference_speed, "compare", lambda *_, **__: [sides])
    assert reference_speed.main(["--only", reference_speed.CASES[0][0]]) == 1
