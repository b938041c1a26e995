"""Layers of torch.nn from the tensors of a state dict."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Final

import numpy as np

from edgernn.errors import UnsupportedModelError
from edgernn.model.formats import FloatArray
from edgernn.model.functions.pointwise import PointwiseFunction
from edgernn_export.described.recurrent_layers import (
    RecurrentForm,
    RecurrentWeights,
    recurrent,
)
from edgernn_export.keras_reader.stored.layer import StoredLayer, described_layer
from edgernn_export.weight_files.layer_row import LayerRow
from edgernn_export.weight_files.layout_entries import KindTable, LayerKind, LayoutEntry
from edgernn_export.weight_files.plain_layers import (
    NO_EFFECT,
    SOFTMAX_KIND,
    STEP_KINDS,
    add_convolution,
    embedding_kind,
    function_kind,
    layer_norm_kind,
    linear_kind,
    normalization_kind,
    pooling_kind,
)
from edgernn_export.weight_files.tensor_shelf import TensorShelf

_WHO: Final = "torch"
#: Kinds of torch -> kinds of described layers.
_RECURRENT: Final = {"LSTM": "LSTM", "GRU": "GRU", "RNN": "SimpleRNN"}
#: What an RNN may apply.
_FUNCTIONS: Final = ("tanh", "relu")
_DIRECTIONS: Final = ("", "_reverse")
#: What may be said of recurrent layers although their tensors show it, to have it checked.
_CHECKED: Final = {
    "layers": int,
    "bidirectional": bool,
    "bias": bool,
    "input_size": int,
    "hidden_size": int,
    "proj_size": int,
}
#: What says nothing about a stream: how batches lie, and what happens in training.
_WITHOUT_EFFECT: Final = {"batch_first": bool, "dropout": float}
#: Tensors that the states begin with, which are none of the module.
_OF_GRU: Final = {"h0": str}
_OF_LSTM: Final = _OF_GRU | {"c0": str}


def _read_recurrent(entry: LayoutEntry, shelf: TensorShelf, row: LayerRow) -> None:
    """Read nn.LSTM, nn.GRU or nn.RNN: layers behind one another, of one or two directions."""
    directions = _DIRECTIONS[: 1 + shelf.has(entry.path, "weight_ih_l0_reverse")]
    count = 1
    while shelf.has(entry.path, f"weight_ih_l{count}"):
        count += 1
    sizes: list[tuple[int, int, int]] = []
    for number in range(count):
        made: list[StoredLayer] = []
        for suffix in directions:
            part = f"_l{number}{suffix}"
            several = len(directions) > 1 or count > 1
            weights = _matrices(entry, part, shelf)
            if weights is None:
                continue
            weights = _started(entry, shelf, weights, len(sizes), count * len(directions))
            kernel, projection = weights.kernel, weights.projection
            units = 0 if projection is None else len(projection)
            sizes.append((kernel.shape[1], len(kernel), units))
            name = f"{entry.name}{part}" if several else entry.name
            layer = _described(entry, name, weights, shelf, part if several else "")
            made += [] if layer is None else [layer]
        if len(made) == len(directions):
            row.reads(entry.origin(), sizes[-1][0])
            row.add(*made, width=sum(map(_units, made)), recurrent=True)
    if sizes:
        _check_options(entry, shelf, count, len(directions), sizes[0])


def _read_cell(entry: LayoutEntry, shelf: TensorShelf, row: LayerRow) -> None:
    """Read nn.LSTMCell, nn.GRUCell or nn.RNNCell, applied to every step."""
    weights = _matrices(entry, "", shelf)
    if weights is None:
        return
    weights = _started(entry, shelf, weights, 0, 1)
    layer = _described(entry, entry.name, weights, shelf, "")
    if layer is None:
        return
    row.reads(entry.origin(), weights.kernel.shape[1])
    row.add(layer, width=_units(layer), recurrent=True)
    _check_options(entry, shelf, 1, 1, (weights.kernel.shape[1], len(weights.kernel), 0))


def _units(layer: StoredLayer) -> int:
    return int(layer.cell.units)


def _kind(entry: LayoutEntry) -> str:
    return _RECURRENT[entry.kind.removesuffix("Cell")]


def _matrices(entry: LayoutEntry, part: str, shelf: TensorShelf) -> RecurrentWeights | None:
    """The matrices of one layer in one direction."""
    owner, path = entry.origin(), entry.path
    kernel = shelf.take(owner, path, f"weight_ih{part}", 2)
    back = shelf.take(owner, path, f"weight_hh{part}", 2)
    names = [f"bias_ih{part}", f"bias_hh{part}"]
    biases: list[FloatArray | None] = []
    if any(shelf.has(path, name) for name in names):
        biases = [shelf.take(owner, path, name, 1) for name in names]
    projection = None
    if shelf.has(path, f"weight_hr{part}"):
        projection = shelf.take(owner, path, f"weight_hr{part}", 2)
    if kernel is None or back is None:
        return None
    given = tuple(bias for bias in biases if bias is not None)
    if len(given) != len(biases):
        return None
    return RecurrentWeights(
        order=_WHO, kernel=kernel, recurrent=back, biases=given, projection=projection
    )


def _started(
    entry: LayoutEntry, shelf: TensorShelf, weights: RecurrentWeights, place: int, count: int
) -> RecurrentWeights:
    """The weights with the first states of a layer, where the layout names their tensors.

    Args:
        entry: of the layers.
        shelf: has the tensors, whose last axis is that of a state.
        weights: of one layer in one direction.
        place: of this layer among them.
        count: of layers and directions.
    """
    widths = {"h0": weights.recurrent.shape[1]}
    if _kind(entry) == "LSTM":
        widths["c0"] = len(weights.kernel) // 4
    if all(entry.option(state) is None for state in widths):
        return weights
    parts = []
    for state, width in widths.items():
        name = entry.option(state)
        values = None if name is None else shelf.take(entry.origin(), "", name)
        if values is None:
            values = np.zeros(width)
        if values.size == width * count:
            values = values.reshape(count, width)[place]
        parts.append(values.reshape(-1))
    return replace(weights, start=np.concatenate(parts))


def _described(
    entry: LayoutEntry, name: str, weights: RecurrentWeights, shelf: TensorShelf, part: str
) -> StoredLayer | None:
    backward = part.endswith(_DIRECTIONS[1])
    form = RecurrentForm(
        function=entry.option("nonlinearity", "tanh"), backward=backward, reordered=backward
    )
    if form.function not in _FUNCTIONS:
        got = f"{form.function!r}"
        shelf.findings.add(entry.origin(), 'nonlinearity = "tanh" or "relu"', got, "Correct it.")
        return None
    try:
        return recurrent(_kind(entry), name, entry.origin(part.lstrip("_")), weights, form)
    except UnsupportedModelError as error:
        shelf.findings.reasons.extend(error.reasons)
        return None


def _check_options(
    entry: LayoutEntry,
    shelf: TensorShelf,
    layers: int,
    directions: int,
    sizes: tuple[int, int, int],
) -> None:
    """Compare what an entry says with what its tensors show."""
    inputs, rows, projected = sizes
    gates = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}[_kind(entry)]
    part = "_l0" if not entry.kind.endswith("Cell") else ""
    shown: dict[str, int | bool] = {
        "layers": layers,
        "bidirectional": directions > 1,
        "bias": shelf.has(entry.path, f"bias_ih{part}"),
        "input_size": inputs,
        "hidden_size": rows // gates,
        "proj_size": projected,
    }
    for name, value in shown.items():
        told = entry.option(name, value)
        if told != value:
            cure = "Correct the layout, or leave this out: the tensors show it."
            shelf.findings.add(entry.origin(), f"{name} = {_lower(value)}, as its tensors show",
                               _lower(told), cure)  # fmt: skip


def _lower(value: bool | int) -> str:
    return str(value).lower()


def _read_convolution(entry: LayoutEntry, shelf: TensorShelf, row: LayerRow) -> None:
    """Read nn.Conv1d, whose kernel is [filters, inputs, steps]."""
    owner = entry.origin()
    weight = shelf.take(owner, entry.path, "weight", 3)
    bias, whole = shelf.take_optional(owner, entry.path, "bias")
    if entry.option("padding", 0) != 0:
        shelf.findings.add(
            owner, "causal = true, for zeros before the first reading alone, or no padding",
            f"padding = {entry.option('padding')}, which pads the end, too",
            "A stream has no future readings: train with F.pad(x, (reach, 0)) before it.",
        )  # fmt: skip
        return
    if weight is None or not whole:
        return
    groups = entry.option("groups", 1)
    depthwise = groups > 1
    if depthwise and (weight.shape[1], groups) != (1, len(weight)):
        shelf.findings.add(
            owner, "groups = 1, or as many groups as there are inputs and outputs",
            f"groups = {groups} with a weight of shape {weight.shape}",
            "Train with one of these.",
        )  # fmt: skip
        return
    kernel = weight.transpose(2, 0, 1) if depthwise else weight.transpose(2, 1, 0)
    add_convolution(
        row,
        entry,
        kernel,
        bias,
        stride=entry.option("stride", 1),
        dilation=entry.option("dilation", 1),
        causal=entry.option("causal", False),
        depthwise=depthwise,
    )


def _read_prelu(entry: LayoutEntry, shelf: TensorShelf, row: LayerRow) -> None:
    """Read nn.PReLU: one slope for all features, or one for each."""
    owner = entry.origin()
    slopes = shelf.take(owner, entry.path, "weight", 1)
    if slopes is None:
        return
    if len(slopes) == 1:
        function = PointwiseFunction.of("relu", negative_slope=float(slopes[0]))
        row.add(described_layer("Activation", entry.name, owner, {"activation": function}),
                width=None)  # fmt: skip
        return
    row.reads(owner, len(slopes))
    config = {"shared_axes": (1,)}
    layer = described_layer("PReLU", entry.name, owner, config, {"alpha": slopes[None, :]})
    row.add(layer, width=len(slopes))


_CELL_CHECKED: Final = {name: _CHECKED[name] for name in ("bias", "input_size", "hidden_size")}
_OF_RNN: Final = {"nonlinearity": str}
_ALPHA: Final = {"alpha": ("alpha", 1.0)}
_STACKS: Final = _CHECKED | _WITHOUT_EFFECT
_GRU_STACKS: Final = {name: kind for name, kind in _STACKS.items() if name != "proj_size"}

TORCH: Final = KindTable(
    module="nn.",
    kinds=MappingProxyType(
        {
            "LSTM": LayerKind(read=_read_recurrent, options=_STACKS | _OF_LSTM),
            "GRU": LayerKind(read=_read_recurrent, options=_GRU_STACKS | _OF_GRU),
            "RNN": LayerKind(read=_read_recurrent, options=_GRU_STACKS | _OF_GRU | _OF_RNN),
            "LSTMCell": LayerKind(read=_read_cell, options=_CELL_CHECKED | _OF_LSTM),
            "GRUCell": LayerKind(read=_read_cell, options=_CELL_CHECKED | _OF_GRU),
            "RNNCell": LayerKind(read=_read_cell, options=_CELL_CHECKED | _OF_GRU | _OF_RNN),
            "Linear": linear_kind("weight", outputs_first=True),
            "Conv1d": LayerKind(
                read=_read_convolution,
                options={
                    "stride": int,
                    "dilation": int,
                    "groups": int,
                    "causal": bool,
                    "padding": int,
                },
            ),
            "BatchNorm1d": normalization_kind("running_mean", "running_var", "weight", "eps"),
            "LayerNorm": layer_norm_kind("weight", "eps", 1e-5),
            "Embedding": embedding_kind("weight", {"padding_idx": int}),
            "PReLU": LayerKind(read=_read_prelu),
            "MaxPool1d": pooling_kind("MaxPooling1D", "kernel_size", "stride"),
            "AvgPool1d": pooling_kind("AveragePooling1D", "kernel_size", "stride"),
            "Softmax": SOFTMAX_KIND,
            **STEP_KINDS,
            "Dropout": NO_EFFECT,
            "Identity": NO_EFFECT,
            "ReLU": function_kind("relu"),
            "ReLU6": function_kind("relu(max_value=6.0)"),
            "LeakyReLU": function_kind("relu", {"negative_slope": ("negative_slope", 0.01)}),
            "ELU": function_kind("elu", _ALPHA),
            "CELU": function_kind("celu", _ALPHA),
            "SELU": function_kind("selu"),
            "GELU": function_kind("gelu", variant=("approximate", "tanh", "gelu_tanh")),
            "SiLU": function_kind("silu"),
            "Mish": function_kind("mish"),
            "Softplus": function_kind("softplus"),
            "Softsign": function_kind("softsign"),
            "Softshrink": function_kind("soft_shrink", {"lambd": ("threshold", 0.5)}),
            "Hardshrink": function_kind("hard_shrink", {"lambd": ("threshold", 0.5)}),
            "Hardtanh": function_kind("clip", {"min_val": ("low", -1.0), "max_val": ("high", 1.0)}),
            "Hardsigmoid": function_kind("hard_sigmoid"),
            "Hardswish": function_kind("hard_silu"),
            "Sigmoid": function_kind("sigmoid"),
            "LogSigmoid": function_kind("log_sigmoid"),
            "Tanh": function_kind("tanh"),
            "Tanhshrink": function_kind("tanh_shrink"),
        }
    ),
    cures=MappingProxyType(
        {
            "LogSoftmax": "Write Softmax: the outputs are then probabilities, in the same order.",
            "Flatten": "For the last step write LastStep; a stream has no other steps to join.",
            "Transformer": "Train with a recurrent layer.",
            "MultiheadAttention": "Quantize the module itself: edgernn_export.quantize(module, "
            "calibration).",
        }
    ),
)
