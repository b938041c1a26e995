"""Exponents of a cell's values: which of them calibration chooses, and which functions fix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edgernn.model.formats import PREACTIVATION, UNIT
from edgernn.model.functions.pointwise import PointwiseFunction


@dataclass(frozen=True, slots=True, kw_only=True)
class Exponent:
    """An option that says how many fraction bits values of a cell have.

    Attributes:
        values: what has them, by the names that the cell's function gives; quantizing finds the
            most fraction bits with which they hold what they reach in calibration.
        allowed: the exponents there are.
        wide: those of a layer whose state has a low part, where they are others.
        result_of: options that name functions: where the results of all of them are within ±1, the
            exponent is 15.
        blended_by: the option that names the function of gates that blend the values with others:
            `result_of` counts only where its results are from 0 to 1.
        argument_of: the option that names the function that reads the values: where it does not
            change beyond the ends of Q5.10, the exponent is 10.
        partner: the exponent that this one equals where the function of `argument_of`, or the last
            of `result_of`, keeps the format of what it reads.
        parts: what the values are sums of, in their format: they count where the exponent is that
            of a partner, too.
    """

    values: tuple[str, ...]
    allowed: range
    wide: range | None = None
    result_of: tuple[str, ...] = ()
    blended_by: str = ""
    argument_of: str = ""
    partner: str = ""
    parts: tuple[str, ...] = ()

    def of(self, *, wide: bool) -> range:
        """The exponents of a layer that has a low part, or none."""
        return self.wide if wide and self.wide is not None else self.allowed

    def fixed(self, options: Mapping[str, Any]) -> int | None:
        """The exponent that no calibration needs to choose; None where one does.

        Args:
            options: of the cell, by name.
        """
        bounded = all(PointwiseFunction.parse(options[name]).within_one for name in self.result_of)
        blend = self.blended_by
        if self.result_of and bounded:
            if not blend or PointwiseFunction.parse(options[blend]).is_share:
                return UNIT.frac_bits
            return None
        if self.argument_of and PointwiseFunction.parse(options[self.argument_of]).flat_ends:
            return PREACTIVATION.frac_bits
        return None

    def shares(self, options: Mapping[str, Any]) -> bool:
        """Whether it equals that of its partner."""
        function = self.argument_of or (self.result_of[-1] if self.result_of else "")
        return bool(self.partner) and PointwiseFunction.parse(options[function]).keeps_format


def chosen_exponents(
    exponents: Mapping[str, Exponent],
    options: Mapping[str, Any],
    choose: Callable[[str, Exponent], int],
) -> dict[str, int]:
    """The exponents of a layer by name.

    Args:
        exponents: of its class, by name.
        options: by name.
        choose: of those that the functions leave open, by name.
    """
    found: dict[str, int] = {}
    for name, exponent in exponents.items():
        fixed = exponent.fixed(options)
        if fixed is not None:
            found[name] = fixed
        elif not exponent.shares(options):
            found[name] = choose(name, exponent)
    for name, exponent in exponents.items():
        if exponent.shares(options):
            found[name] = found[exponent.partner]
    return found
