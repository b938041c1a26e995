"""Rows that a normalization must get right, and the graph of one normalization."""

from __future__ import annotations

import functools
from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.graph.builder import OpBuilder
from edgernn.graph.op_graph import OpGraph
from edgernn.model.formats import Precision
from edgernn.model.scales import NormalizationConstants
from edgernn_firmware_sim.reference.events import Quiet
from edgernn_firmware_sim.reference.interpreter import StepInterpreter

WIDTHS: Final = (1, 2, 24, 64, 128, 256)
#: Scales and epsilons: usual ones, epsilon that outweighs small rows, none of it.
KINDS: Final = ((2.0**-10, 1e-3), (1.7e-3, 1e-3), (2.0**-12, 1.0), (3e-5, 1e-5), (1e-3, 0.0))
_LOW, _HIGH = -32768, 32767


def rows(width: int, count: int, seed: int = 0) -> npt.NDArray[np.int16]:
    """int16 [6 * count, width]: normal of every size, full range, constant, two values, an outlier,
    small numbers; all of them at the ends of their range in some row."""
    rng = np.random.default_rng(seed + 1000 * width)
    size, one = (count, width), (count, 1)
    spread = 2.0 ** rng.uniform(1, 13.5, one)
    normal = rng.normal(rng.uniform(-1.5, 1.5, one) * spread, spread, size).round()
    full = rng.integers(_LOW, _HIGH + 1, size)
    constant = np.broadcast_to(rng.integers(_LOW, _HIGH + 1, one), size).copy()
    a, b = rng.integers(_LOW, _HIGH + 1, (2, *one))
    two = np.where(rng.random(size) < rng.uniform(0.02, 0.98, one), a, b)
    outlier = rng.normal(0, 2.0 ** rng.uniform(-2, 9, one), size).round()
    places = np.arange(count), rng.integers(0, width, count)
    outlier[places] = rng.integers(_LOW, _HIGH + 1, count)
    small = rng.integers(-4, 5, size) * rng.integers(0, 9, one)
    full[0], full[-1] = rng.choice([_LOW, _HIGH], width), np.where(np.arange(width), _LOW, _HIGH)
    constant[0], constant[-1], two[0] = _LOW, _HIGH, np.where(np.arange(width) % 2, _LOW, _HIGH)
    outlier[0] = 0
    outlier[0, -1] = _HIGH
    made = np.concatenate([normal, full, constant, two, outlier, small])
    return made.clip(_LOW, _HIGH).astype(np.int16)


@functools.cache
def constants(width: int, kind: int) -> NormalizationConstants:
    """Constants for one of `KINDS`."""
    return NormalizationConstants.of(width, *KINDS[kind])


def graph(made: NormalizationConstants) -> OpGraph:
    """The graph that normalises its input "x"."""
    g = OpBuilder(Precision.W8A8)
    x = g.input("x", made.width, operand=False)
    g.layer = "layer"
    return g.finish((g.normalized(x, "norm", made, "y"),))


def normalized(made: NormalizationConstants, x: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """The reference's result of rows [R, N]."""
    (y,) = StepInterpreter(graph(made), Quiet())([x.astype(np.int32)], [])
    return y.astype(np.int16)
