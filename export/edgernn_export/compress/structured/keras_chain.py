"""A Keras model as a chain of layers that own matrices, and the layers between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import PruningError
from edgernn.model.formats import BoolArray, FloatArray
from edgernn.model.functions.pointwise import PointwiseFunction
from edgernn_export.compress.pruning.keras_matrices import GATES
from edgernn_export.float_model.cells import NUMPY
from edgernn_export.float_model.functions.pointwise import pointwise
from edgernn_export.keras_reader.findings import Context, Findings, class_of, owner_of
from edgernn_export.keras_reader.flat_network import flat_network
from edgernn_export.keras_reader.layers.layer_parts import (
    ActivationPart,
    LayerNormPart,
    LayerPart,
    ScalePart,
    SlopesPart,
)
from edgernn_export.keras_reader.layers.operations import is_operation
from edgernn_export.keras_reader.layers.readers import READERS
from edgernn_export.keras_reader.reader import read_keras

#: Indices of units or channels.
IntArray = npt.NDArray[np.intp]
#: Names of kernels, by attribute of who owns them.
KERNELS: Final = ("kernel", "recurrent_kernel", "depthwise_kernel", "pointwise_kernel")
_DEPTHWISE: Final = ("DepthwiseConv1D", "SeparableConv1D")
_CHAINS_ALONE: Final = (
    "Structured pruning supports only chains of layers: prune magnitudes instead, or train a chain."
)


def core_of(layer: Any) -> Any:
    """Who owns a layer's weights: a recurrent layer's cell, what TimeDistributed wraps, or itself.

    Args:
        layer: a layer of a class that the Keras reader supports.
    """
    import keras

    if isinstance(layer, keras.layers.RNN):
        return layer.cell
    return layer.layer if isinstance(layer, keras.layers.TimeDistributed) else layer


def gates_of(core: Any) -> int:
    """Number of gates G of a cell; 1 for a Dense layer."""
    return len(GATES.get(type(core).__name__, ("y",)))


def values_of(variable: Any) -> FloatArray:
    """Value of a Keras variable, float64."""
    return np.asarray(variable, dtype=np.float64)


def read_kernel(core: Any) -> FloatArray:
    """What every input is multiplied by, [I, N]; those of all taps of a Conv1D stand side by side.

    Raises:
        PruningError: it is a depthwise kernel, whose rows go nowhere but to their own channel.
    """
    if type(core).__name__ in _DEPTHWISE:
        raise PruningError(
            f"{owner_of(core)}: expected a recurrent layer, Dense or Conv1D after the pruned "
            f"layer, got {type(core).__name__}. Name layers followed by one of these, or prune "
            "magnitudes instead."
        )
    kernel = values_of(core.kernel)
    turned: FloatArray = np.moveaxis(kernel, -2, 0)
    return turned.reshape(kernel.shape[-2], -1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """One layer with matrices, and what its input passes through.

    Attributes:
        layer: SimpleRNN, LSTM, GRU, RNN, Dense, TimeDistributed(Dense) or a convolution.
        before: layers without matrices since the block before: scalings, functions, dropout and the
            like.
    """

    layer: Any
    before: tuple[Any, ...]

    @property
    def core(self) -> Any:
        """Owner of kernel and bias."""
        return core_of(self.layer)

    @property
    def recurrent(self) -> bool:
        """Whether the layer has hidden units."""
        return type(self.core).__name__ in GATES

    @property
    def units(self) -> int:
        """Width of the output H of a recurrent or Dense layer."""
        return int(self.core.units)

    @property
    def inputs(self) -> int:
        """Width of the input I."""
        kernels = [name for name in KERNELS if hasattr(self.core, name)]
        return int(getattr(self.core, kernels[0]).shape[-2])

    @property
    def taps(self) -> int:
        """Rows that a convolution reads; else 1."""
        return int(np.prod(getattr(self.core, "kernel_size", 1)))

    @property
    def pads(self) -> bool:
        """Whether it reads zeros before the stream: a constant input has no place in its bias."""
        before = any(type(layer).__name__ == "ZeroPadding1D" for layer in self.before)
        return self.taps > 1 and (self.core.padding == "causal" or before)

    def added(self, values: FloatArray) -> FloatArray:
        """What products of inputs that never change, [I, K*N], add to the bias [N] in all."""
        total: FloatArray = values.sum(axis=0).reshape(self.taps, -1).sum(axis=0)
        return total

    def read(self, values: FloatArray) -> FloatArray:
        """What the layers before the kernel make of constant values [I]: what the kernel reads.

        Raises:
            PruningError: one of them is a layer normalization, which mixes all units.
        """
        for part in self._parts():
            if isinstance(part, ScalePart):
                values = values * part.gain + part.offset
            elif isinstance(part, SlopesPart):
                values = np.maximum(values, 0.0) + part.slope * np.minimum(values, 0.0)
            elif isinstance(part, ActivationPart):
                values = pointwise(NUMPY, PointwiseFunction.parse(part.activation), values)
            elif isinstance(part, LayerNormPart):
                raise PruningError(
                    f"{part.owner}: expected no layer that mixes units between those that go "
                    "and what reads them, got a layer normalization. Prune magnitudes instead, "
                    "or train with BatchNormalization."
                )
        return values

    def muted(self) -> BoolArray:
        """Which inputs [I] a scaling before the kernel multiplies by 0."""
        muted = np.zeros(self.inputs, dtype=np.bool_)
        for part in self._parts():
            if isinstance(part, ScalePart):
                muted |= part.gain == 0.0
        return muted

    def _parts(self) -> Iterator[LayerPart]:
        context = Context(findings=Findings(), keras2=False)
        for layer in self.before:
            yield from READERS[type(layer).__name__](layer, context)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KerasChain:
    """All blocks of a model from input to output.

    Attributes:
        model: the Keras model.
        blocks: at least one.
        after: layers after the last block.
    """

    model: Any
    blocks: tuple[Block, ...]
    after: tuple[Any, ...]

    def block(self, name: str) -> int:
        """Index of the block whose layer has this name.

        Raises:
            PruningError: there is none, or more than one.
        """
        found = [i for i, block in enumerate(self.blocks) if block.layer.name == name]
        if len(found) == 1:
            return found[0]
        others = [*self.after, *(layer for block in self.blocks for layer in block.before)]
        got = next((owner_of(layer) for layer in others if layer.name == name), repr(name))
        names = ", ".join(repr(block.layer.name) for block in self.blocks)
        raise PruningError(
            f"layer: expected the name of one recurrent or Dense layer, got {got}"
            f"{' more than once' if found else ''}. This model has {names}; names must be distinct."
        )

    def removable(self, names: Sequence[str] | None) -> list[int]:
        """Indices of the recurrent blocks whose units another block reads.

        Args:
            names: names of layers; None takes all there are.

        Raises:
            PruningError: a name is unknown or its units cannot go, or there is no such layer.
        """
        last = len(self.blocks) - 1
        if names is None:
            found = [i for i, block in enumerate(self.blocks[:last]) if block.recurrent]
            if not found:
                raise PruningError(
                    f"{owner_of(self.model)}: expected a recurrent layer that another layer "
                    f"reads, got {owner_of(self.blocks[last].layer)} at the output. Its units "
                    "are the model's outputs; add a Dense layer after it."
                )
            for index in found:
                self.block(self.blocks[index].layer.name)  # results are by name
            return found
        if not names:
            raise PruningError("layers: expected at least one name, got none. Omit layers.")
        for name in names:
            index = self.block(name)
            layer = self.blocks[index].layer
            if not self.blocks[index].recurrent:
                raise PruningError(
                    f"{owner_of(layer)}: expected SimpleRNN, LSTM, GRU or RNN, got "
                    f"{type(layer).__name__}. Only recurrent layers have hidden units; name "
                    "one of them."
                )
            if index == last:
                raise PruningError(
                    f"{owner_of(layer)}: expected a layer that another layer reads, got the "
                    "last one. Its units are the model's outputs; add a Dense layer after it."
                )
        return sorted({self.block(name) for name in names})


def read_chain(model: Any) -> KerasChain:
    """Read a live model; what the Keras reader refuses is refused here.

    Args:
        model: a Sequential or Functional keras.Model with one path from input to output.

    Raises:
        BackendUnavailable: Keras is not installed.
        UnsupportedModelError: it holds something edgernn does not execute; all reasons at once.
        PruningError: it is not a live model, or reads tokens.
    import keras

    """
    if isinstance(model, (str, bytes)) or not hasattr(model, "weights"):
        raise PruningError(
            f"model: expected a live keras.Model, got {type(model).__name__}. "
            "Load it with keras.saving.load_model first."
        )
    network = read_keras(model)
    if network.mask is not None:
        raise PruningError(
            f"{owner_of(model)}: expected a network without a mask, got one that masks "
            f"{network.mask:g}. Prune single weights with MagnitudePruning instead."
        )
    if network.vocabulary:
        raise PruningError(
            f"{owner_of(model)}: expected a network over readings, got an embedding. Train it with "
            "fewer units, or prune single weights with MagnitudePruning."
        )
    import keras

    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise PruningError(
            f"{owner_of(model)}: expected one input and one output, got {len(model.inputs)} "
            f"and {len(model.outputs)}. {_CHAINS_ALONE} If they are states, build the model "
            "without them and copy the weights."
        )
    blocks: list[Block] = []
    between: list[Any] = []
    for layer in _one_path(model):
        if any(hasattr(core_of(layer), name) for name in KERNELS):
            blocks.append(Block(layer=layer, before=tuple(between)))
            between = []
        elif isinstance(layer, keras.layers.RNN):
            raise PruningError(
                f"{owner_of(layer)}: expected SimpleRNN, LSTM or GRU, got a cell of "
                f"{type(layer.cell).__name__}. Structured pruning does not support other "
                "cells: prune magnitudes instead."
            )
        else:
            between.append(layer)
    return KerasChain(model=model, blocks=tuple(blocks), after=tuple(between))


def _one_path(model: Any) -> list[Any]:
    """The layers of a model whose calls follow one another, in their order.

    Raises:
        UnsupportedModelError: there are branches, or a layer with weights is used twice.
    """
    findings = Findings()
    layers: list[Any] = []
    before = None
    for call in flat_network(model, findings).calls:
        count = len(call.inputs)
        if count != 1 or (before is not None and call.inputs[0].call is not before):
            got = f"{count}" if count != 1 else "one that other layers read as well"
            findings.add(owner_of(call.layer), "one input tensor", got, _CHAINS_ALONE)
        elif is_operation(call.layer):
            got = f"the operation {class_of(call.layer)}"
            findings.add(owner_of(call.layer), "a layer", got, _CHAINS_ALONE)
        if getattr(call.layer, "weights", ()) and any(call.layer is layer for layer in layers):
            cure = "Use a second layer with a copy of the weights."
            got = "the same layer used twice"
            findings.add(owner_of(call.layer), "a layer used once", got, cure)
        layers.append(call.layer)
        before = call
    findings.refuse()
    return layers
