"""The calls of a stored model, from a configuration as Keras 2 or Keras 3 writes it."""

from __future__ import annotations

from typing import Any, Final

from edgernn_export.keras_reader.findings import Findings
from edgernn_export.keras_reader.graph import (
    Call,
    CallResult,
    Given,
    LayerGraph,
    in_a_row,
    tensor_order,
)
from edgernn_export.keras_reader.stored.layer import StoredLayer
from edgernn_export.keras_reader.wording import KERAS, Wording

_SEQUENTIAL: Final = "Sequential"
_FUNCTIONAL: Final = ("Functional", "Model")


class StoredModel(StoredLayer):
    """A Sequential or Functional model of a file.

    Attributes:
        file: name of the file; None where the configuration is not one of Keras.
        layers: layers and nested models in the order of the file, without the inputs of a
            Sequential model.
        network: its calls; None for a custom model class.
        wording: what helps, in the words of its format.
    """

    def __init__(
        self, entry: dict[str, Any], *, keras2: bool, findings: Findings, file: str = ""
    ) -> None:
        """Take over the configuration of a model."""
        self.file: str | None = file
        self.wording = KERAS
        config = entry["config"]
        if isinstance(config, list):  # until Keras 2.2.2 the list of layers was all there is
            config = {"name": "sequential", "layers": config}
        super().__init__(entry | {"config": config}, keras2=keras2, findings=findings)
        self.layers: list[StoredLayer] = []
        self.network: LayerGraph | None = None
        self._input_shape: Any = None
        if self.custom is not None or not isinstance(config.get("layers"), list):
            return
        for item in config["layers"]:
            self._add(item, keras2, findings)
        if self.stored_class == _SEQUENTIAL:
            self._row(config)
        elif self.stored_class in _FUNCTIONAL:
            self.network = _network(config, self.layers)

    @classmethod
    def of(cls, name: str, origin: str, network: LayerGraph, wording: Wording) -> StoredModel:
        """The model of calls of described layers, from another format than those of Keras.

        Args:
            name: of the network.
            origin: how reasons name it; it holds the name in single quotes.
            network: its calls.
            wording: what helps, in the words of the format.
        """
        config = {"name": name, "layers": None}
        entry = {"class_name": _FUNCTIONAL[0], "config": config, "module": "keras"}
        made = cls(entry | {"origin": origin}, keras2=False, findings=Findings())
        made.file, made.network, made.wording = None, network, wording
        return made

    def all_layers(self) -> list[StoredLayer]:
        """All layers but inputs, those of nested models among them."""
        found: list[StoredLayer] = []
        for layer in self.layers:
            found += layer.all_layers() if isinstance(layer, StoredModel) else [layer]
        return [layer for layer in found if layer.stored_class != "InputLayer"]

    def _add(self, item: dict[str, Any], keras2: bool, findings: Findings) -> None:
        model = item["class_name"] in (_SEQUENTIAL, *_FUNCTIONAL)
        made = (StoredModel if model else StoredLayer)(item, keras2=keras2, findings=findings)
        if made.stored_class == "InputLayer":
            shape = _shape(item["config"])
            made.config |= {"shape": shape[1:]}
        elif not self.layers and _shape(item["config"]) is not None:
            self._input_shape = _shape(item["config"])
        self.layers.append(made)

    def _row(self, config: dict[str, Any]) -> None:
        layers = list(self.layers)
        if layers and layers[0].stored_class == "InputLayer":
            given = _given(layers[0])
        else:
            shape = self._input_shape or config.get("build_input_shape")
            if shape is None and layers and isinstance(layers[0], StoredModel):
                inner = layers[0].network
                shape = (None, *inner.given[0].shape) if inner and inner.given[0].shape else None
            given = Given(
                tensor=CallResult(call=Call(layer=None), index=0),
                shape=tuple(shape[1:]) if isinstance(shape, (list, tuple)) else None,
                dtype="float32",
            )
        self.layers = [layer for layer in layers if layer.stored_class != "InputLayer"]
        self.network = in_a_row(given, self.layers)


def _shape(config: dict[str, Any]) -> Any:
    return config.get("batch_shape") or config.get("batch_input_shape")


def _given(layer: StoredLayer, call: Call | None = None, name: str = "") -> Given:
    call = call or Call(layer=layer)
    kind = next((key for key in ("sparse", "ragged") if layer.config.get(key)), None)
    dtype = layer.dtype_policy.name
    return Given(
        tensor=CallResult(call=call, index=0),
        shape=tuple(layer.config["shape"]),
        dtype=f"{kind} {dtype}" if kind else dtype,
        name=name,
    )


