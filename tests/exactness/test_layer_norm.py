"""Layer normalization (clause 8.8): as close to real numbers as the clause says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgernn.cells.layer_norm import LayerNorm
from edgernn.errors import ModelError
from edgernn.graph.lowering import lowered
from edgernn.model.formats import Precision
from edgernn.model.scales import NormalizationConstants, ScaleVector
from edgernn_firmware_sim.reference.events import Quiet
from edgernn_firmware_sim.reference.interpreter import StepInterpreter
from tests.support.models.normalized_rows import KINDS, rows

#: Real values of an output code: of gains around 1 they hold everything, or about 1 deviation.
SCALES = (2.0**-10, 2.0**-15)


def layer_of(width, count, kind, scale, gain, offset):
    """A layer of real gains and offsets [count * width], and its constants in real numbers."""
    ratio = gain * 2.0**-11 / scale
    shift = next(k for k in range(30, 0, -1) if np.rint(np.abs(ratio).max() * 2.0**k) < 32768)
    made = ScaleVector(
        multiplier=np.rint(ratio * 2.0**shift).astype(np.int16),
        shift=shift,
        bias=np.rint(offset / scale).clip(-32768, 32767).astype(np.int16),
    )
    norm = NormalizationConstants.of(width, *KINDS[kind])
    units = count * width
    return LayerNorm(
        name="n", inputs=units, units=units, rows=count, norm=norm, gain=made, output_scale=scale
    )


def ran(layer, x):
    """The reference's codes of rows [R, U]."""
    (y,) = StepInterpreter(lowered(Precision.W8A8, (layer,)), Quiet())([x.astype(np.int32)], [])
    return y


@pytest.mark.parametrize("width", [1, 2, 24, 256])
@pytest.mark.parametrize("count", [1, 3])
def test_results_are_as_close_to_real_ones_as_the_clause_says(width, count):
    rng, compared = np.random.default_rng(width), 0
    for kind, (read, epsilon) in enumerate(KINDS):
        for scale in SCALES:
            gain = rng.normal(0, 0.7, count * width)
            offset = rng.normal(0, 2000 * scale, count * width)
            layer = layer_of(width, count, kind, scale, gain, np.rint(offset / scale) * scale)
            x = rows(width, count * max(6, 600 // width), seed=kind).reshape(-1, count, width)
            d = x - x.mean(axis=2, keepdims=True)
            deviation = np.sqrt(np.square(d).mean(axis=2, keepdims=True) + epsilon / read**2)
            even = np.divide(d, deviation, out=np.zeros_like(d), where=deviation > 0)
            even = 2048 * even.reshape(len(x), -1)
            real = gain * 2.0**-11 / scale * even + layer.gain.bias
            step = 2.0**-layer.gain.shift
            of_norm = 1.5 + np.abs(even) * (np.sqrt(width) * 2.0**-layer.norm.square_bits + 2**-12)
            factor = (np.abs(layer.gain.multiplier.astype(np.int64)) + 0.5) * step
            bound = of_norm * factor + 2.0**14 * step + 1.5
            got = ran(layer, x.reshape(len(x), -1))
            # Where an intermediate value saturates, the clause says nothing.
            free = (np.abs(got - layer.gain.bias) < 32767) & (np.abs(got) < 32767)
            free &= np.abs(even) < 32767
            assert (np.abs(got - real) <= bound)[free].all()
            compared += int(free.sum())
    assert compared > 10_000


def test_rows_are_normalized_apart():
    """Of three equal rows, each gives the same; one layer of all of them gives something else."""
    row = rows(8, 10)
    ones, nothing = np.ones(24), np.zeros(24)
    apart = layer_of(8, 3, 0, 2.0**-11, ones, nothing)
    other = row[::-1]
    got = ran(apart, np.concatenate([row, other, row], axis=1))
    assert np.array_equal(got[:, :8], got[:, 16:])
    assert np.array_equal(got[:, 8:16], got[::-1, :8])
    alone = layer_of(8, 1, 0, 2.0**-11, ones[:8], nothing[:8])
    assert np.array_equal(got[:, :8], ran(alone, row))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rows": 0}, r"n\.rows: expected 1 or more rows that divide 24 units, got 0"),
        ({"rows": 7}, r"n\.rows: expected 1 or more rows that divide 24 units, got 7"),
        ({"rows": 2}, r"n\.norm: expected 12 elements, got 8"),
        ({"inputs": 23}, r"n\.inputs: expected 24, got 23"),
        ({"output_scale": 0.0}, r"n\.output_scale: expected a finite value > 0"),
    ],
)
def test_records_that_break_the_clause_are_refused(fields, message):
    made = layer_of(8, 3, 0, 2.0**-11, np.ones(24), np.zeros(24))
    assert replace(made) == made
    with pytest.raises(ModelError, match=message):
        replace(made, **fields)
