"""Spark and Quix Streams with killed processes: all outputs, with the bits of one process."""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
#: `make test-long` makes it: the engines need other versions of libraries than the other tests.
ENGINES = ROOT / ".venv-engines/bin/python"


def contract(program, *arguments):
    """The figures that the program prints."""
    if not ENGINES.exists():
        pytest.skip("needs .venv-engines: make .venv-engines/.stamp")
    command = [ENGINES, "-m", f"tests.support.engines.{program}", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True,
        stdout=subprocess.PIPE, timeout=1800, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.long
def test_spark_gives_every_reading_once_while_workers_and_drivers_are_killed(tmp_path):
    found = contract("spark_contract", tmp_path / "run", 8, 2500, 4, 1)
    assert (found["workers killed"], found["drivers killed"]) == (2, 2)
    assert found["within a batch"] > 0
    assert found["rows"] == found["readings"] == 20_000
    assert found["missing"] == found["doubled"] == found["differing"] == 0


@pytest.mark.long
def test_quix_gives_every_reading_while_workers_are_killed_with_and_without_their_state(tmp_path):
    found = contract("quix_contract", tmp_path / "run", 30_000, 6, 3)
    assert found["workers killed"] == 6 and 0 < found["with their state"] < 6
    assert found["missing"] == found["differing"] == 0
