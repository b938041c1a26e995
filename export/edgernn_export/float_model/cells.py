"""The equations of every float layer over a stretch of time, all streams at once, in float64.

What does not depend on the carried state is computed for the whole stretch in one matrix product;
only the recurrent products go step by step.

Every function takes its layer, the input [T, B, I] and the carried state, a tuple of arrays [B, H].
It returns every tensor of the stretch, [T, B, ...] by name in the order of computation, and the
state after its last step. The last tensor is the layer's output.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, Protocol

import numpy as np

from edgernn.graph.ops import Function
from edgernn.model.formats import FloatArray
from edgernn.model.functions.pointwise import PointwiseFunction
from edgernn.model.merges import MergeOperation
from edgernn_export.float_model.cell_plans import full_name
from edgernn_export.float_model.functions.pointwise import Arithmetic, pointwise
from edgernn_export.float_model.graph_run import FloatStep
from edgernn_export.float_model.memories import FloatAttention, FloatMemory
from edgernn_export.float_model.merges import FloatDelay
from edgernn_export.float_model.model import (
    FloatCell,
    FloatDense,
    FloatDenseRows,
    FloatEmbedding,
    FloatGRU,
    FloatLayerNorm,
    FloatLSTM,
    FloatMerge,
    FloatPointwise,
    FloatPReLU,
    FloatSimpleRNN,
)

LayerState = tuple[FloatArray, ...]
Results = dict[str, FloatArray]
#: exp of more than this overflows.
_LARGEST_EXPONENT: Final = 709.0
_ERF: Final = np.frompyfunc(math.erf, 1, 1)


class FloatFunction(Protocol):
    """A function of every element, which may go to ``out``."""

    def __call__(self, x: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Apply it."""
        ...


def sigmoid(x: FloatArray, out: FloatArray | None = None) -> FloatArray:
    """1 / (1 + exp(-x)), without overflow for any finite x."""
    y: FloatArray = np.negative(x, out=out)
    np.minimum(y, _LARGEST_EXPONENT, out=y)
    np.exp(y, out=y)
    y += 1.0
    return np.reciprocal(y, out=y)


def hard_sigmoid(x: FloatArray, out: FloatArray | None = None) -> FloatArray:
    """clip(x/6 + 0.5, 0, 1), as Keras 3 defines it."""
    y: FloatArray = np.divide(x, 6.0, out=out)
    y += 0.5
    np.maximum(y, 0.0, out=y)
    return np.minimum(y, 1.0, out=y)


def relu(x: FloatArray, out: FloatArray | None = None) -> FloatArray:
    """max(x, 0)."""
    y: FloatArray = np.maximum(x, 0.0, out=out)
    return y


def linear(x: FloatArray, out: FloatArray | None = None) -> FloatArray:
    """The identity."""
    y: FloatArray = np.positive(x, out=out)
    return y


def tanh(x: FloatArray, out: FloatArray | None = None) -> FloatArray:
    """Hyperbolic tangent."""
    y: FloatArray = np.tanh(x, out=out)
    return y


def erf(x: FloatArray) -> FloatArray:
    """The error function, which NumPy has not."""
    y: FloatArray = np.asarray(_ERF(x), dtype=np.float64)
    return y


ACTIVATIONS: Final[dict[str, FloatFunction]] = {
    "hard_sigmoid": hard_sigmoid,
    "linear": linear,
    "relu": relu,
    "sigmoid": sigmoid,
    "tanh": tanh,
}


def simple_rnn(
    layer: FloatSimpleRNN, xs: FloatArray, state: LayerState
) -> tuple[Results, LayerState]:
    """Elman cell: h' = act(z), z = W x + U h + b."""
    activation = ACTIVATIONS[layer.activation]
    zs = _affine(xs, layer.kernel, layer.bias)
    hs = _carried(xs, state[0])
    back, fed = layer.recurrent.T, np.empty_like(state[0])
    for z, h, h_new in zip(zs, hs, hs[1:], strict=False):
        z += np.matmul(h, back, out=fed)
        activation(z, h_new)
    return {"x": xs, "h_in": hs[:-1], "z": zs, "h": hs[1:]}, (hs[-1].copy(),)


