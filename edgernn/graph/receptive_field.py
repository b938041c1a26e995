"""How far an answer looks back: the readings that it depends on."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.graph.lowering import lowered
from edgernn.graph.op_graph import OpGraph
from edgernn.graph.ops import AffineResult, Concatenation, Gather, Normalization, Slice
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import Delay
from edgernn.model.routes import MODEL_INPUT, Route

#: Of each element, how many readings lie between the oldest one it depends on and the newest.
_Ages = npt.NDArray[np.int64]
#: Operations of which every element depends on all that is read.
_MIXING: Final = (AffineResult, Normalization)


def receptive_field(model: IntegerModel) -> int | None:
    """Readings from the oldest one that an answer depends on to the last one of its step.

    None: on all of a stream, as behind a recurrent layer. Of windows never more than it reads.
    """
    readings = model.step_readings
    most = None
    if model.window is not None:
        before = 0 if model.rate is None else model.rate.rows_before
        most = model.answer_steps * readings - before
    if any(layer.states and not isinstance(layer, Delay) for layer in model.layers):
        return most
    ages = {MODEL_INPUT: np.repeat(np.arange(readings)[::-1], model.input.width)}
    for index, (layer, route) in enumerate(zip(model.layers, model.wiring, strict=False)):
        read = _along(ages, route)
        if isinstance(layer, Delay):
            rows = np.arange(layer.rows)[:, None] * readings
            ages[index] = (read + rows).ravel()
        else:
            ages[index] = _through(lowered(model.precision, (layer,)), read)
    found = 1 + int(_along(ages, model.wiring[-1]).max())
    return found if most is None else min(found, most)


def _along(ages: dict[int, _Ages], route: Route) -> _Ages:
    parts = (ages[part.source][part.start : part.start + part.width] for part in route)
    return np.concatenate([*parts])


def _through(step: OpGraph, read: _Ages) -> _Ages:
    """Ages of what a layer without a state puts out."""
    ages = {step.inputs[0].name: read}
    for op in step.ops:
        of = [ages[value.name] for value in op.reads]
        if isinstance(op, Concatenation):
            found = np.concatenate(of)
        elif isinstance(op, Slice):
            found = of[0][op.start : op.start + op.result.width]
        elif isinstance(op, _MIXING):
            found = np.full(op.result.width, max(int(age.max()) for age in of))
        elif isinstance(op, Gather):
            found = np.repeat(of[0], op.table.shape[1])
        else:
            found = np.maximum.reduce(of)
        ages[op.result.name] = found
    return ages[step.outputs[0].name]
