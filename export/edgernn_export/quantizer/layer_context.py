"""What a layer quantizer works on: one float layer's place in the model, and its calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.model.affine import Affine, CodeRange, Source
from edgernn.model.formats import FloatArray, Int16Array, Precision
from edgernn.model.interface import InputSpec
from edgernn.model.layers import Layer
from edgernn.model.routes import Route
from edgernn_export.calibration.input_ranges import GivenRanges
from edgernn_export.calibration.ranges import RangeMethod
from edgernn_export.calibration.statistics import Calibration, TensorStatistics
from edgernn_export.quantizer.states.storage import States
from edgernn_export.quantizer.weight_storage import with_storage
from edgernn_export.quantizer.weights.affine import (
    RealMap,
    RealTerm,
    affine16,
    affines8,
    common_is_harmless,
    expected_noise,
    join,
)
from edgernn_export.quantizer.weights.bits import DENSE, LayerBits
from edgernn_export.quantizer.weights.rounding import Moments

#: Room above the calibrated range of states, which unseen data may use; their scales are powers of
#: 2, so that most have more.
STATE_HEADROOM: Final = 1.25
#: The same of wide states that no layer reads.
WIDE_HEADROOM: Final = 4.0
#: The same of hidden Dense layers and merges.
HIDDEN_HEADROOM: Final = 1.5
#: The same of the model's output, which no later product reads: its 16 bits have room to spare. A
#: `w8a16` row has twice that beside (clause 5.2).
OUTPUT_HEADROOM: Final = {Precision.W8A8: 4.0, Precision.W8A16: 2.0}
#: Units of a hidden layer get scales of their own where one that serves all would be coarser than
#: some need by more than this. With less, every unit keeps 7 bits, as weights have.
_APART: Final = 2.0**8


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """What feeds a layer: real value = operand code * scale + offset, per column.

    Attributes:
        scale: float64 [N], real value of an operand code.
        offset: float64 [N], real value of code 0.
        code_ranges: of the operand codes, N of them.
        value_scale: float64 [N], real value of a code of what the operand is made of (clause 6.7).
    """

    scale: FloatArray
    offset: FloatArray
    code_ranges: tuple[CodeRange, ...]
    value_scale: FloatArray

    @staticmethod
    def of_layer(precision: Precision, scale: FloatArray | float, width: int) -> Feed:
        """The feed of a layer's output, or of a hidden state, with one scale or one per column."""
        return Feed(
            scale=np.full(width, scale * precision.operand_ratio),
            offset=np.zeros(width),
            code_ranges=(CodeRange(low=precision.operand_low, high=precision.operand_high),)
            * width,
            value_scale=np.full(width, scale),
        )

    @staticmethod
    def of_input(precision: Precision, spec: InputSpec, readings: int = 1) -> Feed:
        """The feed of the model's input, of several readings in a step."""
        return Feed(
            scale=np.tile(spec.scale, readings),
            offset=np.tile(spec.offset, readings),
            code_ranges=(CodeRange(low=precision.input_low, high=precision.input_high),)
            * (spec.width * readings),
            value_scale=np.tile(spec.scale, readings),
        )

    @staticmethod
    def of_route(feeds: Mapping[int, Feed], route: Route) -> Feed:
        """What a route reads of the feeds of its sources, one behind another (clause 6.6)."""
        parts = [(feeds[p.source], slice(p.start, p.start + p.width)) for p in route]
        return Feed(
            scale=np.concatenate([feed.scale[part] for feed, part in parts]),
            offset=np.concatenate([feed.offset[part] for feed, part in parts]),
            code_ranges=tuple(r for feed, part in parts for r in feed.code_ranges[part]),
            value_scale=np.concatenate([feed.value_scale[part] for feed, part in parts]),
        )

    def of_rows(self, count: int) -> Feed:
        """The feed of each of several rows that follow one another and are alike."""
        scale, offset, value_scale = (
            values.reshape(count, -1) for values in (self.scale, self.offset, self.value_scale)
        )
        for values in (scale, offset, value_scale):
            assert (values == values[0]).all()  # the same channels at several readings
        width = scale.shape[1]
        ranges = [self.code_ranges[column::width] for column in range(width)]
        return Feed(
            scale=scale[0],
            offset=offset[0],
            code_ranges=tuple(
                CodeRange(low=min(r.low for r in rows), high=max(r.high for r in rows))
                for rows in ranges
            ),
            value_scale=value_scale[0],
        )

    @property
    def ends(self) -> FloatArray:
        """The least and the greatest operand code per column, [2, N]."""
        codes = [(r.low, r.high) for r in self.code_ranges]
        return np.array(codes, dtype=np.float64).T

    def codes(self, values: FloatArray) -> Int16Array:
        """Codes [S, N] of real values [S, N]."""
        low, high = self.ends
        codes = values - self.offset
        codes /= self.scale
        np.rint(codes, out=codes)
        np.minimum(codes, high, out=codes)
        np.maximum(codes, low, out=codes)
        return codes.astype(np.int16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Choices that hold for the whole model.

    Attributes:
        compared: numbers of the outputs that a decision compares, which have one scale therefore.
    """

    precision: Precision
    method: RangeMethod
    operand_scales: str
    common_loss_db: float
    sparse: str
    given_ranges: GivenRanges | None
    state: States = "auto"
    compared: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerContext:
    """One layer to quantize.

    Attributes:
        weight_bits: of its matrices; None where it has none.
        last: nothing but the model's output reads it.
        per_row_output: its reader allows each row of its output a separate scale.
        reads_input: it reads only the model's input.
        rows: how many rows follow one another in its tensors.
        handed: a state begins with its output, whose scale is therefore a power of two.
        memory: exponents of the keys and values that another program appends to its memory.
    """

    name: str
    index: int
    weight_bits: LayerBits | None
    last: bool
    per_row_output: bool
    reads_input: bool
    feed: Feed
    plan: Plan
    calibration: Calibration
    rows: int = 1
    handed: bool = False
    memory: tuple[int, int] | None = None
    _codes: dict[Source, Int16Array] = field(default_factory=dict, init=False)
    _moments: dict[tuple[Source, ...], Moments] = field(default_factory=dict, init=False)
    _maps: dict[str, RealMap] = field(default_factory=dict, init=False)

    def row_scales(self, scale: FloatArray, needed: npt.NDArray[np.bool_]) -> FloatArray:
        """The scales [U] that the rows of the output get.

        Args:
            scale: [U], the scale that each row requires.
            needed: [U], rows that are not 0 throughout.

        Returns:
            Separate scales if only the output reads them, or where they are far
            apart and what reads them takes that; else the largest for all. For values that are
            passed on, a power of two for all.
        """
        if self.handed:
            return np.full(len(scale), 2.0 ** np.ceil(np.log2(float(scale.max()))))
        if self.per_row_output and self.last:
            return scale
        largest = np.full(len(scale), float(scale.max()))
        if not self.per_row_output or largest[0] <= _APART * scale[needed].min():
            return largest
        own: FloatArray = np.where(needed, scale, largest)
        return own

    def unit_scales(self, scale: FloatArray) -> FloatArray | None:
        """The scales [U] in the record of a layer; those of the output are in the output."""
        return None if self.last or (scale == scale[0]).all() else scale

    def stats(self, tensor: str) -> TensorStatistics:
        """Calibration of one of this layer's tensors."""
        seen = self.calibration[self.index, tensor]
        return seen if self.rows == 1 else seen.of_rows(self.rows)

    def of_rows(self, count: int) -> LayerContext:
        """The place of a layer that makes the same of each of several rows it reads."""
        return replace(self, feed=self.feed.of_rows(count), rows=count, per_row_output=False)

    def with_bits(self, bits: LayerBits | None, operand_scales: str | None = None) -> LayerContext:
        """The same place with other bits of weights, and another choice of scales."""
        scales = operand_scales or self.plan.operand_scales
        made = replace(self, weight_bits=bits, plan=replace(self.plan, operand_scales=scales))
        made._codes.update(self._codes)
        made._moments.update(self._moments)
        return made

    def expected_noise(self, layer: Layer) -> float:
        """Noise of rounded weights and operands in what a layer's maps make.

        Args:
            layer: made in this place.

        Returns:
            The variance, in codes, summed over all rows.
        """
        return sum(
            expected_noise(layer.affines[name], real, self.plan.precision.input_step)
            for name, real in self._maps.items()
        )

    @property
    def _bits(self) -> dict[Source, int]:
        """Bits of weights by the source of their product."""
        assert self.weight_bits is not None  # layers without matrices make no products
        return self.weight_bits.by_source

    @property
    def least_weight_max(self) -> int:
        """Largest magnitude of a weight in the matrix of the fewest bits."""
        return min(DENSE[bits].weight_max for bits in self._bits.values())

    def weight_max(self, source: Source) -> int:
        """Largest magnitude of a weight in the products with a source."""
        return DENSE[self._bits[source]].weight_max

    def x_term(self, kernel: FloatArray, out_scale: FloatArray | float) -> RealTerm:
        """The product with the layer input, in output codes of ``out_scale``."""
        feed = self.feed
        gain = kernel * feed.scale / np.reshape(out_scale, (-1, 1))
        return self._term(Source.X, "x", gain, feed)

    def h_term(
        self,
        recurrent: FloatArray,
        h_scale: float,
        out_scale: FloatArray | float,
        source: Source = Source.H,
        tensor: str = "",
    ) -> RealTerm:
        """The product with the operand of the hidden state, or of another value of the layer.

        Args:
            recurrent: the matrix.
            h_scale: real value of one code of the value.
            out_scale: the same of the result.
            source: the source of the value.
            tensor: its name in calibration; that of the state or of a reset state by default.
        """
        precision = self.plan.precision
        scale = h_scale * precision.operand_ratio
        feed = Feed.of_layer(precision, h_scale, recurrent.shape[1])
        tensor = tensor or ("h_in" if source is Source.H else "r*h")
        gain = recurrent * scale / np.reshape(out_scale, (-1, 1))
        return self._term(source, tensor, gain, feed)

    def _term(self, source: Source, tensor: str, gain: FloatArray, feed: Feed) -> RealTerm:
        """A product with the operand that a calibrated tensor feeds."""
        if source not in self._codes:
            self._codes[source] = feed.codes(self.stats(tensor).sample)
        codes = self._codes[source]
        power = np.einsum("sn,sn->n", codes, codes, dtype=np.float64) / len(codes)
        return RealTerm(source=source, gain=gain, power=power, weight_max=self.weight_max(source))

    def bias(self, kernel: FloatArray, bias: FloatArray, out_scale: Any) -> FloatArray:
        """The bias in output codes, input offsets folded in."""
        folded: FloatArray = (bias + kernel @ self.feed.offset) / out_scale
        return folded

    def xh(self, x: RealTerm, h: RealTerm) -> list[RealTerm]:
        """One joint product if that is harmless or requested, else two.

        Matrices of different bits have two.
        """
        choice = self.plan.operand_scales
        if choice == "separate" or x.weight_max != h.weight_max:
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
        self, maps: Mapping[str, tuple[Sequence[RealTerm], FloatArray]]
    ) -> dict[str, Affine]:
        """Quantize all affine maps of the layer, proven free of overflow, and store them.

        Args:
            maps: per map its products and its bias, float64 [R] in output codes.
        """
        inputs = self.feed.scale.size
        real = {
            name: RealMap(terms=tuple(terms), moments=self._varying(terms), bias=bias)
            for name, (terms, bias) in maps.items()
        }
        self._maps.clear()  # a layer may be made again, in another way
        self._maps.update(real)
        return {
            name: with_storage(affine, inputs, self._bits, self.plan.sparse)
            for name, affine in self._quantized(real).items()
        }

    def _quantized(self, maps: Mapping[str, RealMap]) -> dict[str, Affine]:
        precision = self.plan.precision
        inner = CodeRange(low=precision.operand_low, high=precision.operand_high)
        ranges: dict[Source, tuple[CodeRange, ...]] = {}
        for term in (term for one in maps.values() for term in one.terms):
            x = self.feed.code_ranges if term.source in (Source.X, Source.XH) else ()
            ranges[term.source] = x + (inner,) * (term.gain.shape[1] - len(x))
        if precision is Precision.W8A8:
            return dict(affines8(self.name, maps, ranges))
        return {name: affine16(f"{self.name}.{name}", m, ranges) for name, m in maps.items()}
