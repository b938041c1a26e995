"""Which function of one value an activation of Keras is: a name, a function, a layer, an operation.

Functions go by their text, as `str` of a `PointwiseFunction` gives it; the softmax is none, but
goes by its name, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from edgernn.errors import ModelError
from edgernn.model.functions.pointwise import PointwiseFunction
from edgernn_export.keras_reader.findings import Context, owner_of
from edgernn_export.keras_reader.layers.config import activation_name

SOFTMAX: Final = "softmax"
#: Names of keras.activations by the function they are.
_NAMES: Final[dict[str, str]] = {
    **{
        name: name
        for name in (
            "linear", "relu", "elu", "selu", "celu", "gelu", "silu", "hard_silu", "mish",
            "softplus", "squareplus", "sparse_plus", "exponential", "log_sigmoid", "tanh",
            "hard_tanh", "softsign", "tanh_shrink", "soft_shrink", "hard_shrink", "sigmoid",
            "hard_sigmoid", "sparse_sigmoid", SOFTMAX,
        )
    },
    "relu6": "relu(max_value=6.0)",
    "leaky_relu": "relu(negative_slope=0.2)",
    "swish": "silu",
    "hard_swish": "hard_silu",
}  # fmt: skip
#: What Keras 2 computes otherwise.
_OF_KERAS2: Final = {"hard_sigmoid": "hard_sigmoid_keras2"}
_PAIRS: Final = (
    "Train with two Dense layers, one with activation='sigmoid', and multiply their outputs "
    "(keras.layers.Multiply)."
)
_COMPARED: Final = "Train with activation='sigmoid', which acts on each value separately."
#: Why a function of Keras is none of one value, and what to do.
_JOINT: Final = {
    "glu": ("which combines two values", _PAIRS),
    SOFTMAX: ("which compares units", _COMPARED),
    "log_softmax": ("which compares units", _COMPARED),
    "sparsemax": ("which compares units", _COMPARED),
}
_CUSTOM: Final = (
    "Train with a supported function of keras.activations, or with a layer such as "
    "keras.layers.ReLU(max_value=6.0)."
)


@dataclass(frozen=True, slots=True)
class _Class:
    """A class of Keras that applies a function.

    Attributes:
        function: its name.
        arguments: parameter -> names of the argument, today's first, and its default.
    """

    function: str
    arguments: Mapping[str, tuple[tuple[str, ...], float]] = field(default_factory=dict)


_RELU: Final = _Class(
    "relu",
    {
        "max_value": (("max_value",), math.inf),
        "negative_slope": (("negative_slope",), 0.0),
        "threshold": (("threshold",), 0.0),
    },
)
#: Layers, and operations on tensors, by the name of their class.
CLASSES: Final[dict[str, _Class]] = {
    "ReLU": _RELU,
    "LeakyReLU": _Class("relu", {"negative_slope": (("negative_slope", "alpha"), 0.3)}),
    "LeakyRelu": _Class("relu", {"negative_slope": (("negative_slope",), 0.2)}),
    "ELU": _Class("elu", {"alpha": (("alpha",), 1.0)}),
    "Elu": _Class("elu", {"alpha": (("alpha",), 1.0)}),
    "Celu": _Class("celu", {"alpha": (("alpha",), 1.0)}),
    "ThresholdedReLU": _Class("threshold", {"threshold": (("theta",), 1.0)}),
    "Threshold": _Class(
        "threshold", {"threshold": (("threshold",), 0.0), "value": (("default_value",), 0.0)}
    ),
    "Clip": _Class("clip", {"low": (("x_min",), -math.inf), "high": (("x_max",), math.inf)}),
    "SoftShrink": _Class("soft_shrink", {"threshold": (("threshold",), 0.5)}),
    "HardShrink": _Class("hard_shrink", {"threshold": (("threshold",), 0.5)}),
    "Squareplus": _Class("squareplus", {"b": (("b",), 4.0)}),
    "Relu6": _Class("relu(max_value=6.0)"),
    "Exp": _Class("exponential"),
    "Gelu": _Class("gelu"),
    **{
        name: _Class(function)
        for name, function in {
            "Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Silu": "silu",
            "Softplus": "softplus", "Softsign": "softsign", "Selu": "selu",
            "HardSigmoid": "hard_sigmoid", "HardSilu": "hard_silu", "HardTanh": "hard_tanh",
            "LogSigmoid": "log_sigmoid", "Mish": "mish", "SparsePlus": "sparse_plus",
            "SparseSigmoid": "sparse_sigmoid", "TanhShrink": "tanh_shrink",
        }.items()
    },
}  # fmt: skip


def arguments_of(name: str) -> tuple[str, ...]:
    """The arguments of a class of `CLASSES` that say which function it applies."""
    given = tuple(key for keys, _ in CLASSES[name].arguments.values() for key in keys)
    return (*given, "approximate") if name == "Gelu" else given


def function_of_class(name: str, config: Mapping[str, Any]) -> str:
    """The function that a class of `CLASSES` applies.

    Args:
        name: of the class.
        config: its arguments by name.

    Raises:
        ModelError, TypeError, ValueError: they are no numbers.
    """
    if name == "Gelu" and config.get("approximate", True):
        return "gelu_tanh"
    made = CLASSES[name]
    parameters = {}
    for parameter, (keys, default) in made.arguments.items():
        given = next((config[key] for key in keys if config.get(key) is not None), default)
        if isinstance(given, Mapping):  # an array, as Keras stores it
            given = given["config"]["value"]
        parameters[parameter] = float(np.asarray(given, dtype=np.float64).reshape(()))
    parsed = PointwiseFunction.parse(made.function)
    return str(PointwiseFunction.of(parsed.name, **{**dict(parsed.parameters), **parameters}))


def read_function(
    layer: Any, key: str, function: Any, context: Context, *, softmax: bool = False
) -> str | None:
    """The function that an argument of a layer names; None, and a reason, for what is none.

    Args:
        layer: the Keras layer, named in the reasons.
        key: of the argument.
        function: its value: a name, a function of Keras, a layer, alive or stored.
        context: receives the reasons.
        softmax: a softmax may be given.
    """
    found = _named(function, context)
    if found is not None and (found != SOFTMAX or softmax):
        return found
    name = _told(function)
    why, cure = _JOINT.get(name.removeprefix("custom "), ("", _CUSTOM))
    context.findings.add(
        owner_of(layer),
        f"a supported function of one value (docs/reference/support.md) as {key}",
        f"{key}={name!r}{', ' * bool(why)}{why}",
        cure,
    )
    return None


def _named(function: Any, context: Context) -> str | None:
    """The text of a function, however it is given."""
    if function is None:
        return "linear"
    if isinstance(function, PointwiseFunction):  # of a layer that another format describes
        return str(function)
    kind, config = _class_and_config(function)
    try:
        if kind == "Activation":
            return _named(config.get("activation"), context)
        if kind == "Softmax":
            return SOFTMAX
        if kind in CLASSES:
            return function_of_class(kind, config)
    except (ModelError, TypeError, ValueError, KeyError):
        return None
    name = activation_name(function) if not isinstance(function, Mapping) else ""
    if context.keras2 and name in _OF_KERAS2:
        return _OF_KERAS2[name]
    return _NAMES.get(name)


def _class_and_config(function: Any) -> tuple[str, Mapping[str, Any]]:
    """Class and arguments of a layer that is given as a function; nothing for other values."""
    if isinstance(function, Mapping):
        stored = str(function.get("class_name"))
        module = str(function.get("module", "keras"))
        ours = module.split(".")[0] in ("keras", "tf_keras", "tensorflow")
        return (stored, dict(function.get("config") or {})) if ours else ("", {})
    kind = type(function)
    if kind.__module__.startswith("keras.") and hasattr(function, "get_config"):
        return kind.__name__, function.get_config()
    return "", {}


def _told(function: Any) -> str:
    """How reasons name a function."""
    kind, _ = _class_and_config(function)
    if isinstance(function, Mapping):
        return kind or f"custom {function.get('class_name')}"
    return activation_name(function)
