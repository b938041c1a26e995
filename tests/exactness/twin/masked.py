"""Clause 6.13 in plain Python integers: which steps are left out, and what is put out instead."""

from __future__ import annotations

from collections.abc import Sequence

from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from tests.exactness.twin.cells import Twin, Vector


def mask_row(model: IntegerModel) -> Vector:
    """The codes of a masked reading (clause 9.4)."""
    least = -128 if model.precision is Precision.W8A8 else -32764
    return [0] if model.input.vocabulary else [least] * model.input.width


def first_output(model: IntegerModel) -> Vector:
    """The output where every layer with a state puts out zeros."""
    twin = Twin(model)
    x, made = mask_row(model), {}
    for index, layer in enumerate(twin._layers):
        if layer.state_widths:
            made[index] = [0] * layer.layer.units
            continue
        read = twin._routed(index, x, made, operands=not layer.reads_values)
        made[index], _ = layer.step(read, [])
    return twin._routed(len(twin._layers), x, made, operands=False)


def masked_run(model: IntegerModel, q_xs: Sequence[Vector]) -> list[Vector]:
    """The output after every step of an endless stream."""
    twin, row, last = Twin(model), mask_row(model), first_output(model)
    state, ys = twin.initial_state(), []
    for q_x in q_xs:
        if list(q_x) != row:
            last, state = twin.step(q_x, state)
        ys.append(last)
    return ys


def masked_windows(model: IntegerModel, q_xs: Sequence[Vector]) -> list[Vector | None]:
    """The answers of a window model; None where no window is answered."""
    steps, hop = model.window.steps, model.window.hop
    return [
        masked_run(model, q_xs[n - steps : n])[-1]
        if n >= steps and (n - steps) % hop == 0
        else None
        for n in range(1, len(q_xs) + 1)
    ]
