"""Batches that teach a decoder: what it reads at every step is what it should have written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn_export.datasets import Part
from edgernn_export.training.programs.written_rows import END

#: Inputs of the encoder and the decoder, targets, weights of the targets.
TaughtBatch = tuple[list[npt.NDArray[Any]], npt.NDArray[np.int32], npt.NDArray[np.float32]]


def read_before(target: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What the decoder reads to write rows [..., U]: the end token, then each token but the last.

    Args:
        target: rows of tokens, ended and padded.
    """
    before = np.roll(target, 1, axis=-1)
    before[..., 0] = END
    return before


def partly_written(
    before: npt.NDArray[np.int32],
    chosen: npt.NDArray[np.int64],
    share: float,
    rng: np.random.Generator,
) -> npt.NDArray[np.int32]:
    """What the decoder reads where it sometimes reads what it chose itself (scheduled sampling).

    The choices are those of a first run that is taught, as in Mihaylova & Martins 2019.

    Args:
        before: what it reads if it is taught, [B, U].
        chosen: its likeliest tokens at every step of that run, [B, U].
        share: of the steps after the first that are replaced.
        rng: draws the steps.
    """
    mixed = before.copy()
    own = rng.random(before[:, 1:].shape) < share
    mixed[:, 1:][own] = chosen[:, :-1][own]
    return mixed


def row_steps(part: Part) -> npt.NDArray[np.int64]:
    """Tokens of each row, the end included, int64 [B]."""
    steps: npt.NDArray[np.int64] = np.count_nonzero(part.target[..., 0], axis=1) + 1
    return steps


def batches(
    part: Part, size: int, rng: np.random.Generator, *, tokens: bool
) -> Iterator[TaughtBatch]:
    """One pass over a part, in batches of sources of about one length and in random order.

    Args:
        part: the sources and their rows.
        size: of a batch.
        rng: of the order.
        tokens: the sources are tokens; else readings.
    """
    ties = rng.permutation(len(part.x))
    by_length = ties[np.argsort(part.steps[ties], kind="stable")]
    pieces = np.split(by_length, range(size, len(by_length), size))
    written = row_steps(part)
    for number in rng.permutation(len(pieces)):
        own = pieces[number]
        # Attention to one row alone, which Keras warns of, cannot learn anything.
        steps = max(int(part.steps[own].max()), 2 if tokens else 1)
        length = int(written[own].max())
        source = part.x[own, :steps]
        target = part.target[own, :length, 0].astype(np.int32)
        weights = np.arange(length) < written[own, None]
        read = source[..., 0].astype(np.int32) if tokens else source.astype(np.float32)
        yield [read, read_before(target)], target, weights.astype(np.float32)


def batch_count(part: Part, size: int) -> int:
    """Batches of one pass."""
    return -(-len(part.x) // size)