def lstm(layer: FloatLSTM, xs: FloatArray, state: LayerState) -> tuple[Results, LayerState]:
    """LSTM, gates i f g o: c' = f c + i g, h' = o tanh(c')."""
    gate, units = ACTIVATIONS[layer.recurrent_activation], layer.units
    zs = _affine(xs, layer.kernel, layer.bias)
    hs, cs = (_carried(xs, s) for s in state)
    back, fed = layer.recurrent.T, np.empty(zs.shape[1:])
    gates, g = np.empty_like(fed), np.empty_like(state[0])
    i, f, _, o = (gates[:, k * units : (k + 1) * units] for k in range(4))
    zs_g = zs[:, :, 2 * units : 3 * units]
    for z, z_g, h, h_new, c, c_new in zip(zs, zs_g, hs, hs[1:], cs, cs[1:], strict=False):
        z += np.matmul(h, back, out=fed)
        gate(z, gates)
        np.tanh(z_g, out=g)
        np.multiply(i, g, out=g)
        np.multiply(f, c, out=c_new)
        c_new += g
        np.tanh(c_new, out=g)
        np.multiply(o, g, out=h_new)
    tensors = {"x": xs, "h_in": hs[:-1], "z": zs, "keep": zs[:, :, units : 2 * units]}
    return {**tensors, "c": cs[1:], "h": hs[1:]}, (hs[-1].copy(), cs[-1].copy())


def gru(layer: FloatGRU, xs: FloatArray, state: LayerState) -> tuple[Results, LayerState]:
    """GRU, gates z r n: h' = z h + (1 - z) tanh(n), the reset gate before or after its product."""
    split = 2 * layer.units
    of_x = _affine(xs, layer.kernel, layer.bias)
    zrs, n_xs = of_x[:, :, :split], of_x[:, :, split:]
    zrs += layer.recurrent_bias[:split]
    cell = _gru_after if layer.reset_after else _gru_before
    return cell(layer, xs, state[0], zrs, n_xs)


def _gru_after(
    layer: FloatGRU, xs: FloatArray, h0: FloatArray, zrs: FloatArray, n_xs: FloatArray
) -> tuple[Results, LayerState]:
    gate, units = ACTIVATIONS[layer.recurrent_activation], layer.units
    hs = _carried(xs, h0)
    n_hs, ns = np.empty_like(hs[1:]), np.empty_like(hs[1:])
    back, fed = layer.recurrent.T, np.empty((h0.shape[0], 3 * units))
    fed_zr, fed_n, bias_n = fed[:, : 2 * units], fed[:, 2 * units :], layer.recurrent_bias[-units:]
    gates, candidate = np.empty(fed_zr.shape), np.empty_like(h0)
    z, r = gates[:, :units], gates[:, units:]
    for zr, n_x, n_h, n, h, h_new in zip(zrs, n_xs, n_hs, ns, hs, hs[1:], strict=False):
        np.matmul(h, back, out=fed)
        zr += fed_zr
        gate(zr, gates)
        np.add(fed_n, bias_n, out=n_h)
        np.multiply(r, n_h, out=n)
        n += n_x
        _update(z, np.tanh(n, out=candidate), h, h_new)
    tensors = {"x": xs, "h_in": hs[:-1], "zr": zrs, "keep": zrs[:, :, :units]}
    return {**tensors, "n_x": n_xs, "n_h": n_hs, "n": ns, "h": hs[1:]}, (hs[-1].copy(),)


def _gru_before(
    layer: FloatGRU, xs: FloatArray, h0: FloatArray, zrs: FloatArray, n_xs: FloatArray
) -> tuple[Results, LayerState]:
    gate, units = ACTIVATIONS[layer.recurrent_activation], layer.units
    hs = _carried(xs, h0)
    rhs, ns = np.empty_like(hs[1:]), n_xs
    back_zr, back_n = layer.recurrent[: 2 * units].T, layer.recurrent[2 * units :].T
    fed_zr, fed_n = np.empty((h0.shape[0], 2 * units)), np.empty_like(h0)
    gates, candidate = np.empty_like(fed_zr), np.empty_like(h0)
    z, r = gates[:, :units], gates[:, units:]
    for zr, n, rh, h, h_new in zip(zrs, ns, rhs, hs, hs[1:], strict=False):
        zr += np.matmul(h, back_zr, out=fed_zr)
        gate(zr, gates)
        np.multiply(r, h, out=rh)
        n += np.matmul(rh, back_n, out=fed_n)
        _update(z, np.tanh(n, out=candidate), h, h_new)
    tensors = {"x": xs, "h_in": hs[:-1], "zr": zrs, "keep": zrs[:, :, :units]}
    return {**tensors, "r*h": rhs, "n": ns, "h": hs[1:]}, (hs[-1].copy(),)


