"""What a layer quantizer works on: one float layer's place in the model, and its calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from edgernn.affine import Affine, CodeRange, Source
from edgernn.formats import FloatArray, Precision
from edgernn_export.affine_quantizer import (
    RealTerm,
    affine16,
    affines8,
    common_is_harmless,
    join,
)
from edgernn_export.calibrate import Calibration, TensorStatistics
from edgernn_export.ranges import RangeMethod
from edgernn_export.weight_storage import DENSE, with_storage

#: Rows of a tensor that the rounding of weights looks at.
_SAMPLE_ROWS: Final = 1 << 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """What feeds a layer: real value = code * scale + offset, per column."""

    scale: FloatArray
    offset: FloatArray
    code_range: CodeRange


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Choices that hold for the whole model."""

    precision: Precision
    method: RangeMethod
    operand_scales: str
    common_loss_db: float
    sparse: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One layer to quantize."""

    name: str
    index: int
    weight_bits: int
    per_row_output: bool
    feed: Feed
    plan: Plan
    calibration: Calibration

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
        return RealTerm(
            source=Source.X,
            gain=kernel * feed.scale / np.reshape(out_scale, (-1, 1)),
            sample=self._codes("x", feed.scale, feed.offset, feed.code_range),
            weight_max=self.weight_max,
        )

    def h_term(
        self, recurrent: FloatArray, h_scale: float, out_scale: float, source: Source = Source.H
    ) -> RealTerm:
        """The product with the operand of the hidden state, or of the reset hidden state."""
        precision = self.plan.precision
        scale = h_scale * precision.operand_ratio
        codes = CodeRange(low=precision.operand_low, high=precision.operand_high)
        tensor = "h_in" if source is Source.H else "rh"
        return RealTerm(
            source=source,
            gain=recurrent * scale / out_scale,
            sample=self._codes(tensor, np.array(scale), np.array(0.0), codes),
            weight_max=self.weight_max,
        )

    def _codes(
        self, tensor: str, scale: FloatArray, offset: FloatArray, codes: CodeRange
    ) -> FloatArray:
        """Operand codes of a calibrated tensor, evenly spaced in time."""
        sample = self.stats(tensor).sample
        thinned = sample[:: max(1, len(sample) // _SAMPLE_ROWS)]
        rounded: FloatArray = np.clip(np.rint((thinned - offset) / scale), codes.low, codes.high)
        return rounded

    def bias(self, kernel: FloatArray, bias: FloatArray, out_scale: Any) -> FloatArray:
        """The bias in output codes, input offsets folded in."""
        folded: FloatArray = (bias + kernel @ self.feed.offset) / out_scale
        return folded

    def xh(self, x: RealTerm, h: RealTerm) -> list[RealTerm]:
        """One joint product where that is harmless or asked for, else two."""
        choice = self.plan.operand_scales
        if choice == "separate":
            return [x, h]
        if choice == "common" or common_is_harmless(
            x, h, self.plan.common_loss_db, self.plan.precision.input_step
        ):
            return [join(x, h)]
        return [x, h]

    def affines(
        self, units: int, maps: dict[str, tuple[list[RealTerm], FloatArray]]
    ) -> dict[str, Affine]:
        """Quantize all affine maps of the layer, proven free of overflow, and store them."""
        widths = self.feed.scale.size, units
        return {
            name: with_storage(affine, widths, self.weight_bits, self.plan.sparse)
            for name, affine in self._quantized(units, maps).items()
        }

    def _quantized(
        self, units: int, maps: dict[str, tuple[list[RealTerm], FloatArray]]
    ) -> dict[str, Affine]:
        precision = self.plan.precision
        inner = CodeRange(low=precision.operand_low, high=precision.operand_high)
        x = (self.feed.code_range,) * self.feed.scale.size
        h = (inner,) * units
        ranges = {Source.X: x, Source.H: h, Source.RH: h, Source.XH: x + h}
        if precision is Precision.W8A8:
            return dict(affines8(self.name, maps, ranges))
        return {
            name: affine16(f"{self.name}.{name}", terms, bias, ranges)
            for name, (terms, bias) in maps.items()
        }
