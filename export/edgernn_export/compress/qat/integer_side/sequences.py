"""What a network under training does with whole sequences of codes, whatever library trains it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import port_slices
from edgernn.model.layers import Delay
from edgernn.model.routes import Route
from edgernn_export.compress.qat.arithmetic.input_codes import InputCodes
from edgernn_export.compress.qat.integer_side.layer_integers import Integers
from edgernn_export.compress.qat.interpreter import Maps
from edgernn_export.compress.tensors.back_ends import Tensor, constant, ops, scan


class InputQuantizer:
    """Readings in physical units to operand codes (clause 9.1).

    Args:
        model: the integer model training starts from.
    """

    def __init__(self, model: IntegerModel) -> None:
        spec = model.input
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
            tokens = x if len(x.shape) == 3 else x[..., None]
            parts.append(ops.cast(tokens, "float32"))
        return ops.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]


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
) -> tuple[Tensor, list[Tensor]]:
    """A recurrent layer: the input's products are made once, before the steps.

    Args:
        integers: of the layer.
        weights: its variables by name.
        maps: with their integer weights, for this pass.
        codes: [B, T, I].
        states: codes [B, H] before the first step.

    Returns:
        Codes [B, T, H], and the states after the last step.
    """
    constants = integers.constants(weights)
    in_time = ops.transpose(codes, (1, 0, 2))
    found = scan(
        lambda now, inputs: integers.step(maps, inputs, now, constants)[1],
        tuple(states),
        integers.of_input(maps, in_time),
    )
    # The output of every recurrent layer is its first state (clause 6.2).
    return ops.transpose(found[0], (1, 0, 2)), [state[-1] for state in found]


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
