"""What a missing value of a reading does to the stream, channel by channel."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from edgernn.errors import EdgeRnnError
from edgernn.model.formats import BoolArray, FloatArray, OperandArray
from edgernn.model.interface import InputSpec, Interface, port_slices

#: Row and channel of every missing value of a chunk, row after row.
Gaps = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]


class Policy(enum.Enum):
    """How to handle a bad value of a channel: missing, NaN or infinite.

    RAISE refuses the reading with an error and does not change the stream. HOLD uses the channel's
    last good value instead; the other channels keep their values. Until every held channel
    has had a good value the stream pauses and its output is NaN. SKIP drops the whole
    reading and repeats the last output; NaN before the first.

    A number instead of a policy takes the place of a bad value.
    """

    RAISE = "raise"
    HOLD = "hold"
    SKIP = "skip"


PolicyName = Literal["raise", "hold", "skip"]
#: One policy for all channels, or by name of a channel or an input; a channel without one raises.
OnBadReading = PolicyName | float | Mapping[str, PolicyName | float]
#: One policy for the channels of all programs, or by name of a program; one without it raises.
OnBadReadings = OnBadReading | Mapping[str, OnBadReading]
_WANTED: Final = ", ".join(policy.value for policy in Policy)


class Policies:
    """The policy of every channel of a model.

    Attributes:
        given: what it was made from.
        chosen: a policy or a number for each channel.
        raises: bool [I].
        holds: bool [I].
        skips: bool [I].
        values: codes [I] of the numbers that take the place of bad values; 0 elsewhere.
    """

    __slots__ = ("chosen", "given", "holds", "raises", "skips", "values")

    def __init__(self, given: OnBadReading, interface: Interface) -> None:
        """Look every channel up.

        Args:
            given: as in `edgernn.load`.
            interface: of the model.

        Raises:
            EdgeRnnError: no such policy or channel, or a number outside the calibrated range.
        """
        self.given = dict(given) if isinstance(given, Mapping) else given
        names = interface.input.names
        self.chosen = chosen = tuple(_by_channel(self.given, interface.input))
        self.raises, self.holds, self.skips = (
            np.array([c is policy for c in chosen])
            for policy in (Policy.RAISE, Policy.HOLD, Policy.SKIP)
        )
        numbers = [0.0 if isinstance(c, Policy) else c for c in chosen]
        fixed = ~(self.raises | self.holds | self.skips)
        x: FloatArray = np.where(fixed, numbers, interface.input.offset)
        coder = interface.coder()
        self.values, clipped = coder.of_unmasked(x)
        if clipped.any():
            low, high = (bound[clipped][0] for bound in coder.range)
            raise EdgeRnnError(
                f"on_bad_reading: expected values within the calibrated range, [{low:.6g}, "
                f"{high:.6g}] for '{names[int(clipped.argmax())]}', got {x[clipped][0]:.6g}."
            )

    def fill(
        self, q_xs: OperandArray, gaps: Gaps, held: OperandArray, known: BoolArray
    ) -> tuple[int, BoolArray]:
        """Put codes in the place of missing values.

        Args:
            q_xs: codes [T, I], T > 0; what takes the place of missing ones is written here.
            gaps: where they are; none in a channel that raises or skips.
            held: codes [I], the last good ones before the chunk.
            known: bool [I], whether there were any.

        Returns:
            How many readings at the beginning still lack a code; whether there is a last good code
            after the chunk, bool [I].
        """
        rows, channels = gaps
        still, seen = 0, np.ones_like(known)
        for i in sorted(set(channels.tolist())):
            missing = rows[channels == i]
            if not self.holds[i]:
                q_xs[missing, i] = self.values[i]
                continue
            # Rows that miss one after the other are all as far ahead of their place in `missing`.
            ahead = missing - np.arange(len(missing))
            before = missing[np.searchsorted(ahead, ahead)] - 1
            q_xs[missing, i] = np.where(before < 0, held[i], q_xs[before, i])
            if not known[i]:
                lacking = int(np.count_nonzero(before < 0))
                still, seen[i] = max(still, lacking), lacking < len(q_xs)
        return still, seen

    def __str__(self) -> str:
        """The policy as given."""
        if isinstance(self.given, dict):
            return ", ".join(f"{name}: {policy}" for name, policy in self.given.items())
        return str(self.given)


def check_policy(given: object) -> None:
    """Refuse what cannot be a policy of any model.

    Raises:
        EdgeRnnError: not a policy, a number or a mapping to these.
    """
    for value in given.values() if isinstance(given, Mapping) else (given,):
        _policy(value)


def by_program(given: OnBadReadings, programs: Sequence[str]) -> dict[str, OnBadReading]:
    """The policies of the channels of each program.

    Args:
        given: as in `edgernn.load_programs`.
        programs: names of all programs.

    Raises:
        EdgeRnnError: a mapping with another name.
    """
    if not isinstance(given, Mapping):
        return dict.fromkeys(programs, given)
    unknown = [str(name) for name in given if name not in programs]
    if unknown:
        raise EdgeRnnError(
            f"on_bad_reading: expected policies for the programs {', '.join(programs)}, got "
            f"{', '.join(unknown)}. Put channels inside a program: {{{programs[0]!r}: "
            "{'channel': 'hold'}}"
        )
    policies: dict[str, Any] = dict(given)
    return {name: policies.get(name, "raise") for name in programs}


def _by_channel(given: OnBadReading, spec: InputSpec) -> list[Policy | float]:
    names, ports = spec.names, port_slices(spec.ports)
    if not isinstance(given, Mapping):
        return [_policy(given)] * len(names)
    unknown = [name for name in given if name not in names and name not in ports]
    if unknown:
        inputs = f" or inputs among {', '.join(ports)}" if ports else ""
        raise EdgeRnnError(
            f"on_bad_reading: expected channels among {', '.join(names)}{inputs}, "
            f"got {', '.join(map(str, unknown))}."
        )
    of_inputs = {
        name: given[port] for port, own in ports.items() if port in given for name in names[own]
    }
    return [_policy(given.get(name, of_inputs.get(name, Policy.RAISE.value))) for name in names]


def _policy(given: Any) -> Policy | float:
    number = isinstance(given, (int, float, np.integer, np.floating))
    if number and not isinstance(given, bool) and math.isfinite(given):
        return float(given)
    try:
        return Policy(given)
    except ValueError:
        raise EdgeRnnError(
            f"on_bad_reading: expected one of {_WANTED}, or a finite number, got "
            f"{given!r:.40}. Pass one policy for all channels, or a dictionary by channel name."
        ) from None
