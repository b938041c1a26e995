"""Networks that answer every R readings, in real numbers (NUMERICS.md clause 6.9)."""

from __future__ import annotations

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn.model.rates import Rate
from edgernn_export.float_model import float_run
from edgernn_export.float_model.float_run import State
from edgernn_export.float_model.model import FloatDelay, FloatModel


def begun(model: FloatModel, xs: FloatArray) -> tuple[FloatArray, State]:
    """What the answered steps of whole streams read, and the state they begin with.

    The steps before the first one that is answered are run; after them all layers but delays begin
    anew. Their state never goes into a delay, so that once at their end is as good as after each.

    Args:
        model: the float model, with a rate or without.
        xs: [B, T, I], physical units, from the beginning of each stream.

    Returns:
        [B, N, R*I], N answers, and the state before the first of them.
    """
    state = float_run.initial_state(model, len(xs))
    if model.rate is None:
        return xs, state
    steps = blocks_of(model, model.rate, xs)
    early = min(model.rate.unanswered, steps.shape[1])
    if early:
        _, warm = float_run.run(model, steps[:, :early])
        state = tuple(
            carried if isinstance(layer, FloatDelay) else first
            for layer, carried, first in zip(model.layers, warm, state, strict=True)
        )
    return steps[:, early:], state


def blocks_of(model: FloatModel, rate: Rate, xs: FloatArray) -> FloatArray:
    """What all steps of whole streams [B, T, I] read, [B, N, R*I]."""
    before = np.zeros(model.inputs) if model.before is None else model.before
    return rate.blocks(xs.astype(np.float64), before)


def answers(model: FloatModel, xs: FloatArray) -> FloatArray:
    """Answers [B, A, O] to whole streams [B, T, I], each from the zero state (logits).

    Those of a model without a rate are one for each reading.
    """
    steps, state = begun(model, xs)
    return float_run.run(model, steps, state)[0]


def at_readings(model: FloatModel, rate: Rate, xs: FloatArray) -> FloatArray:
    """Answers [B, T, O] to whole streams [B, T, I] at the readings they belong to (logits).

    Other readings have NaN.
    """
    found = np.full((*xs.shape[:2], model.outputs), np.nan)
    found[:, rate.answered(xs.shape[1])] = answers(model, xs)
    return found
