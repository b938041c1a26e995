"""Results and sinks for tests."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import edgernn
from edgernn.connections.arrival import Result
from edgernn.connections.registry import make_sink

DEMO = Path(edgernn.__file__).parent / "data" / "demo.edgernn"


@functools.cache
def demo_interface():
    """The interface of the packaged model."""
    return edgernn.load(DEMO).interface


def result(
    key="pump",
    sequence=1,
    y=0.25,
    time_s=1767323045.5,
    bad=False,
    passed=None,
    untimed=False,
    **decided,
):
    """A result of the packaged model."""
    interface = demo_interface()
    return Result(
        key=key,
        time_s=time_s,
        sequence=sequence,
        x=[0.5] * interface.input.width,
        y=[y] * interface.output.width,
        outputs=dict.fromkeys(interface.output.names, y),
        decisions=decided,
        passed={} if passed is None else passed,
        bad=bad or math.isnan(y),
        untimed=untimed,
    )


def opened(**table):
    """A sink that is open."""
    errors = []
    made = make_sink(table, "serve.toml, [[sink]] 1", errors)
    assert errors == []
    made.open(demo_interface())
    return made
