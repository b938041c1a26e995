"""Check every configuration value of a Keras layer that could change inference."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn_export.keras_reader.findings import Context, Findings, owner_of

#: Keys that never change what inference computes.
NEUTRAL = frozenset({"name", "trainable", "dtype", "seed", "activity_regularizer", "autocast"})
#: Keys that change nothing while they are None; others are compared with Keras's own defaults.
NEUTRAL_IF_NONE = frozenset({"quantization_config"})
#: Endings of keys that matter in training only.
NEUTRAL_ENDINGS = ("_initializer", "_regularizer", "_constraint")
#: Functions of keras.ops that are those of keras.activations of the same name.
_LIKE_ACTIVATIONS = frozenset(
    {"relu", "relu6", "leaky_relu", "elu", "selu", "celu", "silu", "swish", "hard_silu",
     "hard_swish", "softplus", "softsign", "sigmoid", "hard_sigmoid", "tanh", "hard_tanh",
     "log_sigmoid", "squareplus", "sparse_plus", "sparse_sigmoid", "tanh_shrink", "soft_shrink",
     "hard_shrink", "softmax", "log_softmax", "glu"}
)  # fmt: skip
FLOAT_POLICIES = ("float32", "float64")


def check_config(
    layer: Any,
    config: dict[str, Any],
    context: Context,
    *,
    free: tuple[str, ...] = (),
    fixed: dict[str, tuple[Any, ...]] | None = None,
    cures: dict[str, str] | None = None,
) -> bool:
    """Note a reason for every value edgernn does not execute.

    Args:
        layer: the Keras layer, named in the reasons.
        config: its configuration.
        context: receives the reasons.
        free: keys of this type that the caller reads or that do not change inference.
        fixed: keys with the values that are supported.
        cures: the fix for a key of ``fixed``.

    Returns:
        Whether the configuration is supported.
    """
    findings = context.findings
    before = len(findings.reasons)
    check_dtype(layer, findings)
    for key, value in config.items():
        if key in NEUTRAL or key in free or key.endswith(NEUTRAL_ENDINGS):
            continue
        if value is None and key in NEUTRAL_IF_NONE:
            continue
        if fixed and key in fixed:
            if not any(_same(value, allowed) for allowed in fixed[key]):
                # (-1,) says what -1 says.
                values = [v for v in fixed[key] if not (isinstance(v, tuple) and len(v) == 1)]
                wanted = " or ".join(f"{key}={allowed!r}" for allowed in values)
                cure = (cures or {}).get(key, f"Train with {key}={fixed[key][0]!r}.")
                findings.add(owner_of(layer), wanted, f"{key}={value!r:.80}", cure)
        elif not _same(value, _default(layer, key)):
            findings.add(
                owner_of(layer),
                f"only supported arguments, or the default of {key}",
                f"{key}={value!r:.80}",
                f"edgernn does not support it. Train without {key}.",
            )
    return len(findings.reasons) == before


def is_builtin(layer: Any) -> bool:
    """Whether a layer is of exactly a class of keras.layers; subclasses are strangers."""
    if hasattr(layer, "stored_class"):
        return layer.custom is None
    import keras

    return getattr(keras.layers, type(layer).__name__, None) is type(layer)


def registered_name(layer: Any) -> str | None:
    """The name that a class was registered by in Keras; None for a class of Keras."""
    if is_builtin(layer):
        return None
    if hasattr(layer, "stored_class"):
        return str(layer.custom)
    import keras

    return str(keras.saving.get_registered_name(type(layer)))


def check_dtype(layer: Any, findings: Findings) -> None:
    """Note a reason for reduced, mixed or quantized precision."""
    policy = getattr(layer, "dtype_policy", None)
    name = getattr(policy, "name", None)
    if name is not None and name not in FLOAT_POLICIES:
        findings.add(
            owner_of(layer),
            "dtype float32 or float64",
            f"dtype policy {name!r}",
            "Build the model in float32 and copy the weights from before Keras quantized it."
            if "quant" in name or name.startswith(("int", "float8"))
            else "Build the model in float32 and copy the weights; edgernn does the quantization.",
        )


def activation_name(function: Any) -> str:
    """Name of a Keras activation, known by identity; "custom ..." for everything else.

    A file stores the name itself.
    """
    if isinstance(function, str):
        return function
    import keras

    name = getattr(function, "__name__", type(function).__name__)
    if getattr(keras.activations, name, None) is function:
        return str(name)
    if getattr(keras.ops, name, None) is function and name in _LIKE_ACTIVATIONS:
        return str(name)
    return f"custom {name}"


def weight(variable: Any) -> FloatArray:
    """Value of a Keras variable or tensor as float64."""
    return np.asarray(variable, dtype=np.float64)


def finite(layer: Any, context: Context, **weights: FloatArray) -> bool:
    """Note a reason for weights that are NaN or infinite."""
    good = True
    for name, array in weights.items():
        bad = int(np.count_nonzero(~np.isfinite(array)))
        if bad:
            good = False
            context.findings.add(
                owner_of(layer),
                f"finite values in {name}",
                f"{bad} NaN or infinite",
                "Training diverged; train again.",
            )
    return good


def _default(layer: Any, key: str) -> Any:
    """Default of a constructor argument, looked up along the class hierarchy."""
    kind = type(layer)
    if hasattr(layer, "stored_class"):
        import keras

        kind = getattr(keras.layers, layer.stored_class, kind)
    for cls in kind.__mro__:
        parameter = inspect.signature(cls).parameters.get(key)
        if parameter is not None and parameter.default is not inspect.Parameter.empty:
            return parameter.default
    return None


def _same(a: Any, b: Any) -> bool:
    """Equality that keeps False and 0, True and 1 apart only where types differ in kind."""
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return list(a) == list(b)
    return (type(a) is type(b) and a == b) or (_number(a) and _number(b) and a == b)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
