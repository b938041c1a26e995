"""Read a Keras model: open it, walk its calls, join what they contribute, name the channels."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any

from edgernn.errors import ShapeError, StreamKindWarning
from edgernn.model.interface import Port, Rate
from edgernn.model.routes import MODEL_INPUT, RoutePart
from edgernn.records.columns import listed
from edgernn_export.float_model.model import FloatLayer, FloatModel, channel_names
from edgernn_export.keras_reader.findings import Context, Findings, class_of, owner_of
from edgernn_export.keras_reader.flat_network import (
    FlatNetwork,
    check_arguments,
    flat_network,
    is_attention,
    is_embedding,
    is_model,
    steps_and_features,
)
from edgernn_export.keras_reader.flows import Flow, check_tokens, unknown
from edgernn_export.keras_reader.graph import Call, CallResult
from edgernn_export.keras_reader.joined_layers import JoinedLayers
from edgernn_export.keras_reader.layers.merging import is_joining, joined
from edgernn_export.keras_reader.layers.operations import is_operation, read_operation
from edgernn_export.keras_reader.layers.readers import (
    ATTENTION,
    JOINING,
    READERS,
    is_shape_only,
    read_layer,
)
from edgernn_export.keras_reader.masking.masks import Masks, is_masking
from edgernn_export.keras_reader.memories import attended, refuse_stateful
from edgernn_export.keras_reader.source import configuration_of, open_model
from edgernn_export.keras_reader.unrolled import late_windows, unrolled


def read_keras(
    source: Any | str | PathLike[str],
    *,
    weights: str | PathLike[str] | None = None,
    input_names: Sequence[str] | None = None,
    input_units: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    output_units: Sequence[str] | None = None,
) -> FloatModel:
    """Read a Keras model.

    Args:
        source: a live keras.Model, or the path of a .keras file or whole-model HDF5 file (Keras 2
            or 3), an architecture in JSON, or a SavedModel directory written by Keras 2. The
            content tells which, not the name; Keras is imported for SavedModels alone.
        weights: path of an HDF5 file with the weights of an architecture; by default a file of its
            name in the same folder, NAME.weights.h5, NAME.h5 or NAME_weights.h5.
        input_names: one per feature; x0, x1, ... by default, of several inputs their names,
            numbered where they have more than one feature.
        input_units: physical units, one per feature; "" by default.
        output_names: one per output; y0, y1, ... by default, or as those of inputs.
        output_units: physical units, one per output; "" by default.

    Returns:
        The float model: scalings folded, activations merged, a final softmax taken off.

    Raises:
        BackendUnavailable: Keras or h5py is not installed.
        FileNotFoundError: there is nothing at the path.
        ShapeError: the number of names or units does not fit.
        UnsupportedModelError: the model holds something edgernn does not execute; the error
            lists everything found.

    Warns:
        StreamKindWarning: the states of the network are its inputs and outputs.
    """
    findings = Findings()
    model, context = open_model(source, Context(findings=findings, keras2=False), weights)
    with configuration_of(getattr(model, "file", None)):
        network = flat_network(model, findings)
        made, outputs, _ = read_calls(model, network, context)
    findings.refuse()
    if network.states_given:
        warnings.warn(
            f"{owner_of(model)}: the network has its states as inputs and returns the next "
            "states as outputs. A session keeps the states itself: pass only the readings, and "
            "it returns only the output.",
            StreamKindWarning,
            stacklevel=2,
        )
    labels = {
        "input_names": input_names,
        "input_units": input_units,
        "output_names": output_names,
        "output_units": output_units,
    }
    return float_model(model, network, made, outputs, labels, findings)


def float_model(
    model: Any,
    network: FlatNetwork,
    made: JoinedLayers,
    outputs: list[Flow],
    labels: Mapping[str, Sequence[str] | None],
    findings: Findings,
) -> FloatModel:
    """The float model of calls that were read.

    Args:
        model: the Keras model, for its name.
        network: its calls.
        made: their layers.
        outputs: what they put out.
        labels: names and units of channels, by the names of the arguments of `read_keras`.
        findings: receives reasons.

    Raises:
        ShapeError: the number of names or units does not fit.
        UnsupportedModelError: there is a reason.
    """
    layers, routes, places = made.network(tuple(part for flow in outputs for part in flow.route))
    grids = [made.grids[place] for place in places]
    inputs = sum((steps_and_features(given) or (0,))[-1] or 0 for given in network.given)
    found = unrolled(layers, routes, grids, outputs[0].grid, inputs, owner_of(model), findings)
    _check_window(model, outputs, made.steps, found.rate, findings)
    findings.refuse()
    given = [
        (given.name, (steps_and_features(given) or (0,))[-1] or 0, False) for given in network.given
    ]
    put_out = [
        (name, flow.width, flow.softmax) for name, flow in zip(network.names, outputs, strict=True)
    ]
    input_ports, output_ports = _ports(given), _ports(put_out)
    width = sum(flow.width for flow in outputs)
    named = channel_names("x", inputs, input_ports), channel_names("y", width, output_ports)
    return FloatModel(
        name=_plain(model.name),
        layers=_with_plain_names(found.layers),
        routes=tuple(found.routes),
        rate=found.rate,
        before=found.before,
        input_names=_texts("input_names", labels.get("input_names"), named[0]),
        input_units=_texts("input_units", labels.get("input_units"), [""] * inputs),
        output_names=_texts("output_names", labels.get("output_names"), named[1]),
        output_units=_texts("output_units", labels.get("output_units"), [""] * width),
        input_ports=input_ports,
        output_ports=output_ports,
        shared=made.uses.shared(places) if found.rate is None else (),
        final_activation="softmax" if any(flow.softmax for flow in outputs) else "linear",
        return_sequences=all(flow.return_sequences for flow in outputs),
        stateful=made.stateful or network.states_given,
        steps=made.steps,
        mask=made.masks.value,
    )


def read_calls(
    model: Any, network: FlatNetwork, context: Context
) -> tuple[JoinedLayers, list[Flow], dict[int, Flow]]:
    """The layers that the calls of a network make, what they put out, what every call gives.

    Args:
        model: the Keras model, for messages.
        network: its calls.
        context: receives reasons.
    """
    findings = context.findings
    flows = _inputs(network)
    shapes = [flow.shape for flow in flows.values() if flow.shape is not None]
    steps = [shape[0] for shape in shapes if len(shape) == 2]
    made = JoinedLayers(
        findings=findings, given_steps=steps[0] if steps else None, masks=Masks(findings=findings)
    )
    keepers: set[int] = set()
    for call in network.calls:
        given = [_result(tensor, flows, findings) for tensor in call.inputs]
        if not is_operation(call.layer) and not is_attention(call):
            check_arguments(call, findings)
        if is_masking(call.layer) and len(given) == 1:
            made.masks.begin(call.layer, given[0], network.given)
            given = [replace(given[0], masked=True)]
        flow = _called(call, given, made, network, context)
        flows[id(call)] = made.masks.after(call, given, flow)
        if getattr(call.layer, "stateful", False):
            _refuse_shared_state(call, keepers, findings)
    for layer in network.beside:
        several = class_of(layer) in (*JOINING, *ATTENTION)
        if not several and not is_model(layer) and not is_operation(layer):
            read_layer(layer, context)
    outputs = [_result(tensor, flows, findings) for tensor in network.outputs]
    if network.outputs:
        made.finish(owner_of(model), outputs)
        for call in network.calls:
            made.masks.check_call(call)
        made.masks.finish(outputs, network.names)
        refuse_stateful(made, owner_of(model))
        _check_outputs(model, network, outputs, findings)
    return made, outputs, flows


def _inputs(network: FlatNetwork) -> dict[int, Flow]:
    """What flows from the inputs, one behind another in the model's input."""
    flows: dict[int, Flow] = {}
    shapes = [None if given.shape is None else steps_and_features(given) for given in network.given]
    steps = {shape[0] for shape in shapes if shape is not None and len(shape) == 2} - {None}
    start = 0
    for given, shape in zip(network.given, shapes, strict=True):
        width = (shape[-1] if shape else None) or 0
        if shape is not None and len(shape) == 2 and len(steps) == 1:
            shape = (next(iter(steps)), width)
        if shape is not None and given.tokens and len(given.shape or ()) == 1:
            shape = shape[:1]
        route = (RoutePart(source=MODEL_INPUT, start=start, width=width),)
        flows[id(given.tensor.call)] = Flow(
            route=route,
            shape=shape,
            tokens=given.tokens,
            last_step_alone=given.last_step_alone,
        )
        start += width
    return flows


