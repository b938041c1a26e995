"""Smaller models of the same network, to measure what would fit before anybody trains it."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.model.affine import Affine, Affine8, Source, Term8, Term16
from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import Layer
from edgernn.model.scales import LeakConstants
from edgernn.model.storage import Storage

#: Any shift of clause 4.3 will do where only bytes count.
_SHIFT = 8


def widest(model: IntegerModel) -> int:
    """Units of the widest recurrent layer."""
    return max(layer.units for layer in model.layers if layer.states)


def has_narrower(model: IntegerModel) -> bool:
    """Whether `narrower` can make one: a chain, whose output is of one piece."""
    merges = any(layer.reads_values for layer in model.layers)
    return not (model.routes or model.output.ports or merges)


def narrower(model: IntegerModel, units: int) -> IntegerModel:
    """The network with all recurrent layers scaled by one factor, from its first units.

    It has the right sizes and no training; Dense layers keep their units.

    Args:
        model: what to shrink; one that `has_narrower`.
        units: of the widest recurrent layer, at most its own.
    """
    before = widest(model)
    layers: list[Layer] = []
    inputs = model.step_width
    for layer in model.layers:
        kept = max(1, layer.units * units // before) if layer.states else layer.units
        layers.append(_narrower_layer(layer, inputs, kept))
        inputs = kept
    output = replace(
        model.output,
        names=model.output.names[:inputs],
        units=model.output.units[:inputs],
        scale=model.output.scale[:inputs],
    )
    return replace(model, layers=tuple(layers), output=output)


def in_w8a8(model: IntegerModel) -> IntegerModel:
    """The network with 8-bit operands: its sizes, storage kept, without the right numbers."""
    layers = []
    for layer in model.layers:
        maps: dict[str, Any] = {name: _affine8(a) for name, a in layer.affines.items()}
        layers.append(replace(layer, **maps))
    return replace(model, precision=Precision.W8A8, layers=tuple(layers))


def in_w4(model: IntegerModel) -> IntegerModel:
    """The network with 4-bit weights: its sizes, without the right numbers."""
    largest = Storage.DENSE4.weight_max
    layers = []
    for layer in model.layers:
        maps: dict[str, Any] = {}
        for name, affine in layer.affines.items():
            terms = tuple(
                replace(t, weights=np.clip(t.weights, -largest, largest), storage=Storage.DENSE4)
                for t in affine.terms
            )
            maps[name] = replace(affine, **dict[str, Any](terms=terms))
        layers.append(replace(layer, **maps))
    return replace(model, layers=tuple(layers))


def _affine8(affine: Affine) -> Affine8:
    zeros = np.zeros(affine.rows, np.int32)
    terms = [
        Term8(source=term.source, weights=term.weights, multiplier=zeros, storage=term.storage)
        for term in affine.terms
    ]
    return Affine8(terms=tuple(terms), bias=zeros, shift=_SHIFT)


def _narrower_layer(layer: Layer, inputs: int, units: int) -> Layer:
    inner = {name: getattr(layer, name) for name in layer.inner}
    widths = {name: max(1, width * units // layer.units) for name, width in inner.items()}
    widths |= {"inputs": inputs, "units": units}

    def first_of_each(name: str, blocks: int) -> npt.NDArray[np.int_]:
        kept = np.arange(layer.width_of(name, widths))
        return np.concatenate(
            [block * layer.width_of(name, layer.widths) + kept for block in range(blocks)]
        )

    x, h, rh = (np.arange(sum(layer.parts_of(s, widths))) for s in (Source.X, Source.H, Source.RH))
    columns = {
        Source.X: x,
        Source.H: h,
        Source.RH: rh,
        Source.XH: np.concatenate([x, layer.inputs + h]),
    }
    changes: dict[str, Any] = dict(widths)
    for name, count in layer.scale_shape.items():
        scale, rows = layer.scales[name], first_of_each(name, count)
        changes[name] = replace(scale, multiplier=scale.multiplier[rows], bias=scale.bias[rows])
    for name, count in layer.norm_shape.items():
        frame = replace(layer.normalizations[name], epsilon=np.ones(1, np.int32))
        frame = replace(frame, width=count * layer.width_of(name, widths))
        epsilon = layer.normalizations[name].epsilon[: frame.most_bits + 1]
        changes[name] = replace(frame, epsilon=epsilon)
    for name, leak in layer.leaks.items():
        rows = first_of_each(name, 1)
        changes[name] = LeakConstants(
            high=leak.high[rows], low=leak.low[rows], shift=leak.shift[rows]
        )
    for name, affine in layer.affines.items():
        rows = first_of_each(name, layer.shape[name][0])
        parts: dict[str, Any] = {
            "terms": tuple(_part(t, rows, columns[t.source]) for t in affine.terms)
        }
        if isinstance(affine, Affine8):
            parts["bias"] = affine.bias[rows]
        changes[name] = replace(affine, **parts)
    changes["starts"] = ()  # 2 bytes for each unit, which do not decide what fits
    return replace(layer, **changes)


def _part(
    term: Term8 | Term16, rows: npt.NDArray[np.int_], columns: npt.NDArray[np.int_]
) -> Term8 | Term16:
    parts = {
        field.name: getattr(term, field.name)[rows]
        for field in fields(term)
        if field.name not in ("source", "storage")
    }
    return replace(term, **(parts | {"weights": term.weights[np.ix_(rows, columns)]}))
