"""The contents of a layer's columns under training: readings or values, and their scale.

A route may combine readings with values of several layers, and a delay holds either. Each column
has a unit, what a weight of 1 turns into 1: of readings a sixth of their calibrated range, as three
standard deviations are on either side of the mean; of values 1. Layers that share weights have them
in the units of the first one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import Delay
from edgernn.model.routes import MODEL_INPUT, Route, readers
from edgernn_export.float_model.sharing import Shared

#: Units from the middle of what calibration saw to its end, as three standard deviations.
_UNITS: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The N columns that a layer reads, and what its weights stand for.

    Attributes:
        codes: int16 codes, or codes of the input, per unit, float64 [N].
        unit: what a weight of 1 turns into 1, float64 [N], in the real units of the input.
        offset: real value of code 0, float64 [N]; 0 of values of layers.
        mean: of the readings, float64 [N]; 0 of values of layers.
        are_codes: which columns are codes of the input, bool [N].
        center: what code 0 is worth in units, readings counted from their mean, float64 [N].
        out_gain: output of the layer per output of its weights, float64 [R], or 1.
        out_offset: what is added to the bias, in its units, float64 [R], or 0.
    """

    codes: FloatArray
    unit: FloatArray
    offset: FloatArray
    mean: FloatArray
    are_codes: npt.NDArray[np.bool_]
    center: FloatArray
    out_gain: FloatArray | float = 1.0
    out_offset: FloatArray | float = 0.0

    @staticmethod
    def of(
        model: IntegerModel,
        index: int,
        mean: FloatArray,
        passed: npt.NDArray[np.bool_] | None = None,
    ) -> Columns:
        """The columns of layer ``index`` with its own weights.

        Args:
            model: the integer model.
            index: of the layer.
            mean: of the readings, physical units, float64 [I].
            passed: which channels are outputs of other programs, whose units are those of values;
                None where none is.
        """
        channel, layer, element = _sources(model, model.wiring[index])
        read = channel >= 0
        scale = np.where(read, model.input.scale[channel], 0.0)
        for at in np.flatnonzero(~read):
            scale[at] = model.layers[layer[at]].output_scales[element[at]]
        # Units are those of what calibration saw; the range has headroom on both sides of it.
        headroom = float(dict(model.provenance.settings).get("input_headroom", "0"))
        of_input = model.precision.input_high / (_UNITS * (1.0 + 2.0 * headroom))
        values = ~read if passed is None else ~read | passed[channel]
        unit = np.where(values, 1.0, scale * of_input)
        offset = np.where(read, model.input.offset[channel], 0.0)
        middle = np.where(values, 0.0, mean[channel])
        return Columns(
            codes=np.where(values, 1.0 / scale, of_input),
            unit=unit,
            offset=offset,
            mean=middle,
            are_codes=read,
            center=(offset - middle) / unit,
        )

    def operands(self, model: IntegerModel) -> FloatArray | float:
        """Operand codes per unit, [N]; a scalar where all columns are alike."""
        ratio = model.precision.operand_ratio
        return _one_for_all(np.where(self.are_codes, self.codes, self.codes / ratio))

    def shared(self, first: Columns, uses: Shared, place: int) -> Columns:
        """These columns for weights that another layer has too, in the units of that one.

        Args:
            first: the columns of the first use of the weights.
            uses: of the weights.
            place: of this layer among them.
        """
        theirs, ours = uses[0], uses[place]
        unit = theirs.gain * first.unit
        middle = theirs.gain * first.mean + theirs.offset
        out_gain = ours.out_gain / theirs.out_gain
        return replace(
            self,
            codes=self.codes * unit / (ours.gain * self.unit),
            center=(ours.gain * self.offset + ours.offset - middle) / unit,
            out_gain=_one_for_all(out_gain),
            out_offset=_one_for_all(ours.out_offset / out_gain - theirs.out_offset),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPlace:
    """Where a layer with weights stands.

    Attributes:
        model: the integer model training starts from.
        index: of the layer.
        columns: what it reads.
        weights: those of a layer that has the same ones, by name; None where they are its own.
    """

    model: IntegerModel
    index: int
    columns: Columns
    weights: Mapping[str, Any] | None


def _one_for_all(values: FloatArray) -> FloatArray | float:
    """Values, or one of them where all are alike."""
    return float(values[0]) if np.all(values == values[0]) else values


def output_scales(model: IntegerModel, index: int) -> FloatArray:
    """Real value of one output code of layer ``index``, per element, float64 [U].

    What nothing but the model's output reads may have a scale for each element.
    """
    layer, wiring = model.layers[index], model.wiring
    scales = np.array(layer.output_scales)
    if readers(wiring, index) == {len(model.layers)}:
        at = 0
        for part in wiring[-1]:
            if part.source == index:
                put_out = model.output.scale[at : at + part.width]
                scales[part.start : part.start + part.width] = put_out
            at += part.width
    return scales


def _sources(model: IntegerModel, route: Route) -> tuple[npt.NDArray[np.intp], ...]:
    """Per element of a route the channel of the input that it is, else -1; and the layer it is of.

    Returns:
        Channels, layers (-1 of readings), and the elements of these.
    """
    parts = []
    for part in route:
        if part.source == MODEL_INPUT:
            channels = np.arange(model.input.width)
            whole = channels, np.full(model.input.width, -1), channels
        else:
            record = model.layers[part.source]
            elements = np.arange(record.units)
            whole = np.full(record.units, -1), np.full(record.units, part.source), elements
            if isinstance(record, Delay):
                held = _sources(model, model.wiring[part.source])
                channels, layers, elements = (np.tile(found, record.rows) for found in held)
                whole = channels, layers, elements
        parts.append([found[part.start : part.start + part.width] for found in whole])
    return tuple(np.concatenate(found) for found in zip(*parts, strict=True))
