"""How a head learns: a declaration that a model file can hold."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from edgernn.declared import StreamDeclaration, json_table, read_table, setting
from edgernn.errors import DeclarationError, ModelError

if TYPE_CHECKING:
    from edgernn.model.border.channels import OutputSpec
    from edgernn.model.interface import Window
    from edgernn.model.layer_record import StateSpec

#: Most elements of the state that a head reads (NUMERICS.md 14.1).
MAX_FEATURES: Final = 256
#: Most steps between an output and its true value.
MAX_DELAY: Final = 4_096
#: Shifts of the leak; 0 is none.
LEAK_SHIFTS: Final = range(4, 25)
#: Largest output code, of which limits are multiples.
_FULL_SCALE: Final = 32_767


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptation(StreamDeclaration):
    """How a head learns from true values (NUMERICS.md section 14).

    The head adds a linear function of a state to the outputs of a model. It learns by normalized
    least mean squares (Widrow and Hoff 1960; Nagumo and Noda 1967): each true value moves the
    correction of its step towards it, by the share ``rate`` of the error.

    Attributes:
        rate: share of the error that one true value removes. Small rates average over more values:
            about 1 / rate of them.
        leak: share of every weight that is lost with each true value, 0 or a power of two from
            2^-24 to 2^-4. The correction then returns to 0 where errors do not hold it.
        limit: largest correction of an output, as a multiple of its largest code times its scale.
        error_limit: larger errors count as this one, in the same unit. It bounds what a wrong value
            can do.
        delay: steps between the step whose output a true value belongs to and the last step when
            the value arrives.
        state: name of the state that the head reads; "" for that of the last layer with one, which
            is a recurrent layer or a memory of what other layers gave, as in `SVDF`.

    Raises:
        DeclarationError: settings are wrong; names all reasons.
    """

    rate: float = setting(
        "share of the error that one true value removes", default=0.05, low=2.0**-15, high=1.0
    )
    leak: float = setting("share of every weight lost with each true value", default=0.0, low=0.0)
    limit: float = setting(
        "largest correction, in multiples of the output's largest value",
        default=1.0,
        low=1.0 / _FULL_SCALE,
        high=4.0,
    )
    error_limit: float = setting(
        "errors beyond it count as this one", default=1.0, low=1.0 / _FULL_SCALE, high=1.0
    )
    delay: int = setting("steps that a true value is late", default=0, low=0, high=MAX_DELAY)
    state: str = setting("state that the head reads", default="")

    def problems(self) -> Iterator[str]:
        """A leak that is no shift."""
        if self.leak and not self.leak_shift:
            exponent = round(math.log2(self.leak))
            near = min(max(exponent, 1 - LEAK_SHIFTS.stop), -LEAK_SHIFTS.start)
            yield (
                f"leak: expected 0 or a power of two from 2^-24 to 2^-4, got {self.leak!r}. "
                f"The nearest is {2.0**near!r}."
            )

    @property
    def rate_code(self) -> int:
        """The integer of clause 14.1, in units of 2^-15."""
        return round(self.rate * 32_768)

    @property
    def leak_shift(self) -> int:
        """The shift of clause 14.1; 0 without a leak."""
        return next((shift for shift in LEAK_SHIFTS if self.leak == 2.0**-shift), 0)

    @property
    def limit_code(self) -> int:
        """The limit in output codes."""
        return round(self.limit * _FULL_SCALE)

    @property
    def error_code(self) -> int:
        """The error limit in output codes."""
        return round(self.error_limit * _FULL_SCALE)

    def misfits(self, model: Adapted) -> list[str]:
        """What does not fit a model, one sentence each.

        Args:
            model: a model, or its interface.
        """
        reasons = []
        if model.output.softmax:
            reasons.append(
                "adaptation: expected outputs with true values, got a model that ends in a "
                "softmax. Adapt a model of real outputs."
            )
        if model.window is not None:
            reasons.append(
                "adaptation: expected a model of an endless stream, whose state a head can read, "
                'got one of windows. Quantize it with stream="endless".'
            )
        known = readable(model.states)
        if not known:
            reasons.append(
                f"adaptation: expected a state of at most {MAX_FEATURES} units, got none. "
                "Use a recurrent layer of at most as many units."
            )
        elif self.state and self.state not in known:
            reasons.append(
                f"adaptation.state: expected one of {', '.join(known)}, got {self.state!r:.60}. "
                "Omit it to read that of the last layer with a state."
            )
        return reasons

    def bound(self, model: Adapted) -> Adaptation:
        """These settings for a model, with the name of the state that the head reads.

        Args:
            model: a model, or its interface.

        Raises:
            DeclarationError: they do not fit; names all reasons.
        """
        reasons = self.misfits(model)
        if reasons:
            raise DeclarationError(reasons)
        return dataclasses.replace(self, state=self.state or readable(model.states)[-1])

    @staticmethod
    def from_json(text: str) -> Adaptation:
        """Read what `to_json` wrote.

        Raises:
            DeclarationError: it is something else; names all reasons.
        """
        return Adaptation.from_table(json_table(text, "adaptation"))

    @staticmethod
    def from_table(table: Any, where: str = "adaptation") -> Adaptation:
        """Read a table of TOML or JSON.

        Args:
            table: settings by name.
            where: place of the table, for messages.

        Raises:
            DeclarationError: settings are unknown or wrong; names all reasons.
        """
        reasons: list[str] = []
        found = read_table(Adaptation, table, where, reasons)
        if found is None:
            raise DeclarationError(reasons)
        return found


class Adapted(Protocol):
    """A model, or its interface."""

    @property
    def adaptation(self) -> Adaptation | None:
        """How a head learns."""
        ...

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """Of the model."""
        ...

    @property
    def output(self) -> OutputSpec:
        """Of the model."""
        ...

    @property
    def window(self) -> Window | None:
        """What it answers."""
        ...


def check_adaptation(owner: Adapted) -> None:
    """Refuse the head of another model, or one without the name of its state.

    Args:
        owner: a model, or its interface.

    Raises:
        ModelError: names all reasons.
    """
    own = owner.adaptation
    if own is None:
        return
    reasons = own.misfits(owner)
    if not own.state:
        reasons.append("adaptation.state: expected the name of a state, got none. Use bound.")
    if reasons:
        raise ModelError(" ".join(reasons))


def readable(states: Sequence[StateSpec]) -> list[str]:
    """Names of the states that a head can read: outputs that layers gave before.

    Args:
        states: of a model, in the order of its layers.
    """
    return [
        spec.name
        for spec in states
        if spec.name.endswith(".h") and not spec.start and not spec.codes
        if spec.units <= MAX_FEATURES
    ]
