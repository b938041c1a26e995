"""A network as calls of layers, whether it is alive or stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tensor:
    """One of the results of a call."""

    call: Call
    index: int


@dataclass(slots=True, kw_only=True, eq=False)
class Call:
    """A layer applied to tensors.

    Attributes:
        layer: a layer or operation, a nested network, or an input.
        inputs: all tensors it is given; none for an input.
        arguments: what else it is given, by name.
    """

    layer: Any
    inputs: tuple[Tensor, ...] = ()
    arguments: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Given:
    """What a network is fed at one input.

    Attributes:
        tensor: the result of an input.
        shape: without the batch, None where open; None where nothing is known.
        dtype: name of a type, "sparse float32" and the like for what is not dense.
    """

    tensor: Tensor
    shape: tuple[int | None, ...] | None
    dtype: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Network:
    """A model of calls.

    Attributes:
        given: its inputs.
        outputs: its results.
        calls: all calls of layers, inputs left out.
    """

    given: tuple[Given, ...]
    outputs: tuple[Tensor, ...]
    calls: tuple[Call, ...]


def in_a_row(given: Given, layers: list[Any]) -> Network:
    """The network of layers that each take the result of the one before."""
    tensor = given.tensor
    calls: list[Call] = []
    for layer in layers:
        calls.append(Call(layer=layer, inputs=(tensor,)))
        tensor = Tensor(call=calls[-1], index=0)
    return Network(given=(given,), outputs=(tensor,), calls=tuple(calls))
