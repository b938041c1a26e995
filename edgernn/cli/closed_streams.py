"""Standard streams that are closed: services are started without them."""

from __future__ import annotations

import io
import os
import sys

from edgernn.errors import EdgeRnnError


class _ClosedOutput(io.TextIOBase):
    """Takes the place of a closed standard output; what would be lost is refused."""

    def write(self, text: str) -> int:
        """Refuse text.

        Raises:
            EdgeRnnError: always, unless there is none.
        """
        if text:
            raise EdgeRnnError(
                "stdout: expected an open standard output for the results, got a closed one. "
                "Redirect it to a file, or to /dev/null."
            )
        return 0

    def fileno(self) -> int:
        """The number, which is taken by then."""
        return 1

    def writable(self) -> bool:
        """As a stream that is written to."""
        return True


def replace_closed_streams() -> None:
    """Let a command without one or more standard streams do what it can without them.

    Their numbers are taken, so that no file that is opened later gets what is printed; a closed
    standard error swallows talk; a closed standard input is refused by whoever reads it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    if sys.stdout is None:
        sys.stdout = _ClosedOutput()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