def _names(value: Any, calls: Calls) -> tuple[str, ...]:
    """The keys of a dictionary of tensors, or the names of what gives them."""
    tensors = _tensors(value, calls)
    if isinstance(value, dict) and len(value) == len(tensors):
        return tuple(sorted(value))
    return tuple(tensor.call.layer.name for tensor in tensors)


def _network(config: dict[str, Any], layers: list[StoredLayer]) -> LayerGraph:
    """The calls of a Functional model."""
    calls = Calls()
    nodes: list[tuple[Call, Any]] = []
    for layer, item in zip(layers, config["layers"], strict=True):
        for node in item["inbound_nodes"] or [[]]:
            nodes.append((Call(layer=layer), node))
            calls.setdefault(layer.name, []).append(nodes[-1][0])
    calls.number([[node for _, node in nodes], config["output_layers"]])
    for call, node in nodes:
        tensors, call.arguments = _inputs(node, calls)
        call.inputs = tuple(tensors)
        masks = _tensors(node["kwargs"].get("mask"), calls) if isinstance(node, dict) else []
        call.mask = masks[0] if masks else None
    named = zip(
        _names(config["input_layers"], calls), _tensors(config["input_layers"], calls), strict=True
    )
    given = [_given(tensor.call.layer, tensor.call, name) for name, tensor in named]
    starts = {id(entry.tensor.call) for entry in given}
    return LayerGraph(
        given=tuple(given),
        outputs=tuple(_tensors(config["output_layers"], calls)),
        output_names=_names(config["output_layers"], calls),
        calls=tuple(
            call
            for call, _ in nodes
            if id(call) not in starts and call.layer.stored_class != "InputLayer"
        ),
    )


class Calls(dict[str, list[Call]]):
    """The calls of every layer by its name, in order."""

    def __init__(self) -> None:
        """Begin without calls."""
        super().__init__()
        #: The largest number that a file gives a call, by layer.
        self.highest: dict[str, int] = {}

    def number(self, value: Any) -> None:
        """Take note of the numbers of all calls in a nested value."""
        if isinstance(value, dict):
            value = list(value.values())
        if not isinstance(value, (list, tuple)):
            return
        if [type(part) for part in value[:3]] == [str, int, int] and value[0] in self:
            self.highest[value[0]] = max(value[1], self.highest.get(value[0], 0))
        for item in value:
            self.number(item)


def _call(calls: Calls, name: str, index: int) -> Call:
    """A call by the number that a file gives it.

    A Functional model inside another counts from 1 in some files: its making was its first call.
    """
    found = calls[name]
    if not isinstance(found[0].layer, StoredModel):
        return found[index]
    from_one = calls.highest.get(name, 0) >= len(found)
    return found[0] if len(found) == 1 else found[index - from_one]


def _inputs(node: Any, calls: Calls) -> tuple[list[CallResult], dict[str, Any]]:
    """Tensors of a call in order, and the other arguments by name."""
    arguments: dict[str, Any] = {}
    if isinstance(node, dict):  # Keras 3
        named = node["kwargs"]
        given = [*enumerate(node["args"], 1), *named.items()]
        ordered = [*node["args"], *(named[name] for name in tensor_order(named))]
        tensors = [tensor for value in ordered for tensor in _tensors(value, calls)]
        for key, value in given:
            if not _tensors(value, calls):
                arguments[f"argument {key}" if isinstance(key, int) else key] = value
        return tensors, arguments
    tensors = []
    for name, index, result, *more in node:
        tensors.append(CallResult(call=_call(calls, name, index), index=result))
        for key, value in (more[0] if more else {}).items():
            found = _tensors(value, calls)
            tensors += found
            if not found:
                arguments[key] = value
    return tensors, arguments


def _tensors(value: Any, calls: Calls) -> list[CallResult]:
    """All tensors in a nested value: [layer, call, result], bare or in a __keras_tensor__."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            return _tensors(value["config"]["keras_history"], calls)
        # Keras takes the tensors of a dictionary in the order of their names.
        return [tensor for _, item in sorted(value.items()) for tensor in _tensors(item, calls)]
    if not isinstance(value, (list, tuple)):
        return []
    if [type(part) for part in value] == [str, int, int] and value[0] in calls:
        return [CallResult(call=_call(calls, value[0], value[1]), index=value[2])]
    return [tensor for item in value for tensor in _tensors(item, calls)]
