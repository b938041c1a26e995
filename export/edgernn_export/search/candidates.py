"""Integer models of a configuration: before training for its cost, after training for good."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np

from edgernn.model.integer_model import IntegerModel
from edgernn_export.calibration.stream_kind import StreamKind
from edgernn_export.calibration.streams import as_streams
from edgernn_export.compress.pruning.allocation import allocate
from edgernn_export.compress.pruning.matrices import Matrix
from edgernn_export.float_model.model import RECURRENT, FloatModel
from edgernn_export.networks.front_door import read_one_stream
from edgernn_export.quantizer.quantizer import quantize
from edgernn_export.search.settings import Trainer
from edgernn_export.search.space import Configuration
from edgernn_export.training.compression import PRUNING

#: Calibration steps of an untrained model: its cost depends on its shape, not on its numbers.
_FEW_STEPS: Final = 32


def untrained(trainer: Trainer, configuration: Configuration, pattern: str) -> IntegerModel:
    """The least that a trained model of a configuration takes.

    Its weights are random. Input and state share a scale in every layer, which saves multipliers
    and instructions; the trained model may need one for each.

    Args:
        trainer: builds the network and has the calibration streams.
        configuration: what to build.
        pattern: of the blocks that pruning removes, a key of `PATTERNS`.

    Raises:
        EdgeRnnError: the network cannot become an integer model.
    """
    model = _float_model(trainer.network(configuration))
    steps = max(_FEW_STEPS, model.steps or 0)
    first = as_streams(trainer.calibration(), model.inputs)[0][:1, :steps]
    return quantize(
        _pruned(model, configuration.density, pattern),
        first,
        configuration.precision,
        operand_scales="common",
        stream=_stream(model),
        name="search",
        progress=False,
    )


def trained(trainer: Trainer, configuration: Configuration, network: Any) -> IntegerModel:
    """Quantize what was trained.

    Args:
        trainer: has the calibration streams, names and units.
        configuration: of the network.
        network: a trained `keras.Model` or `FloatModel`.

    Raises:
        EdgeRnnError: the network cannot become an integer model.
    """
    model = _float_model(network)
    return quantize(
        model,
        trainer.calibration(),
        configuration.precision,
        stream=_stream(model),
        name=configuration.label.replace(".", "_"),
        progress=False,
        **trainer.labels,
    )


def _float_model(network: Any) -> FloatModel:
    return read_one_stream(network)


def _stream(model: FloatModel) -> StreamKind:
    """Of networks that take any number of readings, an endless stream is what is searched for."""
    return "endless" if model.steps is None else "auto"


def _pruned(model: FloatModel, density: float, pattern: str) -> FloatModel:
    """The network without the blocks that training would remove by their size."""
    if density == 1.0:
        return model
    layers = tuple(
        _masked(layer, density, pattern) if isinstance(layer, RECURRENT) else layer
        for layer in model.layers
    )
    return replace(model, layers=layers)


def _masked(layer: Any, density: float, pattern: str) -> Any:
    matrices = {
        name: Matrix(
            name=f"layer/{name}",
            variable=getattr(layer, name).T,
            gates=tuple(layer.gates),
            recurrent=name == "recurrent",
        )
        for name in ("kernel", "recurrent")
    }
    shares = allocate(
        list(matrices.values()),
        {"": density},
        allocation=PRUNING.allocation,
        pattern=pattern,
        initial=1.0,
    )
    kept = {}
    for name, matrix in matrices.items():
        mask = matrix.renewed(
            np.ones(matrix.shape, np.bool_),
            shares[matrix.name],
            pattern=pattern,
            norm="l1",
            keep_diagonal=False,
        )
        kept[name] = np.where(mask, getattr(layer, name), 0.0)
    return replace(layer, **kept)
