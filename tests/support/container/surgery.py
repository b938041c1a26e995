"""Take .edgernn files apart and put them together wrongly, without the container's own code."""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Callable
from typing import Any

import pytest

from edgernn.container.defects import FormatDefect
from edgernn.container.file import parsed
from edgernn.errors import FormatError


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Header object and data section."""
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def frame(header: bytes, section: bytes) -> bytes:
    """A file around any header bytes."""
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + section


def join(header: Any, section: bytes) -> bytes:
    return frame(canonical(header).encode(), section)


def edit_header(data: bytes, edit: Callable[[dict[str, Any]], object]) -> bytes:
    """The file with its header object changed in place."""
    header, section = split(data)
    edit(header)
    return join(header, section)


def edit_record(data: bytes, edit: Callable[[dict[str, Any]], object]) -> bytes:
    """The file with its model record changed in place."""
    header, section = split(data)
    record = json.loads(header["__metadata__"]["model"])
    edit(record)
    header["__metadata__"]["model"] = canonical(record)
    return join(header, section)


def edit_tensor(data: bytes, name: str, edit: Callable[[bytearray], object]) -> bytes:
    """The file with the bytes of one tensor changed in place."""
    header, section = split(data)
    low, high = header[name]["data_offsets"]
    content = bytearray(section[low:high])
    edit(content)
    return join(header, section[:low] + bytes(content) + section[high:])


_SEAL = re.compile(rb'(?<="sha256":")[0-9a-f]{64}(?=")')


def resealed(data: bytes) -> bytes:
    """The file with the checksum that belongs into it, where it has a place for one (4.6)."""
    found = _SEAL.search(data)
    if found is None:
        return data
    head, tail = data[: found.start()], data[found.end() :]
    return head + hashlib.sha256(head + b"0" * 64 + tail).hexdigest().encode() + tail


def refused(data: bytes, defect: FormatDefect, match: str) -> None:
    """What the reader says of a file whose checksum is right."""
    with pytest.raises(FormatError, match=match) as caught:
        parsed(resealed(data))
    assert caught.value.defect == defect
    assert len(str(caught.value)) < 700


def put(*path_and_value):
    """An edit that sets ``object[a][b]... = value``."""
    *path, last, value = path_and_value

    def edit(target):
        for key in path:
            target = target[key]
        target[last] = value

    return edit


def drop(*path):
    *path, last = path

    def edit(target):
        for key in path:
            target = target[key]
        del target[last]

    return edit


def tensor(data: bytes, name: str) -> bytes:
    header, section = split(data)
    low, high = header[name]["data_offsets"]
    return section[low:high]


def resized(data: bytes, name: str, content: bytes, shape: list[int]) -> bytes:
    """The file with one tensor of another length."""
    header, section = split(data)
    low, high = header[name]["data_offsets"]
    for entry in (v for k, v in header.items() if k != "__metadata__"):
        begin, end = entry["data_offsets"]
        if begin >= high:
            grown = len(content) - (high - low)
            entry["data_offsets"] = [begin + grown, end + grown]
    header[name].update(data_offsets=[low, low + len(content)], shape=shape)
    return join(header, section[:low] + content + section[high:])
