"""Quantize networks of several streams, such as an encoder and a decoder, as programs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgernn.errors import (
    CalibrationError,
    DepartureWarning,
    EdgeRnnWarning,
    LongMemoryWarning,
    QuantizationError,
    SaturationWarning,
)
from edgernn.model.formats import FloatArray, Int16Array, Precision, PrecisionName
from edgernn.model.integer_model import IntegerModel
from edgernn.model.program_sets.handovers import Handover, handed_over
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn.records.columns import listed
from edgernn_export.calibration.input_ranges import GivenRanges, check_given
from edgernn_export.calibration.ranges import RangeMethod, RangeMethodName
from edgernn_export.calibration.statistics import calibrate
from edgernn_export.calibration.streams import as_streams, streams_sha256
from edgernn_export.float_model.float_run import State
from edgernn_export.float_model.model import FloatLayer, FloatModel
from edgernn_export.float_model.program_sets.programs import FloatHandover, FloatPrograms
from edgernn_export.guards.departure import departure
from edgernn_export.guards.long_memory import long_memory
from edgernn_export.guards.saturation import saturated_beginnings, watched_run
from edgernn_export.guards.sufficiency import warn_of_little
from edgernn_export.networks.front_door import read_several_streams
from edgernn_export.quantizer.calibrated_model import CalibratedModel
from edgernn_export.quantizer.layer_context import Plan
from edgernn_export.quantizer.layers import layer_names, weight_matrices
from edgernn_export.quantizer.memories import memories_of
from edgernn_export.quantizer.narrowing.kept_inputs import kept_bits
from edgernn_export.quantizer.program_sets.plans import make_plan
from edgernn_export.quantizer.states.storage import States, check_states, own_states
from edgernn_export.quantizer.weight_storage import check_sparse, parse_precision
from edgernn_export.quantizer.weights.bits import ModelBits, bits_by_layer, check_scales

#: Sequences of each length that the integer programs are run over, to compare them.
_CHECKED_SEQUENCES = 64


def quantize_programs(
    source: Any,
    calibration: Mapping[str, Any],
    precision: PrecisionName | Precision = "w8a8",
    *,
    range_method: RangeMethodName | RangeMethod = "minmax",
    input_range: Mapping[str, tuple[float, float]] | None = None,
    operand_scales: str = "auto",
    common_loss_db: float = 0.5,
    weight_bits: Mapping[str, int] | None = None,
    sparse: str = "auto",
    state: States = "auto",
    name: str | None = None,
    seeds: Sequence[tuple[str, int]] = (),
) -> ProgramSet:
    """Quantize a network of several streams that pass on states, such as an encoder and a decoder.

    Args:
        source: a `keras.Model`, or a path Keras can load, in which recurrent layers begin with what
            others compute (`initial_state`); or `FloatPrograms`. An encoder and a decoder become
            the programs "encode" and "decode", other networks programs by the names of their
            inputs.
        calibration: representative sequences by the names of the programs, or of the inputs of the
            network: as many for each, the first of one belonging to the first of the others.
            [B, T, I] or a list of [T_i, I] in physical units; of a program with several inputs a
            mapping of those. Calibration runs every sequence as in production: the encoder from the
            zero state, the decoder from the states that the encoder passes on.
        precision: as of `quantize`.
        range_method: as of `quantize`.
        input_range: (low, high) by channel name, see `quantize`.
        operand_scales: as of `quantize`.
        common_loss_db: as of `quantize`.
        weight_bits: 8 or 4 by layer or matrix, as of `quantize`, of all programs that have a layer
            of this name.
        sparse: as of `quantize`.
        state: as of `quantize`; by layer for all programs that have one of this name.
        name: of the set, and stem of exported files; default that of the network.
        seeds: as of `quantize`.

    Returns:
        The programs, each proven free of overflow.

    Raises:
        UnsupportedModelError: the network uses something edgernn does not execute.
        CalibrationError: sequences are missing, unusable, or not as many for each program.
        QuantizationError: an unknown precision, range method, layer, channel or number of bits.
        RangeRefused, OverflowRefused: as `quantize`.

    Warns:
        CalibrationWarning, WeightBitsWarning, SaturationWarning, DepartureWarning,
        LongMemoryWarning: as `quantize`, each with the program's name.
    """
    operands, default_bits = parse_precision(precision)
    _check_names(input_range)
    plan = make_plan(operands, range_method, operand_scales, common_loss_db, sparse, state=state)
    programs = read_several_streams(source)
    if name is not None:
        programs = replace(programs, name=name)
    sequences = CalibrationSequences.of(programs, calibration)
    bits = _bits(programs, default_bits, weight_bits)
    for own in bits.values():
        check_sparse(sparse, own)
        check_scales(own, operand_scales)
    plans = _plans(programs, plan, input_range)
    calibrated = {
        model.name: _calibrated(programs, model, sequences, plan.method)
        for model in programs.programs
    }
    models: dict[str, IntegerModel] = {}
    for program, one in calibrated.items():
        known = replace(one, memories=memories_of(programs, models, program, layer_names))
        models[program] = known.quantize(plans[program], bits[program], program, seeds)
    made = ProgramSet(
        name=programs.name,
        programs=tuple(models.values()),
        handovers=tuple(_handover(programs, models, one) for one in programs.handovers),
    )
    for concern in _concerns(programs, made, calibrated, sequences, bits):
        warnings.warn(concern, stacklevel=2)
    return made


def _check_names(input_range: Any) -> None:
    if input_range is not None and not isinstance(input_range, Mapping):
        raise QuantizationError(
            "quantize_programs input_range: expected (low, high) by channel name, got "
            f"{input_range!r:.60}."
        )


def _bits(
    programs: FloatPrograms, default: int, given: Mapping[str, int] | None
) -> dict[str, ModelBits]:
    """Bits of weights by program and layer."""
    matrices = {model.name: weight_matrices(model.layers) for model in programs.programs}
    everything = {name: one for own in matrices.values() for name, one in own.items()}
    chosen = bits_by_layer(everything, default, given)
    return {program: {name: chosen[name] for name in own} for program, own in matrices.items()}


def _plans(
    programs: FloatPrograms, plan: Plan, given: Mapping[str, tuple[float, float]] | None
) -> dict[str, Plan]:
    """The plan of each program, with the ranges of its channels."""
    layers = {model.name: _named(model) for model in programs.programs}
    check_states(plan.state, {name: one for own in layers.values() for name, one in own.items()})
    plans = {
        program: replace(plan, state=own_states(plan.state, own)) for program, own in layers.items()
    }
    if given is None:
        return plans
    known = {name for model in programs.programs for name in model.input_names}
    unknown = sorted(set(given) - known)
    if unknown:
        raise QuantizationError(
            f"quantize_programs input_range: expected channels among {listed(sorted(known))}, "
            f"got {listed(unknown)}."
        )
    for model in programs.programs:
        own: GivenRanges = {name: given[name] for name in model.input_names if name in given}
        plans[model.name] = replace(plans[model.name], given_ranges=check_given(own))
    return plans


def _named(model: FloatModel) -> dict[str, FloatLayer]:
    """The layers of a program by name."""
    return dict(zip(layer_names(model.layers), model.layers, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CalibrationSequences:
    """Calibration: sequences that belong together, those of one length each side by side.

    Attributes:
        blocks: by program, float64 [B, T, I], a block for every combination of lengths.
        starts: by program, what each block begins with in the float network.
        answers: by program, what the float network answers, [B, T, O] (logits).
    """

    blocks: dict[str, list[FloatArray]]
    starts: dict[str, list[State]]
    answers: dict[str, list[FloatArray]]

    @staticmethod
    def of(programs: FloatPrograms, calibration: Any) -> CalibrationSequences:
        """Sort sequences by their lengths, and run the float network over them.

        Raises:
            CalibrationError: they are not what `quantize_programs` takes.
        """
        given = _by_program(programs, calibration)
        lists = {model.name: _sequences(given[model.name], model) for model in programs.programs}
        counts = {program: len(found) for program, found in lists.items()}
        if len(set(counts.values())) > 1:
            raise CalibrationError(
                "calibration: expected the same number of sequences for every program, got "
                f"{', '.join(f'{count} for {program}' for program, count in counts.items())}. "
                "The first sequence of one program belongs to the first of the others."
            )
        groups: dict[tuple[int, ...], list[int]] = {}
        for index in range(next(iter(counts.values()))):
            lengths = tuple(len(found[index]) for found in lists.values())
            groups.setdefault(lengths, []).append(index)
        made = CalibrationSequences(
            blocks={program: [] for program in lists},
            starts={program: [] for program in lists},
            answers={program: [] for program in lists},
        )
        for members in groups.values():
            readings = {
                program: np.stack([found[i] for i in members]) for program, found in lists.items()
            }
            for program, (start, answers) in programs.run_from(readings).items():
                made.blocks[program].append(readings[program])
                made.starts[program].append(start)
                made.answers[program].append(answers)
        return made


def _by_program(programs: FloatPrograms, calibration: Any) -> dict[str, Any]:
    """What belongs to each program, by its name or by those of its inputs."""
    inputs = dict(zip([m.name for m in programs.programs], programs.inputs, strict=True))
    if isinstance(calibration, Mapping):
        if set(calibration) == set(inputs):
            return dict(calibration)
        if set(calibration) == {name for own in inputs.values() for name in own}:
            return {
                program: calibration[own[0]]
                if len(own) == 1
                else {name: calibration[name] for name in own}
                for program, own in inputs.items()
            }
    flat = [name for own in inputs.values() for name in own]
    got = "no names"
    if isinstance(calibration, Mapping):
        missing = [name for name in flat if name not in calibration]
        got = listed(list(map(str, calibration)))
        if len(missing) < len(flat):  # the names are those of inputs
            got += f", without {listed(missing)}" if missing else ", more than these"
    raise CalibrationError(
        f"calibration: expected sequences by program ({', '.join(inputs)}) or by input "
        f"({listed(flat)}), got {got}."
    )


def _sequences(given: Any, model: FloatModel) -> list[FloatArray]:
    """Sequences [T, I], in their order."""
    if isinstance(given, Mapping):
        counts = {len(values) for values in given.values()}
        if len(counts) != 1:
            raise CalibrationError(
                f"calibration of {model.name}: expected the same number of sequences for every "
                f"input, got {sorted(counts)}."
            )
        pieces = [{name: values[i] for name, values in given.items()} for i in range(counts.pop())]
    elif not isinstance(given, (list, tuple)) and np.ndim(given) == 2 and model.inputs > 1:
        pieces = [given]
    else:
        shape = [] if isinstance(given, (list, tuple)) else list(np.shape(given))
        if len(shape) == 3 and shape[2] != model.inputs:
            raise CalibrationError(
                f"calibration of {model.name}: expected sequences [B, T, {model.inputs}], got "
                f"{shape}."
            )
        pieces = list(given)
    if not pieces:
        raise CalibrationError(f"calibration of {model.name}: expected sequences, got none.")
    found = []
    for piece in pieces:
        (block,) = as_streams(
            piece,
            model.inputs,
            f"calibration of {model.name}",
            names=model.input_names,
            ports=model.input_ports,
        )
        found.append(block[0])
    return found


def _calibrated(
    programs: FloatPrograms, model: FloatModel, sequences: CalibrationSequences, method: RangeMethod
) -> CalibratedModel:
    blocks = sequences.blocks[model.name]
    warn_of_little(blocks, model.input_names, chain=not model.routes)
    begins = any(handover.program == model.name for handover in programs.handovers)
    statistics = calibrate(
        model,
        blocks,
        spread=method is not RangeMethod.MINMAX,
        starts=sequences.starts[model.name] if begins else None,
    )
    return CalibratedModel(
        model=model,
        statistics=statistics,
        calibration_sha256=streams_sha256(blocks),
        checked=blocks,
        handed=programs.handed(model.name),
        longest_steps=max(block.shape[1] for block in blocks),
    )


def _handover(
    programs: FloatPrograms, models: Mapping[str, IntegerModel], one: FloatHandover
) -> Handover:
    """A handover by the names of states and outputs."""

    def state(program: str, layer: int, which: int) -> str:
        name = layer_names(programs[program].layers)[layer]
        (record,) = (record for record in models[program].layers if record.name == name)
        return record.states[which].name

    value = one.port or "output"
    if one.source_layer is not None:
        value = state(one.source, one.source_layer, one.source_state)
    return Handover(
        program=one.program,
        state=state(one.program, one.layer, one.state),
        source=one.source,
        value=value,
    )


def _concerns(
    programs: FloatPrograms,
    made: ProgramSet,
    calibrated: Mapping[str, CalibratedModel],
    sequences: CalibrationSequences,
    bits: Mapping[str, ModelBits],
) -> list[EdgeRnnWarning]:
    """What the integer programs do not hold of their calibration, run as they will be."""
    found: list[EdgeRnnWarning] = [
        one for program, own in bits.items() for one in kept_bits(own, made[program])
    ]
    left: dict[str, list[tuple[tuple[Int16Array, ...], Int16Array]]] = {}
    for model in programs.programs:
        program, integer = model.name, made[model.name]
        blocks = [block[:_CHECKED_SEQUENCES] for block in sequences.blocks[program]]
        taken: dict[str, list[FloatArray]] = {}
        starts = [_begun(made, program, left, n, len(b), taken) for n, b in enumerate(blocks)]
        saturated, outputs, states = watched_run(integer, blocks, starts)
        left[program] = [(state, q_ys[:, -1]) for state, q_ys in zip(states, outputs, strict=True)]
        answers = [ys[:_CHECKED_SEQUENCES] for ys in sequences.answers[program]]
        strayed = departure(model, integer, blocks, outputs, answers)
        found += [
            SaturationWarning(f"{program}: {one}")
            for one in (*saturated_beginnings(integer, taken), *saturated)
        ]
        found += [] if strayed is None else [DepartureWarning(f"{program}: {strayed}")]
        own = calibrated[program]
        lost = long_memory(model, own.statistics, integer.layers, own.longest_steps)
        found += [LongMemoryWarning(f"{program}: {one}") for one in lost]
    return found


def _begun(
    made: ProgramSet,
    program: str,
    left: Mapping[str, Sequence[tuple[tuple[Int16Array, ...], Int16Array]]],
    block: int,
    batch: int,
    taken: dict[str, list[FloatArray]],
) -> tuple[Int16Array, ...]:
    """What streams of a program begin with (clause 6.10); ``taken`` receives it unsaturated."""
    state = {
        spec.name: np.broadcast_to(spec.initial(), (batch, spec.units)).copy()
        for spec in made[program].states
    }
    for handover in made.handovers_to(program):
        states, last = left[handover.source][block]
        own = made.output_slice(handover)
        if own is None:
            names = [spec.name for spec in made[handover.source].states]
            codes = states[names.index(handover.value)]
        else:
            codes = last[:, own]
        shift = made.shift(handover)
        state[handover.state] = handed_over(codes, shift)
        taken.setdefault(handover.state, []).append(codes * 2.0**-shift)
    return tuple(state.values())
