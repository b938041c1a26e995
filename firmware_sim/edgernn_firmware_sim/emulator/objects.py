"""Object files, each compiled once in a process: kernels are the same in all firmware.

An object file depends on the compiler, its options, the source and the headers that the source
includes. The compiler lists these headers (-MMD); those of the system are taken as constant while
the process runs.
"""

from __future__ import annotations

import hashlib
import shlex
import shutil
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgernn_firmware_sim.emulator.tools import execute

#: Sources of which results are kept, the most recently used ones.
_MOST_KEPT: Final = 512
#: What gcc writes for each source, besides the list of headers.
_WRITTEN: Final = (".o", ".ci", ".su")

Digest = bytes
Key = tuple[tuple[str, ...], str, Digest]


@dataclass(frozen=True, slots=True)
class _Compiled:
    """What a compiler made of a source.

    Attributes:
        headers: digest of each header by its path, from the folder of the compiler.
        files: content by suffix.
    """

    headers: dict[str, Digest]
    files: dict[str, bytes]


_kept: OrderedDict[Key, list[_Compiled]] = OrderedDict()


def compile_objects(
    owner: str, command: Sequence[str], sources: Sequence[str], folder: Path
) -> list[str]:
    """Compile sources in a folder, or write what the same command made of the same files before.

    Args:
        owner: name for error messages.
        command: the compiler and its options, -c among them.
        sources: paths, absolute or from the folder; no two with one stem.
        folder: working folder, where everything is written.

    Returns:
        Names of the object files.

    Raises:
        EmulationError: the compiler refuses something; includes its output.
    """
    found = (shutil.which(command[0]) or command[0], *command[1:])
    keys = {source: (found, source, _digest(folder / source)) for source in sources}
    missing = [source for source in sources if not _restored(keys[source], folder)]
    if missing:
        execute(owner, [*command, "-MMD", *missing], folder)
    for source in missing:
        listing = folder / f"{Path(source).stem}.d"
        headers = {path: _digest(folder / path) for path in _headers(listing)}
        written = ((suffix, listing.with_suffix(suffix)) for suffix in _WRITTEN)
        files = {suffix: path.read_bytes() for suffix, path in written if path.exists()}
        _kept.setdefault(keys[source], []).append(_Compiled(headers, files))
    while len(_kept) > _MOST_KEPT:
        _kept.popitem(last=False)
    return [f"{Path(source).stem}.o" for source in sources]


def _restored(key: Key, folder: Path) -> bool:
    """Write the files of a source again if its headers are the same in this folder."""
    for made in _kept.get(key, ()):
        if all(_digest(folder / path) == digest for path, digest in made.headers.items()):
            _kept.move_to_end(key)
            for suffix, content in made.files.items():
                (folder / Path(key[1]).stem).with_suffix(suffix).write_bytes(content)
            return True
    return False


def _headers(listing: Path) -> list[str]:
    """The headers in a list for make, which names the object, the source, then these."""
    words = shlex.split(listing.read_text(encoding="utf-8").replace("\\\n", " "))
    return words[2:]


def _digest(path: Path) -> Digest:
    """Of the content of a file; of nothing where there is none."""
    return hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b""
