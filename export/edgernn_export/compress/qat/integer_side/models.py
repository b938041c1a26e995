"""From a float network to the plan of its training as integers, and back to an integer model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from edgernn.errors import TrainingError
from edgernn.model.integer_model import IntegerModel
from edgernn_export.calibration.streams import as_streams
from edgernn_export.compress.qat.integer_side.plan import TrainingPlan
from edgernn_export.compress.tensors.back_ends import ops
from edgernn_export.float_model.memories import FloatMemory
from edgernn_export.float_model.model import FloatModel
from edgernn_export.quantizer.weight_storage import SPARSE

#: Setting of the provenance that tells trained integers from rounded ones.
SETTING: Final = ("training", "quantization-aware")


def check_trains(trained: FloatModel) -> None:
    """Refuse a network that is not trained as integers.

    Raises:
        TrainingError: it answers less often than it reads, masks readings, or attends.
    """
    if trained.rate is not None:
        raise TrainingError(
            f"{trained.name}: expected a network with one output per reading, got "
            f"{trained.rate}. Quantize it with edgernn_export.quantize (precision 'w8a16' "
            "loses least), or build it with padding='causal' and without strides and pooling."
        )
    if trained.mask is not None:
        raise TrainingError(
            f"{trained.name}: expected a network without a mask, got one that masks "
            f"{trained.mask:g}. Quantize it with edgernn_export.quantize (precision 'w8a16' loses "
            "least), or train it on streams without padding."
        )
    remembering = [layer.name for layer in trained.layers if isinstance(layer, FloatMemory)]
    if remembering:
        raise TrainingError(
            f"{remembering[0]}: expected a network without attention, which is not trained as "
            "integers, got attention. Quantize it with edgernn_export.quantize (precision "
            "'w8a16' loses least)."
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
    mean = np.concatenate([b.reshape(-1, trained.inputs) for b in blocks]).mean(axis=0)
    return TrainingPlan(trained, integer, mean)


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
    return dataclasses.replace(
        start,
        layers=tuple(made),
        provenance=dataclasses.replace(start.provenance, settings=settings),
    )


def _check_finite(holder: Any) -> None:
    for name, variable in holder.float_weights.items():
        bad = int((~np.isfinite(ops.convert_to_numpy(variable.value))).sum())
        if bad:
            raise TrainingError(
                f"{holder.name}.{name}: expected finite weights, got {bad} that are NaN or "
                "infinite. Lower the learning rate or clip gradients."
            )
