"""Dakshina: Hindi words as people spell them in Latin letters (Roark et al. 2020).

The task: which word in Devanagari was meant.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Sequence
from typing import Final

import numpy as np

from edgernn.errors import DataUnavailable
from edgernn_export.datasets.dataset import Dataset
from edgernn_export.datasets.sources import DataSource, find
from edgernn_export.datasets.splits import Part, sequence_part

DAKSHINA: Final = DataSource(
    home=(
        "github.com/google-research-datasets/dakshina, "
        "dakshina_dataset_v1.0/hi/lexicons/hi.translit.sampled.{train,dev}.tsv"
    ),
    licence="CC BY-SA 4.0",
    citation="Roark et al. 2020, Processing South Asian Languages Written in the Latin Script",
)
FILES: Final = "dakshina_hi/hi.translit.sampled.{}.tsv"
LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
#: Every how many-th Hindi word of the train file, in alphabetical order, validates.
VALIDATION_STRIDE: Final = 20
_CALIBRATION_STRIDE: Final = 100
#: A spelling and the word that was meant.
Spelling = tuple[str, str]


def transliteration() -> Dataset:
    """Words in Devanagari from their spelling in Latin letters.

    Letters are the tokens 1 to 26; 0 is padding and never read. Characters are tokens from 1; 0
    begins and ends a word.

    Raises:
        DataUnavailable: a file is missing or damaged.
    """
    learnt, test = (read_rows(part) for part in ("train", "dev"))
    words = sorted({word for _, word in learnt})
    held = set(words[::VALIDATION_STRIDE])
    train = [row for row in learnt if row[1] not in held]
    validation = [row for row in learnt if row[1] in held]
    characters = sorted({character for _, word in learnt for character in word})
    if unknown := {character for _, word in test for character in word} - set(characters):
        raise DataUnavailable(
            f"{FILES.format('dev')}: expected characters of the train part, got "
            f"{', '.join(sorted(unknown))}."
        )
    names = ("end", *characters)
    symbols = {"letters": ["", *LETTERS], "characters": ["", *characters]}
    return Dataset(
        name="Dakshina Hindi",
        source=DAKSHINA,
        protocol=(
            f"single words; the test part is the dev file, {len(test)} rows, because the test file "
            "of the data set is not used here; every twentieth Hindi word of the train file, with "
            f"all its spellings, validates ({len(validation)} rows), the others train "
            f"({len(train)} rows); no Hindi word is in two parts; a row counts as right if the "
            "word equals that of the row, also where a spelling stands for several words."
        ),
        train=_part(train, characters),
        validation=_part(validation, characters),
        test=_part(test, characters),
        classes=names,
        metric="exact_words",
        metric_unit="",
        target_scale=1.0,
        metric_scale=np.ones(1),
        input_names=("letter",),
        input_units=("",),
        output_names=names,
        output_units=("",) * len(names),
        step_ms=None,
        calibration_stride=_CALIBRATION_STRIDE,
        files={"transliterate_symbols.json": json.dumps(symbols, ensure_ascii=False) + "\n"},
    )


def read_rows(part: str) -> list[Spelling]:
    """Spellings in lower-case Latin letters with their words.

    Each line has a spelling and a word, in either order, and a count, separated by tabs.

    Args:
        part: "train", "dev" or "test".

    Raises:
        DataUnavailable: the file is missing or damaged.
    """
    path = find(FILES.format(part), DAKSHINA)
    try:
        packed = path.read_bytes()
        raw = lzma.decompress(packed) if path.suffix == ".xz" else packed
        lines = raw.decode("utf-8").splitlines()
    except (UnicodeDecodeError, lzma.LZMAError) as error:
        raise DataUnavailable(f"{path.name}: expected UTF-8 text, got {error!s:.80}.") from error
    rows = [_row(line, number, path.name) for number, line in enumerate(lines, 1) if line]
    if not rows:
        raise DataUnavailable(f"{path.name}: expected rows, got none.")
    return rows


def _row(line: str, number: int, name: str) -> Spelling:
    fields = line.split("\t")
    if len(fields) >= 2:
        # The publisher's files have the word first; copies of it the spelling.
        first, second = fields[:2]
        spelling, word = (first, second) if set(first) <= set(LETTERS) else (second, first)
        if spelling and word and set(spelling) <= set(LETTERS):
            return spelling, word
    raise DataUnavailable(
        f"{name} line {number}: expected a word, its spelling in the letters a to z and a count, "
        f"separated by tabs, got {line!r:.60}."
    )


def _part(rows: Sequence[Spelling], characters: Sequence[str]) -> Part:
    token = {character: number for number, character in enumerate(characters, 1)}
    return sequence_part(
        [[[LETTERS.index(letter) + 1] for letter in spelling] for spelling, _ in rows],
        [[token[character] for character in word] for _, word in rows],
        outputs=len(characters) + 1,
    )
