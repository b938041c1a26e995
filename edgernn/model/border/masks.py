"""Masked readings: which readings, and which rows of codes, are steps that are not taken.

Clauses 6.13 and 9.4. A mask is one number: a reading with all channels equal to it is masked. Its
codes are the mask row, which no other reading has, so that whatever works on codes (windows that
keep them, generated C, files of codes) knows masked steps too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgernn.errors import ModelError
from edgernn.model.formats import INT16_MAX, INT16_MIN, BoolArray, OperandArray, Precision

if TYPE_CHECKING:
    from edgernn.model.border.channels import InputSpec, OutputSpec
    from edgernn.model.routes import Route


def checked_mask(mask: object, vocabulary: tuple[int, ...]) -> float | None:
    """A mask in the form in which records keep it.

    Args:
        mask: physical value, or a token; None for no mask.
        vocabulary: of the input channels; none where all are real.

    Raises:
        ModelError: not a finite number in single precision; or of tokens, not 0, or several
            channels.
    """
    if mask is None:
        return None
    real = isinstance(mask, (int, float)) and not isinstance(mask, bool)
    with np.errstate(over="ignore"):
        value = float(np.float32(mask)) if real else math.nan  # type: ignore[arg-type]
    if not math.isfinite(value):
        raise ModelError(f"input.mask: expected a finite number or None, got {mask!r:.40}")
    if vocabulary and (len(vocabulary) > 1 or value != 0.0):
        raise ModelError(
            "input.mask: expected the token 0 of a model with one input channel, or None, got "
            f"{value:g} of {len(vocabulary)} channels"
        )
    return value + 0.0  # -0.0 and 0.0 mask the same readings


def checked_masked(masked: tuple[int, ...], width: int) -> tuple[int, ...]:
    """Output codes [O] of masked steps, or none.

    Raises:
        ModelError: another number of them, or not int16.
    """
    codes = tuple(masked)
    fits = all(type(code) is int and INT16_MIN <= code <= INT16_MAX for code in codes)
    if not fits or len(codes) not in (0, width):
        raise ModelError(f"output.masked: expected {width} int16 codes or none, got {codes!r:.60}")
    return codes


def check_masked_model(source: InputSpec, sink: OutputSpec, *, rated: bool, prepared: bool) -> None:
    """Refuse a mask that a model cannot have.

    Args:
        source: the input channels.
        sink: the output channels.
        rated: the model does not answer every reading.
        prepared: it has a preparation.

    Raises:
        ModelError: a mask without an output for masked steps, or the reverse; a mask with a rate or
            a preparation.
    """
    if (source.mask is None) != (not sink.masked):
        raise ModelError(
            "output.masked: expected the output of masked steps for an input with a mask, and none "
            f"without, got mask {source.mask} and {len(sink.masked)} codes"
        )
    if source.mask is None:
        return
    if rated:
        raise ModelError(
            "input.mask: expected None for a model that does not answer every reading, got "
            f"{source.mask:g}: a convolution looks at the readings before, masked ones too"
        )
    if prepared:
        raise ModelError(
            f"input.mask: expected None for a model with a preparation, got {source.mask:g}. What "
            "a preparation gives is never masked: prepare the readings before, and leave out "
            "those that are padding"
        )


def check_held_output(wiring: Sequence[Route], recurrent: Sequence[bool]) -> None:
    """Refuse a model with a mask whose output reads the input past all recurrent layers.

    Args:
        wiring: what every layer reads, then what the model puts out.
        recurrent: which layers keep a state that is their output.

    Raises:
        ModelError: a masked step would not repeat the output.
    """
    held: set[int] = set()
    for index, (route, keeps) in enumerate(zip(wiring, recurrent, strict=False)):
        if keeps or held.issuperset(part.source for part in route):
            held.add(index)
    if not held.issuperset(part.source for part in wiring[-1]):
        raise ModelError(
            "input.mask: expected None for a model whose output reads the input past its "
            "recurrent layers, got a mask"
        )


def mask_row(source: InputSpec, precision: Precision) -> OperandArray | None:
    """The codes [I] of a masked reading (clause 9.4); None where there is no mask."""
    if source.mask is None:
        return None
    low = 0 if source.vocabulary else precision.input_low
    return np.full(source.width, low, source.code_dtype(precision))


def masked_readings(source: InputSpec, x: npt.ArrayLike) -> BoolArray:
    """Which readings [..., I] are masked, bool [...]; none where there is no mask."""
    return equal_to_mask(x, source.mask)


def equal_to_mask(x: npt.ArrayLike, mask: float | None) -> BoolArray:
    """Which readings [..., I] have all values equal to a mask, bool [...]; none where it is None.

    They are compared in single precision, in which Keras compares them.
    """
    values = np.asarray(x)
    if mask is None:
        return np.zeros(values.shape[:-1], np.bool_)
    with np.errstate(over="ignore"):
        same: BoolArray = (values.astype(np.float32) == np.float32(mask)).all(axis=-1)
    return same


def masked_rows(q_xs: npt.NDArray[Any], row: OperandArray | None) -> BoolArray:
    """Which codes [..., I] are the mask row, bool [...]; none where there is no mask."""
    if row is None:
        return np.zeros(q_xs.shape[:-1], np.bool_)
    same: BoolArray = (q_xs == row).all(axis=-1)
    return same


def move_off_the_mask(q_xs: OperandArray, row: OperandArray, step: int) -> None:
    """Give the first channel the next greater code where codes [N, I] are the mask row."""
    q_xs[masked_rows(q_xs, row), 0] += step
