"""Beam search: several rows of tokens side by side, the least costly ones kept (clause 13.11)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from edgernn.backends.rows import Int64Array
from edgernn.decoding.loops import Decoded, check_most, check_whole
from edgernn.decoding.token_costs import UNITS_PER_BIT, logarithm, token_costs
from edgernn.decoding.token_stream import Tokens, TokenStream
from edgernn.errors import DecodingError
from edgernn.session.program_session import ProgramSession
from edgernn.session.session import Session

MAX_WIDTH: Final = 64
#: Length penalties are multiples of 1/256.
PENALTY_STEPS: Final = 256
_MAX_PENALTY: Final = 4.0


@dataclass(frozen=True, slots=True)
class _Hypothesis:
    """A row of tokens, what it costs, and where its stream is before it reads the last of them."""

    tokens: tuple[int, ...]
    cost: int
    stream: TokenStream
    ended: bool = False


def beam(
    session: Session | ProgramSession,
    *,
    first: Tokens,
    end: int | None = None,
    max_tokens: int,
    width: int = 4,
    length_penalty: float = 0.0,
    program: str = "",
    output: str = "",
) -> tuple[Decoded, ...]:
    """Search for the likeliest rows of tokens (clauses 13.8 to 13.12).

    The session's stream reads ``first``; the search runs on copies of it.

    Args:
        session: as in `greedy`.
        first: as in `greedy`.
        end: as in `greedy`.
        max_tokens: as in `greedy`.
        width: 1 to 64 rows that are continued at a time.
        length_penalty: 0 to 4, in steps of 1/256: rows are ranked by their bits divided by this
            power of their length. 0 prefers short rows, 1 takes the bits of a token on average.
        program: as in `greedy`.
        output: as in `greedy`.

    Returns:
        All finished rows, best first: those that end, and those that reached the most tokens.

    Raises:
        DecodingError: as `greedy`.
    """
    stream = TokenStream(session, program, output)
    check_most(max_tokens)
    penalty = _checked(width, length_penalty)
    if end is not None:
        stream.checked(end)
    finished = _finished(stream, first, end, max_tokens, width)
    order = sorted(range(len(finished)), key=lambda place: _rank(finished[place], penalty))
    return tuple(_decoded(finished[place]) for place in order)


def _finished(
    stream: TokenStream, first: Tokens, end: int | None, max_tokens: int, width: int
) -> list[_Hypothesis]:
    """Clause 13.11: the finished hypotheses, in their order."""
    costs = [token_costs(stream.read(first), stream.multiplier)]
    live = [_Hypothesis((), 0, stream)]
    finished: list[_Hypothesis] = []
    for step in range(max_tokens):
        before, live = live, []
        for cost, parent, token in _ascending(before, costs, width):
            of = before[parent]
            grown = _Hypothesis((*of.tokens, token), cost, of.stream, token == end)
            (finished if grown.ended else live).append(grown)
            if len(live) == width:
                break
        last = step + 1 == max_tokens or len(finished) >= width
        live = live if last else [_own(hypothesis) for hypothesis in live]
        for of in before:
            if of.stream is not stream:
                of.stream.close()
        if last or not live:
            break
        costs = [token_costs(of.stream.read(of.tokens[-1]), of.stream.multiplier) for of in live]
    else:
        raise AssertionError("the last step breaks")
    return finished + (live if step + 1 == max_tokens else [])


def _own(hypothesis: _Hypothesis) -> _Hypothesis:
    """A hypothesis with a separate stream."""
    return _Hypothesis(hypothesis.tokens, hypothesis.cost, hypothesis.stream.copy())


def _ascending(
    live: Sequence[_Hypothesis], costs: Sequence[Int64Array], width: int
) -> list[tuple[int, int, int]]:
    """The candidates that can be visited, in their order: cost, hypothesis, token.

    Each hypothesis has one candidate that ends, so at most 2 width are visited.
    """
    total = np.concatenate([of.cost + cost for of, cost in zip(live, costs, strict=True)])
    order = np.argsort(total, kind="stable")[: 2 * width]
    vocabulary = costs[0].size
    return [(int(total[place]), *divmod(int(place), vocabulary)) for place in order]


def _rank(hypothesis: _Hypothesis, penalty: int) -> tuple[int, int]:
    """Clause 13.12; what is less is better."""
    length = penalty * logarithm(len(hypothesis.tokens))
    return logarithm(max(hypothesis.cost, 1)) - ((length + 128) >> 8), hypothesis.cost


def _decoded(hypothesis: _Hypothesis) -> Decoded:
    tokens = hypothesis.tokens
    return Decoded(
        tokens=tokens[:-1] if hypothesis.ended else tokens,
        ended=hypothesis.ended,
        bits=hypothesis.cost / UNITS_PER_BIT,
    )


def _checked(width: Any, penalty: Any) -> int:
    """The length penalty in steps; refuses settings that are out of range."""
    check_whole("width", width, 1, MAX_WIDTH)
    number = isinstance(penalty, (int, float)) and not isinstance(penalty, bool)
    if not number or not math.isfinite(penalty) or not 0 <= penalty <= _MAX_PENALTY:
        raise DecodingError(
            f"decoding length_penalty: expected a number from 0 to {_MAX_PENALTY:g}, got "
            f"{penalty!r:.40}."
        )
    steps: int = round(penalty * PENALTY_STEPS)
    return steps
