"""The NumPy reference: runs an IntegerModel over B streams at once, clause by clause."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.errors import ReadingError, ShapeError, StateError
from edgernn.graph.lowering import lowered_model
from edgernn.model.formats import Int16Array, OperandArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layer_record import StateSpec
from edgernn_firmware_sim.reference.arithmetic import widen
from edgernn_firmware_sim.reference.events import Quiet
from edgernn_firmware_sim.reference.interpreter import StepInterpreter

#: int16 arrays [H] (one stream) or [B, H], in the order of `IntegerModel.states`.
State = tuple[Int16Array, ...]


class Reference:
    """Executes NUMERICS.md for one model.

    Args:
        model: the integer model.
        recorder: sees saturations and ranges (section 10), as a `Recorder` does; None: nobody.
    """

    def __init__(self, model: IntegerModel, recorder: Quiet | None = None) -> None:
        """Lay out the weights of every layer."""
        self.model = model
        note: Quiet = Quiet() if recorder is None else recorder
        self._step = StepInterpreter(lowered_model(model), note)

    def initial_state(self, batch: int | None = None) -> State:
        """Initial state of one stream (``batch=None``) or of B streams (clause 6.2)."""
        if batch is None:
            return tuple(spec.initial() for spec in self.model.states)
        return tuple(np.tile(spec.initial(), (batch, 1)) for spec in self.model.states)

    def step(self, q_x: OperandArray, state: State) -> tuple[Int16Array, State]:
        """Advance one stream, q_x [I], or B streams, q_x [B, I], by one step.

        I is the model's `step_width`.

        Returns:
            int16 [O] or [B, O], and the new state; ``state`` is not modified.

        Raises:
            ShapeError: wrong width or dtype.
            ReadingError: codes outside clause 2.3.
            StateError: state of another model or another number of streams.
        """
        q_xs = np.asarray(q_x)
        if q_xs.ndim:  # a bare number has no width: `run` refuses it
            q_xs = np.expand_dims(q_xs, -2)
        q_ys, new = self.run(q_xs, state)
        return q_ys[..., 0, :], new

    def run(self, q_xs: OperandArray, state: State | None = None) -> tuple[Int16Array, State]:
        """Advance by T steps: q_xs [T, I] for one stream, [B, T, I] for B streams.

        Returns:
            int16 [T, O] or [B, T, O], and the new state.

        Raises:
            ShapeError, ReadingError, StateError: as `step`.
        """
        q_xs = check_codes(self.model, q_xs)
        single = q_xs.ndim == 2
        batch = None if single else q_xs.shape[0]
        if state is None:
            state = self.initial_state(batch)
        check_state(self.model.states, state, batch)
        streams = q_xs[None] if single else q_xs
        wide = [widen(np.atleast_2d(s)) for s in state]
        steps = streams.shape[1]
        q_ys = np.empty((streams.shape[0], steps, self.model.output.width), dtype=np.int16)
        for t in range(steps):
            (q_ys[:, t],) = self._step((widen(streams[:, t]),), wide)
        new = tuple(s.astype(np.int16) for s in wide)
        return (q_ys[0], tuple(s[0] for s in new)) if single else (q_ys, new)

    def masked_output(self) -> tuple[int, ...]:
        """Codes [O] before the first step that is not masked (clause 6.13).

        The output of the network where all recurrent layers put out zeros.
        """
        graph = lowered_model(self.model)
        first = {layer.states[0].name for layer in self.model.layers if layer.states}
        pairs = zip(self.model.states, graph.carried, strict=True)
        zeros = [state.after.name for spec, state in pairs if spec.name in first]
        inputs = (np.zeros((1, self.model.step_width), np.int32),)
        state = [widen(s) for s in self.initial_state(1)]
        (q_y,) = self._step.output_of_zeros(inputs, state, zeros)
        return tuple(q_y[0].tolist())

    def begun(self, q_xs: OperandArray) -> tuple[OperandArray, State]:
        """What the answered steps of whole streams read, and the state before the first of them.

        Args:
            q_xs: codes of readings [B, T, I], from the beginning of each stream.

        Returns:
            [B, N, R*I], N answers, and the state (clause 6.9).
        """
        state = self.initial_state(len(q_xs))
        rate = self.model.rate
        if rate is None:
            return q_xs, state
        start = np.array(rate.start or (0,) * self.model.input.width)
        steps = rate.blocks(q_xs, start)
        early = min(rate.unanswered, steps.shape[1])
        interface = self.model.interface()
        for t in range(early):
            _, after = self.step(steps[:, t], state)
            state = interface.warmed_up(after)
        return steps[:, early:], state


def check_codes(model: IntegerModel, q_xs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Refuse anything but input codes [T, I] or [B, T, I] of steps of the model."""
    q_xs = np.asarray(q_xs)
    dtype, bounds = model.code_dtype, model.input.code_bounds(model.precision)
    width = model.step_width
    width_fits = q_xs.ndim in (2, 3) and q_xs.shape[-1] == width
    if not width_fits or q_xs.dtype != dtype:
        raise ShapeError(
            f"reference: expected {dtype.name} codes [T, {width}] or "
            f"[B, T, {width}], got {q_xs.dtype.name} {list(q_xs.shape)}."
        )
    if dtype.itemsize > 1:  # every int8 is a code
        readings = q_xs.reshape(-1, model.input.width)
        broken = bounds.broken(readings)
        if broken.any():
            channel = int(np.argwhere(broken)[0][-1])
            raise ReadingError(
                f"reference: expected {bounds.said(channel)} (clause 2.3), got "
                f"{int(readings[broken][0])}. Compute codes with Interface.quantize."
            )
    return q_xs


def check_state(specs: tuple[StateSpec, ...], state: State, batch: int | None) -> None:
    """Refuse a state that does not fit the model."""
    wanted = [(*(() if batch is None else (batch,)), s.units) for s in specs]
    got = [getattr(s, "shape", None) for s in state]
    dtypes = {getattr(s, "dtype", None) for s in state} or {np.dtype(np.int16)}
    if got != wanted or dtypes != {np.dtype(np.int16)}:
        names = ", ".join(s.name for s in specs)
        raise StateError(f"reference: expected int16 states {names} of shapes {wanted}, got {got}.")
