"""Bytes of a model in every format."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edgernn.container.file import to_bytes
from edgernn.container.memory import weight_memory
from edgernn.model.integer_model import IntegerModel

#: What the size table calls the model's own file.
EDGERNN: Final = ".edgernn"
C_WEIGHTS: Final = "C, weights only"
_FILES: Final = {"tflite": ".tflite", "onnx": ".onnx"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSize:
    """The model in one format.

    Attributes:
        name: the format.
        bytes: its size.
        gzip_bytes: its size after gzip at the highest level; None for memory of a device, and for
            .keras files, which contain the time of saving.
        ours: whether it holds the integer model; others are the float network or peers' files.
    """

    name: str
    bytes: int
    gzip_bytes: int | None
    ours: bool = True


def size_of(name: str, content: bytes, *, ours: bool = True) -> FileSize:
    """The size of a file's content."""
    # Without a time in its head, the same content gives the same bytes.
    packed = gzip.compress(content, compresslevel=9, mtime=0)
    return FileSize(name=name, bytes=len(content), gzip_bytes=len(packed), ours=ours)


def file_sizes(
    model: IntegerModel,
    files: Mapping[str, Path],
    others: Iterable[tuple[str, Path]] = (),
    boards: Iterable[Mapping[str, Any]] = (),
) -> tuple[FileSize, ...]:
    """Sizes of the model in all formats at hand.

    Args:
        model: the integer model.
        files: exported files by format.
        others: names and files of the float network and of peers.
        boards: costs of boards; the flash of linked programs counts.
    """
    sizes = [size_of(EDGERNN, to_bytes(model))]
    sizes += [size_of(_FILES[kind], path.read_bytes()) for kind, path in files.items()]
    weights = weight_memory(model.layers).total_bytes
    sizes.append(FileSize(name=C_WEIGHTS, bytes=weights, gzip_bytes=None))
    sizes += [
        FileSize(name=linked(board["target"]), bytes=board["flash_bytes"], gzip_bytes=None)
        for board in boards
        if board["measured"]
    ]
    sizes += [
        FileSize(name=name, bytes=path.stat().st_size, gzip_bytes=None, ours=False)
        if path.suffix == ".keras"
        else size_of(name, path.read_bytes(), ours=False)
        for name, path in others
        if path.is_file()
    ]
    return tuple(sizes)


def linked(target: str) -> str:
    """What the size table calls the code and constants of a linked program."""
    return f"C, linked for {target}"
