"""Decoding with one stream: the likeliest token, or one drawn by its probability."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from edgernn.decoding.generator import drawn, random_numbers
from edgernn.decoding.token_costs import (
    at_temperature,
    candidates,
    distances,
    temperature_steps,
    weights,
)
from edgernn.decoding.token_stream import Tokens, TokenStream
from edgernn.errors import DecodingError
from edgernn.model.formats import Int16Array
from edgernn.session.program_session import ProgramSession
from edgernn.session.session import Session

#: Most tokens of one decoding, which bounds the costs of beams (clause 13.13).
MAX_TOKENS: Final = 10_000
#: Seeds are integers of 32 bits.
SEEDS: Final = 1 << 32

#: Chooses the next token by the scores [V] of all tokens.
Choice = Callable[[Int16Array], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What a decoding gave.

    Attributes:
        tokens: the chosen ones, without the end token.
        ended: whether the end token was chosen, rather than the most tokens reached.
        bits: minus the binary logarithm of the probability of the tokens, the end token included,
            in steps of 1/4096; None where it was not computed.
    """

    tokens: tuple[int, ...]
    ended: bool
    bits: float | None = None


def greedy(
    session: Session | ProgramSession,
    *,
    first: Tokens,
    end: int | None = None,
    max_tokens: int,
    program: str = "",
    output: str = "",
) -> Decoded:
    """Choose the likeliest token again and again (clause 13.10).

        session.begin("encode")
        session.run("encode", word)
        session.begin("decode")
        word = greedy(session, first=START, end=END, max_tokens=40, program="decode")

    The session's stream reads ``first`` and all chosen tokens but the last.

    Args:
        session: of a model that reads a token and scores the next one, or of a set with such a
            program. Its stream continues from where it is.
        first: one token or several, which are read first.
        end: the token that ends the decoding; None for none.
        max_tokens: most tokens to choose.
        program: name of the program of a set; may be omitted if only one fits.
        output: name of the output with the scores; may be omitted if only one fits.

    Raises:
        DecodingError: the model does not score tokens, or a setting is out of range.
    """
    stream = TokenStream(session, program, output)
    return _collected(chosen_tokens(stream, first, end, max_tokens, likeliest), end)


def sample(
    session: Session | ProgramSession,
    *,
    first: Tokens,
    end: int | None = None,
    max_tokens: int,
    temperature: float = 1.0,
    top_k: int = 0,
    seed: int = 0,
    program: str = "",
    output: str = "",
) -> Decoded:
    """Draw each token by its probability (clauses 13.2 to 13.7).

    The same model, arguments and beginning give the same tokens on every back-end and in C.

    Args:
        session: as in `greedy`.
        first: as in `greedy`.
        end: as in `greedy`.
        max_tokens: as in `greedy`.
        temperature: 0.001 to 100, in steps of 0.001; below 1 likely tokens are drawn more often.
        top_k: draw only among this many likeliest tokens; 0 for all.
        seed: of the random numbers, 0 to 2^32 - 1.
        program: as in `greedy`.
        output: as in `greedy`.

    Raises:
        DecodingError: as `greedy`.
    """
    stream = TokenStream(session, program, output)
    choice = sampler(stream, temperature, top_k, seed)
    return _collected(chosen_tokens(stream, first, end, max_tokens, choice), end)


def chosen_tokens(
    stream: TokenStream, first: Tokens, end: int | None, max_tokens: int, choice: Choice
) -> Iterator[int]:
    """Each token as soon as it is chosen, the end token last.

    Args:
        stream: which reads and scores tokens.
        first: tokens that are read first.
        end: token after which nothing is chosen; None for none.
        max_tokens: most tokens to choose.
        choice: chooses a token by the scores.

    Raises:
        DecodingError: a setting is out of range; raised at once.
    """
    check_most(max_tokens)
    if end is not None:
        stream.checked(end)
    return _chosen(stream, stream.read(first), end, max_tokens, choice)


def _chosen(
    stream: TokenStream, scores: Int16Array, end: int | None, max_tokens: int, choice: Choice
) -> Iterator[int]:
    for index in range(max_tokens):
        token = choice(scores)
        yield token
        if token == end:
            return
        if index + 1 < max_tokens:
            scores = stream.read(token)


def likeliest(scores: Int16Array) -> int:
    """Clause 13.10."""
    return int(np.argmax(scores))


def sampler(stream: TokenStream, temperature: float, top_k: int, seed: int) -> Choice:
    """Clauses 13.2 to 13.7.

    Args:
        stream: whose scores they are.
        temperature: as in `sample`.
        top_k: as in `sample`.
        seed: as in `sample`.

    Raises:
        DecodingError: a setting is out of range.
    """
    check_whole("top_k", top_k, 0, stream.vocabulary)
    check_whole("seed", seed, 0, SEEDS - 1)
    multiplier = at_temperature(stream.multiplier, temperature_steps(temperature))
    numbers = random_numbers(int(seed))

    def choice(scores: Int16Array) -> int:
        w = weights(distances(scores, multiplier))
        return drawn(np.where(candidates(scores, top_k), w, 0), numbers)

    return choice


def check_most(max_tokens: Any) -> None:
    """Refuse numbers of tokens that are out of range.

    Raises:
        DecodingError: it is not 1 to 10,000.
    """
    check_whole("max_tokens", max_tokens, 1, MAX_TOKENS)


def check_whole(owner: str, value: Any, low: int, high: int) -> None:
    """Refuse anything but a whole number from ``low`` to ``high``.

    Raises:
        DecodingError: the value is refused; names the owner.
    """
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or not low <= value <= high:
        raise DecodingError(
            f"decoding {owner}: expected a whole number from {low} to {high}, got {value!r:.40}."
        )


def _collected(tokens: Iterator[int], end: int | None) -> Decoded:
    found = list(tokens)
    ended = end is not None and found[-1] == end
    return Decoded(tokens=tuple(found[:-1] if ended else found), ended=ended)
