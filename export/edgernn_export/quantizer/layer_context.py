"""What a layer quantizer works on: one float layer's place in the model, and its calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgernn.model.affine import Affine, CodeRange, Source
from edgernn.model.formats import FloatArray, Int16Array, Precision
from edgernn_export.calibration.input_ranges import GivenRanges
from edgernn_export.calibration.ranges import RangeMethod
from edgernn_export.calibration.statistics import Calibration, TensorStatistics
from edgernn_export.quantizer.affine import (
    RealMap,
    RealTerm,
    affine16,
    affines8,
    common_is_harmless,
    join,
)
from edgernn_export.quantizer.rounding import Moments
from edgernn_export.quantizer.weight_storage import DENSE, with_storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """What feeds a layer: real value = code * scale + offset, per column."""

    scale: FloatArray
    offset: FloatArray
    code_range: CodeRange

    def codes(self, values: FloatArray) -> Int16Array:
        """Codes [S, N] of real values [S, N]."""
        codes = values - self.offset
        codes /= self.scale
        np.rint(codes, out=codes)
        np.minimum(codes, self.code_range.high, out=codes)
        np.maximum(codes, self.code_range.low, out=codes)
        return codes.astype(np.int16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Choices that hold for the whole model."""

    precision: Precision
    method: RangeMethod
    operand_scales: str
    common_loss_db: float
    sparse: str
    given_ranges: GivenRanges | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerContext:
    """One layer to quantize.

    Attributes:
        last: its output is the model's.
        per_row_output: each row of its output has a scale of its own.
    """

    name: str
    index: int
    weight_bits: int
    last: bool
    per_row_output: bool
    feed: Feed
    plan: Plan
    calibration: Calibration
    _codes: dict[Source, Int16Array] = field(default_factory=dict, init=False)
    _moments: dict[tuple[Source, ...], Moments] = field(default_factory=dict, init=False)

    def stats(self, tensor: str) -> TensorStatistics:
        """Calibration of one of this layer's tensors."""
        return self.calibration[self.index, tensor]

    @property
    def weight_max(self) -> int:
        """Largest magnitude of a weight."""
        return DENSE[self.weight_bits].weight_max

    def x_term(self, kernel: FloatArray, out_scale: FloatArray | float) -> RealTerm:
        """The product with the layer input, in output codes of ``out_scale``."""
        feed = self.feed
        gain = kernel * feed.scale / np.reshape(out_scale, (-1, 1))
        return self._term(Source.X, "x", gain, feed)

    def h_term(
        self, recurrent: FloatArray, h_scale: float, out_scale: float, source: Source = Source.H
    ) -> RealTerm:
        """The product with the operand of the hidden state, or of the reset hidden state."""
        precision = self.plan.precision
        scale = h_scale * precision.operand_ratio
        codes = CodeRange(low=precision.operand_low, high=precision.operand_high)
        feed = Feed(scale=np.array(scale), offset=np.array(0.0), code_range=codes)
        tensor = "h_in" if source is Source.H else "rh"
        return self._term(source, tensor, recurrent * scale / out_scale, feed)

    def _term(self, source: Source, tensor: str, gain: FloatArray, feed: Feed) -> RealTerm:
        """A product with the operand that a calibrated tensor feeds."""
        if source not in self._codes:
            self._codes[source] = feed.codes(self.stats(tensor).sample)
        codes = self._codes[source]
        power = np.einsum("sn,sn->n", codes, codes, dtype=np.float64) / len(codes)
        return RealTerm(source=source, gain=gain, power=power, weight_max=self.weight_max)

    def bias(self, kernel: FloatArray, bias: FloatArray, out_scale: Any) -> FloatArray:
        """The bias in output codes, input offsets folded in."""
        folded: FloatArray = (bias + kernel @ self.feed.offset) / out_scale
        return folded

    def xh(self, x: RealTerm, h: RealTerm) -> list[RealTerm]:
        """One joint product where that is harmless or asked for, else two."""
        choice = self.plan.operand_scales
        if choice == "separate":
            return [x, h]
        common = join(x, h)
        if choice == "common" or common_is_harmless(
            [x, h],
            common,
            self._varying([x, h]),
            self.plan.common_loss_db,
            self.plan.precision.input_step,
        ):
            return [common]
        return [x, h]

    def _varying(self, terms: Sequence[RealTerm]) -> Moments:
        """How the operands of all terms vary, in the order of their columns."""
        sources = tuple(
            part
            for term in terms
            for part in ((Source.X, Source.H) if term.source is Source.XH else (term.source,))
        )
        if sources not in self._moments:
            self._moments[sources] = Moments.of([self._codes[source] for source in sources])
        return self._moments[sources]

    def affines(
        self, units: int, maps: Mapping[str, tuple[Sequence[RealTerm], FloatArray]]
    ) -> dict[str, Affine]:
        """Quantize all affine maps of the layer, proven free of overflow, and store them.

        Args:
            units: width of the hidden state.
            maps: per map its products and its bias, float64 [R] in output codes.
        """
        widths = self.feed.scale.size, units
        real = {
            name: RealMap(terms=tuple(terms), moments=self._varying(terms), bias=bias)
            for name, (terms, bias) in maps.items()
        }
        return {
            name: with_storage(affine, widths, self.weight_bits, self.plan.sparse)
            for name, affine in self._quantized(units, real).items()
        }

    def _quantized(self, units: int, maps: Mapping[str, RealMap]) -> dict[str, Affine]:
        precision = self.plan.precision
        inner = CodeRange(low=precision.operand_low, high=precision.operand_high)
        x = (self.feed.code_range,) * self.feed.scale.size
        h = (inner,) * units
        ranges = {Source.X: x, Source.H: h, Source.RH: h, Source.XH: x + h}
        if precision is Precision.W8A8:
            return dict(affines8(self.name, maps, ranges))
        return {name: affine16(f"{self.name}.{name}", m, ranges) for name, m in maps.items()}
