"""Functions of one value of NUMERICS.md section 3: int16 to int16, and the fine gate."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.model.formats import LOW_BITS
from edgernn.model.functions.curves import CurveTable
from edgernn_firmware_sim.reference.arithmetic import Int32, round_product, sat16


def sigmoid_table() -> npt.NDArray[np.int32]:
    """Clause 3.1: the 256 entries T, uint16 values held as int32."""
    index = np.arange(256, dtype=np.float64)
    s = 1.0 / (1.0 + np.exp(-index / 24.0))
    real = 65536.0 * (s - s * (1.0 - s) * (1.0 - 2.0 * s) / 9216.0)
    table: npt.NDArray[np.int32] = np.rint(real).astype(np.int32)
    table[255] = 65535
    return table


_TABLE: Final = sigmoid_table()
_STEP: Final = np.diff(_TABLE, append=np.int32(65535)).astype(np.int32)


def sigmoid(z: Int32) -> Int32:
    """Clause 3.2."""
    return _every(_sigmoid)[z]


def tanh(z: Int32) -> Int32:
    """Clause 3.3."""
    return _every(_tanh)[z]


def hard_sigmoid(z: Int32) -> Int32:
    """Clause 3.4: clip(z/6 + 1/2, 0, 1)."""
    return _every(_hard_sigmoid)[z]


@functools.cache
def _every(clause: Callable[[Int32], Int32]) -> Int32:
    """Results of all int16 z from 0 up, then of the negative ones: [z] finds them, of either sign.

    Looking results up takes a tenth of the time of working them out.
    """
    return clause(np.concatenate((np.arange(32768), np.arange(-32768, 0))).astype(np.int32))


def _sigmoid(z: Int32) -> Int32:
    d = z * np.int32(12)
    m = np.abs(d)
    u = np.minimum(m >> 9, 255)
    r = (_TABLE[u] << 9) + (m & 511) * _STEP[u]
    r = np.where(u == 255, np.int32(32767 << 10), r)
    return np.where(d >= 0, r + 512, (1 << 25) - r + 511).astype(np.int32) >> 10


def _tanh(z: Int32) -> Int32:
    d = z * np.int32(12)
    m = np.abs(d)
    u = np.minimum(m >> 8, 255)
    r = (_TABLE[u] << 8) + (m & 255) * _STEP[u]
    r = np.where(u == 255, np.int32(65535 << 8), r)
    return np.where(d >= 0, r - (1 << 23) + 128, (1 << 23) - r + 127).astype(np.int32) >> 8


def _hard_sigmoid(z: Int32) -> Int32:
    slope = sat16(round_product(z * np.int32(21845), 12))
    return np.maximum(sat16(slope + np.int32(16384)), np.int32(0))


def fine_gate_table() -> npt.NDArray[np.int32]:
    """Clause 3.5: the 257 entries E, of 0 to 2^29."""
    s = 1.0 / (1.0 + np.exp(np.arange(257, dtype=np.float64) / 16.0))
    real = 2.0**30 * (s - s * (1.0 - s) * (1.0 - 2.0 * s) / 4096.0)
    table: npt.NDArray[np.int32] = np.minimum(np.rint(real), 2.0**29).astype(np.int32)
    return table


_FINE: Final = fine_gate_table()


def fine_gate(a: Int32) -> Int32:
    """Clause 3.5: F(a), Q0.30 of the sigmoid of -a."""
    return _every(_fine_gate)[a]


def _fine_gate(a: Int32) -> Int32:
    m = np.minimum(np.abs(a), np.int32(16383))
    u, t = m >> 6, m & 63
    p = _FINE[u] - (((_FINE[u] - _FINE[u + 1]) * t) >> 6)
    return np.where(a >= 0, p, np.int32(1 << 30) - p).astype(np.int32)


def halves(share: Int32) -> tuple[Int32, Int32]:
    """The upper and the lower 15 bits of a share in Q0.30."""
    return share >> LOW_BITS, share & np.int32((1 << LOW_BITS) - 1)


def curve(table: CurveTable) -> Int32:
    """Clause 3.6: the results of all int16 z from 0 up, then of the negative ones, [z]."""
    z = np.concatenate((np.arange(32768), np.arange(-32768, 0))).astype(np.int32)
    entries, bits = table.entries.astype(np.int32), table.step_bits
    u = z + np.int32(32768)
    i, t = u >> bits, u & np.int32((1 << bits) - 1)
    made = entries[i] + (((entries[i + 1] - entries[i]) * t + np.int32(1 << (bits - 1))) >> bits)
    limited: Int32 = np.clip(made, np.int32(table.low), np.int32(table.high))
    return limited
