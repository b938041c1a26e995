"""Characters of a text, and which one follows: Tiny Shakespeare, or any UTF-8 file."""

from __future__ import annotations

import lzma
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
#: Ends of the train and validation parts, as shares of the text; the rest is the test part.
_ENDS: Final = (0.85, 0.9)
#: Steps of a scored stream, and those before it that only bring the state up to date.
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
    first, second = (int(share * tokens.size) for share in _ENDS)
    source = TINY_SHAKESPEARE if not text else DataSource(
        home=path.name, licence="the user's", citation=path.name
    )  # fmt: skip
    names = tuple(_name(symbol) for symbol in symbols.texts)
    width = len(names)
    train = _whole(tokens[: first + 1], width)
    return Dataset(
        name="Tiny Shakespeare" if not text else path.name,
        source=source,
        protocol=(
            f"{tokens.size} characters, {width} of them distinct: the first 85 % train, the next "
            f"5 % validate, the last 10 % test; scored in streams of {_STEPS} characters, each "
            f"after the {_WARM_UP} before it from the zero state."
        ),
        train=train,
        validation=_scored(tokens, first, second, width),
        test=_scored(tokens, second, tokens.size - 1, width),
        classes=names,
        metric=BITS,
        metric_unit="",
        target_scale=1.0,
        metric_scale=np.ones(1),
        input_names=("character",),
        input_units=("",),
        output_names=names,
        output_units=("",) * width,
        step_ms=1.0,
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


def _part(rows: npt.NDArray[np.int64], width: int, scored_from: int) -> Part:
    """Streams of tokens [B, T + 1] with the next token at every step."""
    x, target = rows[:, :-1, None].astype(np.float64), rows[:, 1:, None].astype(np.float64)
    base = np.broadcast_to(np.zeros(1), (*x.shape[:2], width))
    return Part(x=x, target=target, base=base, scored_from=scored_from)


def _whole(tokens: npt.NDArray[np.int64], width: int) -> Part:
    """The train part: streams of equal length, each of which begins where the last one ends."""
    steps = min(_STEPS, tokens.size - 1)
    starts = range(0, tokens.size - steps, steps)
    return _part(np.stack([tokens[at : at + steps + 1] for at in starts]), width, 0)


def _scored(tokens: npt.NDArray[np.int64], begin: int, end: int, width: int) -> Part:
    """The tokens from ``begin`` + 1 to ``end`` as targets, in streams of equal length."""
    steps = min(_STEPS, end - begin)
    starts = range(begin, end - steps + 1, steps)
    rows = [tokens[at - _WARM_UP : at + steps + 1] for at in starts]
    return _part(np.stack(rows), width, _WARM_UP)
