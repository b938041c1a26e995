"""From a float network to a Keras model that trains integers, and back to an integer model."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any, Final

import keras

from edgernn.errors import TrainingError
from edgernn.model.formats import Precision, PrecisionName
from edgernn.model.integer_model import IntegerModel
from edgernn_export.compress.distillation.losses import LossSettings, number
from edgernn_export.compress.qat.distilled import DistilledModel, teacher_of
from edgernn_export.compress.qat.ends import QuantizeInput
from edgernn_export.compress.qat.integer_side.models import changed, check_trains, planned
from edgernn_export.compress.qat.network import TrainedNetwork, holder_of
from edgernn_export.float_model.model import FloatModel
from edgernn_export.keras_reader.findings import owner_of
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
    integer = quantize(source, calibration, precision, **options)
    plan = planned(trained, integer, calibration, options.get("on_missing", "raise"))
    network = TrainedNetwork(plan, _batch(source, trained))
    outputs = network.outputs()
    given = network.given
    ends = given if len(given) > 1 else given[0], outputs
    if distil_from is None or distil_from is False:
        model = keras.Model(*ends, name=integer.name)
    else:
        teacher = teacher_of(source, distil_from)
        model = DistilledModel(*ends, teacher=teacher, settings=settings, name=integer.name)
    if trained.output_ports:
        model.output_names = [port.name for port in trained.output_ports]
    plan.start(network.holders)
    return model


def check(source: Any | str | PathLike[str]) -> FloatModel:
    """See `edgernn_export.compress.qat.check_network`; returns the network as it was read."""
    from edgernn_export.keras_reader.program_sets.passes import has_passes
    from edgernn_export.keras_reader.reader import read_keras

    if has_passes(source):
        named = isinstance(source, (str, PathLike))
        owner = Path(source).name if named else owner_of(source)
        raise TrainingError(
            f"{owner}: expected a network that reads its steps forward only, got one "
            "that also reads them backward, which is not trained as integers. Quantize it with "
            "edgernn_export.quantize (precision 'w8a16' loses least)."
        )
    trained = read_keras(source)
    check_trains(trained)
    return trained


def extract(model: Any) -> IntegerModel:
    """See `edgernn_export.compress.qat.integer_model`."""
    layers = getattr(model, "layers", [])
    start = next((x.model for x in layers if isinstance(x, QuantizeInput)), None)
    if start is None:
        raise TrainingError(
            f"{owner_of(model)}: expected a model created by qat_model, got another one. Use "
            "edgernn_export.quantize for a trained float model."
        )
    holders = [holder_of(layer) for layer in layers]
    return changed(start, [holder for holder in holders if hasattr(holder, "integers")])


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
