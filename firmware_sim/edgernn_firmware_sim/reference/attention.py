"""Attention of NUMERICS.md clauses 7.28, 7.30 and 7.31, on int32 arrays."""

from __future__ import annotations

from typing import Final

import numpy as np

from edgernn_firmware_sim.reference.arithmetic import Int32, half_up, sat16
from edgernn_firmware_sim.reference.tables import tanh

#: Differences from the largest score that count; at this one a share is 0.
FARTHEST: Final = 11392
#: Lowest score of a slot that is filled.
LEAST_SCORE: Final = -16384
#: What the sum of a softmax divides.
WHOLE: Final = (1 << 31) - 1


def exponential_tables() -> tuple[Int32, Int32]:
    """The 179 entries of A and the 64 of B: e^(-i/16) and e^(-j/1024) in Q0.15."""
    coarse = np.rint(2.0**15 * np.exp(-np.arange(179) / 16.0))
    fine = np.rint(2.0**15 * np.exp(-np.arange(64) / 1024.0))
    return np.minimum(coarse, 32767.0).astype(np.int32), fine.astype(np.int32)


def exponentials() -> Int32:
    """The e of clause 7.28 of every difference from 0 to 11392, in Q0.15."""
    coarse, fine = exponential_tables()
    d = np.arange(FARTHEST + 1)
    made: Int32 = ((coarse[d >> 6] * fine[d & 63] + np.int32(1 << 14)) >> 15).astype(np.int32)
    return made


_EXPONENTIALS: Final = exponentials()


def dot_scores(query: Int32, keys: Int32, shift: int) -> Int32:
    """Scores [B, n] before sat16 of queries [B, D] and keys [B, n*D]."""
    rows = keys.reshape(len(keys), -1, query.shape[-1])
    return half_up(np.einsum("bd,bnd->bn", query, rows), shift)


def additive_scores(query: Int32, keys: Int32, weight: Int32, shift: int) -> Int32:
    """Scores [B, n] before sat16; ``weight`` is [D]."""
    rows = keys.reshape(len(keys), -1, query.shape[-1])
    bent = tanh(sat16(rows + query[:, None, :]))
    return half_up((bent * weight).sum(axis=-1, dtype=np.int32), shift)


def softmax(scores: Int32, filled: Int32) -> Int32:
    """Shares [B, n] in Q0.15 of scores in Q5.10."""
    z = np.minimum(np.maximum(scores, np.int32(LEAST_SCORE)), filled)
    d = np.minimum(z.max(axis=-1, keepdims=True) - z, np.int32(FARTHEST))
    e = _EXPONENTIALS[d]
    r = (np.int32(WHOLE) // e.sum(axis=-1, keepdims=True, dtype=np.int32)).astype(np.int32)
    shares: Int32 = (e * r) >> np.int32(16)
    return shares


def context(shares: Int32, rows: Int32) -> Int32:
    """The mean [B, E] of rows [B, n*E] by their shares [B, n]."""
    values = rows.reshape(len(rows), shares.shape[-1], -1)
    return half_up(np.einsum("bn,bne->be", shares, values), 15)
