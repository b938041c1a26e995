"""Hard limits of a search, and how a configuration stands against them."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from typing import Final

from edgernn.errors import SearchError
from edgernn_export.search.hardware_cost import Cost

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)(|[kM]i?)B?")
_FACTORS: Final = {"": 1, "k": 1000, "M": 1000**2, "ki": 1024, "Mi": 1024**2}


def parse_bytes(text: str) -> int:
    """A size in bytes: k and M count in thousands, Ki and Mi in 1,024.

    Raises:
        SearchError: it is no size, not a whole number of bytes, or 0.

    >>> parse_bytes("16k"), parse_bytes("16KiB"), parse_bytes("500"), parse_bytes("1.5kB")
    (16000, 16384, 500, 1500)
    """
    found = _SIZE.fullmatch(text.strip().replace("K", "k"))
    size = float(found[1]) * _FACTORS[found[2]] if found else 0.0
    if size < 1 or size != int(size):
        raise SearchError(
            f"size: expected bytes like 16000, 16k (16,000) or 16KiB (16,384), got '{text}'."
        )
    return int(size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Over:
    """A limit that a cost exceeds.

    Attributes:
        name: field of `Limits`.
        excess: how much too much, as a share of the limit.
        sentence: with both figures.
    """

    name: str
    excess: float
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a model may take; None is no limit.

    Attributes:
        flash_bytes: code and constants of the model.
        ram_bytes: state, scratch and stack of the model.
        step_ms: of a step; held against the high end of the estimate.
    """

    flash_bytes: int | None = None
    ram_bytes: int | None = None
    step_ms: float | None = None

    def __post_init__(self) -> None:
        """Refuse what no model can keep."""
        for name, limit in asdict(self).items():
            if limit is not None and not 0 < limit < math.inf:
                raise SearchError(f"search {name}: expected a limit above 0, got {limit}.")

    def excesses(self, cost: Cost) -> dict[str, float]:
        """Share by which each limit is exceeded; at most 0 where it is kept."""
        taken = {
            "flash_bytes": cost.flash_bytes,
            "ram_bytes": cost.ram_bytes,
            "step_ms": cost.high_ms,
        }
        return {
            name: taken[name] / limit - 1
            for name, limit in asdict(self).items()
            if limit is not None
        }

    def over(self, cost: Cost) -> tuple[Over, ...]:
        """The limits that a cost exceeds, the worst first."""
        sentences = {
            "flash_bytes": f"flash {cost.flash_bytes:,} B > {self.flash_bytes or 0:,} B",
            "ram_bytes": f"RAM {cost.ram_bytes:,} B > {self.ram_bytes or 0:,} B",
            "step_ms": f"{_time(cost)} > {self.step_ms or 0:g} ms",
        }
        found = (
            Over(name=name, excess=excess, sentence=sentences[name])
            for name, excess in self.excesses(cost).items()
            if excess > 0
        )
        return tuple(sorted(found, key=lambda over: -over.excess))


def _time(cost: Cost) -> str:
    known = cost.instructions is not None
    return (
        f"estimated {cost.high_ms:.3g} ms" if known else "unknown time (too large to be emulated)"
    )
