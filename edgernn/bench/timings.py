"""Interleaved rounds, and what they say about each contender."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgernn.bench.own_backends import BARE, RUN, STEP
from edgernn.bench.workers import Label, Worker

#: Called with what is done now, the number of finished stages and the number of all.
BenchProgress = Callable[[str, int, int], None]
_STREAMS: Final = re.compile(r"(\w+), (\d+) streams?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Time of a step in one way, over all rounds.

    Attributes:
        program: what executes the network.
        form: numbers it computes with.
        way: how it is driven.
        isa: instruction set of the native back-end, "" of others.
        exact: whether its outputs are the reference's, bit for bit.
        calls: single calls that were timed.
        median_us, p95_us, p99_us: of single calls, in microseconds.
        run_us: median microseconds per step when many readings are passed in one call; None if
            the program has no such call.
        departure: RMS of the difference from the float network, in standard deviations of its
            outputs; None without a float network.
        note: how the program is configured.
    """

    program: str
    form: str
    way: str
    isa: str
    exact: bool
    calls: int
    median_us: float
    p95_us: float
    p99_us: float
    run_us: float | None
    departure: float | None
    note: str

    @property
    def name(self) -> str:
        """Program and instruction set, for people."""
        return f"{self.program} ({self.isa})" if self.isa else self.program


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """Steps per second of all streams together, on one core.

    Attributes:
        program: what executes the network.
        way: "step", one reading of each stream after another, or "run", one chunk after another.
        streams: number of streams over the same weights.
        steps_per_second: of all streams, median of the rounds.
    """

    program: str
    way: str
    streams: int
    steps_per_second: float


@dataclass(frozen=True, slots=True)
class _Turn:
    worker: Worker
    network: str
    index: int
    label: Label
    calls: bool
    exact: bool


#: Nanoseconds by label: of single calls, or per step of turns.
Samples = dict[Label, list[float]]


def take_rounds(
    workers: Sequence[tuple[Worker, bool]], network: str, rounds: int, progress: BenchProgress
) -> Samples:
    """Let every contender take one turn in each round.

    Args:
        workers: processes, and whether their contenders are exact.
        network: name of the network.
        rounds: number of rounds.
        progress: told about each round.

    Returns:
        Nanoseconds by label.
    """
    turns = list(_turns(workers, network))
    samples: Samples = {turn.label: [] for turn in turns}
    for number in range(rounds):
        for turn in turns:
            if turn.calls:
                samples[turn.label] += turn.worker.take_calls(network, turn.index)
            else:
                samples[turn.label].append(turn.worker.take_turn(network, turn.index))
        progress("interleaved rounds", number + 1, rounds)
    return samples


def _turns(workers: Iterable[tuple[Worker, bool]], network: str) -> Iterator[_Turn]:
    for worker, exact in workers:
        for index, one in enumerate(worker.contenders.get(network, ())):
            yield _Turn(worker, network, index, tuple(one["label"]), one["calls"], exact)


def timings_of(
    workers: Iterable[tuple[Worker, bool]], network: str, samples: Mapping[Label, Sequence[float]]
) -> tuple[Timing, ...]:
    """One timing for each contender whose single calls were timed.

    Args:
        workers: as in `take_rounds`.
        network: name of the network.
        samples: of `take_rounds`.
    """
    return tuple(_timings(workers, network, samples))


def _timings(
    workers: Iterable[tuple[Worker, bool]], network: str, samples: Mapping[Label, Sequence[float]]
) -> Iterator[Timing]:
    for worker, exact in workers:
        for one in worker.contenders.get(network, ()):
            program, form, way, isa = one["label"]
            if not one["calls"] or way == RUN or _STREAMS.fullmatch(way):
                continue
            us = np.array(samples[program, form, way, isa]) / 1000
            in_run = samples.get((program, form, RUN, isa)) if way in (STEP, BARE) else None
            median, p95, p99 = np.percentile(us, (50, 95, 99)).tolist()
            yield Timing(
                program=program,
                form=form,
                way=way,
                isa=isa,
                exact=exact,
                calls=len(us),
                median_us=round(median, 3),
                p95_us=round(p95, 3),
                p99_us=round(p99, 3),
                run_us=None if not in_run else round(statistics.median(in_run) / 1000, 3),
                departure=one["departure"],
                note=one["note"],
            )


def throughput_of(samples: Mapping[Label, Sequence[float]]) -> tuple[Throughput, ...]:
    """Steps per second of the contenders with several streams."""
    found = []
    for (program, _, way, _), nanoseconds in samples.items():
        many = _STREAMS.fullmatch(way)
        if many:
            found.append(
                Throughput(
                    program=program,
                    way=many[1],
                    streams=int(many[2]),
                    steps_per_second=round(1e9 / statistics.median(nanoseconds), 1),
                )
            )
    return tuple(found)
