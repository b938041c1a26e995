"""Layers of flax.nnx, and cells of flax.linen, from their parameters.

Kernels are [inputs, outputs]. An LSTM of Flax has its bias on the product with the state, a GRU on
the product with the readings; the GRU of linen has one more there, of its candidate alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from edgernn.errors import ModelError, UnsupportedModelError
from edgernn.model.formats import FloatArray
from edgernn.model.functions.pointwise import PointwiseFunction
from edgernn_export.described.recurrent_layers import RecurrentForm, RecurrentWeights, recurrent
from edgernn_export.keras_reader.stored.layer import StoredLayer
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

_WHO: Final = "flax"
_KERNEL: Final = "kernel"
_BIAS: Final = "bias"
#: Kinds of Flax -> kinds of described layers.
_RECURRENT: Final = {
    "LSTMCell": "LSTM",
    "OptimizedLSTMCell": "LSTM",
    "GRUCell": "GRU",
    "SimpleCell": "SimpleRNN",
}
#: Kind -> where its kernels lie, gate by gate in the order of Flax, in each form that Flax has
#: had: those of readings, then those of the state.
_PLACES: Final[Mapping[str, tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]]] = {
    "LSTM": (
        (("dense_i",), ("dense_h",)),
        (("ii", "if_", "ig", "io"), ("hi", "hf", "hg", "ho")),
        (("ii", "if", "ig", "io"), ("hi", "hf", "hg", "ho")),
    ),
    "GRU": (
        (("dense_i",), ("dense_h",)),
        (("ir", "iz", "in"), ("hr", "hz", "hn")),
    ),
    "SimpleRNN": ((("dense_i",), ("dense_h",)), (("i",), ("h",))),
}


def _read_cell(entry: LayoutEntry, shelf: TensorShelf, row: LayerRow) -> None:
    """Read a cell, applied to every step; with the option backward, another from the other end."""
    paths = {False: entry.path}
    if entry.option("backward") is not None:
        paths[True] = entry.option("backward")
    made: list[StoredLayer] = []
    for backward, path in paths.items():
        weights = _matrices(entry, path, shelf)
        layer = None if weights is None else _described(entry, weights, shelf, backward)
        if weights is None or layer is None:
            return
        made.append(layer)
        if not backward:
            row.reads(entry.origin(), weights.kernel.shape[1])
    row.add(*made, width=sum(int(layer.cell.units) for layer in made), recurrent=True)


def _matrices(entry: LayoutEntry, path: str, shelf: TensorShelf) -> RecurrentWeights | None:
    kind = _RECURRENT[entry.kind]
    forms = _PLACES[kind]
    form = next((one for one in forms if _there(shelf, path, one[0][-1])), forms[0])
    form = next((one for one in forms if all(_there(shelf, path, n) for n in one[0])), form)
    kernel, back = (_stacked(entry, path, names, shelf) for names in form)
    if kernel is None or back is None:
        return None
    biases = [_biases(entry, path, names, shelf) for names in form]
    units = back.shape[1]
    if any(bias is None for bias in biases):
        return None
    given = tuple(
        np.zeros(len(kernel)) if bias is None or not bias.size else bias for bias in biases
    )
    if entry.option("residual", False):
        back = back + np.eye(units) if back.shape == (units, units) else back
    return RecurrentWeights(order=_WHO, kernel=kernel, recurrent=back, biases=given)


def _there(shelf: TensorShelf, path: str, part: str) -> bool:
    return shelf.has(path, f"{part}.{_KERNEL}")


def _stacked(
    entry: LayoutEntry, path: str, names: tuple[str, ...], shelf: TensorShelf
) -> FloatArray | None:
    """Kernels of all gates, one row per output."""
    found = [shelf.take(entry.origin(), path, f"{name}.{_KERNEL}", 2) for name in names]
    kernels = [one for one in found if one is not None]
    if len(kernels) != len(found):
        return None
    if len({one.shape for one in kernels}) > 1:
        got = ", ".join(str(one.shape) for one in kernels)
        cure = "Check the kind of the layer in the layout."
        shelf.findings.add(entry.origin(), "kernels of one shape for all gates", got, cure)
        return None
    stacked: FloatArray = np.concatenate(kernels, axis=1).T
    return stacked


def _biases(
    entry: LayoutEntry, path: str, names: tuple[str, ...], shelf: TensorShelf
) -> FloatArray | None:
    """Biases of all gates, empty where no gate has one; None, and a reason, for no vectors."""
    owned = [name for name in names if shelf.has(path, f"{name}.{_BIAS}")]
    found = {name: shelf.take(entry.origin(), path, f"{name}.{_BIAS}", 1) for name in owned}
    if any(bias is None for bias in found.values()):
        return None
    given = {name: bias for name, bias in found.items() if bias is not None}
    if not given:
        return np.zeros(0)
    width = len(next(iter(given.values())))
    return np.concatenate([given.get(name, np.zeros(width)) for name in names])


def _described(
    entry: LayoutEntry, weights: RecurrentWeights, shelf: TensorShelf, backward: bool
) -> StoredLayer | None:
    functions: dict[str, str] = {}
    for option, default in (("gate_fn", "sigmoid"), ("activation_fn", "tanh")):
        try:
            functions[option] = str(PointwiseFunction.parse(entry.option(option, default)))
        except ModelError as error:
            shelf.findings.add(entry.origin(), f"a function of one value as {option}", f"{error}",
                               "docs/reference/support.md lists them.")  # fmt: skip
            return None
    form = RecurrentForm(
        gate=functions["gate_fn"],
        function=functions["activation_fn"],
        backward=backward,
        reordered=backward,
    )
    name = f"{entry.name}_reverse" if backward else entry.name
    part = "backward" if backward else ""
    try:
        return recurrent(_RECURRENT[entry.kind], name, entry.origin(part), weights, form)
    except UnsupportedModelError as error:
        shelf.findings.reasons.extend(error.reasons)
        return None


def _read_convolution(entry: LayoutEntry, shelf: TensorShelf, row: LayerRow) -> None:
    """Read nnx.Conv over steps, whose kernel is [steps, inputs, filters]."""
    owner = entry.origin()
    kernel = shelf.take(owner, entry.path, _KERNEL, 3)
    bias, whole = shelf.take_optional(owner, entry.path, _BIAS)
    if kernel is None or not whole:
        return
    padding = entry.option("padding", "SAME" if len(kernel) > 1 else "VALID")
    if padding not in ("CAUSAL", "VALID"):
        shelf.findings.add(
            owner, 'padding = "CAUSAL" or padding = "VALID"', f"padding = {padding!r}",
            "A stream has no future readings: train with one of these, and write it.",
        )  # fmt: skip
        return
    add_convolution(
        row,
        entry,
        kernel,
        bias,
        stride=entry.option("strides", 1),
        dilation=entry.option("kernel_dilation", 1),
        causal=padding == "CAUSAL",
        depthwise=False,
    )


_SIMPLE: Final = {"backward": str, "activation_fn": str}
_GATED: Final = _SIMPLE | {"gate_fn": str}
_ALPHA: Final = {"alpha": ("alpha", 1.0)}

FLAX: Final = KindTable(
    module="nnx.",
    kinds=MappingProxyType(
        {
            "LSTMCell": LayerKind(read=_read_cell, options=_GATED),
            "OptimizedLSTMCell": LayerKind(read=_read_cell, options=_GATED),
            "GRUCell": LayerKind(read=_read_cell, options=_GATED),
            "SimpleCell": LayerKind(read=_read_cell, options=_SIMPLE | {"residual": bool}),
            "Linear": linear_kind(_KERNEL, outputs_first=False),
            "Conv": LayerKind(
                read=_read_convolution,
                options={"strides": int, "kernel_dilation": int, "padding": str},
            ),
            "BatchNorm": normalization_kind("mean", "var", "scale", "epsilon"),
            "LayerNorm": layer_norm_kind("scale", "epsilon", 1e-6),
            "Embed": embedding_kind("embedding"),
            "max_pool": pooling_kind("MaxPooling1D", "window_shape", "strides"),
            "avg_pool": pooling_kind("AveragePooling1D", "window_shape", "strides"),
            "softmax": SOFTMAX_KIND,
            **STEP_KINDS,
            "Dropout": NO_EFFECT,
            "relu": function_kind("relu"),
            "relu6": function_kind("relu(max_value=6.0)"),
            "leaky_relu": function_kind("relu", {"negative_slope": ("negative_slope", 0.01)}),
            "elu": function_kind("elu", _ALPHA),
            "celu": function_kind("celu", _ALPHA),
            "selu": function_kind("selu"),
            "gelu": function_kind("gelu_tanh", variant=("approximate", False, "gelu")),
            "silu": function_kind("silu"),
            "swish": function_kind("silu"),
            "mish": function_kind("mish"),
            "softplus": function_kind("softplus"),
            "soft_sign": function_kind("softsign"),
            "hard_tanh": function_kind("hard_tanh"),
            "hard_sigmoid": function_kind("hard_sigmoid"),
            "hard_silu": function_kind("hard_silu"),
            "hard_swish": function_kind("hard_silu"),
            "sigmoid": function_kind("sigmoid"),
            "log_sigmoid": function_kind("log_sigmoid"),
            "tanh": function_kind("tanh"),
        }
    ),
    cures=MappingProxyType(
        {"log_softmax": "Write softmax: the outputs are then probabilities, in the same order."}
    ),
)
