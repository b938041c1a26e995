"""Operations on one tensor: with a constant, and activations.

Users of Keras write the first as ``1 - x`` or ``x / 3``, and the second as
``keras.activations.relu(x)``.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn_export.keras_reader.findings import Context, class_of, owner_of
from edgernn_export.keras_reader.flows import Flow
from edgernn_export.keras_reader.graph import Call
from edgernn_export.keras_reader.layers.activations import CLASSES
from edgernn_export.keras_reader.layers.config import check_config
from edgernn_export.keras_reader.layers.dense import read_function_class, read_softmax
from edgernn_export.keras_reader.layers.layer_parts import (
    LayerPart,
    ScalePart,
    UnknownPart,
)
from edgernn_export.keras_reader.layers.readers import refuse_class

#: Where Keras has the classes of its operations.
_MODULES: Final = ("keras.src.ops", "keras.src.activations")
_QUOTIENTS: Final = ("Divide", "TrueDivide")
_SCALINGS: Final = ("Add", "Multiply", "Subtract", *_QUOTIENTS)
#: Names under which a call has what stands before the tensor, and behind it.
_BESIDE: Final = ("argument 1", "argument 2")


def is_operation(layer: Any) -> bool:
    """Whether it is an operation of Keras on tensors, and no layer."""
    if not hasattr(layer, "stored_class"):
        return type(layer).__module__.startswith(_MODULES)
    if layer.stored_module is None:  # in HDF5, where each layer says one of these at least
        return not {"trainable", "dtype"} & layer.config.keys()
    return str(layer.stored_module).startswith(_MODULES)


def read_operation(call: Call, flow: Flow, context: Context) -> tuple[LayerPart, ...]:
    """Read an operation on one tensor; one that is not known is refused by name.

    Args:
        call: of an operation.
        flow: what it is given.
        context: receives reasons.
    """
    layer, name = call.layer, class_of(call.layer)
    owner = owner_of(layer)
    if name == "Softmax":
        return read_softmax(layer, context)
    if name in CLASSES:
        return read_function_class(layer, context)
    beside = [key for key in _BESIDE if key in (call.arguments or {})]
    if name != "Negative" and not (name in _SCALINGS and beside):
        refuse_class(layer, context.findings)
        return (UnknownPart(owner=owner, recurrent=False),)
    if not check_config(layer, layer.get_config(), context):
        return (UnknownPart(owner=owner, recurrent=False),)
    if name == "Negative":
        return (ScalePart(owner=owner, gain=np.array(-1.0), offset=np.array(0.0)),)
    return _scaled(call, beside[0], flow, context)


def _scaled(call: Call, key: str, flow: Flow, context: Context) -> tuple[LayerPart, ...]:
    """A tensor and a constant."""
    owner, name = owner_of(call.layer), class_of(call.layer)
    given, before = (call.arguments or {})[key], key == _BESIDE[0]
    width = 1 if flow.shape is None else flow.width
    reason: tuple[str, str, str] | None = None
    try:
        constant = _constant(given, context)
        with np.errstate(divide="ignore"):
            gain, offset = _affine(name, constant, before)
    except (TypeError, ValueError, KeyError):
        constant = gain = offset = np.empty(0)
    if name in _QUOTIENTS and before:
        reason = (
            "a tensor divided by a constant", "a constant divided by a tensor",
            "Integer models have no division. Train without it.",
        )  # fmt: skip
    elif flow.shape is None and constant.size > 1:
        return (UnknownPart(owner=owner, recurrent=False),)  # what was refused before it tells
    elif constant.size not in {1, width}:
        reason = (
            "a tensor and one number, or one number per feature", f"{given!r:.60}",
            "Train with one constant per feature.",
        )  # fmt: skip
    elif not (np.isfinite(gain).all() and np.isfinite(offset).all()):
        divided = name in _QUOTIENTS
        reason = (
            f"a tensor and a finite constant{' other than 0' * divided}", f"{given!r:.60}",
            "Train with another constant.",
        )  # fmt: skip
    if reason is not None:
        context.findings.add(owner, *reason)
        return (UnknownPart(owner=owner, recurrent=False),)
    return (ScalePart(owner=owner, gain=gain, offset=offset),)


def _affine(name: str, constant: FloatArray, before: bool) -> tuple[FloatArray, FloatArray]:
    """Gain and offset of the tensor that is combined with a constant."""
    one, nothing = np.array(1.0), np.array(0.0)
    if name == "Multiply":
        return constant, nothing
    if name in _QUOTIENTS:
        return np.divide(one, constant), nothing
    if name == "Add":
        return one, constant
    return (np.negative(one), constant) if before else (one, np.negative(constant))


def _constant(value: Any, context: Context) -> FloatArray:
    """A number, or one per feature, alive or as Keras stores it; empty for other shapes.

    Raises:
        TypeError, ValueError, KeyError: no numbers.
    """
    if isinstance(value, dict):
        value = value["config"]["value"]
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(array.dtype.name)
    array = array.astype(np.float64)
    if array.ndim and (array.shape[-1] != array.size or array.ndim > (context.rank or array.ndim)):
        return np.empty(0)
    return array.reshape(-1) if array.size > 1 else array.reshape(())