def _called(
    call: Call, given: list[Flow], made: JoinedLayers, network: FlatNetwork, context: Context
) -> Flow:
    """What a call makes of what it is given."""
    layer, findings = call.layer, context.findings
    if is_model(layer):  # refused already
        return unknown(owner_of(layer))
    flow = given[0] if given else unknown(owner_of(layer))
    context = replace(context, rank=None if flow.shape is None else len(flow.shape) + 1)
    if not check_tokens(
        findings, owner_of(layer), given, is_embedding(layer), is_shape_only(layer)
    ):
        return unknown(owner_of(layer))
    if is_joining(call):
        return joined(call, given, made, context)
    if is_attention(call):
        return attended(call, given, made, context)
    states = network.states
    known = not given or class_of(layer) in READERS
    if known and len(given) != 1 and not (states and states.takes(call)):
        cure = (states and states.cure(call, findings.wording)) or "Concatenate its inputs."
        findings.add(owner_of(layer), "one input tensor", f"{len(given)}", cure)
    operation = is_operation(layer) and len(given) == 1
    made.uses.owner = id(_with_weights(layer))
    for part in read_operation(call, flow, context) if operation else read_layer(layer, context):
        flow = made.added(flow, part)
    return flow


def _with_weights(layer: Any) -> Any:
    """What has the weights of a layer: itself, its cell, or what it wraps."""
    inner = getattr(layer, "layer", None) or getattr(layer, "cell", None) or layer
    return layer if inner is layer else _with_weights(inner)


