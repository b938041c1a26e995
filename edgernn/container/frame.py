"""What all .edgernn files are: header length, JSON header, tensors, checksum (FORMAT.md 1 to 4.2).

The layout is that of safetensors. What the record in the header means is not known here.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.container import strict_json
from edgernn.container.defects import FormatDefect, check_limit, format_error
from edgernn.container.stored.tensors import DTYPE_NAMES, DTYPES, NamedTensors
from edgernn.container.strict_json import Node

#: Versions that are read: 1 holds models of `dense8` products alone, 2 all other endless chains.
UNSEALED_VERSIONS: Final = ("1", "2")
#: Versions that are written: 3 for chains, 4 for networks, 5 for sets of programs, 6 for models
#: with a preparation or decisions, 7 for models with extensions and for passes over a chunk. All
#: have a checksum.
SEALED_VERSIONS: Final = ("3", "4", "5", "6", "7")
SCHEMA_VERSIONS: Final = (*UNSEALED_VERSIONS, *SEALED_VERSIONS)
#: No reader looks at more than this.
MAX_FILE_BYTES: Final = 64 * 2**20
MAX_HEADER_BYTES: Final = 2**20

_LENGTH_BYTES: Final = 8
_ALIGNMENT: Final = 8
_METADATA: Final = "__metadata__"
_SEAL: Final = "sha256"
#: What stands in place of the checksum while it is computed.
_BLANK: Final = "0" * 64


def framed(record: dict[str, Any], tensors: NamedTensors, version: str) -> bytes:
    """The bytes of a file.

    Args:
        record: the header's content besides the tensors, JSON values.
        tensors: by name, in no particular order.
        version: of the format.

    Raises:
        FormatError: larger than a file may be, or text that is none.
    """
    entries: dict[str, Any] = {}
    chunks: list[bytes] = []
    end = 0
    for name, tensor in sorted(tensors.items(), key=_file_order):
        little = tensor.astype(tensor.dtype.newbyteorder("<"), copy=False)
        begin, end = end, end + little.nbytes
        entries[name] = {
            "data_offsets": [begin, end],
            "dtype": DTYPE_NAMES[little.dtype],
            "shape": list(little.shape),
        }
        chunks.append(little.tobytes())
    metadata = {"edgernn_schema": version, "model": strict_json.dumps(record).decode("utf-8")}
    entries[_METADATA] = metadata | ({_SEAL: _BLANK} if version in SEALED_VERSIONS else {})
    header = strict_json.dumps(entries)
    header += b" " * (-len(header) % _ALIGNMENT)
    check_limit(FormatDefect.HEADER_TOO_LARGE, "header", len(header), MAX_HEADER_BYTES)
    check_limit(FormatDefect.FILE_TOO_LARGE, "file", len(header) + end, MAX_FILE_BYTES - 8)
    file = b"".join([len(header).to_bytes(_LENGTH_BYTES, "little"), header, *chunks])
    return sealed(file) if version in SEALED_VERSIONS else file


def sealed(file: bytes) -> bytes:
    """The bytes of a file with the checksum that belongs into them (FORMAT.md 4.6)."""
    start = _seal_start(file)
    blank = file[:start] + _BLANK.encode() + file[start + len(_BLANK) :]
    digest = hashlib.sha256(blank).hexdigest()
    return blank[:start] + digest.encode() + blank[start + len(_BLANK) :]


def _seal_start(file: bytes) -> int:
    # Inside strings of JSON every quotation mark has a backslash before it, and no tensor's entry
    # is a string: in canonical JSON this text stands nowhere else.
    key = f'"{_SEAL}":"'.encode()
    return file.index(key, _LENGTH_BYTES) + len(key)


def _file_order(item: tuple[str, npt.NDArray[Any]]) -> tuple[int, str]:
    # Widest elements first: every tensor is then aligned to its element size without padding.
    name, tensor = item
    return -tensor.itemsize, name


def read_frame(data: bytes) -> tuple[str, Node, NamedTensors]:
    """Version, record and tensors of a file whose checksum is right.

    Args:
        data: the whole file.

    Raises:
        FormatError: the bytes break FORMAT.md; ``defect`` names the broken rule.
    """
    check_limit(FormatDefect.FILE_TOO_LARGE, "file", len(data), MAX_FILE_BYTES)
    header, begin = read_header(data)
    version, record = _read_metadata(header, data)
    return version, record, _read_tensors(header, data, begin)


def read_header(data: bytes, limit: int = MAX_HEADER_BYTES) -> tuple[Node, int]:
    """The JSON object at the beginning of a file, and where the data behind it begin.

    Args:
        data: the whole file.
        limit: of the bytes of the header.

    Raises:
        FormatError: there is none.
    """
    if len(data) < _LENGTH_BYTES:
        raise format_error(
            FormatDefect.TRUNCATED, "file", expected="at least 8 bytes", got=str(len(data))
        )
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    check_limit(FormatDefect.HEADER_TOO_LARGE, "header", length, limit)
    begin = _LENGTH_BYTES + length
    if begin > len(data):
        raise format_error(
            FormatDefect.TRUNCATED, "header", expected=f"{length} bytes", got=str(len(data) - 8)
        )
    header = strict_json.loads(data[_LENGTH_BYTES:begin], "header")
    if type(header.value) is not dict:
        raise header.refuse("an object")
    return header, begin


def _read_metadata(header: Node, data: bytes) -> tuple[str, Node]:
    """Schema version and model record, once the checksum is found right."""
    metadata = header.value.get(_METADATA)
    if type(metadata) is not dict or "edgernn_schema" not in metadata:
        raise format_error(
            FormatDefect.WRONG_SCHEMA,
            "header",
            expected="the key 'edgernn_schema' in '__metadata__'",
            got="none",
        )
    version = metadata["edgernn_schema"]
    if version not in SCHEMA_VERSIONS:
        raise format_error(
            FormatDefect.UNKNOWN_SCHEMA_VERSION,
            "header.edgernn_schema",
            expected=f"{', '.join(map(repr, SCHEMA_VERSIONS[:-1]))} or {SCHEMA_VERSIONS[-1]!r}",
            got=f"{version!r:.40}",
        )
    seal = [_SEAL] * (version in SEALED_VERSIONS)
    parts = header.member(_METADATA).members("edgernn_schema", "model", *seal)
    if seal:
        parts[_SEAL].text()
        _check_seal(data)
    return version, strict_json.loads(parts["model"].text(), "model")


def _check_seal(data: bytes) -> None:
    try:
        wanted = sealed(data)
    except ValueError as error:
        raise format_error(
            FormatDefect.NOT_CANONICAL,
            "header",
            expected=f'the checksum after "{_SEAL}":" in canonical JSON',
            got="another spelling",
        ) from error
    if wanted != data:
        raise format_error(
            FormatDefect.BAD_CHECKSUM,
            "file",
            expected="the content that was saved",
            got="other bytes (the SHA-256 differs): the file is damaged or was modified",
        )


def _read_tensors(header: Node, data: bytes, begin: int) -> NamedTensors:
    """Check that the tensors tile the data section, then look at its bytes."""
    layouts = {
        name: _read_entry(Node(f"tensor {name!r:.60}", entry))
        for name, entry in header.value.items()
        if name != _METADATA
    }
    check_tiles({name: layout[2:] for name, layout in layouts.items()}, len(data) - begin)
    return {
        name: np.frombuffer(data, dtype, math.prod(shape), begin + low)
        .reshape(shape)
        .astype(dtype.newbyteorder("="), copy=False)
        for name, (dtype, shape, low, _) in layouts.items()
    }


def check_tiles(places: Mapping[str, tuple[int, int]], held: int) -> None:
    """Refuse tensors that overlap, or leave bytes to nobody.

    Args:
        places: where the bytes of each tensor begin and end, by its name.
        held: bytes that there are.

    Raises:
        FormatError: BAD_OFFSETS, TRUNCATED or TRAILING_BYTES.
    """
    end = 0
    for name, (low, high) in sorted(places.items(), key=lambda item: item[1]):
        if low != end:
            raise format_error(
                FormatDefect.BAD_OFFSETS,
                f"tensor {name!r:.60}",
                expected=f"data from byte {end}, where the tensor before it ends",
                got=f"from byte {low}",
            )
        end = high
    if held != end:
        defect = FormatDefect.TRUNCATED if held < end else FormatDefect.TRAILING_BYTES
        raise format_error(defect, "data", expected=f"{end} bytes", got=str(held))


def _read_entry(entry: Node) -> tuple[np.dtype[Any], tuple[int, ...], int, int]:
    parts = entry.members("data_offsets", "dtype", "shape")
    code = parts["dtype"].text()
    if code not in DTYPES:
        raise format_error(
            FormatDefect.UNKNOWN_DTYPE,
            entry.owner,
            expected=", ".join(DTYPES),
            got=f"{code!r:.20}",
        )
    shape = tuple(size.integer(1, MAX_FILE_BYTES) for size in parts["shape"].items(1, 2))
    low, high = (offset.integer(0, MAX_FILE_BYTES) for offset in parts["data_offsets"].items(2, 2))
    size = math.prod(shape) * DTYPES[code].itemsize
    if high - low != size:
        raise format_error(
            FormatDefect.BAD_OFFSETS,
            entry.owner,
            expected=f"{size} bytes for {code} of shape {shape}",
            got=f"data_offsets [{low}, {high}]",
        )
    return DTYPES[code], shape, low, high


def check_canonical(data: bytes, wanted: bytes) -> None:
    """Refuse a file that is not what its content is written as.

    Raises:
        FormatError: NOT_CANONICAL.
    """
    if data == wanted:
        return
    shorter = min(len(data), len(wanted))
    ours = np.frombuffer(wanted, np.uint8, shorter)
    differing = np.flatnonzero(np.frombuffer(data, np.uint8, shorter) != ours)
    where = int(differing[0]) if differing.size else shorter
    raise format_error(
        FormatDefect.NOT_CANONICAL,
        "file",
        expected="exactly the bytes that edgernn writes for this model",
        got="another encoding of the same model",
        where=f"first difference at byte {where}",
    )
