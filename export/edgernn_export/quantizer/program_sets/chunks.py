"""Quantize networks that answer whole chunks, such as bidirectional ones, pass by pass."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
from edgernn.model.formats import FloatArray, Precision, PrecisionName
from edgernn.model.integer_model import IntegerModel
from edgernn.model.program_sets.passes import (
    CHUNK_INPUT,
    MAX_CHUNK_STEPS,
    ChunkPlan,
    Pass,
    read_scale,
)
from edgernn.model.program_sets.passes import output_slice as outputs_of
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.calibration.input_ranges import GivenRanges
from edgernn_export.calibration.ranges import RangeMethod, RangeMethodName
from edgernn_export.calibration.statistics import calibrate
from edgernn_export.calibration.streams import as_streams, streams_sha256
from edgernn_export.float_model.model import FloatModel
from edgernn_export.float_model.program_sets.chunks import FloatChunks
from edgernn_export.guards.departure import departure
from edgernn_export.guards.long_memory import long_memory
from edgernn_export.guards.saturation import watched_run
from edgernn_export.guards.sufficiency import warn_of_little
from edgernn_export.quantizer.calibrated_model import CalibratedModel
from edgernn_export.quantizer.layer_context import Plan
from edgernn_export.quantizer.layers import layer_names, weight_matrices
from edgernn_export.quantizer.narrowing.kept_inputs import kept_bits
from edgernn_export.quantizer.program_sets.plans import FixedInput, make_plan
from edgernn_export.quantizer.states.storage import States, check_states, own_states
from edgernn_export.quantizer.weight_storage import check_sparse, parse_precision
from edgernn_export.quantizer.weights.bits import ModelBits, bits_by_layer, check_scales

#: Chunks of each length that the integer passes are run over, to compare them.
_CHECKED_CHUNKS = 64


def quantize_chunks(
    source: FloatChunks,
    calibration: Any,
    precision: PrecisionName | Precision = "w8a8",
    *,
    max_steps: int | None = None,
    range_method: RangeMethodName | RangeMethod = "minmax",
    input_range: GivenRanges | None = None,
    operand_scales: str = "auto",
    common_loss_db: float = 0.5,
    weight_bits: Mapping[str, int] | None = None,
    sparse: str = "auto",
    state: States = "auto",
    on_missing: str = "raise",
    name: str | None = None,
    seeds: Sequence[tuple[str, int]] = (),
) -> ProgramSet:
    """Quantize a network that reads its steps in both directions.

    Args:
        source: the float passes, as `networks.read_network` gives them.
        calibration: representative chunks, as the streams of `quantize`; longer ones are cut into
            chunks.
        precision: as of `quantize`.
        max_steps: most steps of a chunk; default the steps that the network's input takes, or those
            of the longest chunk of the calibration.
        range_method: as of `quantize`.
        input_range: as of `quantize`.
        operand_scales: as of `quantize`.
        common_loss_db: as of `quantize`.
        weight_bits: as of `quantize`.
        sparse: as of `quantize`.
        state: as of `quantize`.
        on_missing: as of `quantize`.
        name: of the set, and stem of exported files; default that of the network.
        seeds: as of `quantize`.

    Returns:
        The passes with their plan, each proven free of overflow.

    Raises:
        CalibrationError: chunks are missing, unusable, or too short for the network.
        QuantizationError: as of `quantize`, or ``max_steps`` is not what the network takes.
        RangeRefused, OverflowRefused: as `quantize`.

    Warns:
        CalibrationWarning, WeightBitsWarning, SaturationWarning, DepartureWarning,
        LongMemoryWarning: as `quantize`, each with the name of the pass.
    """
    operands, default_bits = parse_precision(precision)
    plan = make_plan(
        operands, range_method, operand_scales, common_loss_db, sparse, input_range, state
    )
    if name is not None:
        source = replace(source, name=name)
    first = source.programs[0]
    given = as_streams(calibration, first.inputs, names=first.input_names, on_missing=on_missing)
    warn_of_little(given, first.input_names, chain=False)
    limit = _limit(source, max_steps, given)
    blocks = _cut(given, limit, fixed=source.steps is not None)
    bits = _bits(source, default_bits, weight_bits)
    for own in bits.values():
        check_sparse(sparse, own)
        check_scales(own, operand_scales)
    _check_names(plan, source)
    passed = [source.passed(block) for block in blocks]
    done: dict[str, tuple[CalibratedModel, IntegerModel]] = {}
    sha256 = streams_sha256(given)
    for one, model in zip(source.passes, source.programs, strict=True):
        readings = [found[model.name][0] for found in passed]
        calibrated = CalibratedModel(
            model=model,
            statistics=calibrate(model, readings, spread=plan.method is not RangeMethod.MINMAX),
            calibration_sha256=sha256,
            checked=[block[:_CHECKED_CHUNKS] for block in readings],
            longest_steps=limit,
            fixed=_fixed(one, model, {key: integer for key, (_, integer) in done.items()}),
        )
        own_plan = _plan(plan, model, first=not done)
        integer = calibrated.quantize(own_plan, bits[model.name], model.name, seeds)
        done[model.name] = calibrated, integer
    made = ProgramSet(
        name=source.name,
        programs=tuple(integer for _, integer in done.values()),
        chunk=ChunkPlan(
            passes=source.passes,
            max_steps=limit,
            min_steps=1 if source.steps is None else limit,
            sequence=source.sequence,
        ),
    )
    for program, (calibrated, integer) in done.items():
        once = program == source.passes[-1].program and not source.sequence
        for concern in (
            *kept_bits(bits[program], integer),
            *_concerns(calibrated, integer, once),
        ):
            warnings.warn(concern, stacklevel=3)
    return made


def _limit(source: FloatChunks, max_steps: int | None, given: Sequence[FloatArray]) -> int:
    """Most steps of a chunk."""
    longest = max(block.shape[1] for block in given)
    if source.steps is not None:
        if max_steps not in (None, source.steps):
            raise QuantizationError(
                f"quantize max_steps: expected {source.steps}, which the network's input takes, "
                f"got {max_steps!r:.40}. Omit it, or rebuild the network with "
                "keras.Input((None, features))."
            )
        return source.steps
    limit = longest if max_steps is None else max_steps
    if type(limit) is not int or not 1 <= limit <= MAX_CHUNK_STEPS:
        raise QuantizationError(
            f"quantize max_steps: expected 1 to {MAX_CHUNK_STEPS} steps, got {limit!r:.40}. Pass "
            "the length of the longest chunk (--max-steps); longer streams of the calibration are "
            "cut into chunks."
        )
    return limit


def _cut(given: Sequence[FloatArray], limit: int, *, fixed: bool) -> list[FloatArray]:
    """Chunks [B, T, I] of at most as many steps, or of exactly as many."""
    blocks: list[FloatArray] = []
    for block in given:
        whole, rest = divmod(block.shape[1], limit)
        if whole:
            cut = block[:, : whole * limit]
            blocks.append(np.ascontiguousarray(cut.reshape(-1, limit, block.shape[2])))
        if rest and not fixed:
            blocks.append(np.ascontiguousarray(block[:, whole * limit :]))
    if not blocks:
        longest = max(block.shape[1] for block in given)
        raise CalibrationError(
            f"calibration: expected chunks of {limit} steps, which the network's input takes, got "
            f"at most {longest}. Pass longer ones."
        )
    return blocks


def _bits(
    source: FloatChunks, default: int, given: Mapping[str, int] | None
) -> dict[str, ModelBits]:
    """Bits of weights by program and layer."""
    matrices = {model.name: weight_matrices(model.layers) for model in source.programs}
    everything = {name: one for own in matrices.values() for name, one in own.items()}
    chosen = bits_by_layer(everything, default, given)
    return {program: {name: chosen[name] for name in own} for program, own in matrices.items()}


def _check_names(plan: Plan, source: FloatChunks) -> None:
    """Layers whose states are given exist."""
    layers = {
        name: layer
        for model in source.programs
        for name, layer in zip(layer_names(model.layers), model.layers, strict=True)
    }
    check_states(plan.state, layers)


def _plan(plan: Plan, model: FloatModel, *, first: bool) -> Plan:
    """The plan of a pass: ranges of readings are those of the first one."""
    layers = dict(zip(layer_names(model.layers), model.layers, strict=True))
    own = replace(plan, state=own_states(plan.state, layers))
    return own if first else replace(own, given_ranges=None)


def _fixed(one: Pass, model: FloatModel, done: Mapping[str, IntegerModel]) -> FixedInput | None:
    """The scales of what a pass reads: those of the readings, and of earlier outputs."""
    if not done:
        return None
    first = next(iter(done.values()))
    scales, offsets = [], []
    for read in one.reads:
        if read.source == CHUNK_INPUT:
            scales.append(first.input.scale)
            offsets.append(first.input.offset)
            continue
        output = done[read.source].output
        scale = read_scale(output.scale[outputs_of(output, read.value)], first.precision)
        scales.append(scale)
        offsets.append(np.zeros_like(scale))
    assert sum(map(len, scales)) == model.inputs
    return FixedInput(scale=np.concatenate(scales), offset=np.concatenate(offsets))


def _concerns(
    calibrated: CalibratedModel, integer: IntegerModel, once: bool
) -> list[EdgeRnnWarning]:
    """What an integer pass does not hold of its calibration.

    Args:
        calibrated: the float pass.
        integer: the integer pass.
        once: only its last output counts.
    """
    model, program = calibrated.model, integer.name
    saturated, outputs, _ = watched_run(integer, calibrated.checked)
    if once:
        outputs = [q_ys[:, -1:] for q_ys in outputs]
    strayed = departure(model, integer, calibrated.checked, outputs)
    lost = long_memory(model, calibrated.statistics, integer.layers, calibrated.longest_steps)
    return [
        *(SaturationWarning(f"{program}: {found}") for found in saturated),
        *([] if strayed is None else [DepartureWarning(f"{program}: {strayed}")]),
        *(LongMemoryWarning(f"{program}: {found}") for found in lost),
    ]
