"""A worker that is killed at any instant loses and doubles nothing that it acknowledged."""

import json

import pytest

from tests.support.runtimes import run_python
from tests.support.store_kills import __file__ as SCRIPT

pytestmark = pytest.mark.device


def killed(folder, kills, seed=0, durable="normal", timeout=120):
    """What the script found; it ends with an error where a check fails."""
    arguments = (SCRIPT, str(folder), str(kills), str(seed), durable)
    return json.loads(run_python("-W", "ignore", *arguments, timeout=timeout))


@pytest.mark.parametrize("durable", ["normal", "full"])
def test_kills(tmp_path, durable):
    found = killed(tmp_path, 25, durable=durable)
    assert found["began"] > 15 and found["acknowledged"] > 100


@pytest.mark.long
def test_a_thousand_kills(tmp_path):
    found = killed(tmp_path, 1200, seed=1, timeout=3000)

    assert found["began"] > 1000 and found["acknowledged"] > 10_000
