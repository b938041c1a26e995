"""A session seen as a model of tokens: a token in, scores of the next one out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgernn.decoding.token_costs import (
    common_scores,
    score_factors,
    score_multiplier,
)
from edgernn.display import listed
from edgernn.errors import DecodingError
from edgernn.model.border.channels import InputSpec, port_slices
from edgernn.model.formats import Int16Array
from edgernn.model.interface import Interface
from edgernn.session.program_session import ProgramSession
from edgernn.session.session import Session

#: A model's or a program's prompt: one token, or several.
Tokens = int | Sequence[int]


class TokenStream:
    """One stream that reads tokens, and answers each with scores of all tokens.

    Attributes:
        session: whose stream it is.
        program: which program of a set reads the tokens; "" of a model.
        vocabulary: number of tokens V.
        multiplier: what makes costs of scores (clause 13.1).
    """

    __slots__ = ("_factors", "_scores", "multiplier", "program", "session", "vocabulary")

    def __init__(
        self, session: Session | ProgramSession, program: str = "", output: str = ""
    ) -> None:
        """Check that the model reads tokens and scores them.

        Args:
            session: of a model, or of a set of programs, one of which has begun.
            program: of a set; "" for the only one that reads tokens and scores them.
            output: name of the output with the scores; "" for the only one that fits.

        Raises:
            DecodingError: the model has no such input or output; names all reasons.
        """
        self.session = session
        self.program = _checked_program(session, program)
        interface = self._interface
        self._scores, self.vocabulary = token_scores(interface, output)
        scales = interface.output.scale[self._scores]
        self.multiplier = score_multiplier(float(scales.max()))
        self._factors = score_factors(scales)

    @property
    def _interface(self) -> Interface:
        if isinstance(self.session, ProgramSession):
            return self.session.interface(self.program)
        return self.session.interface

    def read(self, tokens: Tokens) -> Int16Array:
        """Advance the stream by one token or several, and return the scores after the last.

        Args:
            tokens: integers below the vocabulary.

        Returns:
            int16 [V].

        Raises:
            DecodingError: no token, or none of the vocabulary.
        """
        rows = [self.checked(token) for token in _listed(tokens)]
        if not rows:
            raise DecodingError(
                "decoding first: expected at least one token, got none. Pass a start token."
            )
        codes = [[token] for token in rows]
        session = self.session
        if isinstance(session, ProgramSession):
            answers = session.run_codes(self.program, codes)
        else:
            answers = session.run_codes(codes)
        return common_scores(np.ascontiguousarray(answers[-1][self._scores]), self._factors)

    def checked(self, token: Any) -> int:
        """A token of the vocabulary.

        Raises:
            DecodingError: it is none.
        """
        whole = isinstance(token, (int, np.integer)) and not isinstance(token, bool)
        if not whole or not 0 <= token < self.vocabulary:
            raise DecodingError(
                f"decoding: expected tokens from 0 to {self.vocabulary - 1}, got {token!r:.40}."
            )
        return int(token)

    def copy(self) -> TokenStream:
        """Another stream that continues from here; close it when it is no longer used."""
        other = object.__new__(TokenStream)
        other.session, other.program = self.session.copy(), self.program
        other.vocabulary, other.multiplier = self.vocabulary, self.multiplier
        other._scores, other._factors = self._scores, self._factors
        return other

    def close(self) -> None:
        """End the stream."""
        self.session.close()


def _listed(tokens: Any) -> list[Any]:
    if isinstance(tokens, (str, bytes)):
        raise DecodingError(
            "decoding first: expected tokens, got a text. Pass "
            "session.interface.symbols.encode(text), or encode it with edgernn.decoding.Symbols."
        )
    return list(tokens) if np.iterable(tokens) else [tokens]


def _checked_program(session: Session | ProgramSession, program: str) -> str:
    """The name of the program that reads the tokens; "" of a model."""
    if isinstance(session, Session):
        if program:
            raise DecodingError(
                f"decoding program: expected none for a model, got {program!r:.40}. Omit it."
            )
        return ""
    if not isinstance(session, ProgramSession):
        raise DecodingError(
            f"decoding: expected a Session or a ProgramSession, got {type(session).__name__}. "
            "Open a model that reads token after token with edgernn.load."
        )
    if program:
        session.interface(program)
        return program
    fitting = [name for name in session.programs if not _reasons(session.interface(name), "")]
    if len(fitting) != 1:
        raise DecodingError(
            f"decoding program: expected the name of the program that reads tokens and scores "
            f"them, got none ({listed(session.programs)}). Pass program=."
        )
    return fitting[0]


def token_scores(interface: Interface, output: str = "") -> tuple[slice, int]:
    """Where a model has the scores of its tokens, and how many there are.

    Args:
        interface: of the model.
        output: name of an output; "" for the only one that fits.

    Raises:
        DecodingError: it reads something other than one token, or scores none; names all reasons.
    """
    reasons = _reasons(interface, output)
    if reasons:
        raise DecodingError(
            f"decoding: expected a model that reads a token and scores the next one, got "
            f"'{interface.name}': {'; '.join(reasons)}."
        )
    return _fitting(interface, output)[0], interface.input.vocabulary[0]


def scores_tokens(interface: Interface) -> bool:
    """Whether a model reads a token and scores the next one."""
    return not _reasons(interface, "")


def _reasons(interface: Interface, output: str) -> list[str]:
    """Why a model cannot generate tokens."""
    source = interface.input
    reasons = []
    if source.width != 1 or not source.vocabulary:
        reasons.append(f"its input has {_described(source)} in place of one token")
    elif source.vocabulary[0] < 2:
        reasons.append("its vocabulary has a single token")
    elif len(_fitting(interface, output)) != 1:
        which = f"output {output!r:.40}" if output else "one output"
        reasons.append(
            f"it does not have {which} that ends in a softmax over the {source.vocabulary[0]} "
            "tokens of its vocabulary"
        )
    if interface.window is not None or interface.rate is not None:
        reasons.append("it does not answer every token with the state of all tokens before")
    return reasons


def _described(source: InputSpec) -> str:
    tokens = sum(size > 0 for size in source.vocabulary)
    return f"{tokens} tokens and {source.width - tokens} real channels"


def _fitting(interface: Interface, output: str) -> list[slice]:
    """The outputs that score the tokens of the vocabulary."""
    sink = interface.output
    named = port_slices(sink.ports) or {"output": slice(0, sink.width)}
    softmax = {port.name: port.softmax for port in sink.ports} or {"output": sink.softmax}
    return [
        own
        for name, own in named.items()
        if softmax[name]
        and (not output or name == output)
        and own.stop - own.start == interface.input.vocabulary[0]
    ]
