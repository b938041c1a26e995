"""Truncated backpropagation through time: the state goes on, gradients go back a chunk."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgernn.errors import TrainingError
from edgernn_export.training.networks import clipping
from edgernn_export.training.recipe import check_count, check_rate
from edgernn_export.training.streams.chunks import cut_pieces, lanes_of, stateful_batches
from edgernn_export.training.streams.copies import reset_lanes, stateful_copy


@dataclass(frozen=True, slots=True, kw_only=True)
class StatefulTraining:
    """How a network was trained on streams.

    Attributes:
        losses: mean training loss of every epoch, over the readings that count.
        updates: batches done.
        lanes: pieces that ran side by side.
        seconds: of the whole training.
    """

    losses: tuple[float, ...]
    updates: int
    lanes: int
    seconds: float


def fit_stateful(
    network: Any,
    streams: Any,
    targets: Any,
    *,
    loss: Any = "mse",
    steps: int = 50,
    lanes: int = 16,
    warm_up: int = 0,
    epochs: int = 10,
    learning_rate: float = 1e-3,
    clip_norm: float | None = 1.0,
    clip_value: float | None = None,
    seed: int = 0,
    on_epoch: Callable[[int], None] | None = None,
) -> StatefulTraining:
    """Train a network for endless streams by truncated backpropagation through time.

    Streams are cut into pieces for ``lanes`` that run side by side. The network reads ``steps``
    readings of each, is updated, and continues with the states it has reached; they are set to
    zero where a piece begins. Gradients go back to the beginning of a chunk (Williams & Peng 1990).

    Args:
        network: a built Sequential or functional `keras.Model` with an output for every reading.
            Its weights are trained in place; it need not be ``stateful``.
        streams: one stream [T, I], streams [B, T, I], or a list of [T_i, I], in time order.
        targets: for each reading, of the same form: [T], [T, O] and so on; whole numbers for losses
            of classes.
        loss: a Keras loss, by name or as an object.
        steps: readings in a chunk: how far gradients go back.
        lanes: most pieces that run side by side; the batch size.
        warm_up: readings at the beginning of each piece that do not count in the loss, because the
            state has not seen enough of the stream.
        epochs: passes over the streams.
        learning_rate: of Adam.
        clip_norm: see `clipping`.
        clip_value: see `clipping`; pass ``clip_norm=None`` with it.
        seed: of the order of the pieces.
        on_epoch: called with the number of each epoch, from 1, when it ends and the network has its
            weights.

    Returns:
        A record of the training.

    Raises:
        TrainingError: a setting, network, stream or target is refused, or the loss became infinite
            or not a number.
    """
    check_count("epochs", epochs)
    check_rate(learning_rate)
    limits = clipping(clip_norm, clip_value)
    pieces = cut_pieces(streams, targets, steps=steps, lanes=lanes, warm_up=warm_up)
    import keras

    lanes = lanes_of(pieces, lanes)
    running = stateful_copy(network, lanes, steps)
    if len(running.output_shape) != 3:
        raise TrainingError(
            "network: expected an output for every reading, [B, T, O], got one of shape "
            f"{running.output_shape}. Set return_sequences=True in its last recurrent layer and "
            "select no step, or use to_stream for a network of windows."
        )
    running.compile(keras.optimizers.Adam(learning_rate, **limits), loss)
    order = np.random.default_rng(seed)
    losses: list[float] = []
    updates = 0
    begin_s = time.perf_counter()
    for epoch in range(1, epochs + 1):
        total = counted = 0.0
        places = order.permutation(len(pieces.x)).tolist()
        for batch in stateful_batches(pieces, steps=steps, lanes=lanes, order=places):
            reset_lanes(running, batch.begins)
            # Of one output, a target without an axis for it would be spread over all steps.
            y = batch.y[..., None] if batch.y.ndim == 2 else batch.y
            found = running.train_on_batch(batch.x, y, sample_weight=batch.weight)
            # Keras divides the weighted sum by the size of the batch.
            total += float(found) * batch.weight.size
            counted += float(batch.weight.sum())
            updates += 1
        losses.append(total / counted)
        if not math.isfinite(losses[-1]):
            raise TrainingError(
                f"epoch {epoch}: expected a finite loss, got {losses[-1]}. Lower the learning "
                "rate, or clip the gradients with clip_norm=1.0."
            )
        network.set_weights(running.get_weights())
        if on_epoch is not None:
            on_epoch(epoch)
    return StatefulTraining(
        losses=tuple(losses),
        updates=updates,
        lanes=lanes,
        seconds=time.perf_counter() - begin_s,
    )
