"""Models of registered cells: random float weights through calibration and quantizer."""

from __future__ import annotations

import functools
import itertools
import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from edgernn.errors import EdgeRnnWarning
from edgernn.model.integer_model import IntegerModel
from edgernn_export.float_model.cell_plans import EPSILON, option_types, record_of, weight_shapes
from edgernn_export.float_model.model import FloatCell, FloatDense, FloatModel
from edgernn_export.quantizer.quantizer import quantize
from tests.support.models import coupled_lstm

#: The cells of the product that are registered, and one of a package outside of it.
_FIRST = (
    "minimal_gru", "min_gru", "linear_recurrence", "peephole_lstm", "layer_norm_lstm",
    "layer_norm_gru", "projected_lstm",
)  # fmt: skip
_SECOND = (
    "fast_rnn", "fast_grnn", "low_rank_fast_grnn", "cfc", "zoneout_lstm", "zoneout_gru",
)  # fmt: skip
CELLS = (*_FIRST, *_SECOND)
ALL_CELLS = (*CELLS, coupled_lstm.CoupledLSTM.kind)
#: All cells in stacks of at most 8, by name.
STACKS = {"first": (*_FIRST, coupled_lstm.CoupledLSTM.kind), "second": _SECOND}
#: Cells whose states have no bound.
UNBOUNDED = ("linear_recurrence", "fast_rnn")
#: Gain of the weights: with that of hostile networks, gates and states saturate.
GAINS = {"tame": 1.0, "hostile": 8.0}


def inner_widths(kind: str, units: int) -> dict[str, int]:
    """Inner widths of a cell by option, wider than its units; no multiples of 4."""
    return dict.fromkeys(record_of(kind).inner, units + 6)


def options_of(kind: str, units: int, *, hard=False) -> dict[str, Any]:
    """Options of a cell."""
    options = dict.fromkeys(option_types(kind), "hard_sigmoid" if hard else "sigmoid")
    if EPSILON in options:
        options[EPSILON] = 1e-3
    return options | inner_widths(kind, units)


def float_cell(kind: str, name: str, inputs: int, units: int, *, gain=1.0, seed=0, hard=False):
    """A layer of a cell with random weights that make every term count."""
    rng = np.random.default_rng(seed)
    weights, options = {}, options_of(kind, units, hard=hard)
    for weight, shape in weight_shapes(kind, inputs, units, options).items():
        # Large offsets would hold gates where they are, for good.
        most = 0.8 if weight.endswith(".offset") else 0.8 * gain
        low, high = record_of(kind).bounds.get(weight, (-most, most))
        scale = 1.0 if len(shape) < 2 else shape[1] ** -0.5
        weights[weight] = rng.uniform(low, high, shape) * scale
    for weight in [name for name in weights if name.startswith("take_")]:  # of zoneout
        weights[weight] = 1.0 - weights[weight.replace("take_", "keep_")]
    return FloatCell.of(kind, name, options, weights)


def float_network(kind: str, *, units=7, **options) -> FloatModel:
    """Two layers of a cell and a linear Dense, 3 channels in, 2 out."""
    first = float_cell(kind, "first", 3, units, **options)
    second = float_cell(kind, "second", units, units - 2, **options)
    rng = np.random.default_rng(1)
    dense = FloatDense(name="out", kernel=rng.normal(size=(2, units - 2)), bias=np.zeros(2))
    return FloatModel(
        name=kind,
        layers=(first, second, dense),
        input_names=("x0", "x1", "x2"),
        input_units=("",) * 3,
        output_names=("y0", "y1"),
        output_units=("",) * 2,
    )


@functools.cache
def registered_model(kind: str, precision: str, gain: str) -> IntegerModel:
    """One of `registered_models`."""
    rng = np.random.default_rng(5)
    # States of hostile networks leave their formats on streams longer than those of calibration.
    streams = {"tame": rng.normal(size=(2, 300, 3)), "hostile": rng.normal(size=(60, 8, 3))}
    network = float_network(kind, gain=GAINS[gain], hard=gain == "hostile")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EdgeRnnWarning)  # hostile ones saturate
        return quantize(network, streams[gain], precision, state="16", progress=False)


@functools.cache
def registered_models() -> dict[str, IntegerModel]:
    """By name: every cell and precision, tame and hostile."""
    models = {
        f"{kind}-{precision}-{gain}": registered_model(kind, precision, gain)
        for kind in ALL_CELLS
        for precision, gain in itertools.product(("w8a8", "w8a16"), GAINS)
    }
    tame = np.random.default_rng(5).normal(size=(2, 300, 3))
    network = float_network("peephole_lstm")
    models["peephole_lstm-w4a8"] = quantize(network, tame, "w4a8", progress=False)
    network = float_network("projected_lstm", gain=2.0)
    for precision, storage in (("w8a8", "always"), ("w8a16", "always"), ("w4a16", "auto")):
        models[f"projected_lstm-{precision}-common"] = quantize(
            network, tame, precision, operand_scales="common", sparse=storage,
            progress=False,
        )  # fmt: skip
    return models


#: Those of the cells that are wide or not.
WIDENED = tuple(kind for kind in CELLS if record_of(kind).widened)


def widened(model: IntegerModel, cell_exponent: int | None = None) -> IntegerModel:
    """The model with low parts behind the states of all cells that may have them.

    Args:
        model: any model.
        cell_exponent: of cell states; None: as they are. The constants of what reads a cell state
            stay as they are, and are those of another network then.
    """
    layers = []
    for layer in model.layers:
        options: dict[str, Any] = {"wide": True} if layer.kind in WIDENED else {}
        if options and cell_exponent is not None and "cell_exponent" in layer.exponents:
            options["cell_exponent"] = cell_exponent
        layers.append(replace(layer, **options))
    return replace(model, layers=tuple(layers))


def wide_registered_model() -> IntegerModel:
    """One of `wide_registered_models`."""
    return widened(registered_model(WIDENED[0], "w8a8", "tame"))


@functools.cache
def wide_registered_models() -> dict[str, IntegerModel]:
    """`registered_models` with wide states; LSTMs with the coarsest cell states, too."""
    models = {}
    for name, model in registered_models().items():
        kind = model.layers[0].kind
        if kind in WIDENED:
            models[name] = widened(model)
            if "cell_exponent" in model.layers[0].exponents:
                models[f"{name}-coarse"] = widened(model, -5)
    return models


@functools.cache
def stacked_cells(precision: str, stack: str = "first") -> IntegerModel:
    """The cells of a stack one behind another: firmware that has them all, for one build per core.

    Their weights are large, so that they saturate; the gates of every other one are hard. Those of
    cells whose states have no bound are small: matrices behind them would fail their overflow
    proof.
    """
    layers: list[FloatCell | FloatDense] = []
    width = 3
    for index, kind in enumerate(STACKS[stack]):
        gain = GAINS["tame" if kind in UNBOUNDED else "hostile"]
        hard = bool(index % 2)
        cell = float_cell(kind, kind, width, 4 + index % 3, gain=gain, seed=index, hard=hard)
        layers.append(cell)
        width = cell.units
    kernel = np.random.default_rng(1).normal(size=(2, width))
    layers.append(FloatDense(name="out", kernel=kernel, bias=np.zeros(2)))
    network = FloatModel(
        name="stacked",
        layers=tuple(layers),
        input_names=("x0", "x1", "x2"),
        input_units=("",) * 3,
        output_names=("y0", "y1"),
        output_units=("",) * 2,
    )
    streams = np.random.default_rng(5).normal(size=(60, 8, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EdgeRnnWarning)
        return quantize(network, streams, precision, progress=False)
