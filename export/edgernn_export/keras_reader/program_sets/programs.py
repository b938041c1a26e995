"""Networks of several streams from Keras: each stream is a program, and states are passed on.

An encoder's states, or values computed from them, are the `initial_state` of a decoder. Such a
network consists of parts without other connections: each has its own inputs and steps.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import Any

from edgernn.model.interface import Port
from edgernn_export.float_model.model import FloatModel, channel_names
from edgernn_export.float_model.program_sets.programs import (
    FloatAnswer,
    FloatHandover,
    FloatPrograms,
)
from edgernn_export.float_model.sharing import shared_by_programs
from edgernn_export.keras_reader.findings import Context, Findings, owner_of
from edgernn_export.keras_reader.flat_network import (
    FlatNetwork,
    check_inputs,
    is_attention,
    steps_and_features,
    walked,
)
from edgernn_export.keras_reader.flows import Flow
from edgernn_export.keras_reader.graph import Call, CallResult
from edgernn_export.keras_reader.joined_layers import JoinedLayers
from edgernn_export.keras_reader.memories import (
    fills,
    link_of,
    linked,
    memory_handovers,
    with_filler,
)
from edgernn_export.keras_reader.program_sets import set_name, uses_of, with_own_states
from edgernn_export.keras_reader.reader import float_model, read_calls
from edgernn_export.keras_reader.source import configuration_of, open_model
from edgernn_export.keras_reader.states import (
    Start,
    read_elsewhere,
    refuse_own_starts,
    starts_of,
    state_count,
    stream_of,
)

#: What a pair of programs is called of which one hands over to the other.
PAIR = ("encode", "decode")


@dataclass(slots=True, kw_only=True, eq=False)
class _Part:
    """Connected calls, and the tensors that they pass on.

    Attributes:
        network: the calls.
        name: of the program.
        given: for each tensor that is passed on, the call and state, or the output's name.
    """

    network: FlatNetwork
    name: str = ""
    given: dict[tuple[int, int], tuple[Call, int] | str] = field(default_factory=dict)


def begins_elsewhere(flat: FlatNetwork) -> bool:
    """Whether recurrent layers of a network begin with what others compute.

    Args:
        flat: its calls, as `calls_in` finds them.
    """
    starts = starts_of(flat.calls, flat.given)
    return bool(starts or read_elsewhere(flat.calls, starts, is_attention))


def read_programs(
    source: Any | str | PathLike[str], *, weights: str | PathLike[str] | None = None
) -> FloatPrograms:
    """Read a Keras model of several streams, as an encoder and a decoder.

    If one of two programs passes states to the other, they are called encode and decode, others
    after their inputs.

    Args:
        source: as for `read_keras`: a model with recurrent layers whose `initial_state` others
            compute, or with attention to the steps of another stream.
        weights: as there.

    Returns:
        The programs, in the order in which they are run.

    Raises:
        UnsupportedModelError: the model holds something edgernn does not execute; the error
            lists everything found.
    """
    findings = Findings()
    model, context = open_model(source, Context(findings=findings, keras2=False), weights)
    with configuration_of(getattr(model, "file", None)):
        flat, _ = walked(model, findings)
        starts = starts_of(flat.calls, flat.given)
        links = {id(c): linked(c) for c in read_elsewhere(flat.calls, starts, is_attention)}
        flat.calls = [one for c in flat.calls for one in with_filler(c, links)]
        refuse_own_starts(flat.calls, starts, findings)
        parts = _parts(flat, starts)
        _check(model, flat, starts, parts, findings)
        findings.refuse()
        parts = _named(_in_order(model, parts, starts, findings))
        findings.refuse()
        read = [_read(model, part, context) for part in parts]
    findings.refuse()
    programs: list[FloatModel] = []
    places: dict[int, int] = {}
    remembering: dict[int, tuple[str, int]] = {}
    uses = {}
    answers: dict[str, FloatAnswer] = {}
    for part, (made, outputs, flows) in zip(parts, read, strict=True):
        labels = {"input_names": _channels(part)}
        program = float_model(model, part.network, made, outputs, labels, findings)
        programs.append(with_own_states(replace(program, name=part.name), programs))
        uses[part.name] = uses_of(made, outputs)
        several = len(outputs) > 1
        for name, flow in zip(part.network.names, outputs, strict=True):
            answers[name] = FloatAnswer(
                program=part.name,
                port=name if several else "",
                every_step=flow.return_sequences,
            )
        for name in part.network.handed:
            del answers[name]
        kept, _, _ = made.network(tuple(p for flow in outputs for p in flow.route))
        for place, layer in enumerate(kept):
            remembering[id(layer)] = part.name, place
        for key, flow in flows.items():
            for place, layer in enumerate(kept):
                if flow.route and layer is made.layers[flow.route[0].source]:
                    places[key] = place
    _check_rates(model, programs, findings)
    findings.refuse()
    return FloatPrograms(
        name=set_name(model.name),
        programs=tuple(programs),
        handovers=(
            *_handovers(parts, starts, places),
            *memory_handovers([link for link in links.values() if link.reading], remembering),
        ),
        inputs=tuple(tuple(given.name for given in part.network.given) for part in parts),
        given=tuple(given.name for given in flat.given),
        answers=tuple(answers[name] for name in flat.names),
        shared=shared_by_programs(uses),
    )


def _parts(flat: FlatNetwork, starts: Sequence[Start]) -> list[_Part]:
    """Calls that are connected by more than initial states."""
    find = stream_of(flat.calls, starts)
    for start in starts:
        start.call.inputs = start.call.inputs[:1]
    parts: dict[int, _Part] = {}
    for call in flat.calls:
        parts.setdefault(find(call), _Part(network=FlatNetwork())).network.calls.append(call)
    for key, part in parts.items():
        network = part.network
        network.given = tuple(g for g in flat.given if find(g.tensor.call) == key)
        mains = [
            (tensor, name)
            for tensor, name in zip(flat.outputs, flat.names, strict=True)
            if find(tensor.call) == key
        ]
        network.outputs = tuple(tensor for tensor, _ in mains)
        network.names = tuple(name for _, name in mains)
        for start in starts:
            if find(start.tensor.call) == key:
                _give(part, start.tensor)
        for call in network.calls:
            if fills(call):
                _put_out(network, call)
        _put_out_states(part)
    return list(parts.values())


def _give(part: _Part, tensor: CallResult) -> None:
    """Let a part pass on a tensor: a state directly, anything else as an output."""
    key = id(tensor.call), tensor.index
    if key in part.given:
        return
    states = state_count(tensor.call.layer)
    if states and (tensor.index or not getattr(tensor.call.layer, "return_sequences", False)):
        part.given[key] = tensor.call, max(tensor.index - 1, 0)
        return
    network = part.network
    for output, name in zip(network.outputs, network.names, strict=True):
        if output.call is tensor.call and output.index == tensor.index:
            part.given[key] = name
            return
    name = str(getattr(tensor.call.layer, "name", "")) or "state"
    while name in network.names:
        name += "_"
    part.given[key] = name
    network.outputs = (*network.outputs, tensor)
    network.names = (*network.names, name)
    network.handed = (*network.handed, name)


def _put_out(network: FlatNetwork, call: Call) -> None:
    """Let what nothing else needs be an output."""
    name = f"{getattr(call.layer, 'name', 'attention')}_memory"
    while name in network.names:
        name += "_"
    network.outputs = (*network.outputs, CallResult(call=call, index=0))
    network.names = (*network.names, name)
    network.handed = (*network.handed, name)


def _put_out_states(part: _Part) -> None:
    """Layers that pass on a state and lead to no output are outputs themselves."""
    network = part.network
    needed: set[int] = set()

    def need(call: Call) -> None:
        if id(call) not in needed:
            needed.add(id(call))
            for tensor in call.inputs:
                need(tensor.call)

    for tensor in network.outputs:
        need(tensor.call)
    handing = {id(value[0]) for value in part.given.values() if not isinstance(value, str)}
    for call in reversed(network.calls):
        if id(call) in handing and id(call) not in needed:
            index = int(bool(getattr(call.layer, "return_state", False)))
            network.outputs = (CallResult(call=call, index=index), *network.outputs)
            network.names = (str(call.layer.name), *network.names)
            network.handed = (*network.handed, str(call.layer.name))
            need(call)


def _check(
    model: Any,
    flat: FlatNetwork,
    starts: Sequence[Start],
    parts: Sequence[_Part],
    findings: Findings,
) -> None:
    """Note what no programs are."""
    if not starts and not any(fills(call) for call in flat.calls):
        findings.add(
            owner_of(model),
            "recurrent layers whose initial_state other layers compute, or attention to another "
            "stream",
            "none",
            "Read it as one network: edgernn_export.quantize.",
        )
    for start in starts:
        given = [one.name for one in flat.given if one.tensor.call is start.tensor.call]
        if given:
            findings.add(
                owner_of(start.call.layer),
                "initial states that are all computed by layers of another stream",
                f"the input {given[0]!r} for one of them",
                "Compute it in the encoder too, for example with a Dense layer.",
            )
    for part in parts:
        if not part.network.given:
            findings.add(
                owner_of(model),
                "an input for every stream",
                f"none for {owner_of(part.network.calls[0].layer)}",
                "Add a keras.Input for it.",
            )


def _of(parts: Sequence[_Part], call: Call) -> _Part | None:
    return next((p for p in parts if any(call is one for one in p.network.calls)), None)


def _in_order(
    model: Any, parts: Sequence[_Part], starts: Sequence[Start], findings: Findings
) -> list[_Part]:
    """Parts after all parts that pass something to them; parts without an effect are omitted."""
    needs: dict[int, set[int]] = {id(part): set() for part in parts}
    for start in starts:
        taker, giver = _of(parts, start.call), _of(parts, start.tensor.call)
        if taker is not None and giver is not None:
            needs[id(taker)].add(id(giver))
    for part in parts:
        for call in part.network.calls:
            link = link_of(call)
            source = None if link is None or call is link.filler else _of(parts, link.filler)
            if source is not None:
                needs[id(part)].add(id(source))
    waiting, ordered = list(parts), list[_Part]()
    done: set[int] = set()
    while waiting:
        ready = [part for part in waiting if needs[id(part)] <= done]
        if not ready:
            findings.add(
                owner_of(model),
                "streams that each start from the states of earlier ones",
                "streams that start from each other's states",
                "Train with an encoder that passes its states to a decoder, in one direction.",
            )
            return list(parts)
        ordered += ready
        done |= {id(part) for part in ready}
        waiting = [part for part in waiting if id(part) not in done]
    return [part for part in ordered if part.network.outputs]


def _named(parts: list[_Part]) -> list[_Part]:
    """Names of programs: encode and decode, or those of the first input of each."""
    pair = len(parts) == len(PAIR)
    for number, part in enumerate(parts):
        plain = re.sub(r"[^A-Za-z0-9_]", "_", part.network.given[0].name)[:24]
        name = PAIR[number] if pair else plain
        if not re.match("[A-Za-z]", name):
            name = f"program_{name or number}"
        taken = {other.name for other in parts[:number]}
        while name in taken:
            name += "_"
        part.name = name
    return parts


def _read(
    model: Any, part: _Part, context: Context
) -> tuple[JoinedLayers, list[Flow], dict[int, Flow]]:
    network = part.network
    check_inputs(model, network, context.findings)
    made, outputs, flows = read_calls(model, network, context)
    if made.masks.value is not None:
        context.findings.add(
            made.masks.source,
            "programs without a mask",
            "one that masks readings",
            "Build the network without it (mask_zero=False), copy the weights and pass streams "
            "without padding.",
        )
    for tensor, name, flow in zip(network.outputs, network.names, outputs, strict=True):
        if flow.softmax and name in part.given.values():
            context.findings.add(
                owner_of(tensor.call.layer),
                "a state that starts from the input of a softmax",
                "a state that starts from its probabilities",
                "Train with tanh or sigmoid instead, or pass the logits: integer models have "
                "no softmax.",
            )
    return made, outputs, flows


def _channels(part: _Part) -> tuple[str, ...] | None:
    """Names of channels after their input, which distinguishes those of several programs."""
    widths = [(steps_and_features(given) or (0,))[-1] or 0 for given in part.network.given]
    named = zip(part.network.given, widths, strict=True)
    ports = [Port(name=given.name or part.name, width=width) for given, width in named]
    return channel_names("x", sum(widths), ports) if len(ports) == 1 else None


def _check_rates(model: Any, programs: Sequence[Any], findings: Findings) -> None:
    for program in programs:
        if program.rate is not None:
            findings.add(
                owner_of(model),
                "programs with one output per reading",
                f"{program.name}, which gives {program.rate}",
                "Train with strides=1 and padding='causal'.",
            )


def _handovers(
    parts: Sequence[_Part], starts: Sequence[Start], places: dict[int, int]
) -> Iterator[FloatHandover]:
    for start in starts:
        taker, giver = _of(parts, start.call), _of(parts, start.tensor.call)
        if taker is None or giver is None or id(start.call) not in places:
            continue  # it leads to no output
        handed = FloatHandover(
            program=taker.name,
            layer=places[id(start.call)],
            state=start.state,
            source=giver.name,
        )
        given = giver.given[id(start.tensor.call), start.tensor.index]
        if isinstance(given, str):
            yield replace(handed, port=given if len(giver.network.outputs) > 1 else "")
        else:
            call, state = given
            yield replace(handed, source_layer=places[id(call)], source_state=state)
