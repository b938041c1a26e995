"""What a Keras layer contributes to the float model, before folding and merging."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn_export.float_model.model import (
    FloatDense,
    FloatDenseRows,
    FloatLayerNorm,
    FloatPointwise,
    FloatPReLU,
    FloatRecurrent,
)

#: Of values without the batch: (T, I) or (I,), None where T is open.
Shape = tuple[int | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecurrentPart:
    """A recurrent layer and what Keras did with its outputs and its state.

    Attributes:
        owner: how reasons name the layer.
        layer: the float layer.
        return_sequences, stateful: of the Keras layer.
        one_step: a cell, which takes [B, I] where layers take [B, T, I].
    """

    owner: str
    layer: FloatRecurrent
    return_sequences: bool
    stateful: bool
    one_step: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DensePart:
    """A dense layer; an activation that follows may still merge into it while linear."""

    owner: str
    layer: FloatDense


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DenseRowsPart:
    """A dense layer of every row of features; an activation may still merge into it."""

    owner: str
    layer: FloatDenseRows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EmbeddingPart:
    """A table of which tokens number the rows."""

    owner: str
    name: str
    table: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScalePart:
    """y = gain * x + offset per feature; scalars or [F]."""

    owner: str
    gain: FloatArray
    offset: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationPart:
    """A separate activation: a function of one value by its text, or "softmax"."""

    owner: str
    activation: str

    def layer(self, width: int) -> FloatPointwise:
        """The layer that applies it to this many values."""
        name = self.owner.split("'")[1]
        return FloatPointwise(name=name, function=self.activation, units=width)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SlopesPart:
    """A separate slope for every feature, for values below 0.

    Attributes:
        owner: how reasons name the layer.
        name: of the layer.
        slope: [F].
    """

    owner: str
    name: str
    slope: FloatArray

    def layer(self, width: int) -> FloatPReLU | None:
        """The layer of this many features; None where it has slopes for others."""
        return FloatPReLU(name=self.name, slope=self.slope) if width == self.width else None

    @property
    def width(self) -> int:
        """Features F."""
        return int(self.slope.size)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerNormPart:
    """A layer normalization of the features; a scaling that follows may still merge into it.

    Attributes:
        owner: how reasons name the layer.
        name: of the layer.
        gain: [F], or a scalar.
        offset: [F], or a scalar.
        epsilon: added to the variance.
    """

    owner: str
    name: str
    gain: FloatArray
    offset: FloatArray
    epsilon: float

    def layer(self, width: int) -> FloatLayerNorm | None:
        """The layer of this many features; None where it has gains for others."""
        if self.width not in (None, width):
            return None
        gain, offset = (np.broadcast_to(one, (width,)) for one in (self.gain, self.offset))
        return FloatLayerNorm(name=self.name, gain=gain, offset=offset, epsilon=self.epsilon)

    @property
    def width(self) -> int | None:
        """Features F; None where it has as many as what it reads."""
        return next((one.size for one in (self.gain, self.offset) if one.ndim), None)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShapePart:
    """A layer that gives its values another shape.

    Attributes:
        owner: how reasons name the layer.
        reshaped: the output shape for an input shape, without the batch; None if it is unknown.
    """

    owner: str
    reshaped: Callable[[Shape], Shape | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsPart:
    """The rows that a convolution looks at, as one vector with the newest first.

    Attributes:
        owner: how reasons name the layer.
        name: of what holds them.
        count: of rows.
        dilation: steps from one to the next.
        padded: rows of zeros stand for those before the stream; else a layer before it adds them,
            or the first steps have no answer.
        stride: steps from one answer to the next.
    """

    owner: str
    name: str
    count: int
    dilation: int
    padded: bool
    stride: int = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DepthwisePart:
    """The sum of rows that follow one another, each times its own constants.

    Attributes:
        owner: how reasons name the layer.
        name: of the layer.
        gain: [K, C], of the newest row first.
        bias: [C].
    """

    owner: str
    name: str
    gain: FloatArray
    bias: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPart:
    """The largest, or the mean, of rows that follow one another.

    Attributes:
        owner: how reasons name the layer.
        name: of the layer.
        count: of rows.
        largest: else the mean.
    """

    owner: str
    name: str
    count: int
    largest: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WholePoolPart:
    """The largest, or the mean, of all steps of a window.

    Attributes:
        owner: how reasons name the layer.
        name: of the layer.
        largest: else the mean.
    """

    owner: str
    name: str
    largest: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PaddingPart:
    """Rows of zeros before the stream."""

    owner: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownPart:
    """A layer that was refused; nothing can be said about its neighbors."""

    owner: str
    recurrent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MergePart:
    """A layer that joined vectors: nothing behind it is taken up by it."""

    owner: str


LayerPart = (
    RecurrentPart
    | DensePart
    | DenseRowsPart
    | EmbeddingPart
    | ScalePart
    | ActivationPart
    | SlopesPart
    | LayerNormPart
    | ShapePart
    | RowsPart
    | DepthwisePart
    | PoolPart
    | WholePoolPart
    | PaddingPart
    | UnknownPart
    | MergePart
)
