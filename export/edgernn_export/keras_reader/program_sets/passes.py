"""Networks that read chunks in both directions: each pass becomes a program; and any network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from types import MappingProxyType
from typing import Any, Final

from edgernn.model.program_sets.passes import CHUNK_INPUT, Pass, PassDirection, Read
from edgernn.model.routes import MODEL_INPUT
from edgernn_export.float_model.model import FloatModel
from edgernn_export.float_model.program_sets.chunks import FloatChunks
from edgernn_export.float_model.program_sets.programs import FloatPrograms
from edgernn_export.float_model.sharing import shared_by_programs
from edgernn_export.keras_reader.findings import Context, Findings, class_of, owner_of
from edgernn_export.keras_reader.flat_network import (
    FlatNetwork,
    check_inputs,
    is_attention,
    steps_and_features,
    walked,
)
from edgernn_export.keras_reader.flows import Flow
from edgernn_export.keras_reader.graph import Call, CallResult, Given
from edgernn_export.keras_reader.joined_layers import JoinedLayers
from edgernn_export.keras_reader.layers.config import is_builtin
from edgernn_export.keras_reader.program_sets import calls_in, set_name, uses_of, with_own_states
from edgernn_export.keras_reader.program_sets.directions import (
    DirectedPass,
    directed,
    has_directions,
)
from edgernn_export.keras_reader.program_sets.halves import BIDIRECTIONAL
from edgernn_export.keras_reader.program_sets.programs import begins_elsewhere, read_programs
from edgernn_export.keras_reader.reader import distinct, float_model, read_calls, read_keras
from edgernn_export.keras_reader.source import configuration_of, open_model
from edgernn_export.keras_reader.states import starts_of
from edgernn_export.keras_reader.stored.layer import StoredLayer
from edgernn_export.keras_reader.stored.network import StoredModel

#: Layers that pool all steps of a window.
_POOLING: Final = ("GlobalAveragePooling1D", "GlobalMaxPooling1D")
#: What the readings are called beside values of other passes, where the input has no name.
_READINGS = "readings"

_Labels = Mapping[str, Sequence[str] | None]


@dataclass(slots=True, kw_only=True, eq=False)
class _Read:
    """A pass that was read.

    Attributes:
        network: its calls.
        made: their layers.
        outputs: what it gives.
        reads: what its input is.
    """

    network: FlatNetwork
    made: JoinedLayers
    outputs: list[Flow]
    reads: tuple[Read, ...]


def has_passes(
    source: Any | str | PathLike[str], *, weights: str | PathLike[str] | None = None
) -> bool:
    """Whether a network reads its steps backward, so that it answers whole chunks.

    Args:
        source: as for `read_keras`.
        weights: as there.
    """
    return has_directions(calls_in(source, weights).calls)


def read_passes(
    source: Any | str | PathLike[str],
    *,
    weights: str | PathLike[str] | None = None,
    labels: _Labels = MappingProxyType({}),
) -> FloatChunks:
    """Read a Keras model with Bidirectional layers, or layers with go_backwards=True.

    Args:
        source: as for `read_keras`.
        weights: as there.
        labels: ``input_names``, ``input_units``, ``output_names`` and ``output_units``, as there.

    Returns:
        The passes, in the order in which they are run: ``forward1``, ``backward1`` and so on.

    Raises:
        ShapeError: the number of names or units does not fit.
        UnsupportedModelError: the model holds something edgernn does not execute; the error
            lists everything found.
    """
    findings = Findings()
    model, context = open_model(source, Context(findings=findings, keras2=False), weights)
    context = replace(context, directed=True)
    with configuration_of(getattr(model, "file", None)):
        flat, _ = walked(model, findings)
        _check(model, flat, findings)
        passes = directed(flat, owner_of(model), findings)
        names = _names(passes)
        read: list[_Read] = []
        for index in range(len(passes)):
            read.append(_one(model, flat, passes, names, read, index, context))
    for network in (one.network for one in read):
        network.beside = []
    findings.refuse()
    programs: list[FloatModel] = []
    uses = {}
    for name, one in zip(names, read, strict=True):
        told = _labels(labels, one, programs, last=len(programs) == len(read) - 1)
        made = float_model(model, one.network, one.made, one.outputs, told, findings)
        programs.append(with_own_states(replace(made, name=name), programs))
        uses[name] = uses_of(one.made, one.outputs)
    _check_rates(model, programs, findings)
    findings.refuse()
    (given,) = flat.given
    shape = steps_and_features(given)
    return FloatChunks(
        name=set_name(model.name),
        programs=tuple(programs),
        passes=tuple(
            Pass(program=name, direction=one.direction, reads=done.reads)
            for name, one, done in zip(names, passes, read, strict=True)
        ),
        sequence=all(
            len(flow.shape or ()) == 2 and not flow.last_step_alone for flow in read[-1].outputs
        ),
        steps=shape[0] if len(shape) == 2 else None,
        shared=shared_by_programs(uses),
    )


def read_whole(
    source: Any | str | PathLike[str],
    *,
    weights: str | PathLike[str] | None = None,
    labels: _Labels = MappingProxyType({}),
) -> FloatModel | FloatChunks | FloatPrograms:
    """Read a Keras model, or what another format made of one, whatever its streams.

    Args:
        source: as for `read_keras`, or the StoredModel of another format.
        weights: as there.
        labels: ``input_names`` and so on, as there; of programs they are not used.

    Returns:
        Programs where recurrent layers begin with what others compute, chunks where it reads its
        steps backward too, else a model.

    Raises:
        BackendUnavailable, FileNotFoundError, ShapeError, UnsupportedModelError: as `read_keras`.
    """
    flat = calls_in(source, weights)
    if begins_elsewhere(flat):
        return read_programs(source, weights=weights)
    if has_directions(flat.calls):
        return read_passes(source, weights=weights, labels=labels)
    return read_keras(source, weights=weights, **labels)


def read_described(model: StoredModel, labels: _Labels) -> FloatModel | FloatChunks:
    """Read what another format made: a model, or chunks where it reads its steps backward too.

    Args:
        model: calls of described layers.
        labels: ``input_names`` and so on, as for `read_keras`.

    Raises:
        ShapeError, UnsupportedModelError: as `read_keras`.
    """
    if has_passes(model):
        return read_passes(model, labels=labels)
    return read_keras(model, weights=None, **labels)


def _check(model: Any, flat: FlatNetwork, findings: Findings) -> None:
    """Note what no network over chunks is."""
    if starts_of(flat.calls, flat.given):
        findings.add(
            owner_of(model),
            "recurrent layers that start from the zero state, next to Bidirectional",
            "a network with initial_state",
            findings.wording.forward_encoder,
        )
    for call in flat.calls:
        if is_attention(call):
            findings.add(
                owner_of(call.layer),
                "attention in a network that reads its steps forward alone",
                "attention next to layers that read them backward",
                "Train without Bidirectional and go_backwards.",
            )
        halves: tuple[Any, ...] = (call.layer,)
        if class_of(call.layer) == BIDIRECTIONAL and is_builtin(call.layer):
            halves = call.layer.forward_layer, call.layer.backward_layer
        if class_of(call.layer) in _POOLING and is_builtin(call.layer):
            findings.add(
                owner_of(call.layer),
                "a network that reads forward alone before a pooling over all steps",
                "one that reads chunks, of any length, in both directions",
                findings.wording.forward_pooling,
            )
        if any(getattr(one, "stateful", False) for one in halves):
            findings.add(
                owner_of(call.layer),
                "stateful=False",
                "stateful=True",
                "Every chunk starts from the zero state: train with stateful=False.",
            )
        masks = class_of(call.layer) == "Masking" or getattr(call.layer, "mask_zero", False)
        if masks and is_builtin(call.layer):
            findings.add(
                owner_of(call.layer),
                "no mask in a network that answers whole chunks",
                "one" if class_of(call.layer) == "Masking" else "mask_zero=True",
                "Build the model without it, copy the weights, and pass chunks of different "
                "lengths without padding: the answers are those of masked padding at the end.",
            )
    if len(flat.given) != 1:
        findings.add(
            owner_of(model),
            "one input of a network that reads backward",
            f"{len(flat.given)}",
            "Concatenate the inputs into one before the model and split it with slices inside.",
        )
    check_inputs(model, flat, findings)


def _names(passes: Sequence[DirectedPass]) -> list[str]:
    """Names of the programs: the direction, and a number within it."""
    counts = dict.fromkeys(PassDirection, 0)
    names = []
    for one in passes:
        counts[one.direction] += 1
        names.append(f"{one.direction.value}{counts[one.direction]}")
    return names


def _one(
    model: Any,
    flat: FlatNetwork,
    passes: Sequence[DirectedPass],
    names: Sequence[str],
    read: Sequence[_Read],
    index: int,
    context: Context,
) -> _Read:
    """Read the calls of one pass, those before it having been read."""
    one = passes[index]
    given: list[Given] = []
    reads: list[Read] = []
    inputs = {id(entry.tensor.call) for entry in flat.given}
    tensors = [*(t for call in one.calls for t in call.inputs), *one.results]
    if any(id(tensor.call) in inputs for tensor in tensors):
        given += [replace(entry, name=entry.name or _READINGS) for entry in flat.given[:1]]
        reads.append(Read(source=CHUNK_INPUT))
    for (source, tensor), own in zip(one.given, one.inputs, strict=True):
        earlier = read[source]
        place = next(
            place
            for place, other in enumerate(passes[source].needed)
            if other.call is tensor.call and other.index == tensor.index
        )
        flow, port = earlier.outputs[place], earlier.network.names[place]
        shape = flow.shape or (0,)
        reads.append(
            Read(
                source=names[source],
                value=port if len(earlier.outputs) > 1 else "output",
                last=len(shape) == 1 or flow.last_step_alone,
            )
        )
        name = f"{names[source]}_{port}"
        given.append(
            Given(
                tensor=own,
                shape=shape,
                dtype="float32",
                name=name,
                last_step_alone=flow.last_step_alone,
            )
        )
    final = index == len(passes) - 1
    ports = list(flat.names) if final else _ports(one)
    network = FlatNetwork(
        given=tuple(given),
        outputs=tuple(one.results),
        names=tuple(ports),
        handed=() if final else tuple(ports),
        calls=list(one.calls),
        beside=flat.beside if final else [],
    )
    made, outputs = _made(model, network, context, final)
    return _Read(network=network, made=made, outputs=outputs, reads=tuple(reads))


def _made(
    model: Any, network: FlatNetwork, context: Context, final: bool
) -> tuple[JoinedLayers, list[Flow]]:
    """The layers of a pass; an answer that an earlier pass gave goes through a separate layer."""
    if final:
        trial = replace(context, findings=Findings())
        _, outputs, _ = read_calls(model, network, trial)
        copied = []
        for tensor, flow in zip(network.outputs, outputs, strict=True):
            if any(part.source == MODEL_INPUT for part in flow.route):
                call = Call(layer=_copy(network), inputs=(tensor, tensor))
                network.calls.append(call)
                tensor = CallResult(call=call, index=0)
            copied.append(tensor)
        network.outputs = tuple(copied)
    made, outputs, _ = read_calls(model, network, context)
    return made, outputs


def _copy(network: FlatNetwork) -> StoredLayer:
    """A layer that gives what it reads twice: the maximum of both."""
    taken = {str(getattr(call.layer, "name", "")) for call in network.calls}
    config = {"name": distinct("output", taken), "trainable": True, "dtype": None}
    entry = {"class_name": "Maximum", "config": config, "module": "keras.layers"}
    return StoredLayer(entry, keras2=False, findings=Findings())


def _ports(one: DirectedPass) -> list[str]:
    """Names of the values that later passes read."""
    ports: list[str] = []
    for tensor in one.needed:
        name = str(getattr(tensor.call.layer, "name", "")) or "value"
        ports.append(distinct(f"{name}_last" if tensor.index else name, set(ports)))
    return ports


def _labels(labels: _Labels, one: _Read, programs: Sequence[FloatModel], last: bool) -> _Labels:
    """Names and units of the channels of a pass: the readings' and the answer's are the user's."""
    told = {key: value for key, value in labels.items() if last and key.startswith("output")}
    if not programs:
        return told | {key: value for key, value in labels.items() if key.startswith("input")}
    names: list[str] = []
    units: list[str] = []
    for given, read in zip(one.network.given, one.reads, strict=True):
        if read.source == CHUNK_INPUT:
            names += programs[0].input_names
            units += programs[0].input_units
            continue
        width = (steps_and_features(given) or (0,))[-1] or 0
        names += [f"{given.name}[{index}]" for index in range(width)]
        units += [""] * width
    return told | {"input_names": names, "input_units": units}


def _check_rates(model: Any, programs: Sequence[FloatModel], findings: Findings) -> None:
    for program in programs:
        if program.rate is not None:
            findings.add(
                owner_of(model),
                "one output per reading in a network that reads backward",
                f"{program.name}, which gives {program.rate}",
                findings.wording.unit_strides,
            )
