"""What routes lead to in a file of operators (NUMERICS.md clauses 6.6 and 6.7).

A vector is a sequence of tensors one behind another: what reads them apart needs no operator that
joins them first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

from edgernn.model.layers import Layer, held_codes
from edgernn.model.routes import MODEL_INPUT, Route, within

T = TypeVar("T", bound=Hashable)


def cut(
    tensors: Sequence[T],
    widths: Sequence[int],
    start: int,
    width: int,
    part: Callable[[int, T, int, int], T],
) -> tuple[T, ...]:
    """Consecutive elements of tensors one behind another.

    Args:
        tensors: the tensors.
        widths: theirs.
        start: first element, counted from the first tensor on.
        width: elements.
        part: makes a part of a tensor: its number, the tensor, first element and elements. A whole
            tensor is itself.
    """
    return tuple(
        tensors[piece.source]
        if piece.width == widths[piece.source]
        else part(number, tensors[piece.source], piece.start, piece.width)
        for number, piece in enumerate(within(widths, start, width))
    )


class RoutedVectors(ABC, Generic[T]):
    """The model's input and what layers put out, as operands and as values.

    Whatever several layers read is made once.

    Args:
        inputs: codes of the model's input, one tensor behind another.
        tokens: some of them are tokens, which are no operands: parts are cut first.
    """

    def __init__(self, inputs: Sequence[T], *, tokens: bool) -> None:
        """Start with no layers."""
        self._inputs = tuple(inputs)
        self._tokens = tokens
        self._of_codes: dict[T, T] = {}
        self._put_out: list[T] = []
        self._codes: set[int] = set()
        self._operands: dict[int, tuple[T, ...]] = {}
        self._values: dict[int, tuple[T, ...]] = {}
        self._parts: dict[tuple[T, int, int], T] = {}

    @abstractmethod
    def width(self, tensor: T) -> int:
        """Number of elements."""

    @abstractmethod
    def part(self, name: str, tensor: T, start: int, width: int) -> T:
        """Consecutive elements of a tensor."""

    @abstractmethod
    def operand(self, name: str, value: T) -> T:
        """O(v) of clause 2.7."""

    @abstractmethod
    def input_operand(self, name: str, codes: T) -> T:
        """What affine maps read of the model's input."""

    @abstractmethod
    def held_operand(self, name: str, codes: T) -> T:
        """What affine maps read of input codes that a layer puts out as values."""

    @abstractmethod
    def input_value(self, name: str, codes: T) -> T:
        """The codes of the model's input as values."""

    def add(self, layer: Layer, y: T) -> None:
        """What the next layer puts out."""
        if held_codes((layer,)):
            self._codes.add(len(self._put_out))
        self._values[len(self._put_out)] = (y,)
        self._put_out.append(y)

    def fed(self, layer: Layer, route: Route) -> tuple[T, ...]:
        """What a layer reads, one tensor behind another."""
        if layer.reads_values:
            return self.values(layer.name, route)
        sources = sorted({part.source for part in route})
        layers = [source for source in sources if source != MODEL_INPUT]
        for source in sources:
            if source in self._operands:
                continue
            if source == MODEL_INPUT and self._tokens:
                made = [*self._inputs]
            elif source == MODEL_INPUT:
                made = [self.input_operand(f"{layer.name}.o_x", codes) for codes in self._inputs]
            else:
                name = f"{layer.name}.o_x{f'.{source}' if len(layers) > 1 else ''}"
                make = self.held_operand if source in self._codes else self.operand
                made = [make(name, self._put_out[source])]
            self._operands[source] = tuple(made)
        if self._tokens:
            return self._along_tokens(layer.name, route)
        return self._along(layer.name, self._operands, route)

    def values(self, name: str, route: Route) -> tuple[T, ...]:
        """The values of a route.

        Args:
            name: of who reads them.
            route: the route.
        """
        if MODEL_INPUT not in self._values and any(p.source == MODEL_INPUT for p in route):
            made = [self.input_value(f"{name}.codes_x", codes) for codes in self._inputs]
            self._values[MODEL_INPUT] = tuple(made)
        return self._along(name, self._values, route)

    def cut(self, name: str, tensors: Sequence[T], start: int, width: int) -> tuple[T, ...]:
        """Consecutive elements of tensors one behind another, every part made once."""

        def part(number: int, tensor: T, first: int, count: int) -> T:
            key = tensor, first, count
            if key not in self._parts:
                self._parts[key] = self.part(f"{name}.{number}", tensor, first, count)
            return self._parts[key]

        return cut(tensors, [self.width(tensor) for tensor in tensors], start, width, part)

    def _along_tokens(self, name: str, route: Route) -> tuple[T, ...]:
        """Operands of a route, those of the model's input made part by part, each once."""
        found: list[T] = []
        for part in route:
            tensors = self._along(f"{name}.{len(found)}", self._operands, (part,))
            if part.source == MODEL_INPUT:
                for tensor in tensors:
                    if tensor not in self._of_codes:
                        made = self.input_operand(f"{name}.o_x.{len(found)}", tensor)
                        self._of_codes[tensor] = made
                tensors = tuple(self._of_codes[tensor] for tensor in tensors)
            found += tensors
        return tuple(found)

    def _along(self, name: str, made: dict[int, tuple[T, ...]], route: Route) -> tuple[T, ...]:
        return tuple(
            tensor
            for number, part in enumerate(route)
            for tensor in self.cut(
                f"{name}.part{number}", made[part.source], part.start, part.width
            )
        )
