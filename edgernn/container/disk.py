"""Files on disk: written whole or not at all, and read up to a limit."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from edgernn.container.defects import FormatDefect, check_limit, format_error


def write_atomically(path: Path, content: bytes, *, synced: bool = False) -> None:
    """Write a file that is either complete or not there; one of this name is replaced.

    Args:
        path: where.
        content: all bytes.
        synced: wait until the disk has them, so that not even a loss of power leaves half a file.

    Raises:
        OSError: the file could not be written; an existing file of this name is unchanged.
    """
    # Part of the name, so that the draft's is no longer than file systems take.
    draft = path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}.part")
    try:
        with draft.open("xb") as file:
            file.write(content)
            if synced:
                file.flush()
                os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def read_regular_file(path: Path, limit: int) -> bytes:
    """All bytes of a regular file, at most one more than ``limit``.

    Raises:
        FormatError: NOT_A_FILE or FILE_TOO_LARGE.
    """
    try:
        # Non-blocking: opening a named pipe would otherwise wait for a writer, perhaps for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                kind = stat.filemode(status.st_mode)
                raise format_error(
                    FormatDefect.NOT_A_FILE, "file", expected="a regular file", got=f"mode {kind}"
                )
            check_limit(FormatDefect.FILE_TOO_LARGE, "file", status.st_size, limit)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                return file.read(min(status.st_size, limit) + 1)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise format_error(
            FormatDefect.NOT_A_FILE, "file", expected="a readable file", got=f"{reason}"
        ) from error
