"""Messages that repeat: said once for each kind and key, then counted."""

from __future__ import annotations

import logging
import random
from typing import Final

#: Kinds and keys that are told apart; later ones are counted together.
_MOST: Final = 10_000
_OTHER: Final = "other keys"


class Troubles:
    """Says each kind of problem of a key once, then at the 10th, 100th, 1000th time.

    Args:
        logger: takes the messages.
        name: they begin with it.
    """

    def __init__(self, logger: logging.Logger, name: str) -> None:
        """Nothing said."""
        self._logger, self._name = logger, name
        self._counts: dict[tuple[str, str], int] = {}

    @property
    def total(self) -> int:
        """Problems told so far."""
        return sum(self._counts.values())

    def tell(self, problem: str, key: str = "") -> None:
        """Say a problem, or count it.

        Args:
            problem: "expected …, got …"; the part before ", got" is its kind.
            key: of the stream; "" for none.
        """
        place = (problem.partition(", got")[0], key)
        if place not in self._counts and len(self._counts) >= _MOST:
            place = (place[0][:40], _OTHER)
        count = self._counts[place] = self._counts.get(place, 0) + 1
        if not _is_power_of_ten(count):
            return
        stream = f", stream {key!r:.60}" if key else ""
        times = f" ({count} times so far)" if count > 1 else ""
        self._logger.warning("%s%s: %s%s", self._name, stream, problem, times)


def _is_power_of_ten(count: int) -> bool:
    while count % 10 == 0:
        count //= 10
    return count == 1


class Backoff:
    """Waiting times between attempts: each twice as long as the one before, up to a limit.

    Args:
        first_s: of the first attempt.
        limit_s: longest.
    """

    def __init__(self, first_s: float = 0.5, limit_s: float = 60.0) -> None:
        """Begin with the shortest time."""
        self._first_s, self._limit_s = first_s, limit_s
        self._next_s = first_s

    def wait_s(self) -> float:
        """Seconds until the next attempt; a random fifth keeps many devices apart."""
        wait_s = self._next_s
        self._next_s = min(2 * wait_s, self._limit_s)
        return wait_s * random.uniform(0.8, 1.0)

    def reset(self) -> None:
        """An attempt has succeeded."""
        self._next_s = self._first_s
