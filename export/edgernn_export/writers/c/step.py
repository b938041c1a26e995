"""The step of a model in C: where vectors lie, what feeds every layer, what is put out.

Vectors that are no states lie in one array of the state struct, each from the layer that makes it
to the last one that reads it; others take its place then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final

from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import held_codes
from edgernn.model.routes import MODEL_INPUT, Route, RoutePart
from edgernn.model.storage import padded
from edgernn_export.writers.c.layers import CLayer
from edgernn_export.writers.c.operations import Span, plus

#: Member of the state struct for vectors that are no states.
VALUES: Final = "state->value"
_OUTPUT: Final = "y"


@dataclass(frozen=True, slots=True, kw_only=True)
class CStep:
    """A model's step.

    Attributes:
        layers: in the order in which they run.
        feeds: statements before each of them.
        output: statements behind the last.
        values: int16 values of vectors that are no states.
        operands: operand codes of the layer that needs most.
        head: the first layer behind all that carry a state.
        head_reads_input: whether it or a later one reads the model's input.
    """

    layers: tuple[CLayer, ...]
    feeds: tuple[list[str], ...]
    output: list[str]
    values: int
    operands: int
    head: int
    head_reads_input: bool

    @property
    def before_head(self) -> list[str]:
        """Statements that run the layers up to the last one with a state."""
        return self._run(0, self.head)

    @property
    def behind_head(self) -> list[str]:
        """Statements that run the others, and put out."""
        return self._run(self.head, len(self.layers)) + self.output

    def _run(self, begin: int, end: int) -> list[str]:
        lines: list[str] = []
        for feed, layer in zip(self.feeds[begin:end], self.layers[begin:end], strict=True):
            lines += [*feed, *layer.calls]
        return lines


def c_step(model: IntegerModel, layers: Sequence[CLayer] | None = None) -> CStep:
    """Lay out the step of a model.

    Args:
        model: the model.
        layers: its layers as a program of several names them; by default as a model alone does.
    """
    return _Layout(model, c_layers(model) if layers is None else [*layers]).step()


def c_layers(model: IntegerModel) -> list[CLayer]:
    """The layers of a model alone."""
    return [
        CLayer(index=index, layer=layer, precision=model.precision)
        for index, layer in enumerate(model.layers)
    ]


class _Room:
    """An array that vectors share which are not there at the same time."""

    def __init__(self) -> None:
        self.size = 0
        self._taken: list[tuple[int, int, int]] = []  # begin, end, last time

    def take(self, width: int, born: int, last: int) -> int:
        """First element for a vector that is there from one time to another."""
        begin = 0
        for other, end, _ in sorted(taken for taken in self._taken if taken[2] >= born):
            if other - begin >= width:
                break
            begin = max(begin, end)
        self._taken.append((begin, begin + width, last))
        self.size = max(self.size, begin + width)
        return begin


class _Layout:
    """Where the vectors of a model lie; a layer is fed at time 2i and runs at 2i + 1."""

    def __init__(self, model: IntegerModel, layers: list[CLayer]) -> None:
        self._layers = layers
        self._wiring = model.wiring
        self._narrow = model.precision is Precision.W8A8
        self._tokens = bool(model.input.vocabulary)
        self._held = held_codes(model.layers)
        self._head = 1 + max(i for i, layer in enumerate(model.layers) if layer.states)
        self._reads_input = [
            any(part.source == MODEL_INPUT for part in route) for route in model.wiring
        ]
        self._room = _Room()
        self._at: dict[int, tuple[str, int]] = {MODEL_INPUT: ("x", 0)}

    def step(self) -> CStep:
        """The step."""
        feeds = []
        operands = 0
        for index, made in enumerate(self._layers):
            route = self._wiring[index]
            if made.layer.reads_values:
                feed, spans = self._values(index, route)
                made = replace(made, inputs=spans)
                count = made.operands
            else:
                feed, count = self._operands(index, made, route)
            feeds.append(feed)
            self._layers[index] = self._placed(index, made)
            operands = max(operands, count)
        output = self._put_out()
        return CStep(
            layers=tuple(self._layers),
            feeds=tuple(feeds),
            output=output,
            values=self._room.size,
            operands=operands,
            head=self._head,
            head_reads_input=any(self._reads_input[self._head :]),
        )

    def _address(self, source: int, start: int) -> str:
        base, first = self._at[source]
        return plus(base, first + start)

    def _placed(self, index: int, made: CLayer) -> CLayer:
        """A layer with a place for its output."""
        if made.has_state_output:
            self._at[index] = (f"state->{made.vectors[0]}", 0)
            return made
        behind = self._directly_put_out(index, made.layer.units)
        if behind is not None:
            self._at[index] = (_OUTPUT, behind)
        else:
            last = max(self._last_read(reader) for reader in self._readers(index))
            self._at[index] = (VALUES, self._room.take(made.layer.units, 2 * index + 1, last))
        return replace(made, made=self._address(index, 0))

    def _readers(self, source: int) -> Iterator[int]:
        for reader, route in enumerate(self._wiring):
            if any(part.source == source for part in route):
                yield reader

    def _last_read(self, reader: int) -> int:
        """When a layer, or the output, is done with what it reads."""
        reads_values = reader < len(self._layers) and self._layers[reader].layer.reads_values
        return 2 * reader + (1 if reads_values and self._is_direct(reader) else 0)

    def _directly_put_out(self, index: int, units: int) -> int | None:
        """Where in the model's output a layer is made that nothing else reads; None: nowhere.

        The output may share memory with the input, so the input is read before it is overwritten.
        """
        whole = RoutePart(source=index, start=0, width=units)
        output = self._wiring[-1]
        of_layer = [part for part in output if part.source == index]
        alone = [*self._readers(index)] == [len(self._layers)] and of_layer == [whole]
        if not alone or index < self._head or any(self._reads_input[index + 1 :]):
            return None
        return sum(part.width for part in output[: output.index(whole)])

    def _operands(self, index: int, made: CLayer, route: Route) -> tuple[list[str], int]:
        """Statements that fill a layer's operands, and how many these are.

        Every part is followed by zeros, over which the next one is written.
        """
        lines = []
        first = end = 0
        for part in route:
            name = "codes" if part.source == MODEL_INPUT else "operands"
            if part.source in self._held:
                name = "held"
            to = plus("state->operands", first)
            of = self._address(part.source, part.start)
            if name == "codes" and self._tokens and self._narrow:
                time = 2 * index
                between = plus(VALUES, self._room.take(part.width, time, time))
                lines.append(f"edgernn_code_values8({of}, {part.width}, {between});")
                name, of = "operands", between
            lines.append(f"edgernn_{name}{made.width}({of}, {part.width}, {to});")
            end = first + padded(part.width)
            first += part.width
        lines += [f"state->operands[{place}] = 0;" for place in range(end, padded(first))]
        return lines, max(end, made.operands)

    def _has_address(self, part: RoutePart) -> bool:
        """Whether the values of a part lie in memory; codes may be int8."""
        return part.source != MODEL_INPUT or self._tokens or not self._narrow

    def _is_direct(self, reader: int) -> bool:
        """Whether a layer reads every vector in place."""
        route = self._wiring[reader]
        ends = [*accumulate(part.width for part in route)]
        bounds = [*zip([0, *ends], ends, strict=False)]
        return all(map(self._has_address, route)) and all(
            any(start <= place.start and place.end <= end for start, end in bounds)
            for place in self._layers[reader].input_places
        )

    def _values(self, reader: int, route: Route) -> tuple[list[str], tuple[Span, ...]]:
        """Statements that gather the values a layer reads, and where these lie then."""
        width = sum(part.width for part in route)
        if self._is_direct(reader):
            spans, start = [], 0
            for part in route:
                base, first = self._at[part.source]
                spans.append(
                    Span(start=start, width=part.width, base=base, first=first + part.start)
                )
                start += part.width
            return [], tuple(spans)
        begin = first = self._room.take(width, 2 * reader, 2 * reader + 1)
        lines = []
        for part in route:
            name = "copy16" if self._has_address(part) else "values8"
            of = self._address(part.source, part.start)
            lines.append(f"edgernn_{name}({of}, {part.width}, {plus(VALUES, first)});")
            first += part.width
        return lines, (Span(start=0, width=width, base=VALUES, first=begin),)

    def _put_out(self) -> list[str]:
        lines = []
        first = 0
        for part in self._wiring[-1]:
            base, _ = self._at[part.source]
            if base != _OUTPUT:
                of = self._address(part.source, part.start)
                lines.append(f"edgernn_copy16({of}, {part.width}, {plus(_OUTPUT, first)});")
            first += part.width
        return lines