def dense(layer: FloatDense, xs: FloatArray, state: LayerState) -> tuple[Results, LayerState]:
    """Dense layer: y = W x + b, a = act(y)."""
    ys = _affine(xs, layer.kernel, layer.bias)
    return {"x": xs, "y": ys, "a": ACTIVATIONS[layer.activation](ys)}, state


def dense_rows(
    layer: FloatDenseRows, xs: FloatArray, state: LayerState
) -> tuple[Results, LayerState]:
    """The same Dense of every row."""
    steps, batch, _ = xs.shape
    rows = xs.reshape(steps, batch * layer.count, layer.dense.inputs)
    made, _ = dense(layer.dense, rows, state)
    return {name: tensor.reshape(steps, batch, -1) for name, tensor in made.items()}, state


#: What joins two vectors of a merge.
JOINS: Final[dict[MergeOperation, np.ufunc]] = {
    MergeOperation.SUM: np.add,
    MergeOperation.PRODUCT: np.multiply,
    MergeOperation.MAXIMUM: np.maximum,
    MergeOperation.MINIMUM: np.minimum,
    MergeOperation.HYPOTENUSE: np.hypot,
}


def merge(layer: FloatMerge, xs: FloatArray, state: LayerState) -> tuple[Results, LayerState]:
    """Merge: y = join of all gain_j x_j + offset_j, from the left."""
    vectors = xs.reshape(*xs.shape[:2], layer.count, layer.units) * layer.gain + layer.offset
    join, ys = JOINS[layer.operation], vectors[:, :, 0]
    for index in range(1, layer.count):
        ys = join(ys, vectors[:, :, index])
    return {"x": xs, "y": ys}, state


def embedding(
    layer: FloatEmbedding, xs: FloatArray, state: LayerState
) -> tuple[Results, LayerState]:
    """Embedding: y = the rows that tokens number."""
    rows = layer.table[xs.astype(np.int64)]
    return {"x": xs, "y": rows.reshape(*xs.shape[:2], -1)}, state


def delay(layer: FloatDelay, xs: FloatArray, state: LayerState) -> tuple[Results, LayerState]:
    """Delay: the last rows, the newest first."""
    steps, batch, width = xs.shape
    past = state[0].reshape(batch, layer.depth, width)[:, ::-1].swapaxes(0, 1)
    seen = np.concatenate([past, xs])
    ys = np.concatenate([seen[layer.depth - back :][:steps] for back in range(layer.depth)], axis=2)
    return {"x": xs, "rows": ys}, (ys[-1].copy() if steps else state[0],)


def memory(layer: FloatMemory, xs: FloatArray, state: LayerState) -> tuple[Results, LayerState]:
    """Memory: y = the value of the newest row."""
    for x in xs:
        state = _appended(layer, x, state)
    return {"x": xs, "y": xs[:, :, -layer.units :]}, state


def _appended(layer: FloatMemory, row: FloatArray, state: LayerState) -> LayerState:
    """The memory with a row [B, R] more, the newest first."""
    *rows, filled = state
    parts = [row[:, -layer.units :], *([] if layer.tied else [row[:, : layer.width]])]
    held = [
        np.concatenate([part, old[:, : old.shape[1] - part.shape[1]]], axis=1)
        for part, old in zip(parts, rows, strict=True)
    ]
    return *held, np.concatenate([filled[:, :1], filled[:, :-1]], axis=1)


def attention(
    layer: FloatAttention, xs: FloatArray, state: LayerState
) -> tuple[Results, LayerState]:
    """Attention: y = the mean of the values by the shares p of their keys."""
    scores, shares, ys = [], [], []
    for x in xs:
        if layer.appends:
            state = _appended(layer, x[:, layer.width :], state)
        query = x[:, None, : layer.width]
        keys = state[0 if layer.tied else 1].reshape(len(x), layer.slots, layer.width)
        values = state[0].reshape(len(x), layer.slots, layer.units)
        joined = np.tanh(query + keys) if layer.score == "additive" else query * keys
        z = joined @ layer.factor
        filled = state[-1][:, 1:] > 0.0
        # Of an empty memory every slot has the same share: of nothing.
        counted = filled | ~filled.any(axis=1, keepdims=True)
        below = np.where(counted, z, -np.inf)
        powers = np.exp(below - below.max(axis=1, keepdims=True))
        p = powers / powers.sum(axis=1, keepdims=True)
        scores.append(np.where(counted, z, 0.0))
        shares.append(p)
        ys.append((p[:, None, :] @ values)[:, 0])
    found = {"scores": scores, "shares": shares, "y": ys}
    return {"x": xs, **{name: np.stack(rows) for name, rows in found.items()}}, state


