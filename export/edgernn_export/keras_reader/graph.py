"""A network as calls of layers, whether it is alive or stored, and the calls of a live one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

#: What attention is given by name, in the order of a call without names.
_ATTENDING: Final = ("query", "value", "key")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CallResult:
    """One of the results of a call."""

    call: Call
    index: int


@dataclass(slots=True, kw_only=True, eq=False)
class Call:
    """A layer applied to tensors.

    Attributes:
        layer: a layer or operation, a nested network, or an input.
        inputs: all tensors it is given, except a mask; none for an input.
        arguments: what else it is given, by name.
        mask: the mask that it is given.
    """

    layer: Any
    inputs: tuple[CallResult, ...] = ()
    arguments: dict[str, Any] | None = None
    mask: CallResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Given:
    """What a network is fed at one input.

    Attributes:
        tensor: the result of an input.
        shape: without the batch, None where open; None where nothing is known.
        dtype: name of a type, "sparse float32" and the like for types that are not dense.
        name: of the input; "" where it has none.
        tokens: embeddings read it.
        last_step_alone: it is of the last step, where there are others.
    """

    tensor: CallResult
    shape: tuple[int | None, ...] | None
    dtype: str
    name: str = ""
    tokens: bool = False
    last_step_alone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerGraph:
    """A model of calls.

    Attributes:
        given: its inputs.
        outputs: its results.
        calls: all calls of layers, inputs left out.
        output_names: what the results are called; none where there is one without a name.
    """

    given: tuple[Given, ...]
    outputs: tuple[CallResult, ...]
    calls: tuple[Call, ...]
    output_names: tuple[str, ...] = ()


def in_a_row(given: Given, layers: list[Any]) -> LayerGraph:
    """The network of layers that each take the result of the one before."""
    tensor = given.tensor
    calls: list[Call] = []
    for layer in layers:
        calls.append(Call(layer=layer, inputs=(tensor,)))
        tensor = CallResult(call=calls[-1], index=0)
    return LayerGraph(given=(given,), outputs=(tensor,), calls=tuple(calls))


def live_network(model: Any) -> LayerGraph:
    """The calls of a built Sequential or Functional keras.Model."""
    import keras

    calls: dict[tuple[int, int], Call] = {}
    if isinstance(model, keras.Sequential):
        given = _given(model.inputs[0], Call(layer=None))
        return in_a_row(given, list(model.layers))
    outputs = tuple(_tensor(tensor, calls) for tensor in model.outputs)
    named = zip(_names(model, "inputs", model.inputs), model.inputs, strict=True)
    inputs = tuple(_given(tensor, _tensor(tensor, calls).call, name) for name, tensor in named)
    return LayerGraph(
        output_names=_names(model, "outputs", model.outputs),
        given=inputs,
        outputs=outputs,
        calls=tuple(c for c in calls.values() if not isinstance(c.layer, keras.layers.InputLayer)),
    )


def operations_of(model: Any) -> list[Any]:
    """Layers and nested models of a model with one path, in the order of application."""
    import keras

    if isinstance(model, keras.Sequential):
        return list(model.layers)
    call = live_network(model).outputs[0].call
    found: list[Any] = []
    while call.inputs:
        found.insert(0, call.layer)
        call = call.inputs[0].call
    return found


def _names(model: Any, side: str, tensors: Any) -> tuple[str, ...]:
    """The keys of a dictionary of tensors, which Keras sorts, or the names of what gives them."""
    struct = getattr(model, f"_{side}_struct", None)
    if isinstance(struct, dict) and len(struct) == len(tensors):
        return tuple(sorted(map(str, struct)))
    return tuple(str(tensor._keras_history[0].name) for tensor in tensors)


def _given(tensor: Any, call: Call, name: str = "") -> Given:
    dtype = str(tensor.dtype)
    return Given(
        tensor=CallResult(call=call, index=0),
        shape=tuple(tensor.shape)[1:],
        dtype=f"sparse {dtype}" if getattr(tensor, "sparse", False) else dtype,
        name=name,
    )


def _tensor(tensor: Any, calls: dict[tuple[int, int], Call]) -> CallResult:
    """The call that gives a tensor, and all calls before it."""
    operation, node_index, index = tensor._keras_history
    key = (id(operation), node_index)
    if key not in calls:
        node = operation._inbound_nodes[node_index]
        masks = _tensors_of(node.arguments.kwargs.get("mask"))
        calls[key] = Call(layer=operation, arguments=_arguments(node))
        given = node.arguments.kwargs
        named = [given[name] for name in tensor_order(given)]
        calls[key].inputs = tuple(
            _tensor(one, calls) for one in _tensors_of([node.arguments.args, named])
        )
        calls[key].mask = _tensor(masks[0], calls) if masks else None
    return CallResult(call=calls[key], index=index)


def tensor_order(names: Collection[str]) -> list[str]:
    """Names of arguments in the order in which a call lists its tensors, without that of its mask.

    Attention is given its tensors by name in any order.
    """
    rest = sorted(name for name in names if name not in (*_ATTENDING, "mask"))
    return [*(name for name in _ATTENDING if name in names), *rest]


def _arguments(node: Any) -> dict[str, Any]:
    """The arguments of a layer or an operation other than tensors."""
    given = {f"argument {i}": value for i, value in enumerate(node.arguments.args, 1)}
    given |= dict(node.arguments.kwargs)
    return {name: value for name, value in given.items() if not _has_tensor(value)}


def _has_tensor(value: Any) -> bool:
    return bool(_tensors_of(value))


def _tensors_of(value: Any) -> list[Any]:
    """All tensors in a nested value."""
    import keras

    return [item for item in keras.tree.flatten(value) if isinstance(item, keras.KerasTensor)]
