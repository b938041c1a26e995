"""A line on stderr that shows what a command is doing, for a person who watches."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

from edgernn.cli.style import is_watched

Tell = Callable[[str], None]
_CLEAR: Final = "\r\x1b[K"


@contextlib.contextmanager
def progress(title: str, total: int | None = None) -> Iterator[Tell]:
    """Show the stage a command is in, on one line that is overwritten and cleared at the end.

    Nothing is printed where stderr is not a terminal, or with `--quiet`.

    Args:
        title: the task, as in "quantize".
        total: number of stages, shown as in "2/5"; None if it is not known.

    Yields:
        A function to call with the name of each stage as it begins, and with "" before results
        are printed, which clears the line.
    """
    if not is_watched():
        yield lambda _: None
        return
    begun, stage = time.monotonic(), 0

    def tell(text: str) -> None:
        nonlocal stage
        if not text:
            show_line("")
            return
        stage += 1
        count = f" {stage}/{total}" if total else ""
        show_line(f"{title}{count} [{time.monotonic() - begun:.0f} s] {text}")

    try:
        yield tell
    finally:
        show_line("")


def show_line(text: str) -> None:
    """Overwrite the line on stderr, cut to the width of the terminal; "" clears it."""
    width = shutil.get_terminal_size().columns - 1
    sys.stderr.write(f"{_CLEAR}{text[:width]}")
    sys.stderr.flush()