def prelu(layer: FloatPReLU, xs: FloatArray, state: LayerState) -> tuple[Results, LayerState]:
    """PReLU: y = max(x, 0) + slope min(x, 0)."""
    return {"x": xs, "y": np.maximum(xs, 0.0) + layer.slope * np.minimum(xs, 0.0)}, state


def layer_norm(
    layer: FloatLayerNorm, xs: FloatArray, state: LayerState
) -> tuple[Results, LayerState]:
    """Layer normalization: y = gain (x - mean) / sqrt(variance + epsilon) + offset."""
    rows = xs.reshape(*xs.shape[:2], layer.count, layer.width)
    even = rows - rows.mean(axis=-1, keepdims=True)
    deviation = np.sqrt(np.square(even).mean(axis=-1, keepdims=True) + layer.epsilon)
    # Without an epsilon, a constant row has no deviation: it stays 0.
    even = np.divide(even, deviation, out=np.zeros_like(even), where=deviation > 0.0)
    return {"x": xs, "y": (layer.gain * even + layer.offset).reshape(xs.shape)}, state


def _affine(xs: FloatArray, kernel: FloatArray, bias: FloatArray) -> FloatArray:
    """W x + b of every step [T, B, I] in one product."""
    ys: FloatArray = xs.reshape(-1, xs.shape[2]) @ kernel.T
    ys += bias
    return ys.reshape(*xs.shape[:2], -1)


def _carried(xs: FloatArray, start: FloatArray) -> FloatArray:
    """Room for a state before and after every step, [T + 1, B, H], and its start."""
    states = np.empty((len(xs) + 1, *start.shape))
    states[0] = start
    return states


def _update(z: FloatArray, n: FloatArray, h: FloatArray, h_new: FloatArray) -> None:
    """New state: h' = z h + (1 - z) n, written as n + z (h - n)."""
    np.subtract(h, n, out=h_new)
    h_new *= z
    h_new += n


#: How NumPy computes the step of a registered cell.
NUMPY: Final = Arithmetic(
    matmul=np.matmul,
    concatenate=np.concatenate,
    maximum=np.maximum,
    minimum=np.minimum,
    mean=lambda v: np.mean(v, axis=-1, keepdims=True),
    sqrt=np.sqrt,
    exp=np.exp,
    log1p=np.log1p,
    erf=erf,
    absolute=np.abs,
    greater=np.greater,
    where=np.where,
    functions={function: ACTIVATIONS[function.value] for function in Function},
)


def registered(layer: FloatCell, xs: FloatArray, state: LayerState) -> tuple[Results, LayerState]:
    """A registered cell: its lowering in real numbers."""
    plan, carried = layer.plan, layer.plan.graph.carried
    step = FloatStep(plan.graph, plan.terms, NUMPY, plan.epsilon)
    weights = {name: values.T for name, values in layer.by_name.items()}
    of_xs = step.of_input(weights, xs)
    seen: dict[str, list[FloatArray]] = {name: [] for name in plan.observed}
    for t in range(len(xs)):
        values = step(weights, {name: of_x[t] for name, of_x in of_xs.items()}, state)
        state = tuple(values[one.after.name] for one in carried)
        for name, arrays in seen.items():
            arrays.append(values[full_name(name)])
    return {"x": xs, **{name: np.stack(arrays) for name, arrays in seen.items()}}, state


def bent(layer: FloatPointwise, xs: FloatArray, state: LayerState) -> tuple[Results, LayerState]:
    """Pointwise: y = f(x)."""
    function = PointwiseFunction.parse(layer.function)
    return {"x": xs, "y": pointwise(NUMPY, function, xs)}, state


#: float layer record -> cell
CELLS: Final[dict[type, Callable[[Any, FloatArray, LayerState], tuple[Results, LayerState]]]] = {
    FloatSimpleRNN: simple_rnn,
    FloatLSTM: lstm,
    FloatGRU: gru,
    FloatDense: dense,
    FloatDenseRows: dense_rows,
    FloatMerge: merge,
    FloatCell: registered,
    FloatEmbedding: embedding,
    FloatDelay: delay,
    FloatPointwise: bent,
    FloatPReLU: prelu,
    FloatLayerNorm: layer_norm,
    FloatMemory: memory,
    FloatAttention: attention,
}
