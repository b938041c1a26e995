"""Codes of readings (clauses 9.1, 9.3 and 9.4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgernn.errors import ReadingError
from edgernn.model.border.channels import InputSpec
from edgernn.model.border.masks import mask_row, masked_readings, move_off_the_mask
from edgernn.model.formats import FloatArray, OperandArray, Precision


class InputCoder:
    """Codes of real readings, with everything but the readings worked out beforehand."""

    __slots__ = (
        "_channels", "_dtype", "_high", "_low", "_offset", "_row", "_scale", "_step", "_tokens",
    )  # fmt: skip

    def __init__(self, channels: InputSpec, precision: Precision) -> None:
        """Take scales and bounds from the channels."""
        bounds = channels.code_bounds(precision)
        self._step = bounds.step
        self._low = -(-bounds.low // bounds.step)
        self._high = bounds.high // bounds.step
        self._dtype = channels.code_dtype(precision)
        self._tokens = channels if channels.vocabulary else None
        self._offset = channels.offset
        self._scale = self._step * channels.scale
        self._channels, self._row = channels, mask_row(channels, precision)

    def __call__(self, x: npt.ArrayLike) -> OperandArray:
        """Codes [..., I] of finite readings [..., I], however large (clauses 9.1, 9.3 and 9.4).

        Raises:
            ReadingError: a value is not a token of its channel.
        """
        return self.codes_and_clipped(x)[0]

    def codes_and_clipped(self, x: npt.ArrayLike) -> tuple[OperandArray, npt.NDArray[np.bool_]]:
        """Codes [..., I] of finite readings [..., I], and which of them are clipped.

        Masked readings are never clipped.

        Raises:
            ReadingError: a value is not a token of its channel.
        """
        codes, clipped = self.of_unmasked(x)
        if self._row is not None:
            masked = masked_readings(self._channels, x)
            codes[masked] = self._row
            clipped[masked] = False
        return codes, clipped

    def of_unmasked(self, x: npt.ArrayLike) -> tuple[OperandArray, npt.NDArray[np.bool_]]:
        """As `codes_and_clipped`, of readings none of which is masked, whatever their values.

        Raises:
            ReadingError: a value is not a token of its channel.
        """
        if self._tokens is not None:
            check_tokens(self._tokens.names, self._tokens.vocabulary, x)
            if all(self._tokens.vocabulary):  # codes of tokens are the tokens
                codes = np.asarray(x, dtype=np.float64).astype(self._dtype)
                return codes, np.zeros(codes.shape, dtype=np.bool_)
        with np.errstate(over="ignore"):
            wide = (np.asarray(x, dtype=np.float64) - self._offset) / self._scale
        # In place and without np.clip: this runs once per reading on small devices.
        np.rint(wide, out=wide)
        codes = np.maximum(wide, self._low)
        np.minimum(codes, self._high, out=codes)
        clipped = codes != wide
        if not isinstance(self._step, int) or self._step > 1:
            codes *= self._step
        return self.off_the_mask(codes.astype(self._dtype)), clipped

    def off_the_mask(self, codes: OperandArray) -> OperandArray:
        """Codes [..., I] of readings that are not masked; changes them (clause 9.4)."""
        if self._row is not None and self._tokens is None:
            assert isinstance(self._step, int)  # without tokens all channels have one
            move_off_the_mask(codes, self._row, self._step)
        return codes

    @property
    def range(self) -> tuple[FloatArray, FloatArray]:
        """The least and the greatest physical value [I] that have distinct codes."""
        return self._offset + self._low * self._scale, self._offset + self._high * self._scale


def check_tokens(names: Sequence[str], vocabulary: Sequence[int], x: npt.ArrayLike) -> None:
    """Refuse readings [..., I] with a value that is not a token of its channel (clause 9.3).

    Args:
        names: of the channels.
        vocabulary: tokens of each channel, 0 of a real one; none where all are real.
        x: finite readings.

    Raises:
        ReadingError: the value, its channel, and what would be one.
    """
    if not vocabulary:
        return
    values = np.asarray(x, dtype=np.float64)
    if values.size == len(vocabulary):  # one reading: faster without NumPy
        row = zip(values.ravel().tolist(), vocabulary, strict=True)
        if all(not size or (0 <= value < size and value.is_integer()) for value, size in row):
            return
    sizes = np.array(vocabulary)
    wrong = (sizes > 0) & ((values < 0) | (values >= sizes) | (values != np.rint(values)))
    if wrong.any():
        place = tuple(np.argwhere(wrong)[0])
        size = vocabulary[place[-1]]
        raise ReadingError(
            f"'{names[place[-1]]}': expected a token, an integer from 0 to {size - 1} (the "
            f"vocabulary has {size} tokens), got {values[place]:.10g}. Map unknown tokens to "
            "one that the model was trained with."
        )
