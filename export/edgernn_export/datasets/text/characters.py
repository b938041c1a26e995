"""Characters of a text, and which one follows: Tiny Shakespeare, or any UTF-8 file."""

from __future__ import annotations

import lzma
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import DataUnavailable
from edgernn.model.border.symbols import Symbols
from edgernn_export.datasets.dataset import BITS, Dataset
from edgernn_export.datasets.sources import DataSource, find
from edgernn_export.datasets.splits import Part

TINY_SHAKESPEARE: Final = DataSource(
    home="github.com/karpathy/char-rnn, data/tinyshakespeare/input.txt",
    licence="text in the public domain; repository MIT",
    citation="Karpathy 2015, char-rnn",
)
PATH: Final = "tinyshakespeare/input.txt"
#: Where the test part begins, as a share of the text.
_TEST: Final = 0.9
#: One of so many stretches before the test part validates, the one in the middle of them.
_EVERY: Final = 18
#: Steps of a stretch, and those before a scored one that only bring the state up to date.
_STEPS, _WARM_UP = 1024, 64
_LEAST: Final = 500
#: Calibration streams of the train part.
_CALIBRATED: Final = 24


def char_text(text: str = "") -> Dataset:
    """The next character of a text.

    Args:
        text: path of a UTF-8 file, plain or packed with xz; "" for Tiny Shakespeare under
            EDGERNN_DATA.

    Raises:
        DataUnavailable: the file is missing, not UTF-8, or too short.
    """
    path = Path(text) if text else find(PATH, TINY_SHAKESPEARE)
    content = read_text(path)
    symbols = Symbols.of_text(content)
    tokens = np.array(symbols.encode(content))
    learnt = int(_TEST * tokens.size)
    steps = min(_STEPS, learnt // _EVERY)
    starts = range(0, learnt - steps, steps)
    validating = starts[_EVERY // 2 :: _EVERY]
    source = TINY_SHAKESPEARE if not text else DataSource(
        home=path.name, licence="the user's", citation=path.name
    )  # fmt: skip
    names = tuple(_name(symbol) for symbol in symbols.texts)
    width = len(names)
    train = _part(tokens, [at for at in starts if at not in validating], steps, 0, width)
    tested = min(_STEPS, tokens.size - 1 - learnt)
    tests = range(learnt, tokens.size - tested, tested)
    return Dataset(
        name="Tiny Shakespeare" if not text else path.name,
        source=source,
        protocol=(
            f"{tokens.size} characters, {width} of them distinct. The last 10 % test. Of the "
            f"stretches of {steps} characters before them, one of {_EVERY} validates and the "
            f"others train, so that a play that goes on in the test part has been learnt, as in "
            f"the literature. Scored in streams, each after the {_WARM_UP} characters before it "
            "from the zero state."
        ),
        train=train,
        validation=_part(tokens, validating, steps, _WARM_UP, width),
        test=_part(tokens, tests, tested, _WARM_UP, width),
        classes=names,
        metric=BITS,
        metric_unit="",
        target_scale=1.0,
        metric_scale=np.ones(1),
        input_names=("character",),
        input_units=("",),
        output_names=names,
        output_units=("",) * width,
        step_ms=None,
        calibration_stride=max(1, len(train.x) // _CALIBRATED),
        symbols=symbols.texts,
    )


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, plain or packed with xz, with line ends as one character.

    Raises:
        DataUnavailable: there is no such file, it is not UTF-8, or too short.
    """
    try:
        packed = path.read_bytes()
        raw = lzma.decompress(packed) if path.suffix == ".xz" else packed
        content = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise DataUnavailable(
            f"text: expected a readable file, got '{path}' ({error.strerror})."
        ) from error
    except (UnicodeDecodeError, lzma.LZMAError) as error:
        raise DataUnavailable(
            f"{path.name}: expected a text in UTF-8, got {error!s:.80}. Convert it first."
        ) from error
    if len(content) < _LEAST or len(set(content)) < 2:
        raise DataUnavailable(
            f"{path.name}: expected at least {_LEAST} characters, two of them distinct, got "
            f"{len(content)}."
        )
    return content


def _name(symbol: str) -> str:
    """The name of an output: names of channels have no control characters."""
    return symbol if symbol.isprintable() and symbol != " " else f"U+{ord(symbol):04X}"


def _part(
    tokens: npt.NDArray[np.int64], starts: Sequence[int], steps: int, warm_up: int, width: int
) -> Part:
    """Streams of tokens [B, T] with the next token at every step; the warm-up is not scored."""
    rows = np.stack([tokens[at - warm_up : at + steps + 1] for at in starts])
    x, target = rows[:, :-1, None].astype(np.float64), rows[:, 1:, None].astype(np.float64)
    base = np.broadcast_to(np.zeros(1), (*x.shape[:2], width))
    return Part(x=x, target=target, base=base, scored_from=warm_up)
