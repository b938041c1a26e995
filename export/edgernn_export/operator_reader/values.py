"""What flows between operators: constants, sizes of axes, and values that depend on an input.

A constant is a NumPy array. Sizes, as an operator that tells shapes gives them, are an array of
objects: integers, and an `OpenSize` for an open one. All else is a `Traced`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgernn_export.keras_reader.graph import CallResult


class AxisKind(Enum):
    """What the elements along an axis are."""

    BATCH = "batch"
    TIME = "time"
    FEATURES = "features"
    #: Separate tensors, such as the directions or layers of a recurrent operator.
    STACK = "stack"


@dataclass(frozen=True, slots=True)
class Atom:
    """An axis of one kind, which a reshape may join with its neighbors.

    Attributes:
        kind: None for an axis of an input of which nothing is known yet.
        size: None where open.
        source: input and place of the axis, for an axis of unknown kind.
    """

    kind: AxisKind | None
    size: int | None
    source: tuple[str, int] | None = None

    @property
    def key(self) -> Any:
        """What distinguishes it from others of an open size."""
        return self.kind or self.source


#: The axis of a value: atoms one behind another; none for an axis of size 1 without a meaning.
Axis = tuple[Atom, ...]


@dataclass(frozen=True, slots=True)
class OpenSize:
    """A size that is not fixed: a product of open axes and of a number.

    Attributes:
        keys: of the open atoms.
        factor: the number.
        opaque: it was computed from them in another way.
    """

    keys: tuple[Any, ...]
    factor: int = 1
    opaque: bool = False

    def __mul__(self, other: Any) -> OpenSize:
        """The product with a number or another size."""
        if isinstance(other, OpenSize):
            keys, opaque = self.keys + other.keys, self.opaque or other.opaque
            return OpenSize(keys, self.factor * other.factor, opaque)
        return replace(self, factor=self.factor * int(other))

    __rmul__ = __mul__

    def _other(self, _: Any) -> OpenSize:
        return replace(self, opaque=True)

    __add__ = __radd__ = __sub__ = __rsub__ = __floordiv__ = __truediv__ = __mod__ = _other

    def __neg__(self) -> OpenSize:
        """A size that counts from the end."""
        return replace(self, opaque=True)

    def __int__(self) -> int:
        """Not known.

        Raises:
            TypeError: always.
        """
        raise TypeError("an open size is no number")

    __index__ = __int__


#: Features that a value may have, so that a small file does not lead to huge arrays.
MOST_FEATURES: Final = 1 << 16
#: Steps that an operator may look back, leave out, or put before the first one.
MOST_STEPS: Final = 1 << 14
#: Tensors of a stack.
MOST_MEMBERS: Final = 256
#: A number of an array of sizes.
AxisSize = int | OpenSize


def size_of(axis: Axis) -> AxisSize:
    """The size of an axis."""
    fixed = math.prod(atom.size for atom in axis if atom.size is not None)
    keys = tuple(atom.key for atom in axis if atom.size is None)
    return OpenSize(keys, fixed) if keys else fixed


@dataclass(frozen=True, slots=True, eq=False)
class Traced:
    """A value that depends on an input of the network.

    Attributes:
        axes: what its axes are.
        members: tensors, object array with an axis for every atom of kind STACK, in their order.
        late: steps behind the last one of the stream, which zeros behind it made; a slice must take
            them off before anything else reads the value.
        backward: the graph has its steps from the last one on; the tensors have them in the order
            of the readings. Only what reads or gives steps in this order, too, may read the value.
    """

    axes: tuple[Axis, ...]
    members: NDArray[np.object_]
    late: int = 0
    backward: bool = False

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.axes)

    @property
    def atoms(self) -> list[Atom]:
        """All atoms, in order."""
        return [atom for axis in self.axes for atom in axis]

    @property
    def tensor(self) -> CallResult:
        """The only tensor of a value that is no stack."""
        return self.members.reshape(-1)[0]  # type: ignore[no-any-return]

    @property
    def tensors(self) -> list[CallResult]:
        """All tensors."""
        return list(self.members.reshape(-1))

    @property
    def sizes(self) -> NDArray[np.object_]:
        """Sizes of the axes."""
        return sizes_array(size_of(axis) for axis in self.axes)

    def has(self, kind: AxisKind) -> bool:
        """Whether an axis, or part of one, is of a kind."""
        return any(atom.kind is kind for atom in self.atoms)

    def each(self, made: Callable[[CallResult], CallResult]) -> Traced:
        """The value with every tensor turned into another one."""
        return replace(self, members=members_of([made(one) for one in self.tensors], self.members))

    def place(self, axis: int) -> int:
        """An axis that may be counted from the end, counted from the start.

        Raises:
            IndexError: there is no such axis.
        """
        if not -self.rank <= axis < self.rank:
            raise IndexError(axis)
        return axis % self.rank

    def with_axis(self, place: int, axis: Axis) -> Traced:
        """The value with an axis replaced."""
        axes = list(self.axes)
        axes[place] = axis
        return replace(self, axes=tuple(axes))


#: What an operator is given, or gives; None for what it is not given.
GraphValue = Traced | NDArray[Any] | None


class _Unknown(Enum):
    """What an operator gives that was refused."""

    UNKNOWN = "unknown"


UNKNOWN: Final = _Unknown.UNKNOWN


def alone(tensor: CallResult) -> NDArray[np.object_]:
    """The members of a value that is one tensor."""
    made = np.empty((), dtype=object)
    made[()] = tensor
    return made


def members_of(tensors: Iterable[CallResult], like: NDArray[Any]) -> NDArray[np.object_]:
    """Tensors in the shape of another array of members."""
    made = np.empty(like.size, dtype=object)
    for index, tensor in enumerate(tensors):
        made[index] = tensor
    return made.reshape(like.shape)


def sizes_array(sizes: Iterable[AxisSize]) -> NDArray[np.object_]:
    """Sizes [N] as an operator gives them."""
    listed = list(sizes)
    made = np.empty(len(listed), dtype=object)
    for index, size in enumerate(listed):
        made[index] = size
    return made


def is_constant(value: Any) -> bool:
    """Whether a value is an array of numbers or of sizes."""
    return isinstance(value, np.ndarray)


def fixed(values: NDArray[Any]) -> NDArray[Any]:
    """Sizes as integers where all of them are fixed; the same array otherwise."""
    if values.dtype != object or any(isinstance(v, OpenSize) for v in values.reshape(-1)):
        return values
    return values.astype(np.int64)
