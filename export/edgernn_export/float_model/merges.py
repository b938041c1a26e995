"""Float layers without matrices: what joins, bends, normalizes or holds the values they read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgernn.errors import ShapeError
from edgernn.model.formats import ArrayRecord, FloatArray
from edgernn.model.functions.pointwise import check_function
from edgernn.model.merges import PAIRS, MergeOperation
from edgernn_export.float_model.layers import freeze


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatMerge(ArrayRecord):
    """y = sum, product, maximum, minimum or hypotenuse of the vectors gain_j * x_j + offset_j.

    It reads vectors of U elements one behind another, a product and a hypotenuse two of them.

    Attributes:
        name: layer name.
        operation: what joins the elements.
        gain: [n, U], a factor for every element of every vector.
        offset: [n, U], what is added to it.
        trained: the factors are the weights of a layer, as those of a depthwise convolution.
    """

    kind: ClassVar[str] = "merge"

    name: str
    operation: MergeOperation
    gain: FloatArray
    offset: FloatArray
    trained: bool = False

    def __post_init__(self) -> None:
        """Freeze and check."""
        freeze(self, "gain", 2)
        freeze(self, "offset", 2)
        if self.offset.shape != self.gain.shape:
            raise ShapeError(
                f"{self.name}.offset: expected shape {self.gain.shape}, got {self.offset.shape}"
            )
        pair = self.operation in PAIRS
        if self.count < 2 or (pair and self.count > 2):
            wanted = "2" if pair else "2 or more"
            raise ShapeError(f"{self.name}.gain: expected {wanted} vectors, got {self.count}")

    @property
    def count(self) -> int:
        """Number of vectors n."""
        return int(self.gain.shape[0])

    @property
    def units(self) -> int:
        """Output width U."""
        return int(self.gain.shape[1])

    @property
    def inputs(self) -> int:
        """Input width n*U."""
        return int(self.gain.size)

    @property
    def rows(self) -> int:
        """Values of a step before they are joined."""
        return self.inputs

    @property
    def parameters(self) -> int:
        """Trainable values: none."""
        return 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatDelay(ArrayRecord):
    """The last rows of what it reads, the newest first: what a causal convolution is made over.

    Attributes:
        name: layer name.
        depth: number of rows, that of the step included.
        start: [I], the row that stands for those before the stream. What Keras pads with 0 behind
            a Normalization is another number before it.
        padded: rows before the stream are read; else no output depends on them, and their values
            have no effect.
    """

    kind: ClassVar[str] = "delay"

    name: str
    depth: int
    start: FloatArray
    padded: bool = True

    def __post_init__(self) -> None:
        """Freeze and check."""
        freeze(self, "start", 1)
        if self.depth < 2:
            raise ShapeError(f"{self.name}.depth: expected 2 or more rows, got {self.depth}")

    @property
    def inputs(self) -> int:
        """Input width I."""
        return int(self.start.size)

    @property
    def units(self) -> int:
        """Output width."""
        return self.depth * self.inputs

    @property
    def rows(self) -> int:
        """Values of a step."""
        return self.units

    @property
    def parameters(self) -> int:
        """Trainable values: none."""
        return 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatPointwise(ArrayRecord):
    """y = f(x) of every value.

    Attributes:
        name: layer name.
        function: f, as `PointwiseFunction.parse` reads it.
        units: number of values U.
    """

    kind: ClassVar[str] = "pointwise"

    name: str
    function: str
    units: int

    def __post_init__(self) -> None:
        """Check the function and the width."""
        check_function(f"{self.name}.function", self.function)
        if self.units < 1:
            raise ShapeError(f"{self.name}.units: expected 1 or more, got {self.units}")

    @property
    def inputs(self) -> int:
        """Input width U."""
        return self.units

    @property
    def rows(self) -> int:
        """Values of a step."""
        return self.units

    @property
    def parameters(self) -> int:
        """Trainable values: none."""
        return 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatPReLU(ArrayRecord):
    """y = max(x, 0) + slope * min(x, 0).

    Attributes:
        name: layer name.
        slope: [U], of every unit its own.
    """

    kind: ClassVar[str] = "prelu"

    name: str
    slope: FloatArray

    def __post_init__(self) -> None:
        """Freeze and check."""
        freeze(self, "slope", 1)

    @property
    def units(self) -> int:
        """Output width U."""
        return int(self.slope.size)

    @property
    def inputs(self) -> int:
        """Input width U."""
        return self.units

    @property
    def rows(self) -> int:
        """Values of a step."""
        return self.units

    @property
    def parameters(self) -> int:
        """Trainable values."""
        return self.units


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatLayerNorm(ArrayRecord):
    """y = gain * (x - mean) / sqrt(variance + epsilon) + offset, of every row that it reads.

    Attributes:
        name: layer name.
        gain: [N], of the features of a row.
        offset: [N], the same.
        epsilon: added to the variance of a row, 0 at least.
        count: rows, one behind another.
    """

    kind: ClassVar[str] = "layer_norm"

    name: str
    gain: FloatArray
    offset: FloatArray
    epsilon: float
    count: int = 1

    def __post_init__(self) -> None:
        """Freeze and check."""
        for name in ("gain", "offset"):
            freeze(self, name, 1)
        if self.offset.shape != self.gain.shape or not self.gain.size:
            raise ShapeError(
                f"{self.name}.offset: expected as many as gains, got {self.offset.size} and "
                f"{self.gain.size}"
            )
        if not 0.0 <= self.epsilon < float("inf"):
            raise ShapeError(f"{self.name}.epsilon: expected 0 or more, got {self.epsilon}")
        if self.count < 1:
            raise ShapeError(f"{self.name}.count: expected 1 or more, got {self.count}")

    @property
    def width(self) -> int:
        """Features N of a row."""
        return int(self.gain.size)

    @property
    def units(self) -> int:
        """Output width U: that of all rows."""
        return self.width * self.count

    @property
    def inputs(self) -> int:
        """Input width U."""
        return self.units

    @property
    def rows(self) -> int:
        """Values of a step."""
        return self.units

    @property
    def parameters(self) -> int:
        """Trainable values."""
        return 2 * self.width
