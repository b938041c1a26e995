"""Batches of consecutive chunks of streams, between which a network keeps its state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.errors import TrainingError
from edgernn.model.formats import BoolArray
from edgernn_export.compress.checks import is_whole
from edgernn_export.training.recipe import check_count
from edgernn_export.training.streams.cut_windows import as_stream

StepTargets = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StatefulBatch:
    """The next chunk of the piece in each lane.

    Attributes:
        x: readings float32 [B, K, I], zeros behind the end of a piece.
        y: targets [B, K, ...] of the readings.
        weight: float32 [B, K]: 1 for readings that count, 0 in the warm-up and behind the end.
        begins: bool [B]: a piece begins here, the state of its lane must be zero.
    """

    x: npt.NDArray[np.float32]
    y: StepTargets
    weight: npt.NDArray[np.float32]
    begins: BoolArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pieces:
    """Streams cut for lanes that run side by side.

    Attributes:
        x: readings of each piece, [T_i, I].
        y: their targets, [T_i, ...].
        warm_up: readings at the beginning of each piece that do not count.
    """

    x: tuple[npt.NDArray[np.float32], ...]
    y: tuple[StepTargets, ...]
    warm_up: int


def paired(streams: Any, targets: Any) -> list[tuple[Any, StepTargets]]:
    """Streams [T_i, I] and their targets [T_i, ...], in pairs.

    Args:
        streams: one stream [T, I], several of one length [B, T, I], or a list of [T_i, I].
        targets: of the same form: [T], [T, O]; [B, T], [B, T, O]; or a list.

    Raises:
        TrainingError: other forms, values that are not finite, or other than one target for each
            reading.
    """
    several = isinstance(streams, (list, tuple)) or np.ndim(streams) == 3
    xs = [as_stream(one) for one in (streams if several else [streams])]
    ys = [np.asarray(one) for one in (targets if several else [targets])]
    lengths = [len(x) for x in xs], [len(y) if y.ndim else 0 for y in ys]
    if not xs or lengths[0] != lengths[1]:
        raise TrainingError(
            f"targets: expected one for each reading of {len(xs)} streams, {lengths[0]!s:.60}, "
            f"got {lengths[1]!s:.60}."
        )
    widths = {x.shape[1] for x in xs}, {y.shape[1:] for y in ys}
    if len(widths[0]) > 1 or len(widths[1]) > 1 or any(y.dtype.kind not in "biuf" for y in ys):
        raise TrainingError(
            "streams: expected one number of channels and numeric targets of one width, got "
            f"channels {sorted(widths[0])} and targets {sorted(map(list, widths[1]))}."
        )
    if not all(np.isfinite(y).all() for y in ys):
        raise TrainingError("targets: expected finite values, got NaN or infinity.")
    return list(zip(xs, ys, strict=True))


def cut_pieces(streams: Any, targets: Any, *, steps: int, lanes: int, warm_up: int = 0) -> Pieces:
    """Cut streams so that up to ``lanes`` pieces can run side by side.

    Long streams are cut into pieces of equal numbers of chunks. A piece begins with the zero state,
    although it may continue a stream: with long pieces this hardly matters, and ``warm_up`` leaves
    their first readings out of the loss.

    Args:
        streams: as for `paired`.
        targets: one for each reading.
        steps: readings in a chunk K.
        lanes: most pieces that run side by side.
        warm_up: readings at the beginning of each piece that do not count.

    Raises:
        TrainingError: a number that cannot be one, or streams that `paired` refuses.
    """
    check_count("steps", steps)
    check_count("lanes", lanes)
    if not is_whole(warm_up) or warm_up < 0:
        raise TrainingError(f"warm_up: expected a whole number >= 0, got {warm_up!r:.40}.")
    pairs = paired(streams, targets)
    chunks = sum(-(-len(x) // steps) for x, _ in pairs)
    length = steps * max(1, -(-chunks // lanes), -(-2 * warm_up // steps))
    cut = [
        (x[at : at + length].astype(np.float32), y[at : at + length])
        for x, y in pairs
        for at in range(0, len(x), length)
    ]
    cut = [pair for pair in cut if len(pair[0]) > warm_up]
    if not cut:
        raise TrainingError(
            f"streams: expected one of more than {warm_up} readings, the warm-up, got "
            f"{max(len(x) for x, _ in pairs)} at most."
        )
    return Pieces(x=tuple(x for x, _ in cut), y=tuple(y for _, y in cut), warm_up=warm_up)


def lanes_of(pieces: Pieces, most: int) -> int:
    """How many lanes are used."""
    return min(most, len(pieces.x))


def stateful_batches(
    pieces: Pieces, *, steps: int, lanes: int, order: Sequence[int] | None = None
) -> Iterator[StatefulBatch]:
    """Batches for truncated backpropagation through time (Williams & Peng 1990).

    Every lane holds one piece after the other. Consecutive batches hold consecutive chunks of
    ``steps`` readings, so that a network that keeps its states sees each piece as one stream.

    Args:
        pieces: from `cut_pieces`.
        steps: readings in a chunk K.
        lanes: B.
        order: of the pieces; default their own.

    Yields:
        Batches of one shape until all pieces have ended.
    """
    waiting = list(reversed(range(len(pieces.x)) if order is None else order))
    now: list[int | None] = [None] * lanes
    at = [0] * lanes
    first_x, first_y = pieces.x[0], pieces.y[0]
    while True:
        begins = np.zeros(lanes, dtype=np.bool_)
        for lane in range(lanes):
            piece = now[lane]
            if piece is not None and at[lane] >= len(pieces.x[piece]):
                now[lane] = None
            if now[lane] is None and waiting:
                now[lane], at[lane], begins[lane] = waiting.pop(), 0, True
        if all(piece is None for piece in now):
            return
        x = np.zeros((lanes, steps, first_x.shape[1]), dtype=np.float32)
        y = np.zeros((lanes, steps, *first_y.shape[1:]), dtype=first_y.dtype)
        weight = np.zeros((lanes, steps), dtype=np.float32)
        for lane, piece in enumerate(now):
            if piece is None:
                continue
            chunk = slice(at[lane], at[lane] + steps)
            count = len(pieces.x[piece][chunk])
            x[lane, :count] = pieces.x[piece][chunk]
            y[lane, :count] = pieces.y[piece][chunk]
            weight[lane, max(0, pieces.warm_up - at[lane]) : count] = 1.0
            at[lane] += steps
        yield StatefulBatch(x=x, y=y, weight=weight, begins=begins)
