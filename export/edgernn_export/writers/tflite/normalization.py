"""Normalization (NUMERICS.md clause 7.11) as TFLite operators of int32."""

from __future__ import annotations

from typing import Final

import numpy as np

from edgernn.model.formats import INT16_MAX, INT16_MIN, NORMALIZED
from edgernn.model.scales import NormalizationConstants
from edgernn_export.writers.tflite.graph import Graph, Tensor
from edgernn_export.writers.tflite.int32_operators import Int32Operators
from edgernn_firmware_sim.reference.normalization import FIRST_ROOT, inverse_root_table

#: Largest j of the clause.
_MOST: Final = 14


def normalized(graph: Graph, name: str, v: Tensor, constants: NormalizationConstants) -> Tensor:
    """The int16 result of a normalization.

    Args:
        graph: receives the operators.
        name: of the result.
        v: int16 [1, N].
        constants: of the clause.

    No product of two factors leaves int32; the clause gives the bounds.
    """
    g, most, squared = Int32Operators(graph, name), constants.most_bits, constants.square_bits
    bits = np.maximum(np.arange(most + 1), constants.least_bits)
    x = g.of(v)
    d = g.less(g.times(x, constants.width), g.total(x))
    b = g.reached(g.reduced("REDUCE_MAX", g.run("ABS", d)), 1 << np.arange(most))
    m = g.times(d, g.gathered(1 << (most - bits), b))
    scaled, q = g.half_up(m, most - 15), g.half_up(m, most - squared)
    epsilon = g.gathered(constants.epsilon[bits - constants.least_bits], b)
    sums = g.add(g.total(g.times(q, q)), epsilon)
    squares = g.least(sums, (1 << 30) - 1)
    j = g.reached(squares, 4 ** np.arange(1, _MOST + 1))
    r = _inverse_root(g, g.times(squares, g.gathered(4 ** np.arange(_MOST, -1, -1), j)))
    r = g.half_up(g.times(r, constants.gain), 15)
    shifts = constants.shift + np.arange(_MOST + 1)
    product = g.add(g.times(scaled, r), g.gathered(1 << (shifts - 1), j))
    y = g.over(product, g.gathered(shifts, j))
    return g.int16(g.limited(y, INT16_MIN, INT16_MAX), name, NORMALIZED.scale)


def _inverse_root(g: Int32Operators, p: Tensor) -> Tensor:
    """The table I at P, interpolated.

    Args:
        g: receives the operators.
        p: int32 [1, 1], the P of the clause: from 2^28 to 2^30 - 1, as its squares are shifted.
    """
    table = inverse_root_table()
    unused = np.zeros(FIRST_ROOT, np.int64)  # in front, so that P >> 22 is the index itself
    u = g.over(p, 22)
    h = g.rest(g.over(p, 12), 10)
    step = g.gathered(np.append(unused, table[:-1] - table[1:]), u)
    return g.less(g.gathered(np.append(unused, table[:-1]), u), g.over(g.times(h, step), 10))
