"""The integer side of layers that read values and have weights, whatever library trains them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from edgernn.graph.lowering import lowered
from edgernn.model.formats import INT16_MAX, WEIGHT_MAX, FloatArray
from edgernn.model.layers import Embedding, Layer
from edgernn.model.merges import Merge
from edgernn.model.scales import ScaleVector
from edgernn_export.compress.qat.arithmetic.integers import codes_of
from edgernn_export.compress.qat.arithmetic.requantization import rounded_sum
from edgernn_export.compress.qat.interpreter import TrainingInterpreter
from edgernn_export.compress.qat.maps.columns import LayerPlace, output_scales
from edgernn_export.compress.qat.maps.float_weights import BIAS, KERNEL
from edgernn_export.compress.qat.maps.training_maps import Weights
from edgernn_export.compress.tensors.back_ends import Tensor, constant, ops
from edgernn_export.float_model.graph_run import offset_of

EMBEDDINGS: Final = "embeddings"
#: Bits below a code to which what is added to an offset is rounded.
_GUARD_BITS: Final = 10


class DepthwiseIntegers:
    """The integer side of a depthwise convolution: a multiplier for each tap and channel.

    Shifts and the scale of the output stay; a tap never passes the largest multiplier.

    Attributes:
        model: the integer model training starts from.
        index: of the layer.
        columns: what it reads, K rows of U.
        record: the integer layer training starts from.
        step: what it computes.
        limits: largest magnitudes of the weights, kernel [K, U] and bias [U], by name.
    """

    def __init__(self, place: LayerPlace) -> None:
        """Find what a code of every constant is worth."""
        model, columns = place.model, place.columns
        self.model, self.index, self.columns = model, place.index, columns
        record = model.layers[self.index]
        assert isinstance(record, Merge)
        self.record = record
        self.step = TrainingInterpreter(lowered(model.precision, (record,)))
        shape = len(record.terms), record.units
        scale = output_scales(model, self.index)
        shifts = np.array([[term.shift] for term in record.terms])
        self._rate = np.exp2(shifts) / (columns.codes.reshape(shape) * scale)
        self._center = columns.center.reshape(shape)
        self._bias_rate = np.broadcast_to(1.0 / scale, (record.units,))
        #: The first vector with offsets has those that are trained; the others' stay.
        found = [term.has_bias for term in record.terms]
        self._place = found.index(True) if True in found else 0
        others = sum(term.bias.astype(np.float64) for term in record.terms)
        self._others = others - record.terms[self._place].bias
        self.limits = {
            KERNEL: (INT16_MAX / np.abs(self._rate)).astype(np.float32),
            BIAS: np.full(record.units, np.inf, np.float32),
        }

    def constants(self, weights: Mapping[str, Any]) -> dict[str, Tensor]:
        """Multipliers of all vectors by name, and the offsets of one."""
        kernel, bias = (weights[name].value for name in (KERNEL, BIAS))
        rate, limit = constant(self._rate, kernel), float(INT16_MAX)
        names = list(self.record.scales)
        made = {name: codes_of(kernel[tap], rate[tap], limit) for tap, name in enumerate(names)}
        others = constant(-self._others * np.ones(self.record.units), bias)
        terms = [
            (bias, constant(self._bias_rate, bias)),
            (kernel, constant(self._center * self._bias_rate, bias)),
            (others, ops.ones_like(others)),
        ]
        return made | {offset_of(names[self._place]): rounded_sum(terms, limit, _GUARD_BITS)}

    def nearest(
        self, weights: Mapping[str, FloatArray], trained: Mapping[str, FloatArray]
    ) -> dict[str, FloatArray]:
        """As `Integers.nearest`; ``trained``: the kernel."""
        codes = np.stack([term.multiplier for term in self.record.terms])
        kernel = _closest(trained[KERNEL], codes, self._rate)
        whole = (self._others + self.record.terms[self._place].bias) / self._bias_rate
        return {**weights, KERNEL: kernel, BIAS: whole - (kernel * self._center).sum(axis=0)}

    def begin(self, weights: Mapping[str, FloatArray]) -> None:
        """Nothing follows the weights."""

    def layer(self, weights: Weights, sparse: str) -> Layer:  # noqa: ARG002  # it has no products
        """As `Integers.layer`."""
        codes = {
            n: ops.convert_to_numpy(c).astype(np.int16) for n, c in self.constants(weights).items()
        }
        terms = tuple(
            ScaleVector(
                multiplier=codes[name],
                shift=term.shift,
                bias=codes.get(offset_of(name), term.bias),
            )
            for name, term in self.record.scales.items()
        )
        return dataclasses.replace(self.record, terms=terms)


class TableIntegers:
    """The integer side of an embedding; the scale of its table stays.

    Attributes:
        model: the integer model training starts from.
        index: of the layer.
        record: the integer layer training starts from.
        step: what it computes.
        limits: largest magnitudes of the weights, embeddings [V, D], by name.
    """

    def __init__(self, place: LayerPlace) -> None:
        """Find what a code of the table is worth."""
        self.model, self.index = place.model, place.index
        record = place.model.layers[self.index]
        assert isinstance(record, Embedding)
        self.record = record
        self.step = TrainingInterpreter(lowered(place.model.precision, (record,)))
        self._rate = 1.0 / (256.0 * record.output_scale)
        self.limits = {EMBEDDINGS: np.full(record.table.shape, WEIGHT_MAX / self._rate, np.float32)}

    def constants(self, weights: Mapping[str, Any]) -> dict[str, Tensor]:
        """The table."""
        table = weights[EMBEDDINGS].value
        return {"table": codes_of(table, constant(self._rate, table), float(WEIGHT_MAX))}

    def nearest(
        self, weights: Mapping[str, FloatArray], trained: Mapping[str, FloatArray]
    ) -> dict[str, FloatArray]:
        """As `Integers.nearest`; ``trained``: the table."""
        closest = _closest(trained[EMBEDDINGS], self.record.table, self._rate)
        return {**weights, EMBEDDINGS: closest}

    def begin(self, weights: Mapping[str, FloatArray]) -> None:
        """Nothing follows the weights."""

    def layer(self, weights: Weights, sparse: str) -> Layer:  # noqa: ARG002  # it has no products
        """As `Integers.layer`."""
        table = ops.convert_to_numpy(self.constants(weights)["table"]).astype(np.int8)
        return dataclasses.replace(self.record, table=table)


def _closest(wanted: FloatArray, codes: Any, rate: Any) -> FloatArray:
    """The weights closest to others that round to codes."""
    ends = (codes - 0.49) / rate, (codes + 0.49) / rate
    return np.clip(wanted, np.minimum(*ends), np.maximum(*ends))
