"""What the attributes of ONNX's recurrent operators say of a layer, in each of its directions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from edgernn.errors import UnsupportedModelError
from edgernn.model.functions.pointwise import PointwiseFunction
from edgernn_export.described.recurrent_layers import RecurrentForm

#: Operator -> the layer it is, and the functions that it has unless told.
KINDS: Final = {
    "RNN": ("SimpleRNN", ("Tanh",)),
    "GRU": ("GRU", ("Sigmoid", "Tanh")),
    "LSTM": ("LSTM", ("Sigmoid", "Tanh", "Tanh")),
}
_DIRECTIONS: Final = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
#: Attributes that the shapes of inputs and outputs say, too, or that say nothing of the layer.
_ELSEWHERE: Final = ("hidden_size", "layout", "output_sequence")
_OWN: Final = {"GRU": ("linear_before_reset",), "LSTM": ("input_forget",), "RNN": ()}
_FUNCTIONS_OF: Final = ("activations", "activation_alpha", "activation_beta")
_AGAIN: Final = "Export the network again."


@dataclass(frozen=True, slots=True)
class _Activation:
    """A function of ONNX.

    Attributes:
        made: of its parameters.
        defaults: alpha and beta, where it has them: what they are unless told, or None if runtimes
            differ about that.
    """

    made: Callable[..., PointwiseFunction]
    defaults: Mapping[str, float | None]


def _plain(name: str) -> _Activation:
    return _Activation(lambda: PointwiseFunction.of(name), {})


def _hard_sigmoid(alpha: float, beta: float) -> PointwiseFunction:
    return PointwiseFunction.of("ramp", slope=alpha, offset=beta, low=0.0, high=1.0)


#: By name in lower case, as ONNX Runtime compares them.
_ACTIVATIONS: Final[dict[str, _Activation]] = {
    **{name: _plain(name) for name in ("relu", "tanh", "sigmoid", "softsign", "softplus")},
    "affine": _Activation(
        lambda alpha, beta: PointwiseFunction.of("ramp", slope=alpha, offset=beta),
        {"alpha": None, "beta": None},
    ),
    "leakyrelu": _Activation(
        lambda alpha: PointwiseFunction.of("relu", negative_slope=alpha), {"alpha": 0.01}
    ),
    "thresholdedrelu": _Activation(
        lambda alpha: PointwiseFunction.of("threshold", threshold=alpha), {"alpha": None}
    ),
    "scaledtanh": _Activation(
        lambda alpha, beta: PointwiseFunction.of("scaled_tanh", scale=alpha, slope=beta),
        {"alpha": None, "beta": None},
    ),
    "hardsigmoid": _Activation(_hard_sigmoid, {"alpha": 0.2, "beta": 0.5}),
    "elu": _Activation(lambda alpha: PointwiseFunction.of("elu", alpha=alpha), {"alpha": 1.0}),
}
_NAMES: Final = (
    "Affine", "Elu", "HardSigmoid", "LeakyRelu", "Relu", "ScaledTanh", "Sigmoid", "Softplus",
    "Softsign", "Tanh", "ThresholdedRelu",
)  # fmt: skip


def function_of_node(kind: str, attributes: Mapping[str, Any]) -> str | None:
    """The function that an operator of one value is, by the text of a `PointwiseFunction`.

    Args:
        kind: of the operator.
        attributes: by name.

    Returns:
        None for operators that recurrent operators do not name, too.
    """
    made = _ACTIVATIONS.get(kind.lower()) if kind in _NAMES else None
    if made is None or None in made.defaults.values():
        return None
    given = {key: float(attributes.get(key, usual or 0.0)) for key, usual in made.defaults.items()}
    return str(made.made(**given))


def recurrent_forms(
    operator: str, origin: str, attributes: Mapping[str, Any]
) -> tuple[RecurrentForm, ...]:
    """The form of the layer in each direction, the forward one first.

    Args:
        operator: "RNN", "GRU" or "LSTM".
        origin: how reasons name the node.
        attributes: by name: numbers, strings, and lists of them.

    Raises:
        UnsupportedModelError: they say something that is not computed; with all reasons.
    """
    reasons: list[str] = []

    def note(wanted: str, got: str, cure: str = _AGAIN) -> None:
        reason = f"{origin}: expected {wanted}, got {got}. {cure}"
        reasons.extend([reason] * (reason not in reasons))

    known = {*_ELSEWHERE, *_FUNCTIONS_OF, *_OWN[operator], "clip", "direction"}
    for name in sorted(attributes.keys() - known):
        note(f"only attributes of {operator}", f"{name}={attributes[name]!r:.80}")
    direction = str(attributes.get("direction", "forward"))
    if direction not in _DIRECTIONS:
        note(f"direction {' or '.join(_DIRECTIONS)}", f"{direction!r:.80}")
    backward = _DIRECTIONS.get(direction, (False,))
    for name in _OWN[operator]:
        if attributes.get(name, 0) not in (0, 1):
            note(f"{name} 0 or 1", f"{attributes[name]!r:.80}")
    clips = _numbers("clip", [attributes["clip"]] if "clip" in attributes else [], note)
    clip = next(iter(clips), None)
    if clip is not None and not clip > 0.0:
        note("a clip above 0", f"{clip:g}")
    functions = _functions(operator, attributes, len(backward), note)
    if reasons:
        raise UnsupportedModelError(reasons)
    count = len(KINDS[operator][1])
    return tuple(
        replace(
            _of_functions(operator, functions[index * count : (index + 1) * count]),
            clip=None if clip is None or math.isinf(clip) else clip,
            reset_after=bool(attributes.get("linear_before_reset", 0)),
            coupled=bool(attributes.get("input_forget", 0)),
            backward=back,
            reordered=back,
        )
        for index, back in enumerate(backward)
    )


def _of_functions(operator: str, functions: Sequence[str]) -> RecurrentForm:
    """A form with the functions of one direction."""
    if operator == "RNN":
        return RecurrentForm(function=functions[0])
    return RecurrentForm(
        gate=functions[0], function=functions[1], shown=functions[2] if functions[2:] else None
    )


def _functions(
    operator: str, attributes: Mapping[str, Any], directions: int, note: Callable[..., None]
) -> list[str]:
    """The functions of all directions, one after the other."""
    usual = KINDS[operator][1] * directions
    listed = attributes.get("activations") or usual
    names = [str(name) for name in listed] if isinstance(listed, (list, tuple)) else []
    if len(names) != len(usual):
        note(f"{len(usual)} activations", f"{len(names)}")
    unknown = sorted({name for name in names if name.lower() not in _ACTIVATIONS})
    if unknown:
        note(f"activations of {', '.join(_NAMES)}", ", ".join(unknown)[:80],
             "Train with one of these functions.")  # fmt: skip
    if unknown or len(names) != len(usual):
        return list(usual)
    made = [_ACTIVATIONS[name.lower()] for name in names]
    values = {
        key: _values(key, names, made, attributes.get(f"activation_{key}", ()), note)
        for key in ("alpha", "beta")
    }
    found = []
    for index, one in enumerate(made):
        given = {key: values[key][index] for key in one.defaults}
        found.append(str(one.made(**given)))
    return found


def _values(
    key: str,
    names: Sequence[str],
    made: Sequence[_Activation],
    listed: Any,
    note: Callable[..., None],
) -> list[float]:
    """A parameter of every function, 0 of those that have none.

    In ONNX a list has values of those functions alone that have the parameter. Some tools list one
    for each function instead.
    """
    given = _numbers(f"activation_{key}", listed, note)
    if not all(math.isfinite(value) for value in given):
        note(f"finite values of activation_{key}", f"{given}")
        given = []
    takers = [index for index, one in enumerate(made) if key in one.defaults]
    values = [0.0] * len(made)
    in_a_row = dict(zip(takers, given, strict=False))
    in_place = dict(enumerate(given)) if len(given) == len(made) else in_a_row
    for index in takers:
        value = in_a_row.get(index, made[index].defaults[key])
        if value is None:
            note(f"activation_{key} of {names[index]}", f"{len(given)} values",
                 "Write the value into the model: runtimes differ about its default.")  # fmt: skip
            continue
        values[index] = value
    beyond = len(given) > len(takers) > 0
    if beyond and (in_place is in_a_row or any(in_place[i] != in_a_row[i] for i in takers)):
        of = ", ".join(names[index] for index in takers)
        wanted = f"{len(takers)} values of activation_{key}, those of {of}"
        note(wanted, f"{len(given)}", "Remove the values of other activations.")
    return values


def _numbers(name: str, listed: Any, note: Callable[..., None]) -> list[float]:
    """The numbers that an attribute lists."""
    try:
        return [float(value) for value in listed]
    except (TypeError, ValueError):
        note(f"numbers as {name}", f"{listed!r:.80}")
        return []