def _result(tensor: CallResult, flows: dict[int, Flow], findings: Findings) -> Flow:
    """One of the results of a call: of a recurrent layer, the first of its states is one."""
    flow = flows.get(id(tensor.call), unknown("the input"))
    if tensor.index == 0 or flow.shape is None:
        return flow
    if tensor.index == 1:
        return flow.last_step()
    findings.add(
        owner_of(tensor.call.layer),
        "a network that reads the output of its layers",
        "one that reads the cell state of an LSTM",
        "Train with the hidden state, or the output, instead.",
    )
    return unknown(owner_of(tensor.call.layer))


def _refuse_shared_state(call: Call, keepers: set[int], findings: Findings) -> None:
    """Note a layer that keeps one state for two calls."""
    if id(call.layer) in keepers:
        findings.add(
            owner_of(call.layer),
            "a layer with stateful=True used once",
            "the same layer used twice",
            "Use a second layer with a copy of the weights, or train with stateful=False.",
        )
    keepers.add(id(call.layer))


def _check_outputs(
    model: Any, network: FlatNetwork, outputs: list[Flow], findings: Findings
) -> None:
    """Note what several outputs cannot be."""
    grids = sorted({str(flow.grid) for flow in outputs if flow.shape is not None})
    if len(grids) > 1:
        findings.add(
            owner_of(model),
            "outputs at the same readings",
            "; ".join(grids),
            "Use the same strides, kernel sizes and padding in all branches.",
        )
    named = zip(network.names, outputs, strict=True)
    shapes = {name: flow.shape or () for name, flow in named if name not in network.handed}
    if len({len(shape) for shape in shapes.values() if shape}) > 1:
        got = ", ".join(f"{name} {(None, *shape)}" for name, shape in shapes.items())
        findings.add(
            owner_of(model),
            "outputs at every step, or all at the last step",
            f"outputs of shapes {got}",
            findings.wording.same_outputs,
        )
    for name, flow in zip(network.names, outputs, strict=True):
        if flow.shape is None:
            continue
        what = f"output {name!r}" if len(outputs) > 1 else "the output"
        if any(part.source == MODEL_INPUT for part in flow.route):
            findings.add(
                owner_of(model),
                "outputs that a layer computes",
                f"{what} that is an unchanged input",
                "Remove this output: the caller already has the readings.",
            )
        if flow.softmax and len({part.source for part in flow.route}) > 1:
            findings.add(
                owner_of(model),
                "a softmax over the output of one layer",
                f"{what} over the outputs of several layers",
                findings.wording.identity_before,
            )


def _check_window(
    model: Any, outputs: list[Flow], steps: int | None, rate: Rate | None, findings: Findings
) -> None:
    """Note windows whose last answer comes behind their end."""
    missing = late_windows(steps, rate)
    if missing and not all(flow.return_sequences for flow in outputs):
        findings.add(
            owner_of(model),
            f"windows of {(steps or 0) + missing} readings, {missing} more than its strides use",
            f"windows of {steps}",
            findings.wording.longer_windows.format(steps=(steps or 0) + missing),
        )


def _ports(told: list[tuple[str, int, bool]]) -> tuple[Port, ...]:
    """Ports of these names, widths and kinds; names that come twice are numbered."""
    if len(told) < 2:
        return ()
    ports: list[Port] = []
    for name, width, softmax in told:
        taken = {port.name for port in ports}
        ports.append(Port(name=distinct(name[:200], taken), width=width, softmax=softmax))
    return tuple(ports)


def distinct(base: str, taken: set[str]) -> str:
    """The name itself, or with _2, _3 and so on where it is taken."""
    name, count = base, 1
    while name in taken:
        count += 1
        name = f"{base}_{count}"
    return name


def _texts(owner: str, given: Sequence[str] | None, default: Sequence[str]) -> tuple[str, ...]:
    if given is None:
        return tuple(default)
    if isinstance(given, str) or len(given) != len(default):
        named = f", one for each of {listed(default)}" if all(default) else ""
        option = f"--{owner.replace('_', '-')}"
        raise ShapeError(
            f"{owner}: expected {len(default)} strings{named}, got {given!r:.80}. "
            f"Pass one for each channel ({option})."
        )
    return tuple(given)


def _plain(name: str) -> str:
    """A name of 1..56 letters, digits, '_' or '-', as integer models want it."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name.lstrip("/"))  # ONNX: /encoder/lstm/LSTM
    return plain[:56].lstrip("-") or "layer"


def _with_plain_names(layers: list[FloatLayer]) -> tuple[FloatLayer, ...]:
    """Plain names; a second layer of the same name (nested models) gets _2, then _3."""
    named: list[FloatLayer] = []
    for layer in layers:
        taken = {other.name for other in named}
        named.append(replace(layer, name=distinct(_plain(layer.name), taken)))
    return tuple(named)
