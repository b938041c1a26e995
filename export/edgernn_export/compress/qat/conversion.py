"""From a float network to a Keras model that trains integers, and back to an integer model."""

from __future__ import annotations

from os import PathLike
from typing import Any, Final, cast

import keras

from edgernn.errors import TrainingError
from edgernn.model.formats import Precision, PrecisionName
from edgernn.model.integer_model import IntegerModel
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.compress.distillation.losses import LossSettings, number
from edgernn_export.compress.qat.distilled import DistilledModel, teacher_of
from edgernn_export.compress.qat.ends import QuantizeInput
from edgernn_export.compress.qat.integer_side.models import (
    changed,
    changed_programs,
    check_trains,
    planned,
    planned_chunks,
    planned_programs,
)
from edgernn_export.compress.qat.integer_side.plan import TrainingPlan, start
from edgernn_export.compress.qat.network import (
    LayerNames,
    TrainedNetwork,
    holder_of,
    inputs_of,
    quantized,
)
from edgernn_export.compress.qat.program_sets import Ends, chunk_network, program_network
from edgernn_export.float_model.model import FloatModel
from edgernn_export.float_model.program_sets.chunks import FloatChunks
from edgernn_export.float_model.program_sets.programs import FloatPrograms
from edgernn_export.keras_reader.findings import owner_of
from edgernn_export.keras_reader.program_sets import calls_in
from edgernn_export.networks.formats import AnyNetwork
from edgernn_export.quantizer.program_sets.programs import quantize_programs
from edgernn_export.quantizer.quantizer import quantize

#: Share of the float network's answers in the loss, where there are labels too.
DISTIL_WEIGHT: Final = 0.7


def make(
    source: Any | str | PathLike[str],
    calibration: Any,
    precision: PrecisionName | Precision,
    *,
    distil_from: Any = None,
    distil_weight: float = DISTIL_WEIGHT,
    temperature: float = 1.0,
    **options: Any,
) -> Any:
    """See `edgernn_export.compress.qat.qat_model`."""
    number("distil_weight", distil_weight, above=0.0, most=1.0)
    settings = LossSettings(temperature=temperature, alpha=distil_weight, hidden_weight=0.0)
    trained = check(source)
    name, (given, outputs), plans = _made(source, trained, calibration, precision, options)
    ends = [side if len(side) > 1 else side[0] for side in (given, outputs)]
    if distil_from is None or distil_from is False:
        model = keras.Model(*ends, name=name)
    else:
        teacher = teacher_of(source, distil_from)
        model = DistilledModel(*ends, teacher=teacher, settings=settings, name=name)
    ports = _answers(trained)
    if len(ports) > 1:
        model.output_names = ports
    start(plans)
    return model


def _made(
    source: Any,
    trained: AnyNetwork,
    calibration: Any,
    precision: PrecisionName | Precision,
    options: dict[str, Any],
) -> tuple[str, Ends, list[TrainingPlan]]:
    """The name, the inputs and the outputs of a model, and the plans of its programs."""
    missing = options.get("on_missing", "raise")
    axes = {given.name: len(given.shape or ()) for given in calls_in(source, None).given}
    if isinstance(trained, FloatPrograms):
        made = quantize_programs(source, calibration, precision, **options)
        plans = planned_programs(trained, made, calibration)
        return made.name, program_network(trained, plans, made, axes), plans
    integer: Any = quantize(source, calibration, precision, **options)
    if isinstance(trained, FloatChunks):
        plans = planned_chunks(trained, integer, calibration, missing)
        return integer.name, chunk_network(plans, integer, axes), plans
    plan = planned(trained, integer, calibration, missing)
    batch, names = _batch(source, trained), LayerNames()
    given = inputs_of(trained, list(axes.values()), batch)
    codes = quantized(plan, given, names, integer)
    network = TrainedNetwork(plan, codes, names, batch=batch)
    return integer.name, (given, network.outputs(network.codes())), [plan]


def _answers(trained: AnyNetwork) -> list[str]:
    """Names of the outputs, in their order."""
    if isinstance(trained, FloatPrograms):
        return [answer.port or answer.program for answer in trained.answers]
    last = trained.programs[-1] if isinstance(trained, FloatChunks) else trained
    return [port.name for port in last.output_ports]


def check(source: Any | str | PathLike[str]) -> AnyNetwork:
    """See `edgernn_export.compress.qat.check_network`; returns the network as it was read."""
    from edgernn_export.keras_reader.program_sets.passes import read_whole

    trained = read_whole(source)
    for program in (trained,) if isinstance(trained, FloatModel) else trained.programs:
        check_trains(program)
    return trained


def extract(model: Any) -> IntegerModel:
    """See `edgernn_export.compress.qat.integer_model`."""
    layers = getattr(model, "layers", [])
    origin = next((x.origin for x in layers if isinstance(x, QuantizeInput)), None)
    if origin is None:
        raise TrainingError(
            f"{owner_of(model)}: expected a model created by qat_model, got another one. Use "
            "edgernn_export.quantize for a trained float model."
        )
    found = map(holder_of, layers)
    holders = [holder for holder in found if hasattr(holder, "integers")]
    if isinstance(origin, ProgramSet):  # which static types do not tell from a model
        return cast("IntegerModel", changed_programs(origin, holders))
    return changed(origin, holders)


def _batch(source: Any, trained: FloatModel) -> int | None:
    """Batch size of a stateful network, else None."""
    if not trained.stateful:
        return None
    if isinstance(source, (str, PathLike)):
        raise TrainingError(
            f"{trained.name}: expected a keras.Model, got the path of a stateful network. "
            "Load it with keras.saving.load_model first."
        )
    batch: int | None = source.inputs[0].shape[0]
    if batch is None:  # its states are inputs and outputs
        raise TrainingError(
            f"{owner_of(source)}: expected a fixed batch size, got none. Build the network "
            "with stateful=True and a batch size instead of states as inputs and outputs, and "
            "copy the weights."
        )
    return batch
