"""From a float network to the plan of its training as integers, and back to an integer model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from edgernn.errors import TrainingError
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.program_sets.passes import CHUNK_INPUT
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.calibration.streams import as_streams
from edgernn_export.calibration.unmasked import without_masked
from edgernn_export.compress.qat.integer_side.plan import TrainingPlan, link
from edgernn_export.compress.tensors.back_ends import ops
from edgernn_export.float_model.model import FloatModel
from edgernn_export.float_model.program_sets.chunks import FloatChunks
from edgernn_export.float_model.program_sets.programs import FloatPrograms
from edgernn_export.quantizer.program_sets.programs import CalibrationSequences
from edgernn_export.quantizer.weight_storage import SPARSE
from edgernn_firmware_sim.reference.reference import Reference

#: Setting of the provenance that tells trained integers from rounded ones.
SETTING: Final = ("training", "quantization-aware")


def check_trains(trained: FloatModel) -> None:
    """Refuse a network that is not trained as integers.

    Raises:
        TrainingError: it answers less often than it reads.
    """
    if trained.rate is not None:
        raise TrainingError(
            f"{trained.name}: expected a network with one output per reading, got "
            f"{trained.rate}. Quantize it with edgernn_export.quantize (precision 'w8a16' "
            "loses least), or build it with padding='causal' and without strides and pooling."
        )


def planned(
    trained: FloatModel, integer: IntegerModel, calibration: Any, on_missing: Any = "raise"
) -> TrainingPlan:
    """The plan of a network's training.

    Args:
        trained: the float network.
        integer: its integers.
        calibration: what they were calibrated with.
        on_missing: as for `quantize`.

    Raises:
        TrainingError: a layer that is called twice follows a scaling by 0.
    """
    blocks = as_streams(
        calibration,
        trained.inputs,
        names=integer.input.names,
        ports=trained.input_ports,
        on_missing=on_missing,
    )
    return TrainingPlan(trained, integer, _mean(without_masked(blocks, trained.mask)))


def planned_chunks(
    source: FloatChunks, made: ProgramSet, calibration: Any, on_missing: Any = "raise"
) -> list[TrainingPlan]:
    """The plans of the passes over a chunk.

    Args:
        source: the float passes.
        made: their integers.
        calibration: as of `planned`.
        on_missing: as of `planned`.

    Raises:
        TrainingError: as of `planned`.
    """
    first = source.programs[0]
    blocks = as_streams(calibration, first.inputs, names=first.input_names, on_missing=on_missing)
    mean, plans = _mean(blocks), {}
    for one, model, integer in zip(source.passes, source.programs, made.programs, strict=True):
        reads = len(mean) if one.reads[0].source == CHUNK_INPUT else 0
        passed = np.arange(model.inputs) >= reads
        # What later passes read is known at every step.
        whole = source.sequence or model is not source.programs[-1]
        plans[model.name] = TrainingPlan(
            dataclasses.replace(model, return_sequences=whole),
            integer,
            np.concatenate([mean[:reads], np.zeros(model.inputs - reads)]),
            passed,
        )
    link(plans, source.shared)
    return list(plans.values())


def planned_programs(
    source: FloatPrograms, made: ProgramSet, calibration: Any
) -> list[TrainingPlan]:
    """The plans of programs that pass on states.

    Args:
        source: the float programs.
        made: their integers.
        calibration: what they were calibrated with.

    Raises:
        TrainingError: as of `planned`.
    """
    sequences = CalibrationSequences.of(source, calibration)
    every_step = {answer.program for answer in source.answers if answer.every_step}
    plans = {
        model.name: TrainingPlan(
            dataclasses.replace(model, return_sequences=model.name in every_step),
            integer,
            _mean(sequences.blocks[model.name]),
        )
        for model, integer in zip(source.programs, made.programs, strict=True)
    }
    link(plans, source.shared)
    return list(plans.values())


def _mean(blocks: Sequence[FloatArray]) -> FloatArray:
    """The mean of the readings of streams [B, T, I], float64 [I]."""
    mean: FloatArray = np.concatenate([b.reshape(-1, b.shape[-1]) for b in blocks]).mean(axis=0)
    return mean


def changed_programs(start: ProgramSet, holders: Sequence[Any]) -> ProgramSet:
    """The integer programs of the weights as they are now.

    Args:
        start: the programs training started from.
        holders: as of `changed`, of all programs.

    Raises:
        TrainingError, OverflowRefused: as `changed`.
    """
    programs = tuple(
        changed(program, [one for one in holders if one.integers.model is program])
        for program in start.programs
    )
    return dataclasses.replace(start, programs=programs)


def changed(start: IntegerModel, holders: Iterable[Any]) -> IntegerModel:
    """The integer model of the weights as they are now.

    Args:
        start: the integer model training started from.
        holders: of weights, with attributes name, integers and float_weights.

    Raises:
        TrainingError: a weight is not finite.
        OverflowRefused: no allowed step keeps an accumulator within its bound.
    """
    sparse = dict(start.provenance.settings).get("sparse", SPARSE[0])
    made = list(start.layers)
    for holder in holders:
        _check_finite(holder)
        made[holder.integers.index] = holder.integers.layer(holder.float_weights, sparse)
    settings = (*start.provenance.settings, SETTING)
    found = dataclasses.replace(
        start,
        layers=tuple(made),
        provenance=dataclasses.replace(start.provenance, settings=settings),
    )
    if start.input.mask is None:
        return found
    output = dataclasses.replace(found.output, masked=Reference(found).masked_output())
    return dataclasses.replace(found, output=output)


def _check_finite(holder: Any) -> None:
    for name, variable in holder.float_weights.items():
        bad = int((~np.isfinite(ops.convert_to_numpy(variable.value))).sum())
        if bad:
            raise TrainingError(
                f"{holder.name}.{name}: expected finite weights, got {bad} that are NaN or "
                "infinite. Lower the learning rate or clip gradients."
            )
