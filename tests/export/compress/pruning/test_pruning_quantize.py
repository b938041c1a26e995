"""What quantization makes of pruned weights: zeros stay zeros."""

from __future__ import annotations

import dataclasses
from typing import cast

import numpy as np
import pytest

from edgernn.model.layers import LSTM
from edgernn_export import quantize
from edgernn_export.compress.pruning.masks import PATTERNS, renew
from edgernn_export.float_model.model import FloatLSTM, FloatModel
from edgernn_export.quantizer.weights.rounding import round_to_nearest
from tests.support.models.float import float_model, stream

UNITS, INPUTS = 16, 4


def pruned(weights: np.ndarray) -> np.ndarray:
    gates = weights.reshape(4, UNITS, -1)
    mask = renew(
        gates,
        np.ones(gates.shape, dtype=np.bool_),
        density=0.3,
        pattern=PATTERNS["8x4"],
        norm="l1",
        keep_diagonal=False,
    )
    return (gates * mask).reshape(weights.shape)


def pruned_lstm() -> FloatModel:
    model = float_model("lstm", inputs=INPUTS, units=UNITS)
    layer = cast(FloatLSTM, model.layers[0])
    sparse = dataclasses.replace(
        layer, kernel=pruned(layer.kernel), recurrent=pruned(layer.recurrent)
    )
    return dataclasses.replace(model, layers=(sparse, *model.layers[1:]))


def test_rounding_to_nearest_keeps_zeros() -> None:
    layer = cast(FloatLSTM, pruned_lstm().layers[0])
    codes = round_to_nearest(layer.recurrent, np.full(layer.recurrent.shape, 0.004))
    assert np.all(codes[layer.recurrent == 0.0] == 0)


@pytest.mark.parametrize("precision", ["w8a8", "w8a16"])
def test_quantize_keeps_zeros(precision: str) -> None:
    model = pruned_lstm()
    layer = cast(FloatLSTM, model.layers[0])
    integer = quantize(model, stream(500, INPUTS), precision, progress=False).layers[0]
    codes = np.concatenate([t.weights for t in cast(LSTM, integer).gates.terms], axis=1)
    zero = np.concatenate([layer.kernel, layer.recurrent], axis=1) == 0.0
    assert codes.shape == zero.shape
    assert zero.mean() > 0.6
    assert not codes[zero].any()
    assert np.mean(codes[~zero] != 0) > 0.9
