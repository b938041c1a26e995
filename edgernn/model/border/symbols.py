"""The symbols that tokens stand for: text to tokens, and tokens to text."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from edgernn.errors import DeclarationError, DecodingError, ModelError
from edgernn.model.formats import MAX_VOCABULARY

#: Unknown symbols that an error names.
_NAMED: Final = 8
_MAX_CHARACTERS: Final = 256
_HALVES: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Symbols:
    """A vocabulary: the text of every token, recorded in a model.

        letters = session.interface.symbols
        row = sample(session, first=letters.encode("ROMEO:"), max_tokens=80)
        print(letters.decode(row.tokens))

    Symbols may have several characters. Where several of them fit a text, the longest is taken.

    Attributes:
        texts: of token 0, token 1 and so on; distinct and not empty.

    Raises:
        DeclarationError: they are not; names all reasons.
    """

    texts: tuple[str, ...]
    _by_length: dict[int, dict[str, int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the symbols and sort them by length."""
        reasons = _reasons(self.texts)
        if reasons:
            raise DeclarationError([f"symbols: {reason}" for reason in reasons])
        tokens: dict[int, dict[str, int]] = {}
        for token, text in enumerate(self.texts):
            tokens.setdefault(len(text), {})[text] = token
        object.__setattr__(self, "_by_length", dict(sorted(tokens.items(), reverse=True)))

    @classmethod
    def of_text(cls, text: str) -> Symbols:
        """The distinct characters of a text, in code-point order.

        Raises:
            DeclarationError: there are none, or too many.
        """
        return cls(tuple(sorted(set(text))))

    def encode(self, text: str) -> list[int]:
        """The tokens of a text.

        Raises:
            DecodingError: it has characters that are no symbols; names them.
        """
        tokens: list[int] = []
        unknown: list[str] = []
        at = 0
        while at < len(text):
            for length, known in self._by_length.items():
                token = known.get(text[at : at + length])
                if token is not None:
                    tokens.append(token)
                    at += length
                    break
            else:
                unknown.append(text[at])
                at += 1
        if unknown:
            raise DecodingError(
                f"symbols: expected a text of the {len(self.texts)} symbols of the model, got "
                f"{_named(unknown)}. Replace or remove them."
            )
        return tokens

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens.

        Raises:
            DecodingError: a token has no symbol.
        """
        found = []
        for token in tokens:
            if not 0 <= token < len(self.texts):
                raise DecodingError(
                    f"symbols: expected tokens from 0 to {len(self.texts) - 1}, got {token}."
                )
            found.append(self.texts[token])
        return "".join(found)

    def to_json(self) -> str:
        """A string if every symbol is a single character, else an array of strings."""
        single = all(len(text) == 1 for text in self.texts)
        value: Any = "".join(self.texts) if single else list(self.texts)
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> Symbols:
        """Read what `to_json` wrote.

        Raises:
            DeclarationError: it is something else; names all reasons.
        """
        try:
            value = json.loads(text)
        except ValueError as error:
            raise DeclarationError([f"symbols: expected JSON, got {error}."]) from error
        if not isinstance(value, (str, list)):
            raise DeclarationError(
                [f"symbols: expected a string or an array, got {type(value).__name__}."]
            )
        return Symbols(tuple(value))


def _reasons(texts: Any) -> list[str]:
    """What is wrong with symbols."""
    if not isinstance(texts, tuple) or not 1 <= len(texts) <= MAX_VOCABULARY:
        got = f"{len(texts)}" if isinstance(texts, tuple) else type(texts).__name__
        return [f"expected a tuple of 1 to {MAX_VOCABULARY} texts, got {got}."]
    reasons = []
    for token, text in enumerate(texts):
        if not isinstance(text, str) or not 1 <= len(text) <= _MAX_CHARACTERS:
            reasons.append(
                f"expected a text of 1 to {_MAX_CHARACTERS} characters for token {token}, got "
                f"{text!r:.40}."
            )
        elif _HALVES.search(text):
            reasons.append(f"expected whole characters for token {token}, got {text!r:.40}.")
    if not reasons and len(set(texts)) != len(texts):
        twice = next(text for text, count in Counter(texts).items() if count > 1)
        reasons.append(f"expected distinct texts, got {twice!r:.40} twice.")
    return reasons[:_NAMED]


def _named(unknown: Sequence[str]) -> str:
    """Characters with their code points and names."""
    import unicodedata  # only for messages

    distinct = list(dict.fromkeys(unknown))
    named = [
        f"{character!r} (U+{ord(character):04X} {unicodedata.name(character, 'without a name')})"
        for character in distinct[:_NAMED]
    ]
    more = len(distinct) - _NAMED
    return ", ".join(named) + (f" and {more} others" if more > 0 else "")


def check_symbols(symbols: Symbols | None, vocabulary: tuple[int, ...]) -> None:
    """Refuse symbols of another vocabulary.

    Args:
        symbols: of a model; None for none.
        vocabulary: of its input channels.

    Raises:
        ModelError: not one channel has tokens, or another number of them.
    """
    sizes = [size for size in vocabulary if size]
    if symbols is not None and sizes != [len(symbols.texts)]:
        raise ModelError(
            f"model.symbols: expected {len(symbols.texts)} tokens of a single input channel, one "
            f"for each symbol, got vocabularies of {sizes or 'none'}"
        )
