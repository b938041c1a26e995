"""Find the one path of layers from the input to the output of a network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from edgernn_export.keras_reader.findings import Context, Findings, owner_of
from edgernn_export.keras_reader.graph import Call, CallResult, LayerGraph
from edgernn_export.keras_reader.layers.config import check_dtype
from edgernn_export.keras_reader.states import States
from edgernn_export.keras_reader.stored.network import StoredModel

_ONE_PATH: Final = "Train a network with one input, one output and one path between them."
_NO_EXTRA: Final = "edgernn gives a layer its input alone: train without it."


@dataclass(slots=True, kw_only=True)
class LayerPath:
    """Layers of a model, nested models flattened.

    Attributes:
        main: layers from input to output.
        beside: layers off that path; checked, so that all reasons are known, and never used.
        shape: of the input without the batch, (T, I) or (I,), None where T is open; None where
            the model has no such input.
        states_given: the model takes the state as inputs and gives the next one as outputs.
    """

    main: list[Any] = field(default_factory=list)
    beside: list[Any] = field(default_factory=list)
    shape: tuple[int | None, ...] | None = None
    states_given: bool = False


def layer_path(model: Any, context: Context) -> LayerPath:
    """Walk a Sequential or Functional model; note a reason for every branch.

    Args:
        model: a live keras.Model, or one that is stored in a file.
        context: receives the reasons.

    Returns:
        The layers in the order they are applied, without inputs.
    """
    path = LayerPath()
    network = _network(model, context.findings)
    if network is None:
        return path
    main, states = _walk(model, network, path, context.findings)
    path.states_given = states.check(main, owner_of(model), context.findings)
    path.shape = _check_input(model, network, states, context.findings)
    _check_reuse(path, context.findings)
    return path


def _network(model: Any, findings: Findings) -> LayerGraph | None:
    """The calls of a model, unless it is a class with a call of its own, or has no weights."""
    check_dtype(model, findings)
    if isinstance(model, StoredModel):
        if model.network is None:
            _own_class(model, model.custom or model.stored_class, findings)
        return model.network
    import keras

    from edgernn_export.keras_reader.graph import live_network

    functional = hasattr(model, "operations") or isinstance(model, keras.Sequential)
    if not functional or not type(model).__module__.startswith("keras."):
        _own_class(model, f"{type(model).__module__}.{type(model).__qualname__}", findings)
        return None
    if not model.built or not getattr(model, "inputs", None):
        _no_input(model, findings)
        return None
    return live_network(model)


def _own_class(model: Any, name: str, findings: Findings) -> None:
    findings.add(
        owner_of(model),
        "a Sequential or Functional model",
        f"the model class {name}",
        "Rebuild it with keras.Sequential or the functional API and copy the weights.",
    )


def _no_input(model: Any, findings: Findings) -> None:
    findings.add(
        owner_of(model),
        "a model with weights",
        "a model without a known input",
        "Call model.build((None, None, features)) before it is trained or its weights are set.",
    )


def _check_input(
    model: Any, network: LayerGraph, states: States, findings: Findings
) -> tuple[int | None, ...] | None:
    """Shape of the one input that is no state."""
    mains = [given for given in network.given if not states.is_given(given.tensor)]
    for given in mains:
        if given.shape is None:
            _no_input(model, findings)
            return None
        # (features,) may become (1, features) by a Reshape.
        if len(given.shape) not in (1, 2) or given.shape[-1] is None:
            findings.add(
                owner_of(model),
                "an input of shape (batch, time, features) with a fixed number of features",
                f"{(None, *given.shape)}",
                "Rebuild it with keras.Input((None, features)) and copy the weights.",
            )
        if not given.dtype.startswith("float"):
            cure = "Rebuild it with an input of dtype float32 and copy the weights."
            findings.add(owner_of(model), "a dense float input", given.dtype, cure)
    return mains[0].shape if len(mains) == 1 else None


def _walk(
    model: Any, network: LayerGraph, path: LayerPath, findings: Findings
) -> tuple[list[Call], States]:
    """Append the layers of a network to the path; its calls, and the states it passes on."""
    states = States(network)
    mains = [tensor for tensor in network.outputs if not states.is_returned(tensor)]
    main = _back_to_input((mains or list(network.outputs))[0], network)
    states.follow(main)
    free = [given for given in network.given if not states.is_given(given.tensor)]
    for what, count in (("input", len(free)), ("output", len(mains))):
        if count != 1:
            beside = " beside states" if states.any_given else ""
            got = f"{count} {what}s{beside}"
            findings.add(owner_of(model), f"one {what}", got, _ONE_PATH)
    for call in main:
        _check_call(call, states, findings)
        _append(call.layer, path, findings)
    path.beside += [call.layer for call in network.calls if not any(call is c for c in main)]
    return main, states


def _append(layer: Any, path: LayerPath, findings: Findings) -> None:
    if not is_model(layer):
        path.main.append(layer)
        return
    network = _network(layer, findings)
    if network is not None:
        main, states = _walk(layer, network, path, findings)
        if states.any_given:
            states.refuse(main, owner_of(layer), findings)


def is_model(layer: Any) -> bool:
    """Whether a layer is a model, alive or stored."""
    if isinstance(layer, StoredModel):
        return True
    if hasattr(layer, "stored_class"):
        return False
    import keras

    return isinstance(layer, keras.Model)


def _back_to_input(tensor: CallResult, network: LayerGraph) -> list[Call]:
    """Calls from the input to a tensor, following first inputs."""
    starts = [given.tensor.call for given in network.given]
    calls: list[Call] = []
    call = tensor.call
    while not any(call is start for start in starts) and not any(call is c for c in calls):
        calls.insert(0, call)
        if not call.inputs:
            break
        call = call.inputs[0].call
    return calls


def _check_call(call: Call, states: States, findings: Findings) -> None:
    """Note what a call is given beside its input, such as training=True, a mask or a state."""
    count = len(call.inputs)
    if count != 1 and not states.takes(call):
        cure = states.cure(call) or _ONE_PATH
        findings.add(owner_of(call.layer), "one input tensor", f"{count}", cure)
    for name, value in (call.arguments or {}).items():
        if value is None or value is False:
            continue
        got = f"{name}={value!r:.60}"
        findings.add(owner_of(call.layer), "a call with its input alone", got, _NO_EXTRA)


def _check_reuse(path: LayerPath, findings: Findings) -> None:
    for index, layer in enumerate(path.main):
        weighted = getattr(layer, "weights", None) or getattr(layer, "variables", list)
        weighted = weighted() if callable(weighted) else weighted
        if weighted and any(layer is other for other in path.main[:index]):
            findings.add(
                owner_of(layer),
                "a layer used once",
                "the same layer used twice",
                "Use a second layer with a copy of the weights.",
            )
