"""What saturates and what is clipped when an integer model runs, counted in one way.

A window model answers in the last step of each window. There alone, layers behind all states are
calibrated, and there alone their saturations count; their results at other steps are discarded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgernn.model.formats import FloatArray, Int16Array, OperandArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.routes import before_states
from edgernn_firmware_sim.reference.arithmetic import Int32
from edgernn_firmware_sim.reference.events import Recorder, TensorEvents
from edgernn_firmware_sim.reference.reference import Reference, State


class Listener(Protocol):
    """What hears of tensors while the reference runs.

    Attributes:
        unheard: layers whose tensors do not count in the steps at hand.
    """

    unheard: frozenset[str]


class AnswerRecorder(Recorder):
    """Counts saturations and ranges (clauses 10.1, 10.2) except those of unheard layers."""

    def __init__(self) -> None:
        """Start with no events."""
        super().__init__()
        self.unheard: frozenset[str] = frozenset()

    def _record(self, name: str, wide: Int32, narrow: Int32) -> Int32:
        if name.partition(".")[0] in self.unheard:
            return narrow
        return super()._record(name, wide, narrow)


def head_of(model: IntegerModel) -> frozenset[str]:
    """Names of the layers behind all states."""
    recurrent = [bool(layer.states) for layer in model.layers]
    carried = before_states(model.wiring, recurrent)
    return frozenset(
        layer.name
        for index, layer in enumerate(model.layers)
        if not recurrent[index] and index not in carried
    )


def recorded_run(
    model: IntegerModel,
    reference: Reference,
    listener: Listener,
    codes: OperandArray,
    state: State | None = None,
    *,
    ends: bool = True,
) -> tuple[Int16Array, State]:
    """Run codes; of a window model, layers behind all states are heard where it answers.

    Args:
        model: the integer model.
        reference: runs it, and tells the listener.
        listener: hears.
        codes: [B, T, I]; of a window model, steps of one window each.
        state: None begins with the zero state.
        ends: whether the windows end with the last of these steps.

    Returns:
        Outputs [B, T, O], and the state after the last step.
    """
    if model.window is None:
        return reference.run(codes, state)
    steps = codes.shape[1] - ends
    parts = []
    if steps:
        listener.unheard = head_of(model)
        outputs, state = reference.run(codes[:, :steps], state)
        listener.unheard = frozenset()
        parts.append(outputs)
    if ends:
        outputs, state = reference.run(codes[:, steps:], state)
        parts.append(outputs)
    assert state is not None  # there was a step
    return np.concatenate(parts, axis=1), state


def saturated_shares(tensors: Mapping[str, TensorEvents]) -> tuple[tuple[str, float], ...]:
    """Share of saturated values of every tensor that saturates, the largest first."""
    shares = [(name, e.saturated / e.values) for name, e in tensors.items() if e.saturated]
    return tuple(sorted(shares, key=lambda pair: (-pair[1], pair[0])))


def clipped_shares(model: IntegerModel, streams: Sequence[FloatArray]) -> npt.NDArray[np.float64]:
    """Share of the readings of each channel that are clipped, as sessions count them.

    Args:
        model: the integer model.
        streams: readings [..., I] in physical units.
    """
    coder = model.interface().coder()
    rows = [stream.reshape(-1, model.input.width) for stream in streams]
    beyond = [np.count_nonzero(coder.codes_and_clipped(row)[1], axis=0) for row in rows]
    shares: FloatArray = np.sum(beyond, axis=0) / sum(map(len, rows))
    return shares
