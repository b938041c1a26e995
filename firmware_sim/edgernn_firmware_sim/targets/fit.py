"""Does a model fit a board: what it takes of flash and RAM, and what is over."""

from __future__ import annotations

from dataclasses import dataclass

from edgernn_firmware_sim.targets.profile import Board


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a model needs of one memory of a board.

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
            return f"{share}: does not fit, {self.over_bytes:,} bytes over"
        return f"{share} ({self.bytes / self.limit_bytes:.1%})"


def needs(board: Board, *, flash_bytes: int, ram_bytes: int, measured: bool) -> tuple[Need, Need]:
    """Flash and RAM of a model beside what a board has of them."""
    return (
        Need(memory="flash", bytes=flash_bytes, limit_bytes=board.flash_bytes, measured=measured),
        Need(memory="RAM", bytes=ram_bytes, limit_bytes=board.ram_bytes, measured=measured),
    )
