"""Whether a model fits a board, and which changes would make it fit; every answer is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgernn.container.memory import weight_memory
from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.storage import Storage
from edgernn_firmware_sim.targets import Board, boards
from edgernn_firmware_sim.targets.reduced_models import (
    has_narrower,
    in_w4,
    in_w8a8,
    narrower,
    widest,
)

#: Bytes of flash and RAM of a model.
Measure = Callable[[IntegerModel], tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Bytes that a model needs in one memory of a board.

    Attributes:
        memory: "flash" or "RAM".
        bytes: needed by the model.
        limit_bytes: that the board has.
        measured: the need is that of linked firmware, otherwise the known part of it.
    """

    memory: str
    bytes: int
    limit_bytes: int
    measured: bool

    @property
    def over_bytes(self) -> int:
        """How many bytes are missing; 0 if it fits as far as is known."""
        return max(0, self.bytes - self.limit_bytes)

    def sentence(self) -> str:
        """The verdict on this memory."""
        least = "" if self.measured else "at least "
        share = f"{least}{self.bytes:,} of {self.limit_bytes:,} bytes"
        if self.over_bytes:
            return f"{share}: does not fit, {self.over_bytes:,} bytes too many"
        return f"{share} ({self.bytes / self.limit_bytes:.1%})"


def needs(board: Board, *, flash_bytes: int, ram_bytes: int, measured: bool) -> tuple[Need, Need]:
    """Flash and RAM of a model compared with those of a board."""
    return (
        Need(memory="flash", bytes=flash_bytes, limit_bytes=board.flash_bytes, measured=measured),
        Need(memory="RAM", bytes=ram_bytes, limit_bytes=board.ram_bytes, measured=measured),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Sizes of a changed model, and whether it fits.

    Attributes:
        flash_bytes: by the measure that found the model too large.
        ram_bytes: by the same.
        fits: both are within the board's.
    """

    flash_bytes: int
    ram_bytes: int
    fits: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Changes that would make a model fit.

    Attributes:
        measured: by linked firmware; otherwise by the known part of it, so that each change is
            necessary and may not suffice.
        units: recurrent layers with their units now and scaled by the largest common factor that
            fits; empty where nothing does; None of a network, of which none was tried.
        narrower: sizes of that network; None where there is none.
        precision: of the model, by `IntegerModel.precision_label`.
        w8a8: sizes with 8-bit operands; None for a model that has them.
        w4: sizes with 4-bit weights, where flash is over; None for a model that has no others.
        weights_percent: share of their bytes that weights may take at most, by fewer bits or
            fewer weights, where flash is over; None where it is not. 0: not even without weights.
        boards: those with room for the unchanged model.
    """

    measured: bool
    units: tuple[tuple[str, int, int], ...] | None
    narrower: Size | None
    precision: str
    w8a8: Size | None
    w4: Size | None
    weights_percent: int | None
    boards: tuple[str, ...]

    def sentences(self) -> list[str]:
        """One line for each change."""
        would = "would" if self.measured else "may"
        lines = [self._units_sentence(would)]
        if self.w8a8 is not None:
            narrow = self.precision.replace("a16", "a8")
            change = f"{narrow} instead of {self.precision}"
            lines.append(f"{change} {_verdict(self.w8a8, would)}")
        if self.w4 is not None:
            lines.append(f"4-bit weights {_verdict(self.w4, would)}")
        if self.weights_percent is not None:
            percent = self.weights_percent
            lines.append(
                f"weights reduced to {percent} % of their bytes {would} fit flash: fewer weights, "
                "or fewer bits per weight"
                if percent
                else "smaller weights would not help: code and constants alone exceed the flash"
            )
        places = ", ".join(self.boards) or "none"
        lines.append(f"boards with room for the unchanged model: {places}")
        return lines

    def _units_sentence(self, would: str) -> str:
        if self.units is None:
            return (
                "fewer units were not tried: the widths of a branched network depend on each other"
            )
        if self.narrower is None:
            return "no number of units would fit"
        changes = ", ".join(f"{name} {now} -> {then}" for name, now, then in self.units)
        return f"fewer units {would} fit, at most {changes}: {_sizes(self.narrower)}"


def _verdict(size: Size, would: str) -> str:
    return f"{would if size.fits else 'would not'} fit: {_sizes(size)}"


def _sizes(size: Size) -> str:
    return f"{size.flash_bytes:,} bytes of flash, {size.ram_bytes:,} of RAM"


def weights_bytes(model: IntegerModel) -> int:
    """Bytes of all weights as they are stored, without what a program puts around them."""
    return weight_memory(model.layers).total_bytes


def advise(
    model: IntegerModel, board: Board, over: tuple[Need, Need], measure: Measure
) -> Advice | None:
    """Search for changes that make a model fit; None if it does already.

    Args:
        model: the model.
        board: the board.
        over: what the model needs there; of `needs`, with sizes of the same measure.
        measure: flash and RAM bytes of a model.
    """
    flash, ram = over
    if not flash.over_bytes and not ram.over_bytes:
        return None
    sized = _sizer(board, measure)
    tried = has_narrower(model)
    best = _largest_that_fits(model, sized) if tried else None
    changes = () if best is None else _unit_changes(model, best[0])
    return Advice(
        measured=flash.measured,
        units=changes if tried else None,
        narrower=None if best is None else best[1],
        precision=model.precision_label,
        w8a8=None if model.precision is Precision.W8A8 else sized(in_w8a8(model)),
        w4=sized(in_w4(model)) if flash.over_bytes and _has_wide_weights(model) else None,
        weights_percent=_weights_percent(model, flash),
        boards=tuple(
            other.name
            for other in boards().values()
            if flash.bytes <= other.flash_bytes and ram.bytes <= other.ram_bytes
        ),
    )


def _has_wide_weights(model: IntegerModel) -> bool:
    return any(storage is not Storage.DENSE4 for storage in model.storages)


_Sizer = Callable[[IntegerModel], Size]


def _sizer(board: Board, measure: Measure) -> _Sizer:
    def sized(model: IntegerModel) -> Size:
        flash_bytes, ram_bytes = measure(model)
        pair = needs(board, flash_bytes=flash_bytes, ram_bytes=ram_bytes, measured=True)
        fits = not any(need.over_bytes for need in pair)
        return Size(flash_bytes=flash_bytes, ram_bytes=ram_bytes, fits=fits)

    return sized


def _largest_that_fits(model: IntegerModel, sized: _Sizer) -> tuple[IntegerModel, Size] | None:
    """By bisection over the units of the widest layer: fewer never need more memory."""
    best = None
    fitting, failing = 0, widest(model)
    while failing - fitting > 1:
        middle = (fitting + failing) // 2
        candidate = narrower(model, middle)
        size = sized(candidate)
        if size.fits:
            fitting, best = middle, (candidate, size)
        else:
            failing = middle
    return best


def _unit_changes(model: IntegerModel, smaller: IntegerModel) -> tuple[tuple[str, int, int], ...]:
    pairs = zip(model.layers, smaller.layers, strict=True)
    return tuple((now.name, now.units, then.units) for now, then in pairs if now.states)


def _weights_percent(model: IntegerModel, flash: Need) -> int | None:
    """Rounded down, so that the share really fits."""
    if not flash.over_bytes:
        return None
    weights = weights_bytes(model)
    return max(0, 100 * (weights - flash.over_bytes) // weights)
