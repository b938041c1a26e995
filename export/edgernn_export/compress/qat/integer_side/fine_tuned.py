"""The float network of weights that were trained as integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from edgernn.cells.general.leaky_rnn import LeakyRNN
from edgernn.model.formats import FloatArray
from edgernn_export.compress.qat.integer_side.plan import TrainingPlan, kept_share
from edgernn_export.compress.qat.integer_side.value_integers import EMBEDDINGS
from edgernn_export.compress.qat.maps.columns import Columns
from edgernn_export.compress.qat.maps.float_weights import (
    BIAS,
    KERNEL,
    RECURRENT,
    RECURRENT_BIAS,
    is_registered,
)
from edgernn_export.float_model.model import (
    FloatCell,
    FloatDense,
    FloatEmbedding,
    FloatGRU,
    FloatLayer,
    FloatLSTM,
    FloatMerge,
    FloatModel,
    FloatSimpleRNN,
)
from edgernn_export.float_model.own_cells import general_cell, special_layer
from edgernn_export.float_model.sharing import WeightUse

_Weights = dict[str, FloatArray]


def fine_tuned(plan: TrainingPlan, holders: Mapping[int, Any]) -> FloatModel:
    """The network with its weights as they are now, in the units it had before training.

    Args:
        plan: of the training.
        holders: what holds weights, with the attribute float_weights, by layer.
    """
    layers = list(plan.trained.layers)
    for index, holder in holders.items():
        if plan.first_use(index) == (plan, index):
            weights = {n: np.array(v, dtype=np.float64) for n, v in holder.float_weights.items()}
            layers[index] = _layer(plan, index, weights)
    for uses in plan.trained.shared:
        first = layers[uses[0].layer]
        for use in uses[1:]:
            changed = _used_again(first, uses[0], use)
            layers[use.layer] = replace(changed, name=plan.trained.layers[use.layer].name)
    return replace(plan.trained, layers=tuple(layers))


def _layer(plan: TrainingPlan, index: int, weights: _Weights) -> FloatLayer:
    """A layer with weights that stand as in training."""
    source, record = plan.trained.layers[index], plan.integer.layers[index]
    columns = plan.columns[index]
    if isinstance(source, FloatEmbedding):
        return replace(source, table=weights[EMBEDDINGS])
    if isinstance(source, FloatMerge):
        return _merge(source, weights, columns)
    if isinstance(source, FloatSimpleRNN) and isinstance(record, LeakyRNN):
        kernel, bias = _of_readings(weights["gates.x"], weights["gates.bias"], columns)
        recurrent = weights["gates.h"].T + np.diag(kept_share(record))
        return replace(source, kernel=kernel, recurrent=recurrent, bias=bias, use_bias=True)
    if isinstance(source, FloatCell):
        return _cell(source, weights, columns)
    if isinstance(source, (FloatLSTM, FloatGRU)) and is_registered(record):
        return special_layer(_cell(general_cell(source), weights, columns), source)
    assert isinstance(source, (FloatSimpleRNN, FloatLSTM, FloatGRU, FloatDense))  # all others
    kernel, bias = _of_readings(weights[KERNEL], weights[BIAS], columns)
    if isinstance(source, FloatDense):
        return replace(source, kernel=kernel, bias=bias, use_bias=True)
    recurrent = weights[RECURRENT].T
    if not isinstance(source, FloatGRU):
        return replace(source, kernel=kernel, recurrent=recurrent, bias=bias, use_bias=True)
    second, split = np.array(source.recurrent_bias), 2 * source.units
    if source.reset_after:
        second[split:] = weights[RECURRENT_BIAS]
        bias[:split] -= second[:split]
    return replace(
        source, kernel=kernel, recurrent=recurrent, bias=bias, recurrent_bias=second, use_bias=True
    )


def _of_readings(
    kernel: FloatArray, bias: FloatArray, columns: Columns
) -> tuple[FloatArray, FloatArray]:
    """Kernel [R, N] and bias [R] of what a layer reads, of those [N, R] of its units."""
    turned = kernel.T / columns.unit
    return turned, bias - turned @ columns.mean


def _cell(source: FloatCell, weights: _Weights, columns: Columns) -> FloatCell:
    made = dict(source.by_name)
    for name, values in weights.items():
        made[name] = values.T
    for name in source.plan.terms:
        if f"{name}.x" in weights:
            both = weights[f"{name}.x"], weights[f"{name}.bias"]
            made[f"{name}.x"], made[f"{name}.bias"] = _of_readings(*both, columns)
    return FloatCell.of(source.kind, source.name, dict(source.options), made, source.start)


def _merge(source: FloatMerge, weights: _Weights, columns: Columns) -> FloatMerge:
    gain = weights[KERNEL] / columns.unit.reshape(source.gain.shape)
    total = weights[BIAS] - (gain * columns.mean.reshape(gain.shape)).sum(axis=0)
    offset = np.array(source.offset)
    offset[0] = total - offset[1:].sum(axis=0)
    return replace(source, gain=gain, offset=offset)


def _used_again(first: FloatLayer, theirs: WeightUse, ours: WeightUse) -> Any:
    """The layer with the weights of a first one, and its own scalings around them."""
    gain, offset = ours.gain / theirs.gain, (ours.offset - theirs.offset) / theirs.gain
    if isinstance(first, FloatEmbedding):
        return first
    if isinstance(first, FloatCell):
        return first.scaled(gain, offset)
    if isinstance(first, FloatMerge):
        more = first.gain * offset.reshape(first.gain.shape)
        return replace(
            first, gain=first.gain * gain.reshape(more.shape), offset=first.offset + more
        )
    assert isinstance(first, (FloatSimpleRNN, FloatLSTM, FloatGRU, FloatDense))  # all others
    rate = np.broadcast_to(ours.out_gain / theirs.out_gain, (first.units,))
    rows = len(first.kernel) // first.units
    bias = first.bias + first.kernel @ offset
    if isinstance(first, FloatDense):  # no other layer takes a scaling up behind it
        bias = rate * (bias - theirs.out_offset) + ours.out_offset
    return replace(first, kernel=np.tile(rate, rows)[:, None] * first.kernel * gain, bias=bias)
