"""A network with its nested models put in their places: calls of layers, in a possible order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from edgernn_export.keras_reader.findings import Findings, class_of, owner_of
from edgernn_export.keras_reader.graph import Call, CallResult, Given, LayerGraph
from edgernn_export.keras_reader.layers.config import check_dtype, is_builtin
from edgernn_export.keras_reader.layers.readers import ATTENTION
from edgernn_export.keras_reader.states import (
    States,
    read_elsewhere,
    refuse_own_starts,
    starts_of,
)
from edgernn_export.keras_reader.stored.network import StoredModel


@dataclass(slots=True, kw_only=True)
class FlatNetwork:
    """The calls of a model, those of nested models among them.

    Attributes:
        given: its inputs, states left out.
        outputs: its results, states left out.
        names: of the outputs.
        handed: names of those that are outputs only because other programs begin with their last
            value.
        calls: what the outputs are made of; every call comes after those it needs.
        beside: layers off that way; checked, so that all reasons are known, and never used.
        states: the states that are inputs or outputs of the model.
        states_given: the model takes its states as inputs and gives the next ones as outputs.
    """

    given: tuple[Given, ...] = ()
    outputs: tuple[CallResult, ...] = ()
    names: tuple[str, ...] = ()
    handed: tuple[str, ...] = ()
    calls: list[Call] = field(default_factory=list)
    beside: list[Any] = field(default_factory=list)
    states: States | None = None
    states_given: bool = False


def walked(model: Any, findings: Findings) -> tuple[FlatNetwork, LayerGraph | None]:
    """Walk a Sequential or Functional model: its calls, and its graph as the user wrote it.

    Args:
        model: a live keras.Model, or one that is stored in a file.
        findings: receives reasons.
    """
    flat = FlatNetwork()
    network = _network(model, findings)
    if network is None:
        return flat, None
    walk = _Walk(flat, findings)
    outputs = walk.results(network, [given.tensor for given in network.given])
    flat.outputs, flat.given = tuple(outputs), network.given
    flat.names = network.output_names or ("",) * len(outputs)
    return flat, network


def flat_network(model: Any, findings: Findings) -> FlatNetwork:
    """The calls of a Sequential or Functional model whose inputs all come at every step.

    Args:
        model: a live keras.Model, or one that is stored in a file.
        findings: receives reasons.
    """
    flat, network = walked(model, findings)
    if network is None:
        return flat
    starts = starts_of(flat.calls, flat.given)
    elsewhere = read_elsewhere(flat.calls, starts, is_attention)
    for call in elsewhere:
        findings.add(
            owner_of(call.layer),
            "attention to the steps of the stream that its query is made of",
            "attention to another stream",
            "Quantize it as programs, such as an encoder and a decoder, with "
            "edgernn_export.quantize_programs or: edgernn quantize.",
        )
    if starts and not elsewhere and not refuse_own_starts(flat.calls, starts, findings):
        findings.add(
            owner_of(model),
            "one stream of readings",
            "a network whose recurrent layers start from states that other layers compute "
            "(initial_state)",
            "Quantize it as programs, such as an encoder and a decoder, with "
            "edgernn_export.quantize_programs or: edgernn quantize.",
        )
    if starts or elsewhere:
        return FlatNetwork()
    outputs = flat.outputs
    whole = LayerGraph(given=network.given, outputs=outputs, calls=tuple(flat.calls))
    states = flat.states = States(whole)
    named = zip(outputs, flat.names, strict=True)
    mains = [(tensor, name) for tensor, name in named if not states.is_returned(tensor)]
    if not mains:
        mains = [(outputs[0], "")]
    flat.outputs, flat.names = zip(*mains, strict=True)
    states.follow(flat.calls)
    flat.states_given = states.check(flat.calls, owner_of(model), findings)
    flat.given = tuple(given for given in network.given if not states.is_given(given.tensor))
    check_inputs(model, flat, findings)
    return flat


class _Walk:
    """Collects calls, one network inside the other."""

    def __init__(self, flat: FlatNetwork, findings: Findings) -> None:
        self._flat = flat
        self._findings = findings

    def results(self, network: LayerGraph, given: list[CallResult]) -> list[CallResult]:
        """What a network makes of tensors: its results, their calls collected."""
        known: dict[int, list[CallResult] | Call] = {
            id(entry.tensor.call): [tensor]
            for entry, tensor in zip(network.given, given, strict=True)
        }
        found = [self._result(tensor, known) for tensor in network.outputs]
        for call in network.calls:
            if id(call) not in known:
                self._flat.beside.append(call.layer)
        return found

    def _result(self, tensor: CallResult, known: dict[int, list[CallResult] | Call]) -> CallResult:
        waiting = [tensor.call]  # no recursion: a network may have thousands of calls in a row
        while waiting:
            call = waiting[-1]
            missing = [entry.call for entry in call.inputs if id(entry.call) not in known]
            if id(call) not in known and missing:
                waiting += missing[::-1]
                continue
            if id(call) not in known:
                inputs = tuple(_known_result(entry, known) for entry in call.inputs)
                known[id(call)] = self._made(call, inputs)
            waiting.pop()
        return _known_result(tensor, known)

    def _made(self, call: Call, inputs: tuple[CallResult, ...]) -> list[CallResult] | Call:
        made = replace(call, inputs=inputs)
        inner = _network(call.layer, self._findings) if is_model(call.layer) else None
        if inner is None or len(inner.given) != len(inputs):
            self._flat.calls.append(made)
            return made
        check_arguments(call, self._findings)
        return self.results(inner, list(inputs))


def _known_result(tensor: CallResult, known: Mapping[int, list[CallResult] | Call]) -> CallResult:
    """One of the results of a call that was made already."""
    made = known[id(tensor.call)]
    if isinstance(made, Call):
        return CallResult(call=made, index=tensor.index)
    return made[tensor.index]


def check_arguments(call: Call, findings: Findings) -> None:
    """Note the arguments of a layer besides its inputs, such as training=True or a mask."""
    for name, value in (call.arguments or {}).items():
        # Keras says of every input of a nested model that it has no mask.
        several = value if isinstance(value, (list, tuple)) and value else [value]
        if value is False or all(one is None for one in several):
            continue
        got = f"{name}={value!r:.60}"
        cure = "edgernn passes only the input to a layer. Train without this argument."
        findings.add(owner_of(call.layer), "a call with only an input", got, cure)


def _network(model: Any, findings: Findings) -> LayerGraph | None:
    """The calls of a model, unless it is a class with its own call, or has no weights."""
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
        "a model whose input shape is unknown",
        "Call model.build((None, None, features)) before you train it or set its weights.",
    )


def check_inputs(model: Any, flat: FlatNetwork, findings: Findings) -> None:
    """Tell which inputs are tokens; note what is wrong with those that are no states."""
    looked_up = {
        id(tensor.call) for call in flat.calls if is_embedding(call.layer) for tensor in call.inputs
    }
    flat.given = tuple(
        replace(given, tokens=id(given.tensor.call) in looked_up) for given in flat.given
    )
    for given in flat.given:
        if given.shape is None:
            _no_input(model, findings)
            return
        if given.tokens:
            _check_tokens(model, given, findings)
            continue
        # (features,) may become (1, features) by a Reshape.
        if len(given.shape) not in (1, 2) or given.shape[-1] is None:
            findings.add(
                owner_of(model),
                "an input of shape (batch, time, features) with a fixed number of features",
                f"{(None, *given.shape)}",
                findings.wording.features_input,
            )
        if not given.dtype.startswith("float"):
            cure = findings.wording.float_input
            findings.add(owner_of(model), "a dense float input", given.dtype, cure)
    shapes = [steps_and_features(given) for given in flat.given if given.shape is not None]
    steps = {shape[0] if len(shape) == 2 else 0 for shape in shapes} - {None}
    if len(steps) > 1 or len({len(shape) for shape in shapes}) > 1:
        findings.add(
            owner_of(model),
            "inputs that all have a time axis",
            f"inputs of shapes {', '.join(str((None, *shape)) for shape in shapes)}",
            findings.wording.same_steps,
        )


def _check_tokens(model: Any, given: Given, findings: Findings) -> None:
    """Note what is wrong with an input that embeddings read."""
    shape = given.shape or ()
    if len(shape) not in (1, 2) or (len(shape) == 2 and shape[1] is None):
        findings.add(
            owner_of(model),
            "tokens of shape (batch, time), or (batch, time, count) with a fixed count",
            f"{(None, *shape)}",
            findings.wording.tokens_input,
        )
    if not given.dtype.startswith(("int", "uint", "float")):
        cure = findings.wording.integer_input
        findings.add(owner_of(model), "dense integers as tokens", given.dtype, cure)


def steps_and_features(given: Given) -> tuple[int | None, ...]:
    """The shape of an input without the batch, in which a token without an axis is one feature."""
    shape = given.shape or ()
    return (*shape, 1) if given.tokens and len(shape) == 1 else shape


def is_embedding(layer: Any) -> bool:
    """Whether a layer is an Embedding of Keras, alive or stored."""
    return class_of(layer) == "Embedding" and is_builtin(layer)


def is_attention(call: Call) -> bool:
    """Whether a call is one of attention of Keras, alive or stored."""
    return class_of(call.layer) in ATTENTION and is_builtin(call.layer)


def is_model(layer: Any) -> bool:
    """Whether a layer is a model, alive or stored."""
    if isinstance(layer, StoredModel):
        return True
    if hasattr(layer, "stored_class"):
        return False
    import keras

    return isinstance(layer, keras.Model)
