"""Layers without a state, from matrices in the layout of Keras: what all frameworks share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from edgernn.errors import ModelError
from edgernn.model.formats import FloatArray
from edgernn.model.functions.pointwise import PointwiseFunction
from edgernn_export.keras_reader.stored.layer import described_layer
from edgernn_export.weight_files.layer_row import LayerRow
from edgernn_export.weight_files.layout_entries import LayerKind, LayoutEntry, OptionValue
from edgernn_export.weight_files.tensor_shelf import TensorShelf


def add_dense(
    row: LayerRow, entry: LayoutEntry, kernel: FloatArray, bias: FloatArray | None
) -> None:
    """Add a linear layer.

    Args:
        row: what it is added to.
        entry: what the layout says of it.
        kernel: [inputs, outputs].
        bias: [outputs], or None.
    """
    owner, name = entry.origin(), entry.name
    inputs, outputs = kernel.shape
    row.reads(owner, inputs)
    weights = {"kernel": kernel} | ({} if bias is None else {"bias": bias})
    if bias is not None and bias.shape != (outputs,):
        _misfit(row, owner, f"a bias of shape ({outputs},)", bias)
        return
    config = {"units": outputs, "activation": "linear", "use_bias": bias is not None}
    row.add(described_layer("Dense", name, owner, config, weights), width=outputs)


def add_convolution(
    row: LayerRow,
    entry: LayoutEntry,
    kernel: FloatArray,
    bias: FloatArray | None,
    *,
    stride: int,
    dilation: int,
    causal: bool,
    depthwise: bool,
) -> None:
    """Add a convolution over steps.

    Args:
        row: what it is added to.
        entry: what the layout says of it.
        kernel: [steps, inputs, filters]; of a depthwise one, [steps, inputs, 1].
        bias: [filters], or None.
        stride: of the outputs.
        dilation: of the steps.
        causal: the readings are padded with zeros at their beginning.
        depthwise: each feature is convolved separately.
    """
    owner, name = entry.origin(), entry.name
    steps, inputs, filters = kernel.shape
    filters = inputs if depthwise else filters
    row.reads(owner, inputs)
    if bias is not None and bias.shape != (filters,):
        _misfit(row, owner, f"a bias of shape ({filters},)", bias)
        return
    config: dict[str, Any] = {
        "kernel_size": (steps,),
        "strides": (stride,),
        "dilation_rate": (dilation,),
        "padding": "causal" if causal else "valid",
        "activation": "linear",
        "use_bias": bias is not None,
    }
    kind = "DepthwiseConv1D" if depthwise else "Conv1D"
    config |= {"depth_multiplier": 1} if depthwise else {"filters": filters}
    weights = {"kernel": kernel} | ({} if bias is None else {"bias": bias})
    row.add(described_layer(kind, name, owner, config, weights), width=filters)


def _add_normalization(
    row: LayerRow,
    entry: LayoutEntry,
    statistics: Sequence[FloatArray],
    scale: FloatArray | None,
    offset: FloatArray | None,
    epsilon: float,
) -> None:
    """Add a batch normalization: mean and variance, factors and offset where there are some."""
    owner, name = entry.origin(), entry.name
    arrays = {"moving_mean": statistics[0], "moving_variance": statistics[1]}
    arrays |= {} if scale is None else {"gamma": scale}
    arrays |= {} if offset is None else {"beta": offset}
    width = len(statistics[0])
    for values in arrays.values():
        if values.shape != (width,):
            _misfit(row, owner, f"statistics of shape ({width},)", values)
            return
    row.reads(owner, width)
    config = {"scale": scale is not None, "center": offset is not None, "epsilon": epsilon}
    row.add(described_layer("BatchNormalization", name, owner, config, arrays), width=width)


def _misfit(row: LayerRow, owner: str, wanted: str, got: FloatArray) -> None:
    row.findings.add(owner, wanted, f"{got.shape}", "Check the kind of the layer in the layout.")


def linear_kind(kernel: str, *, outputs_first: bool) -> LayerKind:
    """A linear layer.

    Args:
        kernel: name of its matrix.
        outputs_first: the matrix is [outputs, inputs].
    """

    def read(entry: LayoutEntry, shelf: TensorShelf, row: LayerRow) -> None:
        matrix = shelf.take(entry.origin(), entry.path, kernel, 2)
        bias, whole = shelf.take_optional(entry.origin(), entry.path, "bias")
        if matrix is not None and whole:
            add_dense(row, entry, matrix.T if outputs_first else matrix, bias)

    return LayerKind(read=read)


def normalization_kind(mean: str, variance: str, scale: str, epsilon: str) -> LayerKind:
    """A batch normalization with its running statistics.

    Args:
        mean: name of its means.
        variance: name of its variances.
        scale: name of its factors.
        epsilon: option that says what is added to the variances.
    """

    def read(entry: LayoutEntry, shelf: TensorShelf, row: LayerRow) -> None:
        shelf.pass_over(entry.path, "num_batches_tracked")
        found = [shelf.take(entry.origin(), entry.path, name, 1) for name in (mean, variance)]
        factors, whole = shelf.take_optional(entry.origin(), entry.path, scale)
        offset, whole_too = shelf.take_optional(entry.origin(), entry.path, "bias")
        statistics = [one for one in found if one is not None]
        if len(statistics) == 2 and whole and whole_too:
            added = float(entry.option(epsilon, 1e-5))
            _add_normalization(row, entry, statistics, factors, offset, added)

    return LayerKind(read=read, options={epsilon: float})


def layer_norm_kind(scale: str, epsilon: str, usual: float) -> LayerKind:
    """A layer normalization.

    Args:
        scale: name of its factors; without them and an offset, the layer has no tensors.
        epsilon: option that says what is added to the variances.
        usual: what that is where it is not said.
    """

    def read(entry: LayoutEntry, shelf: TensorShelf, row: LayerRow) -> None:
        owner = entry.origin()
        factors, whole = shelf.take_optional(owner, entry.path, scale)
        offset, whole_too = shelf.take_optional(owner, entry.path, "bias")
        if not (whole and whole_too):
            return
        arrays = {"gamma": factors, "beta": offset}
        weights = {name: one for name, one in arrays.items() if one is not None}
        sizes = {one.shape for one in weights.values()}
        if len(sizes) > 1 or any(len(size) != 1 for size in sizes):
            got = " and ".join(map(str, sorted(sizes)))
            cure = "Check the kind of the layer in the layout."
            row.findings.add(owner, f"{scale} and bias [features] of one size", got, cure)
            return
        width = next((one.size for one in weights.values()), None)
        if width is not None:
            row.reads(owner, width)
        config = {
            "scale": factors is not None,
            "center": offset is not None,
            "epsilon": float(entry.option(epsilon, usual)),
        }
        layer = described_layer("LayerNormalization", entry.name, owner, config, weights)
        row.add(layer, width=width)

    return LayerKind(read=read, options={epsilon: float})


def embedding_kind(table: str, options: Mapping[str, type] = MappingProxyType({})) -> LayerKind:
    """An embedding of the readings.

    Args:
        table: name of its matrix, [tokens, features].
        options: what may be said of it, without effect.
    """

    def read(entry: LayoutEntry, shelf: TensorShelf, row: LayerRow) -> None:
        matrix = shelf.take(entry.origin(), entry.path, table, 2)
        if matrix is None:
            return
        row.reads_tokens(entry.origin())
        tokens, width = matrix.shape
        config = {"input_dim": tokens, "output_dim": width, "mask_zero": False}
        weights = {"embeddings": matrix}
        layer = described_layer("Embedding", entry.name, entry.origin(), config, weights)
        row.add(layer, width=width)

    return LayerKind(read=read, options=options)


def function_kind(
    function: str,
    parameters: Mapping[str, tuple[str, float]] = MappingProxyType({}),
    variant: tuple[str, OptionValue, str] | None = None,
) -> LayerKind:
    """A layer that applies a function to each value.

    Args:
        function: text of a `PointwiseFunction`.
        parameters: option -> parameter of the function, and its value where it is not given.
        variant: option, its value, and the function that it stands for.
    """

    def read(entry: LayoutEntry, shelf: TensorShelf, row: LayerRow) -> None:
        owner = entry.origin()
        text = function
        if variant is not None and entry.option(variant[0]) is not None:
            text = variant[2] if entry.option(variant[0]) == variant[1] else function
        parsed = PointwiseFunction.parse(text)
        told = {
            parameter: float(entry.option(option, default))
            for option, (parameter, default) in parameters.items()
        }
        try:
            made = PointwiseFunction.of(parsed.name, **{**dict(parsed.parameters), **told})
        except ModelError as error:
            shelf.findings.add(owner, "arguments of this function", f"{error}", "Correct them.")
            return
        layer = described_layer("Activation", entry.name, owner, {"activation": made})
        row.add(layer, width=None)

    options: dict[str, type] = dict.fromkeys(parameters, float)
    if variant is not None:
        options[variant[0]] = type(variant[1])
    return LayerKind(read=read, options=options, has_tensors=False)


def _read_softmax(entry: LayoutEntry, _: TensorShelf, row: LayerRow) -> None:
    owner = entry.origin()
    row.add(described_layer("Softmax", entry.name, owner, {"axis": -1}), width=None)


def _read_nothing(entry: LayoutEntry, shelf: TensorShelf, row: LayerRow) -> None:
    """A layer that does nothing at inference."""


def _read_last_step(entry: LayoutEntry, _: TensorShelf, row: LayerRow) -> None:
    row.end_with_step(entry.origin())


def _read_final_state(entry: LayoutEntry, _: TensorShelf, row: LayerRow) -> None:
    row.end_with_state(entry.origin())


def pooling_kind(kind: str, size: str, stride: str) -> LayerKind:
    """A pooling over steps.

    Args:
        kind: class of Keras.
        size: name of the option that says over how many steps.
        stride: name of the option that says at which steps it answers; the size by default.
    """

    def read(entry: LayoutEntry, shelf: TensorShelf, row: LayerRow) -> None:
        owner = entry.origin()
        count = entry.option(size)
        if count is None or count < 1 or entry.option(stride, 1) < 1:
            shelf.findings.add(owner, f"{size} and {stride} of at least 1", f"{count}",
                               f"Write it: {{{entry.kind} = \"\", {size} = 2}}.")  # fmt: skip
            return
        config = {
            "pool_size": (count,),
            "strides": (entry.option(stride, count),),
            "padding": "valid",
        }
        row.add(described_layer(kind, entry.name, owner, config), width=None)

    return LayerKind(read=read, options={size: int, stride: int}, has_tensors=False)


def plain_kind(read: Callable[[LayoutEntry, TensorShelf, LayerRow], None]) -> LayerKind:
    """A kind without tensors and options."""
    return LayerKind(read=read, has_tensors=False)


SOFTMAX_KIND: Final = plain_kind(_read_softmax)
NO_EFFECT: Final = LayerKind(
    read=_read_nothing, options={"p": float, "rate": float}, has_tensors=False
)
#: Where a network goes on with less than all steps, in words of ours: out[:, -1], and h_n.
STEP_KINDS: Final = {
    "LastStep": plain_kind(_read_last_step),
    "FinalState": plain_kind(_read_final_state),
}
