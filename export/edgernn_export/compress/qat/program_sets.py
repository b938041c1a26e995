"""Networks of several programs under training: passes over a chunk, an encoder and a decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras import ops

from edgernn.model.border.channels import OutputSpec
from edgernn.model.program_sets.passes import CHUNK_INPUT, PassDirection
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.compress.qat.integer_side.plan import TrainingPlan
from edgernn_export.compress.qat.links import HandedOver, PassReads
from edgernn_export.compress.qat.network import (
    LayerNames,
    TrainedNetwork,
    inputs_of,
    quantized,
)
from edgernn_export.float_model.program_sets.programs import FloatPrograms

#: Inputs and outputs of a Keras model, in their order.
Ends = tuple[list[Any], list[Any]]


def chunk_network(plans: Sequence[TrainingPlan], made: ProgramSet, axes: Mapping[str, int]) -> Ends:
    """The inputs and outputs of passes over a chunk.

    Args:
        plans: of the passes, in their order.
        made: the integer programs.
        axes: by the name of each input, how many it has behind that of the batch.
    """
    assert made.chunk is not None  # it is the plan of the passes
    names = LayerNames()
    given = inputs_of(plans[0].trained, list(axes.values()))
    codes = quantized(plans[0], given, names, made)
    earlier: dict[str, tuple[OutputSpec, PassDirection]] = {}
    done: dict[str, Any] = {}
    for plan, one in zip(plans, made.chunk.passes, strict=True):
        program = one.program
        sources = [done[read.source] for read in one.reads if read.source != CHUNK_INPUT]
        layer = PassReads(one, earlier, made.precision, name=names.of(program, f"{program}_reads"))
        network = TrainedNetwork(plan, layer([codes, *sources]), names)
        done[program] = network.codes()
        earlier[program] = plan.integer.output, one.direction
    answer = done[program]
    if made.chunk.sequence and one.direction is PassDirection.BACKWARD:
        answer = ops.flip(answer, axis=1)
    return given, network.outputs(answer)


def program_network(
    source: FloatPrograms,
    plans: Sequence[TrainingPlan],
    made: ProgramSet,
    axes: Mapping[str, int],
) -> Ends:
    """The inputs and outputs of programs that pass on states.

    Args:
        source: the float programs.
        plans: of the programs, in their order.
        made: the integer programs.
        axes: as of `chunk_network`.
    """
    names = LayerNames()
    asked = {h.value for h in made.handovers if made.output_slice(h) is None}
    inputs: dict[str, Any] = {}
    answers: dict[tuple[str, str], Any] = {}
    networks: dict[str, TrainedNetwork] = {}
    outputs: dict[str, Any] = {}
    for plan, own in zip(plans, source.inputs, strict=True):
        program = plan.integer.name
        given = inputs_of(plan.trained, [axes[name] for name in own], name=own[0])
        inputs |= dict(zip(own, given, strict=True))
        begun = {}
        for handover in made.handovers_to(program):
            cut = made.output_slice(handover)
            left = networks[handover.source].states if cut is None else outputs
            layer = HandedOver(
                made.shift(handover), cut, name=names.of(program, f"{handover.state}_taken")
            )
            begun[handover.state] = layer(left[handover.value if cut is None else handover.source])
        codes = quantized(plan, given, names, made)
        networks[program] = TrainedNetwork(plan, codes, names, begun=begun, asked=asked)
        outputs[program] = networks[program].codes()
        if any(answer.program == program for answer in source.answers):
            ports = [port.name for port in plan.trained.output_ports] or [""]
            found = networks[program].outputs(outputs[program])
            answers |= {(program, port): y for port, y in zip(ports, found, strict=True)}
    order = source.given or tuple(name for own in source.inputs for name in own)
    return [inputs[name] for name in order], [
        answers[answer.program, answer.port] for answer in source.answers
    ]
