"""Readings outside the calibrated range: they are clipped, counted and, once, warned of."""

from __future__ import annotations

import sys
import warnings
from typing import Protocol

from edgernn.errors import ClippedReadingsWarning
from edgernn.model.border.coder import InputCoder
from edgernn.model.formats import BoolArray, FloatArray, OperandArray
from edgernn.model.interface import Interface


class Encoder(Protocol):
    """Makes codes of one stream's readings and knows which were clipped.

    Streams of backends that code readings themselves are encoders; for the others there is
    `CountingEncoder`.

    Attributes:
        clipped: readings that were clipped, per channel.
        told: whether there was a warning of the first one.
    """

    clipped: tuple[int, ...]
    told: bool

    def encode(self, xs: FloatArray, /) -> OperandArray:
        """Codes of readings; counts those that are clipped.

        Args:
            xs: finite float64 [T, I], contiguous.

        Returns:
            Operand codes [T, I].

        Raises:
            ClippedReadingsWarning: a filter makes an error of it; nothing was counted.
        """
        ...


class CountingEncoder:
    """The encoder of a stream that takes codes (see `Encoder`)."""

    __slots__ = ("_coder", "_interface", "clipped", "told")

    def __init__(self, interface: Interface, coder: InputCoder) -> None:
        """Nothing was clipped yet."""
        self._interface = interface
        self._coder = coder
        self.clipped: tuple[int, ...] = (0,) * interface.input.width
        self.told = False

    def encode(self, xs: FloatArray, /) -> OperandArray:
        """See `Encoder.encode`."""
        return self._counted(xs, *self._coder.codes_and_clipped(xs))

    def encode_unmasked(self, xs: FloatArray, /) -> OperandArray:
        """As `encode`, of readings none of which is masked, whatever their values."""
        return self._counted(xs, *self._coder.of_unmasked(xs))

    def _counted(self, xs: FloatArray, codes: OperandArray, clipped: BoolArray) -> OperandArray:
        if clipped.any():
            if not self.told:
                t, channel = divmod(int(clipped.argmax()), clipped.shape[-1])
                warn_clipped(self._interface, channel, float(xs[t, channel]))
                self.told = True
            counts = zip(self.clipped, clipped.sum(axis=0).tolist(), strict=True)
            self.clipped = tuple(before + now for before, now in counts)
        return codes


def warn_clipped(interface: Interface, channel: int, value: float) -> None:
    """Warn of a clipped reading where the caller's code is, outside this package.

    Args:
        interface: of the model.
        channel: number of the channel.
        value: the reading in physical units.

    Raises:
        ClippedReadingsWarning: a filter of the module `warnings` makes an error of it.
    """
    spec = interface.input
    low, high = (float(bound[channel]) for bound in interface.coder().range)
    unit = spec.units[channel] and f" {spec.units[channel]}"
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    warnings.warn(
        f"session: expected '{spec.names[channel]}' within the calibrated range [{low:.6g}, "
        f"{high:.6g}]{unit}, got {value:.6g}. The value was clipped; session.clipped_readings "
        "counts such readings. Quantize again with an input_range, or with calibration data, "
        "that covers the sensor's whole range.",
        ClippedReadingsWarning,
        stacklevel=level,
    )


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == "edgernn"
