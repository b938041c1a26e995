"""From a float network to a PyTorch module that trains integers, and back."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from torch import nn

from edgernn.errors import TrainingError
from edgernn.model.formats import Precision, PrecisionName
from edgernn.model.integer_model import IntegerModel
from edgernn_export.compress.pytorch.layers import WeightedLayer
from edgernn_export.compress.pytorch.network import QatModule
from edgernn_export.compress.pytorch.written_back import paths_of, write_weights
from edgernn_export.compress.qat.integer_side.fine_tuned import fine_tuned
from edgernn_export.compress.qat.integer_side.models import check_trains, planned
from edgernn_export.float_model.model import FloatModel
from edgernn_export.networks.front_door import read_one_stream
from edgernn_export.quantizer.quantizer import quantize


def qat_module(
    source: Any,
    calibration: Any,
    precision: PrecisionName | Precision = "w8a8",
    **options: Any,
) -> QatModule:
    """A module that computes what the integer model computes, and can be trained.

    It starts at the integers of `edgernn_export.quantize`. Its weights are float32; every pass
    rounds them, and gradients pass the rounding straight through (Jacob et al. 2018).

    Args:
        source: what `quantize` takes: a torch.nn.Module, a path or an object of another format, or
            a network that was read already.
        calibration: representative real streams, as for `quantize`.
        precision: as for `quantize`.
        options: further arguments of `quantize`.

    Returns:
        A module, on the CPU; move it as any other. Its forward gets readings [B, T, I] in physical
        units and gives the outputs of the network, one per step or only the last one; each call
        starts new streams (`QatModule.stream` continues them).

    Raises:
        UnsupportedModelError: the network uses something edgernn does not execute.
        QuantizationError: as `quantize`.
        TrainingError: the network is not trained as integers.
    """
    reading = {name: options.pop(name) for name in ("example", "layout") if name in options}
    trained = read_one_stream(source, readings=calibration, **reading)
    check_trains(trained)
    if isinstance(source, (str, PathLike)):
        options.setdefault("name", Path(source).stem)
    integer = quantize(trained, calibration, precision, **options)
    model = QatModule(planned(trained, integer, calibration, options.get("on_missing", "raise")))
    if isinstance(source, nn.Module):
        model.paths = paths_of(trained, source)
    return model


def integer_model(model: nn.Module) -> IntegerModel:
    """The integer model of a `qat_module` as its weights are now.

    Its outputs are those of the module in evaluation mode, code by code. Where the last step of
    training made an accumulator unsafe, the steps of its row or layer become coarser, in ``model``
    too.

    Raises:
        TrainingError: the module does not come from `qat_module`, or a weight is not finite, or no
            longer float32.
        OverflowRefused: no allowed step keeps an accumulator within its bound.
    """
    return _checked(model).integer_model()


def tuned_network(model: nn.Module) -> FloatModel:
    """The float network of a `qat_module` as its weights are now.

    Its weights are in the units it had before training, so it can be quantized again, or written to
    a file. A layer without a bias has one afterwards.

    Raises:
        TrainingError: the module does not come from `qat_module`.
    """
    network = _checked(model)
    return fine_tuned(network.plan, _holders(network))


def write_back(model: nn.Module, module: nn.Module) -> None:
    """Set the weights of the module that a network was read from to those of a `qat_module`.

    Layers of the two are matched by their matrices before training, so the module must be unchanged
    since it was read; later calls need not match again.

    Args:
        model: of `qat_module`.
        module: whose parameters are set; they stay the same tensors.

    Raises:
        TrainingError: ``model`` does not come from `qat_module`.
        UnsupportedModelError: a layer is not one of the module, or the module lacks a bias; nothing
            is written then.
    """
    network = _checked(model)
    if not network.paths:
        network.paths = paths_of(network.plan.trained, module)
    write_weights(tuned_network(network), _holders(network), network.paths, module)


def _holders(network: QatModule) -> dict[int, WeightedLayer]:
    found = enumerate(network.layers)
    return {index: layer for index, layer in found if isinstance(layer, WeightedLayer)}


def _checked(model: Any) -> QatModule:
    if not isinstance(model, QatModule):
        raise TrainingError(
            f"{type(model).__name__}: expected a module created by qat_module, got another one. "
            "Use edgernn_export.quantize for a trained float network."
        )
    return model
