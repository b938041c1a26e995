"""From a float network to a Keras model that trains integers, and back to an integer model."""

from __future__ import annotations

import dataclasses
from os import PathLike
from typing import Any, Final

import keras
import numpy as np

from edgernn.errors import TrainingError
from edgernn.model.formats import FloatArray, Precision, PrecisionName
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import Dense
from edgernn_export.calibration.streams import as_streams
from edgernn_export.compress.qat.float_weights import KERNEL, RECURRENT, input_unit
from edgernn_export.compress.qat.layers import (
    DequantizeOutput,
    QatCell,
    QatDense,
    QatRNN,
    QuantizeInput,
)
from edgernn_export.float_model.model import RECURRENT as RECURRENT_LAYERS
from edgernn_export.float_model.model import (
    FloatCell,
    FloatDelay,
    FloatDense,
    FloatEmbedding,
    FloatMerge,
    FloatModel,
)
from edgernn_export.keras_reader.findings import owner_of
from edgernn_export.quantizer.quantizer import quantize
from edgernn_export.quantizer.weight_storage import SPARSE

#: Setting of the provenance that tells trained integers from rounded ones.
SETTING: Final = ("training", "quantization-aware")


def make(
    source: Any | str | PathLike[str],
    calibration: Any,
    precision: PrecisionName | Precision,
    **options: Any,
) -> Any:
    """See `edgernn_export.compress.qat.qat_model`."""
    from edgernn_export.keras_reader.reader import read_keras

    trained = read_keras(source)
    if trained.vocabulary:
        raise TrainingError(
            f"{trained.name}: expected a chain of layers over readings, got an embedding. Quantize "
            "it after training: its table is rounded once, and precision 'w8a16' loses least."
        )
    convolved = any(isinstance(layer, FloatDelay) for layer in trained.layers)
    if convolved or trained.routes or trained.input_ports or trained.output_ports:
        raise TrainingError(
            f"{trained.name}: expected a chain of layers with one input and one output, got "
            f"{'convolutions' if convolved else 'branches'}. Quantize the network as it is with "
            "edgernn_export.quantize, where precision 'w8a16' loses least, or train a chain."
        )
    integer = quantize(source, calibration, precision, **options)
    blocks = as_streams(
        calibration,
        trained.inputs,
        names=integer.input.names,
        on_missing=options.get("on_missing", "raise"),
    )
    mean = np.concatenate([b.reshape(-1, trained.inputs) for b in blocks]).mean(axis=0)
    given = keras.Input((None, trained.inputs), batch_size=_batch(source, trained))
    outputs = QuantizeInput(integer, name="quantize_input", dtype="float32")(given)
    for index in range(len(integer.layers)):
        outputs = _layer(trained, integer, index, mean)(outputs)
    last = DequantizeOutput(integer.output.scale, name="dequantize_output", dtype="float32")
    outputs = last(outputs)
    if trained.final_activation == "softmax":
        outputs = keras.layers.Softmax(name="softmax", dtype="float32")(outputs)
    model = keras.Model(given, outputs, name=integer.name)
    for index in range(len(integer.layers)):
        _start(model.layers[2 + index], trained, integer, index)
    return model


def extract(model: Any) -> IntegerModel:
    """See `edgernn_export.compress.qat.integer_model`."""
    layers = getattr(model, "layers", [])
    start = next((x.model for x in layers if isinstance(x, QuantizeInput)), None)
    holders = [_holder(x) for x in layers if isinstance(x, (QatRNN, QatDense))]
    if start is None or len(holders) != len(start.layers):
        raise TrainingError(
            f"{owner_of(model)}: expected a model made by qat_model, got another. "
            "Use edgernn_export.quantize for a trained float model."
        )
    sparse = dict(start.provenance.settings).get("sparse", SPARSE[0])
    made = []
    for holder in holders:
        _check_finite(holder)
        made.append(holder.integers.layer(holder.float_weights, sparse))
    settings = (*start.provenance.settings, SETTING)
    return dataclasses.replace(
        start,
        layers=tuple(made),
        provenance=dataclasses.replace(start.provenance, settings=settings),
    )


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
            f"{owner_of(source)}: expected a fixed batch size, got none. Build the network with "
            "stateful=True and a batch size in place of states as inputs and outputs, and copy "
            "the weights."
        )
    return batch


def _layer(trained: FloatModel, integer: IntegerModel, index: int, mean: FloatArray) -> Any:
    """The layer under training for layer ``index``; ``mean`` of the readings [I]."""
    record = integer.layers[index]
    if isinstance(record, Dense):
        return QatDense(integer, index, mean, name=record.name, dtype="float32")
    later = any(isinstance(layer, RECURRENT_LAYERS) for layer in trained.layers[index + 1 :])
    return QatRNN(
        QatCell(integer, index, mean, name=record.kind, dtype="float32"),
        return_sequences=later or trained.return_sequences,
        stateful=trained.stateful,
        name=record.name,
        dtype="float32",
    )


def _holder(layer: Any) -> Any:
    """What holds the weights of a layer."""
    return layer.cell if isinstance(layer, QatRNN) else layer


def _start(layer: Any, trained: FloatModel, integer: IntegerModel, index: int) -> None:
    """Set the weights of a layer to those of the trained network, next to the integers'."""
    source = trained.layers[index]
    assert not isinstance(source, (FloatMerge, FloatDelay, FloatEmbedding))  # refused
    unit = input_unit(integer) if index == 0 else 1.0
    if isinstance(source, FloatCell):
        weights = {
            name: values.T * np.reshape(unit, (-1, 1)) if name.endswith(".x") else values.T
            for name, values in source.by_name.items()
        }
    else:
        weights = {KERNEL: (source.kernel * unit).T}
        if not isinstance(source, FloatDense):
            weights[RECURRENT] = source.recurrent.T
    holder = _holder(layer)
    holder.integers.start(holder.float_weights, weights)


def _check_finite(holder: Any) -> None:
    for name, variable in holder.float_weights.items():
        bad = int((~keras.ops.isfinite(variable).numpy()).sum())
        if bad:
            raise TrainingError(
                f"{holder.name}.{name}: expected finite weights, got {bad} that are NaN or "
                "infinite. Lower the learning rate or clip gradients."
            )
