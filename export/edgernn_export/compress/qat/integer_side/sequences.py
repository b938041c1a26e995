"""What a network under training does with whole sequences of codes, whatever library trains it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from edgernn.model.border.masks import mask_row
from edgernn.model.formats import OperandArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import port_slices
from edgernn.model.layer_record import StateSpec
from edgernn.model.layers import Delay
from edgernn.model.routes import Route
from edgernn_export.compress.qat.arithmetic.input_codes import InputCodes
from edgernn_export.compress.qat.integer_side.layer_integers import Integers
from edgernn_export.compress.qat.interpreter import Inputs, Maps, TrainingInterpreter
from edgernn_export.compress.tensors.back_ends import Tensor, constant, ops, scan

#: What the inputs of a scan call the steps that are taken.
_TAKEN: Final = "taken"
#: What they call the values that a layer reads.
_READ: Final = "read"


class InputQuantizer:
    """Readings in physical units to operand codes (clauses 9.1 and 9.4).

    Args:
        model: the integer model training starts from.
    """

    def __init__(self, model: IntegerModel) -> None:
        spec = model.input
        self._mask, self._row = spec.mask, mask_row(spec, model.precision)
        #: What moves a reading off the mask row; tokens are on it only where they are masked.
        self._step = 0 if spec.vocabulary else model.precision.input_step
        ports = port_slices(spec.ports).values() if spec.ports else [slice(None)]
        #: What makes codes of the readings of each port; None of tokens.
        self._coders = [
            None
            if any(spec.vocabulary[part])
            else InputCodes(spec.scale[part], spec.offset[part], model.precision)
            for part in ports
        ]

    def __call__(self, readings: Sequence[Tensor]) -> Tensor:
        """What each port reads, [..., I], to codes [..., I] of all of them.

        Tokens are codes already, [..., n] or without an axis where there is one of them.
        """
        parts = []
        for x, coder in zip(readings, self._coders, strict=True):
            if coder is not None:
                parts.append(coder(x))
                continue
            parts.append(_with_axis(x))
        codes = ops.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]
        if self._row is None:
            return codes
        return self._masked(codes, self._row, self.taken(readings))

    def taken(self, readings: Sequence[Tensor]) -> Tensor | None:
        """Which readings are steps, bool [B, T]; None where no reading is masked (clause 6.13).

        They are compared in single precision, in which Keras compares them.
        """
        if self._mask is None:
            return None
        parts = [_with_axis(x) != float(self._mask) for x in readings]
        return ops.any(ops.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0], axis=-1)

    def _masked(self, codes: Tensor, mask: OperandArray, taken: Tensor) -> Tensor:
        """The codes [..., I] with the mask row where readings are masked, and nowhere else."""
        row = constant(mask, codes)
        first = constant(np.arange(len(mask)) == 0, codes) * float(self._step)
        on_row = ops.cast(ops.all(codes == row, axis=-1), "float32")
        moved = codes + on_row[..., None] * first
        return ops.where(taken[..., None], moved, row + ops.zeros_like(codes))


def _with_axis(readings: Tensor) -> Tensor:
    """Readings [..., I] as float32; tokens may come without an axis where there is one of them."""
    return ops.cast(readings if len(readings.shape) == 3 else readings[..., None], "float32")


def routed(route: Route, sources: Sequence[Tensor], *, last_step: bool) -> Tensor:
    """What a layer reads, or the model puts out, of the codes of several (clause 6.6).

    Args:
        route: the parts.
        sources: codes [..., N] of the source of every part; a step has no time axis.
        last_step: of the last step alone.
    """
    parts = [
        (codes[:, -1] if last_step and len(codes.shape) == 3 else codes)[
            ..., part.start : part.start + part.width
        ]
        for codes, part in zip(sources, route, strict=True)
    ]
    return ops.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]


def is_whole(route: Route, codes: Tensor) -> bool:
    """Whether a route is exactly what its first source puts out."""
    part = route[0]
    return len(route) == 1 and (part.start, part.width) == (0, codes.shape[-1])


def each_step(run: Callable[[Tensor], Tensor], codes: Tensor) -> Tensor:
    """The outputs of a layer that acts on each step separately.

    Args:
        run: from codes [B, N] to codes [B, U].
        codes: [..., N].

    Returns:
        [..., U].
    """
    made = run(ops.reshape(codes, (-1, codes.shape[-1])))
    return ops.reshape(made, (*ops.shape(codes)[:-1], made.shape[-1]))


def recurrent(
    integers: Integers,
    weights: Mapping[str, Any],
    maps: Maps,
    codes: Tensor,
    states: Sequence[Tensor],
    taken: Tensor | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """A recurrent layer: the input's products are made once, before the steps.

    Args:
        integers: of the layer.
        weights: its variables by name.
        maps: with their integer weights, for this pass.
        codes: [B, T, I].
        states: codes [B, H] before the first step.
        taken: the steps that are taken, bool [B, T]; the others leave the states (clause 6.13).

    Returns:
        Codes [B, T, H], and the states after the last step.
    """
    constants = integers.constants(weights)
    inputs = integers.of_input(maps, ops.transpose(codes, (1, 0, 2)))
    if taken is not None:
        inputs = inputs | {_TAKEN: ops.transpose(taken)[..., None]}

    def step(now: tuple[Tensor, ...], given: Inputs) -> tuple[Tensor, ...]:
        new: tuple[Tensor, ...] = integers.step(maps, given, now, constants)[1]
        if taken is None:
            return new
        return tuple(ops.where(given[_TAKEN], a, b) for a, b in zip(new, now, strict=True))

    found = scan(step, tuple(states), inputs)
    # The output of every recurrent layer is its first state (clause 6.2).
    return ops.transpose(found[0], (1, 0, 2)), [state[-1] for state in found]


def remembered(
    step: TrainingInterpreter, codes: Tensor, states: Sequence[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """A layer that reads values and has a memory: its steps one after another.

    Args:
        step: of the layer.
        codes: [B, T, N].
        states: codes [B, H] before the first step.

    Returns:
        Codes [B, T, U], and the states after the last step.
    """
    changing = [state.after != state.before for state in step.graph.carried]
    width = step.graph.outputs[0].width
    nothing = ops.zeros_like(codes[:, 0, :1]) + constant(np.zeros(width), codes)

    def run(now: tuple[Tensor, ...], given: Inputs) -> tuple[Tensor, ...]:
        _, *moved = now
        held = [moved.pop(0) if moves else s for moves, s in zip(changing, states, strict=True)]
        made, new = step({}, {}, tuple(held), read=given[_READ])
        return made, *(s for moves, s in zip(changing, new, strict=True) if moves)

    begun = [s for moves, s in zip(changing, states, strict=True) if moves]
    made, *found = scan(run, (nothing, *begun), {_READ: ops.transpose(codes, (1, 0, 2))})
    last = [state[-1] for state in found]
    after = [last.pop(0) if moves else s for moves, s in zip(changing, states, strict=True)]
    return ops.transpose(made, (1, 0, 2)), after


def initial_codes(spec: StateSpec, codes: Tensor) -> Tensor:
    """What a state begins with in every stream (clause 6.2), codes [B, H].

    Args:
        spec: the state.
        codes: of as many streams, [B, ...].
    """
    return ops.tile(constant(spec.initial(), codes)[None], (ops.shape(codes)[0], 1))


def start_rows(record: Delay, codes: Tensor) -> Tensor:
    """The rows before a stream, [B, (rows - 1) * I], the newest first, as codes."""
    start = np.tile(record.start.astype(np.float32), record.rows - 1)
    return ops.tile(constant(start, codes)[None], (ops.shape(codes)[0], 1))


def delayed(record: Delay, codes: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """The last rows of a stream (clause 8.4), of all steps at once.

    Args:
        record: the delay.
        codes: [B, T, I].
        before: the rows before them, [B, (rows - 1) * I], the newest first.

    Returns:
        [B, T, rows * I], the newest row first, and the rows before the next call.
    """
    width, rows = record.inputs, record.rows
    past = ops.flip(ops.reshape(before, (-1, rows - 1, width)), axis=1)
    stream = ops.concatenate((past, codes), axis=1)  # the oldest first
    steps = ops.shape(codes)[1]
    held = [stream[:, back : back + steps] for back in reversed(range(rows))]
    made = ops.concatenate(held, axis=-1)
    return made, made[:, -1, : (rows - 1) * width]
