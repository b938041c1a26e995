"""ZIP archives of strangers: each member is read once, and no more bytes than the archive can hold.

Nothing is unpacked to the disk, so that names of members reach nothing.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from edgernn.errors import EdgeRnnError
from edgernn_export.keras_reader.stored.kind import refuse

AGAIN: Final = "Save or copy the file again."
#: Packed members may be that many times larger than the archive, all of them together.
_MAX_EXPANSION: Final = 100
#: Members up to this size, all of them together, are unpacked whatever the size of the archive.
_SMALL_BYTES: Final = 1 << 20
_MAX_BYTES: Final = 1 << 30
_MAX_MEMBERS: Final = 1 << 16
_WAYS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
#: What zipfile raises on damaged archives.
_ERRORS: Final = (
    zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError, OverflowError,
    KeyError, IndexError,
)  # fmt: skip


class ZipMembers:
    """The members of an open archive, by name.

    Attributes:
        owner: how reasons name the archive.
        names: of all members, in the order of the archive; folders left out.
    """

    def __init__(self, archive: zipfile.ZipFile, owner: str, size: int) -> None:
        """Look at the directory of an archive of some bytes.

        Raises:
            UnsupportedModelError: it lists something that no program writes.
        """
        self.owner = owner
        self._archive = archive
        listed = [entry for entry in archive.infolist() if not entry.is_dir()]
        self._entries = {entry.filename: entry for entry in listed}
        self.names = list(self._entries)
        if len(listed) > _MAX_MEMBERS:
            refuse(owner, f"at most {_MAX_MEMBERS} members", f"{len(listed)}", AGAIN)
        if len(self.names) != len(listed):
            twice = next(name for name in self.names if _count(listed, name) > 1)
            refuse(owner, "one member of each name", f"{twice!r:.60} twice", AGAIN)
        for entry in listed:
            self._check(entry)
        limit = min(max(_SMALL_BYTES, _MAX_EXPANSION * size), _MAX_BYTES)
        total = sum(entry.file_size for entry in listed)
        if total > limit:
            got = f"{total} bytes packed in {size}"
            refuse(owner, f"members of at most {limit} bytes in all", got, AGAIN)

    def _check(self, entry: zipfile.ZipInfo) -> None:
        name = entry.filename
        if name.startswith("/") or "\\" in name or ".." in name.split("/"):
            refuse(self.owner, "members inside the archive", f"the name {name!r:.60}", AGAIN)
        if entry.compress_type not in _WAYS or entry.flag_bits & 1:
            got = f"{name!r:.60}, which is packed in another way or encrypted"
            refuse(self.owner, "members that are stored or deflated", got, AGAIN)

    def read(self, name: str) -> bytes:
        """The bytes of a member.

        Raises:
            UnsupportedModelError: they are damaged.
        """
        entry = self._entries[name]
        with self._archive.open(entry) as member:
            data = member.read(entry.file_size + 1)
        if len(data) != entry.file_size:
            got = f"{len(data)}"
            refuse(self.owner, f"{entry.file_size} bytes of {name!r:.60}", got, AGAIN)
        return data


def _count(listed: list[zipfile.ZipInfo], name: str) -> int:
    return sum(entry.filename == name for entry in listed)


@contextmanager
def opened_archive(path: Path) -> Iterator[ZipMembers]:
    """Open an archive; any damage becomes one reason.

    Raises:
        UnsupportedModelError: it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield ZipMembers(archive, path.name, path.stat().st_size)
    except EdgeRnnError:
        raise
    except _ERRORS:
        refuse(path.name, "a whole ZIP archive", "a damaged one", AGAIN)
