"""Contenders of a benchmark: ways of taking steps, checked before they are timed."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import EdgeRnnError

#: Nanoseconds that one turn of a contender takes, about.
TURN_NS: Final = 2_500_000
#: Nanoseconds of one chunk of readings. Short ones are seldom interrupted, so that their median
#: holds on a busy machine.
CHUNK_NS: Final = 250_000
#: Least and most steps of a turn.
_LEAST_STEPS: Final = 8
_MOST_STEPS: Final = 1000
#: Calls that are timed to find out how many a turn has; the fastest counts.
_TRIALS: Final = 5
#: Readings of a chunk whose time is not known yet.
_TRIAL_CHUNK: Final = 8
_CALLS_OF_CHUNKS: Final = 8


@dataclass(frozen=True, slots=True)
class Contender:
    """One way of taking steps, already checked.

    Attributes:
        program: what executes the network.
        form: numbers it computes with.
        way: how it is driven.
        steps: steps of one turn.
        turn: takes them.
        isa: instruction set of the native back-end, "" of others.
        call: takes ``per_call`` steps, for times of single calls; None if only turns are timed.
        rows: arguments of the calls of one turn.
        per_call: steps of one call.
        departure: RMS of the difference from the float network, in standard deviations of its
            outputs; None if there is no float network to compare with.
        note: how the program is configured.
    """

    program: str
    form: str
    way: str
    steps: int
    turn: Callable[[], object]
    isa: str = ""
    call: Callable[[Any], object] | None = None
    rows: Sequence[Any] = ()
    per_call: int = 1
    departure: float | None = None
    note: str = ""

    @property
    def label(self) -> tuple[str, str, str, str]:
        """Program, form, way and instruction set: they identify it within a network."""
        return self.program, self.form, self.way, self.isa


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Something that a benchmark could not measure.

    Attributes:
        what: its name.
        why: the reason, and how to get it.
    """

    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Contenders of one process.

    Attributes:
        contenders: by network.
        left_out: what was not possible.
        facts: anything else that was found out, as JSON values.
    """

    contenders: dict[str, list[Contender]]
    left_out: list[LeftOut] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def function_named(name: str) -> Callable[..., Any]:
    """Import a function by ``package.module:function``.

    Args:
        name: module and function.

    Raises:
        EdgeRnnError: not of this form.
        ImportError: the module, or a library that it imports, is not installed.
    """
    module, colon, function = name.partition(":")
    if not colon:
        raise EdgeRnnError(f"bench: expected MODULE:FUNCTION, got '{name:.80}'.")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def fastest_ns(call: Callable[[Any], object], row: Any) -> int:
    """Nanoseconds of the fastest of a few calls.

    Args:
        call: the function.
        row: its argument.
    """
    times = []
    for _ in range(_TRIALS):
        start = time.perf_counter_ns()
        call(row)
        times.append(time.perf_counter_ns() - start)
    return max(1, min(times))


def stepped(
    program: str,
    form: str,
    call: Callable[[Any], object],
    rows: Sequence[Any],
    *,
    way: str = "step",
    period: int = 1,
    **named: Any,
) -> Contender:
    """A contender that takes single steps.

    Args:
        program: what executes the network.
        form: numbers it computes with.
        way: how it is driven.
        call: takes one step with a row.
        rows: readings; they are repeated if a turn needs more.
        period: readings from one answer to the next; a turn has whole periods if it can.
        named: other attributes of `Contender`.
    """
    steps = max(_LEAST_STEPS, min(_MOST_STEPS, TURN_NS // fastest_ns(call, rows[0])))
    if period <= _MOST_STEPS:
        steps = -(-steps // period) * period
    return called(program, form, way, call, repeated(rows, steps), **named)


def chunked(
    program: str,
    form: str,
    run: Callable[[Any], object],
    rows: npt.NDArray[Any],
    *,
    way: str,
    **named: Any,
) -> Contender:
    """A contender that passes many readings in one call.

    Args:
        program: what executes the network.
        form: numbers it computes with.
        way: how it is driven.
        run: takes as many steps as it gets rows.
        rows: readings [T, I]; they are repeated if a chunk needs more.
        named: other attributes of `Contender`.
    """
    trial = np.resize(rows, (_TRIAL_CHUNK, *rows.shape[1:]))
    each = max(1, fastest_ns(run, trial) // _TRIAL_CHUNK)
    count = max(_LEAST_STEPS, min(_MOST_STEPS, CHUNK_NS // each))
    chunk = np.resize(rows, (count, *rows.shape[1:]))
    calls = [chunk] * _CALLS_OF_CHUNKS
    return called(program, form, way, run, calls, per_call=count, **named)


def called(
    program: str,
    form: str,
    way: str,
    call: Callable[[Any], object],
    rows: Sequence[Any],
    *,
    per_call: int = 1,
    **named: Any,
) -> Contender:
    """A contender whose calls are timed one by one; the arguments are those of `Contender`."""

    def turn() -> None:
        for row in rows:
            call(row)

    steps = per_call * len(rows)
    return Contender(
        program, form, way, steps, turn, call=call, rows=rows, per_call=per_call, **named
    )


def repeated(rows: Sequence[Any], count: int) -> list[Any]:
    """A given number of rows, which start again at the first one after the last."""
    return (list(rows) * -(-count // len(rows)))[:count]
