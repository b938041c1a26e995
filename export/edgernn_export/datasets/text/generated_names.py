"""Sentences made from patterns, with names of persons, places and organizations that are made up.

Names of all kinds share most endings: "Burton" may be a person or a town, "Halden" a town or the
first word of a firm. The words before or after a name tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

PERSON, PLACE, ORGANIZATION = "PER", "LOC", "ORG"
#: A word and its tag: "O", or "B-" (first word of a name) or "I-" (further ones) and a kind.
Word = tuple[str, str]

_BEGINNINGS: Final = (
    "Al", "Ar", "Bar", "Bel", "Ber", "Bran", "Cal", "Cor", "Dar", "Del", "El", "Fen", "Gar", "Hal",
    "Har", "Is", "Jor", "Kel", "Kor", "Lan", "Lor", "Mar", "Mel", "Mor", "Nor", "Or", "Pel", "Ran",
    "Ros", "Sal", "Sel", "Sten", "Tal", "Tor", "Ul", "Van", "Ver", "Wal", "Wes", "Zel",
)  # fmt: skip
_MIDDLES: Final = ("", "", "", "a", "an", "e", "er", "i", "in", "o", "or", "ul")
#: Endings of family names and first names, of towns and of both.
_SHARED: Final = ("ton", "den", "ley", "wood", "field", "er", "ow", "ing", "ette", "is")
_ENDINGS: Final = {
    PERSON: (*_SHARED, "son", "man", "ova", "ez", "ia", "bert"),
    PLACE: (*_SHARED, "ville", "burg", "ford", "port", "stad", "mouth"),
    ORGANIZATION: (*_SHARED, "tec", "ex", "ia", "soft"),
}
_FIRST_NAMES: Final = ("a", "o", "ia", "y", "en", "us", "el", "ine")
_FIRMS: Final = (
    "Bank", "Group", "Motors", "Foods", "Press", "Energy", "Airlines", "Partners", "United", "Ltd",
)  # fmt: skip
_BEFORE: Final = ("Dr.", "Mr.", "Mrs.", "Professor", "President")
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")

#: Patterns: {P}, {L}, {G} are names of a person, a place, an organization; {D} a day, {N} a number.
#: Those of `HELD_BACK` are in the test part only.
PATTERNS: Final = (
    "{P} was born in {L} .", "{P} said on {D} that {G} would pay .", "In {L} , {P} met {P} .",
    "{G} named {P} as its new head .", "{P} , {N} , lives in {L} with two sons .",
    "The mayor of {L} thanked {P} .", "Shares of {G} rose {N} percent on {D} .",
    "{L} lies north of {L} on the coast .", "{G} will open an office in {L} next year .",
    "On {D} {P} left {G} after {N} years .", "Rain fell on {L} all week .",
    "{P} scored twice as {L} won the final .", "The river near {L} rose by {N} metres .",
    "{G} cut {N} jobs at its plant in {L} .", "Flights from {L} to {L} were late on {D} .",
    "Many people in {L} work for {G} .", "{P} told reporters that the talks had failed .",
    "{G} denied the report on {D} .", "The court in {L} fined {G} .",
    "{P} and {P} wrote the book together .", "{L} has {N} people and a port .",
    "{P} won the prize for her work at {G} .", "They drove to {L} to visit {P} .",
    "The price went up again , {G} said .", "He was a doctor , said {P} of the clinic in {L} .",
    "Police in {L} are looking for the car .", "{G} bought a smaller firm for {N} million .",
    "The train to {L} was late again .", "A fire near {L} destroyed {N} houses .",
    "{P} plays the lead in the new film .", "{G} makes parts for {G} .",
    "No one was hurt on {D} .", "The weather will be fine until {D} .",
)  # fmt: skip
HELD_BACK: Final = (
    "{P} flew from {L} to see {P} on {D} .", "Workers at {G} in {L} stopped work .",
    "The road to {L} was closed , {P} said .", "{G} and {P} agreed to pay {N} million .",
    "{L} won , but {P} was hurt .", "The new head of {G} was born in {L} .",
    "Last year {P} visited {L} twice .", "Nobody at {G} saw the letter from {P} .",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class NameLists:
    """Made-up words that name somebody or something, of one part of a data set.

    Attributes:
        first: first names.
        proper: what follows them, and names of places and organizations, by kind.
    """

    first: tuple[str, ...]
    proper: dict[str, tuple[str, ...]]


def make_names(rng: np.random.Generator, parts: int) -> list[NameLists]:
    """Names for several parts, none of which is in two of them.

    Args:
        rng: draws them.
        parts: how many.
    """
    first = _divided(rng, [b + e for b in _BEGINNINGS for e in _FIRST_NAMES], parts)
    kinds: dict[str, list[str]] = {kind: [] for kind in _ENDINGS}
    stems = _divided(rng, [b + m for b in _BEGINNINGS for m in sorted({*_MIDDLES})], parts)
    proper = [
        {kind: tuple(stem + end for stem in own for end in _ENDINGS[kind]) for kind in kinds}
        for own in stems
    ]
    return [NameLists(first=a, proper=b) for a, b in zip(first, proper, strict=True)]


def sentence(rng: np.random.Generator, names: NameLists, patterns: tuple[str, ...]) -> list[Word]:
    """A sentence with the tag of every word.

    Args:
        rng: draws the pattern and its names.
        names: that it may have.
        patterns: that it may follow.
    """
    words: list[Word] = []
    for part in patterns[rng.integers(len(patterns))].split():
        words += _filled(rng, names, part)
    return words


def _filled(rng: np.random.Generator, names: NameLists, part: str) -> list[Word]:
    if part == "{P}":
        return _person(rng, names)
    if part == "{L}":
        town = _one(rng, names.proper[PLACE])
        new = rng.random() < 0.15
        return _name([_one(rng, ("New", "Port", "East", "San")), town] if new else [town], PLACE)
    if part == "{G}":
        firm = _one(rng, names.proper[ORGANIZATION])
        return _name([firm, _one(rng, _FIRMS)] if rng.random() < 0.5 else [firm], ORGANIZATION)
    if part == "{D}":
        return [(_one(rng, _DAYS), "O")]
    if part == "{N}":
        return [(str(rng.integers(2, 990)), "O")]
    return [(part, "O")]


def _person(rng: np.random.Generator, names: NameLists) -> list[Word]:
    family = _one(rng, names.proper[PERSON])
    kind = rng.random()
    if kind < 0.2:
        return [(_one(rng, _BEFORE), "O"), *_name([family], PERSON)]
    if kind < 0.4:
        return _name([family], PERSON)
    return _name([_one(rng, names.first), family], PERSON)


def _name(words: list[str], kind: str) -> list[Word]:
    return [(word, f"{'I' if place else 'B'}-{kind}") for place, word in enumerate(words)]


def _one(rng: np.random.Generator, choices: tuple[str, ...]) -> str:
    return choices[rng.integers(len(choices))]


def _divided(rng: np.random.Generator, words: list[str], parts: int) -> list[tuple[str, ...]]:
    """Words in random order, divided into groups."""
    order = rng.permutation(len(words))
    return [tuple(words[i] for i in order[part::parts]) for part in range(parts)]
