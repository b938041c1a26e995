"""Limits that a benchmark is held against."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgernn.bench.file_sizes import EDGERNN, FileSize
from edgernn.bench.timings import Timing
from edgernn.errors import EdgeRnnError


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchLimits:
    """What a model may take, and what it must keep; None is no limit.

    Attributes:
        max_ms: milliseconds of a step, by its 99th percentile.
        max_kb: kilobytes (1000 bytes) of the model's file.
        min_kept: percent of the float network's quality.

    Raises:
        EdgeRnnError: not a number above 0.
    """

    max_ms: float | None = None
    max_kb: float | None = None
    min_kept: float | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("max_ms", "max_kb", "min_kept"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise EdgeRnnError(
                    f"bench {name}: expected a number above 0, got {value!r:.40}. "
                    "Leave it out for no limit."
                )

    def check_evaluation(self, has_network: bool, has_targets: bool) -> None:
        """Refuse a limit on accuracy that nothing can be compared with.

        Args:
            has_network: whether there is a float network.
            has_targets: whether there are test data with targets.

        Raises:
            EdgeRnnError: `min_kept` is a number, and one of them is missing.
        """
        if self.min_kept is not None and not (has_network and has_targets):
            raise EdgeRnnError(
                "bench min_kept: expected the float network and test data with targets, got "
                f"{'no test data' if has_network else 'no float network'}. "
                "Pass --float NETWORK --data FILE --truth COLUMN."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitCheck:
    """One limit and what was measured.

    Attributes:
        what: what was measured, and where.
        limit: the limit.
        measured: the value; None if it could not be measured.
        unit: of both.
        kept: whether the limit is kept.
    """

    what: str
    limit: float
    measured: float | None
    unit: str
    kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardFigures:
    """What limits need to know of a board.

    Attributes:
        name: of the board.
        ms: longest estimate of a step; None if there is none.
        flash_bytes: of the linked program; None if it is unknown.
    """

    name: str
    ms: float | None
    flash_bytes: int | None

    @staticmethod
    def of(board: Mapping[str, Any]) -> BoardFigures:
        """The figures in a board's costs.

        Args:
            board: fields of `edgernn_export.simulation.BoardCost`.
        """
        # Without a linked program, a board's costs contain the weights alone.
        linked = board["flash_bytes"] if board["measured"] else None
        return BoardFigures(name=str(board["target"]), ms=board["high_ms"], flash_bytes=linked)


def judged(timings: Sequence[Timing], named: bool) -> Timing | None:
    """The timing that `max_ms` is compared with.

    Args:
        timings: of exact back-ends, in the order of the table.
        named: whether the user named back-ends; the slowest of them counts, by its fastest
            instruction set. Otherwise the first one counts, which `edgernn.load` chooses.
    """
    first_of = {timing.program: timing for timing in reversed(timings)}
    candidates = [timing for timing in timings if first_of[timing.program] is timing]
    if not candidates:
        return None
    return max(candidates, key=lambda timing: timing.p99_us) if named else candidates[0]


def checks(
    limits: BenchLimits,
    timing: Timing | None,
    sizes: Sequence[FileSize],
    boards: Sequence[BoardFigures],
    kept: float | None,
) -> tuple[LimitCheck, ...]:
    """Hold figures against limits.

    Args:
        limits: the limits.
        timing: see `judged`.
        sizes: of the model's files.
        boards: estimates of boards.
        kept: share of the float network's quality, 1.0 for all; None if it is unknown.
    """
    return tuple(_checks(limits, timing, sizes, boards, kept))


def _checks(
    limits: BenchLimits,
    timing: Timing | None,
    sizes: Sequence[FileSize],
    boards: Sequence[BoardFigures],
    kept: float | None,
) -> Iterator[LimitCheck]:
    if limits.max_ms is not None:
        measured = None if timing is None else timing.p99_us / 1000
        where = "no back-end ran" if timing is None else f"{timing.name}, p99"
        yield _at_most(f"step on {where}", limits.max_ms, measured, "ms")
        for board in boards:
            yield _at_most(f"step on {board.name}, estimate", limits.max_ms, board.ms, "ms")
    if limits.max_kb is not None:
        size = next((size.bytes for size in sizes if size.name == EDGERNN), None)
        yield _at_most(f"{EDGERNN} file", limits.max_kb, _kb(size), "kB")
        for board in boards:
            yield _at_most(f"flash on {board.name}", limits.max_kb, _kb(board.flash_bytes), "kB")
    if limits.min_kept is not None:
        percent = None if kept is None else 100 * kept
        yield LimitCheck(
            what="accuracy kept",
            limit=limits.min_kept,
            measured=percent,
            unit="%",
            kept=percent is not None and percent >= limits.min_kept,
        )


def _kb(size: int | None) -> float | None:
    return None if size is None else size / 1000


def _at_most(what: str, limit: float, measured: float | None, unit: str) -> LimitCheck:
    within = measured is not None and measured <= limit
    return LimitCheck(what=what, limit=limit, measured=measured, unit=unit, kept=within)
