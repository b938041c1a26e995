"""Sigmoid, tanh and hard sigmoid of NUMERICS.md section 3: int16 Q5.10 to int16 Q0.15."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

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
