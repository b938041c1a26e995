"""One function per layer kind: float layer and calibration in, integer layer out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from edgernn.affine import Affine, CodeRange, Source
from edgernn.formats import (
    CELL_EXPONENTS,
    PREACTIVATION,
    RELU_EXPONENTS,
    UNIT,
    FloatArray,
    Precision,
)
from edgernn.layers import (
    LSTM,
    CellActivation,
    Dense,
    DenseActivation,
    GateActivation,
    GRUAfter,
    GRUBefore,
    Layer,
    SimpleRNN,
)
from edgernn_export.affine_quantizer import (
    RealTerm,
    affine16,
    affines8,
    common_is_harmless,
    join,
)
from edgernn_export.calibrate import Calibration, TensorStatistics
from edgernn_export.float_model import (
    FloatDense,
    FloatGRU,
    FloatLayer,
    FloatLSTM,
    FloatSimpleRNN,
)
from edgernn_export.ranges import RangeMethod, exponent_for, limit

#: Room above the calibrated range of states and outputs, which unseen data may use.
STATE_HEADROOM = 1.25
#: A `w8a16` row saturates between half of and the full int16 range (clause 5.2).
_HIGH_CODE = {Precision.W8A8: 32767, Precision.W8A16: 16383}
#: Rows of a tensor that the rounding of weights looks at.
_SAMPLE_ROWS = 1 << 14


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One layer to quantize."""

    name: str
    index: int
    last: bool
    per_row_output: bool
    feed: Feed
    plan: Plan
    calibration: Calibration

    def stats(self, tensor: str) -> TensorStatistics:
        """Calibration of one of this layer's tensors."""
        return self.calibration[self.index, tensor]

    def x_term(self, kernel: FloatArray, out_scale: FloatArray | float) -> RealTerm:
        """The product with the layer input, in output codes of ``out_scale``."""
        feed = self.feed
        return RealTerm(
            source=Source.X,
            gain=kernel * feed.scale / np.reshape(out_scale, (-1, 1)),
            sample=self._codes("x", feed.scale, feed.offset, feed.code_range),
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
        """Quantize all affine maps of the layer, proven free of overflow."""
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


def _simple_rnn(task: Task, layer: FloatSimpleRNN) -> Layer:
    if layer.activation == "tanh":
        exponent, out_scale = UNIT.frac_bits, PREACTIVATION.scale
    else:
        stats = task.stats("h")
        reach = limit(stats.sample, stats.limit, task.plan.method) * STATE_HEADROOM
        exponent = exponent_for(reach, RELU_EXPONENTS, _HIGH_CODE[task.plan.precision])
        out_scale = 2.0**-exponent
    terms = task.xh(
        task.x_term(layer.kernel, out_scale),
        task.h_term(layer.recurrent, 2.0**-exponent, out_scale),
    )
    bias = task.bias(layer.kernel, layer.bias, out_scale)
    return SimpleRNN(
        name=task.name,
        inputs=layer.inputs,
        units=layer.units,
        activation=CellActivation(layer.activation),
        state_exponent=exponent,
        gates=task.affines(layer.units, {"gates": (terms, bias)})["gates"],
    )


def _lstm(task: Task, layer: FloatLSTM) -> Layer:
    stats = task.stats("c")
    reach = limit(stats.sample, stats.limit, task.plan.method) * STATE_HEADROOM
    z_scale = PREACTIVATION.scale
    terms = task.xh(
        task.x_term(layer.kernel, z_scale), task.h_term(layer.recurrent, UNIT.scale, z_scale)
    )
    bias = task.bias(layer.kernel, layer.bias, z_scale)
    return LSTM(
        name=task.name,
        inputs=layer.inputs,
        units=layer.units,
        gate_activation=GateActivation(layer.recurrent_activation),
        cell_exponent=exponent_for(reach, CELL_EXPONENTS),
        gates=task.affines(layer.units, {"gates": (terms, bias)})["gates"],
    )


def _gru(task: Task, layer: FloatGRU) -> Layer:
    split, z_scale = 2 * layer.units, PREACTIVATION.scale
    k_zr, k_n = layer.kernel[:split], layer.kernel[split:]
    u_zr, u_n = layer.recurrent[:split], layer.recurrent[split:]
    b_zr = layer.bias[:split] + layer.recurrent_bias[:split]
    zr_terms = task.xh(task.x_term(k_zr, z_scale), task.h_term(u_zr, UNIT.scale, z_scale))
    zr = (zr_terms, task.bias(k_zr, b_zr, z_scale))
    n_x = task.x_term(k_n, z_scale)
    n_bias = task.bias(k_n, layer.bias[split:], z_scale)
    base: dict[str, Any] = {
        "name": task.name,
        "inputs": layer.inputs,
        "units": layer.units,
        "gate_activation": GateActivation(layer.recurrent_activation),
    }
    if layer.reset_after:
        n_h = task.h_term(u_n, UNIT.scale, z_scale)
        h_bias = layer.recurrent_bias[split:] / z_scale
        maps = {"zr": zr, "n_x": ([n_x], n_bias), "n_h": ([n_h], h_bias)}
        return GRUAfter(**base, **dict[str, Any](task.affines(layer.units, maps)))
    n_rh = task.h_term(u_n, UNIT.scale, z_scale, Source.RH)
    maps = {"zr": zr, "n": ([n_x, n_rh], n_bias)}
    return GRUBefore(**base, **dict[str, Any](task.affines(layer.units, maps)))


def dense_output_scale(task: Task, layer: FloatDense) -> FloatArray:
    """Real value of one output code per row (clause 8.2)."""
    if layer.activation in ("tanh", "sigmoid"):
        return np.full(layer.units, UNIT.scale)
    stats = task.stats("y")
    columns = [
        limit(stats.sample[:, r], float(max(stats.high[r], -stats.low[r])), task.plan.method)
        for r in range(layer.units)
    ]
    reach = np.maximum(np.array(columns), 1e-9) * STATE_HEADROOM
    if not task.per_row_output:
        reach = np.full(layer.units, float(reach.max()))
    scale: FloatArray = reach / _HIGH_CODE[task.plan.precision]
    return scale


def _dense(task: Task, layer: FloatDense) -> Layer:
    bounded = layer.activation in ("tanh", "sigmoid")
    scale = dense_output_scale(task, layer)
    row_scale: FloatArray = np.full(layer.units, PREACTIVATION.scale) if bounded else scale
    terms = [task.x_term(layer.kernel, row_scale)]
    bias = task.bias(layer.kernel, layer.bias, row_scale)
    return Dense(
        name=task.name,
        inputs=layer.inputs,
        units=layer.units,
        activation=DenseActivation(layer.activation),
        output_scale=float(scale[0]) if not task.per_row_output or bounded else float(scale.max()),
        out=task.affines(layer.units, {"out": (terms, bias)})["out"],
    )


#: float layer record -> quantizer
QUANTIZERS: Final[dict[type, Callable[[Task, Any], Layer]]] = {
    FloatSimpleRNN: _simple_rnn,
    FloatLSTM: _lstm,
    FloatGRU: _gru,
    FloatDense: _dense,
}


def quantize_layer(task: Task, layer: FloatLayer) -> Layer:
    """Quantize one layer by its kind."""
    return QUANTIZERS[type(layer)](task, layer)


def layer_names(layers: tuple[FloatLayer, ...]) -> list[str]:
    """Distinct names within the file format's alphabet, as close to the originals as possible."""
    names: list[str] = []
    for index, layer in enumerate(layers):
        name = re.sub(r"[^A-Za-z0-9_-]", "_", layer.name)[:56].lstrip("-") or f"layer_{index}"
        while name in names:
            name = f"{name}_{index}"
        names.append(name)
    return names
