"""How a network is wired: where every layer, and the output, takes its vector from (clause 6.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edgernn.errors import ModelError

#: The source of a part that is the model's input; others are layers, by position.
MODEL_INPUT: Final = -1
#: Most parts a route may have.
MAX_PARTS: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutePart:
    """Consecutive elements of the model's input or of a layer's output.

    Attributes:
        source: `MODEL_INPUT`, or the position of a layer.
        start: first element.
        width: elements.
    """

    source: int
    start: int
    width: int


#: Parts one behind another: what a layer reads, or what the model puts out.
Route = tuple[RoutePart, ...]


def chain(input_width: int, widths: Sequence[int]) -> tuple[Route, ...]:
    """The routes of a chain: every layer reads the one before it, the output the last one.

    Args:
        input_width: of the model's input.
        widths: of the layers' outputs.
    """
    fed = enumerate((input_width, *widths), MODEL_INPUT)
    return tuple((RoutePart(source=source, start=0, width=width),) for source, width in fed)


def within(widths: Sequence[int], start: int, width: int) -> Route:
    """Consecutive elements of vectors that follow one another, as parts of each.

    Args:
        widths: of the vectors.
        start: first element, counted from the first vector on.
        width: elements.

    Returns:
        Parts whose source is the position of their vector.
    """
    found, before = [], 0
    for source, whole in enumerate(widths):
        first = max(start - before, 0)
        count = min(start + width - before, whole) - first
        if count > 0:
            found.append(RoutePart(source=source, start=first, width=count))
        before += whole
    return tuple(found)


def check_routes(
    routes: Sequence[Route], names: Sequence[str], input_width: int, widths: Sequence[int]
) -> None:
    """Refuse routes that read missing elements.

    Args:
        routes: of the layers, then that of the output.
        names: of the layers, for messages.
        input_width: of the model's input.
        widths: of the layers' outputs.

    Raises:
        ModelError: a route is empty or has too many parts, a part lies outside of its source or
            reads a later layer, or nothing reads a layer.
    """
    if len(routes) != len(names) + 1:
        raise ModelError(
            f"model.routes: expected {len(names) + 1} (one per layer, one of the output), "
            f"got {len(routes)}"
        )
    read: set[int] = set()
    for index, (reader, route) in enumerate(zip((*names, "output"), routes, strict=True)):
        lowest = 0 if index == len(names) else MODEL_INPUT
        if not 1 <= len(route) <= MAX_PARTS:
            raise ModelError(
                f"model.routes: expected {reader} to read 1 to {MAX_PARTS} parts, got {len(route)}"
            )
        for part in route:
            if not lowest <= part.source < index:
                raise ModelError(
                    f"model.routes: expected {reader} to read an earlier "
                    f"layer{'' if lowest == 0 else ' or the input'}, got source {part.source}"
                )
            whole = input_width if part.source == MODEL_INPUT else widths[part.source]
            if part.start < 0 or part.width < 1 or part.start + part.width > whole:
                raise ModelError(
                    f"model.routes: expected {reader} to read elements 0 to {whole} of its "
                    f"source, got {part.start} to {part.start + part.width}"
                )
            read.add(part.source)
    unread = [name for index, name in enumerate(names) if index not in read]
    if unread:
        raise ModelError(f"model.routes: expected every layer to be read, got {unread} unread")


def readers(routes: Sequence[Route], source: int) -> frozenset[int]:
    """Positions of the layers that read a source; the output's is the number of layers."""
    return frozenset(
        index for index, route in enumerate(routes) if any(part.source == source for part in route)
    )


def before_states(routes: Sequence[Route], recurrent: Sequence[bool]) -> frozenset[int]:
    """The layers that a recurrent layer reads, itself or through others.

    What they compute is carried on; what all others compute is done with once the step is.

    Args:
        routes: of the layers, then that of the output.
        recurrent: which of the layers carry a state.
    """
    found: set[int] = set()
    for index in reversed(range(len(recurrent))):
        if recurrent[index] or index in found:
            found.update(part.source for part in routes[index])
    return frozenset(found - {MODEL_INPUT})
