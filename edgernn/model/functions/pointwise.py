"""Functions of one value by name, as layers say which they apply.

Integer arithmetic does not depend on the name, but on the table that stands for the function.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from edgernn.errors import ModelError

#: Functions by name, with the parameters they have and what these are unless said.
POINTWISE: Final[Mapping[str, Mapping[str, float]]] = {
    "linear": {},
    "relu": {"max_value": math.inf, "negative_slope": 0.0, "threshold": 0.0},
    "clip": {"low": -1.0, "high": 1.0},
    "ramp": {"slope": 1.0, "offset": 0.0, "low": -math.inf, "high": math.inf},
    "elu": {"alpha": 1.0},
    "selu": {},
    "celu": {"alpha": 1.0},
    "gelu": {},
    "gelu_tanh": {},
    "silu": {},
    "hard_silu": {},
    "mish": {},
    "softplus": {},
    "squareplus": {"b": 4.0},
    "sparse_plus": {},
    "exponential": {},
    "log_sigmoid": {},
    "tanh": {},
    "scaled_tanh": {"scale": 1.7159, "slope": 2.0 / 3.0},
    "hard_tanh": {},
    "softsign": {},
    "tanh_shrink": {},
    "soft_shrink": {"threshold": 0.5},
    "hard_shrink": {"threshold": 0.5},
    "threshold": {"threshold": 0.0, "value": 0.0},
    "sigmoid": {},
    "hard_sigmoid": {},
    "hard_sigmoid_keras2": {},
    "sparse_sigmoid": {},
}
#: A parameter that every function has: its argument is held within ± this.
LIMIT: Final = "limit"
#: Those whose results are within ±1.
_SYMMETRIC: Final = frozenset({"tanh", "hard_tanh", "softsign"})
#: Those of them whose results are shares, from 0 to 1.
_SHARES: Final = frozenset({"sigmoid", "hard_sigmoid", "hard_sigmoid_keras2", "sparse_sigmoid"})
_UNIT: Final = _SYMMETRIC | _SHARES
#: Those of both that do not change beyond the ends of Q5.10.
_FLAT: Final = _UNIT - {"softsign"}
#: Those that are operations (clauses 3.2 to 3.4, relu and linear): all others are tables.
_OPERATIONS: Final = frozenset({"linear", "relu", "tanh", "sigmoid", "hard_sigmoid"})
_TEXT: Final = re.compile(r"([a-z][a-z0-9_]*)(?:\((.*)\))?")


@dataclass(frozen=True, slots=True)
class PointwiseFunction:
    """A function of one value, by name and parameters.

    Attributes:
        name: one of `POINTWISE`.
        parameters: all it has, by name.
    """

    name: str
    parameters: tuple[tuple[str, float], ...] = ()

    @staticmethod
    def of(name: str, **parameters: float) -> PointwiseFunction:
        """The function with these parameters, the others as `POINTWISE` says.

        Raises:
            ModelError: no function has this name, or these parameters.
        """
        known = _known(name)
        if known is None:
            raise ModelError(f"function: expected one of {', '.join(POINTWISE)}, got {name!r:.60}")
        strange = sorted(parameters.keys() - known.keys())
        held = parameters.get(LIMIT, math.inf) > 0.0
        if strange or not held or any(math.isnan(value) for value in parameters.values()):
            raise ModelError(
                f"function {name}: expected numbers for {', '.join(known)}, {LIMIT} above 0, got "
                f"{parameters!r:.120}"
            )
        given = {key: float(parameters.get(key, value)) for key, value in known.items()}
        return PointwiseFunction(name, tuple(given.items()))

    @staticmethod
    def parse(text: str) -> PointwiseFunction:
        """The function that `str` of one names.

        Raises:
            ModelError: it names none.
        """
        found = _TEXT.fullmatch(text)
        try:
            if found is None:
                raise ValueError(text)
            given = {}
            for part in filter(None, (found[2] or "").split(",")):
                key, _, value = part.partition("=")
                given[key.strip()] = float(value)
        except ValueError as error:
            raise ModelError(
                f"function: expected a name, or a name with parameters such as 'elu(alpha=0.5)', "
                f"got {text!r:.80}"
            ) from error
        return PointwiseFunction.of(found[1], **given)

    def __str__(self) -> str:
        """The name, and what parameters are not as usual: ``elu(alpha=0.5)``."""
        usual = _known(self.name) or {}
        other = [f"{key}={value!r}" for key, value in self.parameters if value != usual[key]]
        return f"{self.name}({','.join(other)})" if other else self.name

    @property
    def is_plain(self) -> bool:
        """Whether all parameters are as usual."""
        return str(self) == self.name

    @property
    def is_operation(self) -> bool:
        """Whether it is computed without a table."""
        return self.is_plain and self.name in _OPERATIONS

    @property
    def within_one(self) -> bool:
        """Whether all results are within ±1, and are Q0.15 for that."""
        return self.name in _UNIT

    @property
    def is_share(self) -> bool:
        """Whether all results are from 0 to 1."""
        return self.name in _SHARES

    @property
    def flat_ends(self) -> bool:
        """Whether it does not change beyond the ends of Q5.10, which its argument is for that."""
        return self.name in _FLAT

    @property
    def keeps_format(self) -> bool:
        """Whether it is no table but the value itself, or the larger of it and 0."""
        return self.is_plain and self.name in ("linear", "relu")


def _known(name: str) -> dict[str, float] | None:
    """The parameters of a function, and what they are unless said; None for no function."""
    return {**POINTWISE[name], LIMIT: math.inf} if name in POINTWISE else None


def check_function(owner: str, text: str) -> None:
    """Refuse what is no name of a function, or not written as `str` does.

    Raises:
        ModelError: as said.
    """
    written = str(PointwiseFunction.parse(text))
    if written != text:
        raise ModelError(f"{owner}: expected {written!r}, got {text!r:.80}")
