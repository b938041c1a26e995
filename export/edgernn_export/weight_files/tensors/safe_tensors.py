"""The .safetensors file: the length of a JSON header, the header, and the bytes of all tensors.

Our own files have the same layout, so the frame is read by the same functions.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

from edgernn.container.defects import FormatDefect, format_error
from edgernn.container.disk import read_regular_file
from edgernn.container.frame import check_tiles, read_header
from edgernn.container.strict_json import Node
from edgernn.errors import FormatError
from edgernn_export.keras_reader.stored.kind import refuse
from edgernn_export.weight_files.tensors.number_types import (
    MAX_VALUES,
    NamedArrays,
    as_numbers,
    is_shape,
    width_of,
)

#: No file of weights is larger: a network of this size fits no device.
MAX_FILE_BYTES: Final = 1 << 30
#: A sixth of what the format allows: the names of a hundred thousand tensors.
_MAX_HEADER_BYTES: Final = 16 << 20
_METADATA: Final = "__metadata__"
#: Names of types in a header -> those in `NUMBER_TYPES`.
_TYPES: Final = {
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "U8": "uint8",
    "U16": "uint16",
    "U32": "uint32",
    "U64": "uint64",
    "BOOL": "bool",
}


def read_safetensors(path: Path) -> NamedArrays:
    """All tensors of a file.

    Raises:
        UnsupportedModelError: it breaks the format, or has numbers of a type that edgernn does
            not read.
    """
    try:
        data = read_regular_file(path, MAX_FILE_BYTES)
        header, begin = read_header(data, _MAX_HEADER_BYTES)
        return _tensors(path.name, header, data, begin)
    except FormatError as error:
        finding = str(error).rpartition(". ")[0]
        cure = "Copy the file again, or save it again with safetensors."
        refuse(path.name, "a valid safetensors file", f"another ({finding})", cure)


def _tensors(owner: str, header: Node, data: bytes, begin: int) -> NamedArrays:
    entries = {name: entry for name, entry in header.value.items() if name != _METADATA}
    metadata = header.value.get(_METADATA)
    if isinstance(metadata, dict) and "edgernn_schema" in metadata:
        cure = "It is quantized already: use it directly, or pass the weights of the float network."
        refuse(owner, "the weights of a float network", "an .edgernn file", cure)
    if not entries:
        refuse(owner, "tensors", "none", "Save the weights again.")
    strange = sorted(
        {
            f"{entry['dtype']:.20}"
            for entry in entries.values()
            if isinstance(entry, dict) and isinstance(entry.get("dtype"), str)
            if entry["dtype"] not in _TYPES
        }
    )
    if strange:
        cure = "Save the tensors as float32 with safetensors."
        refuse(owner, f"numbers of type {', '.join(_TYPES)}", ", ".join(strange[:5]), cure)
    layouts = {
        name: _entry(Node(f"tensor {name!r:.60}", entry), len(data) - begin)
        for name, entry in entries.items()
    }
    check_tiles({name: layout[2:] for name, layout in layouts.items()}, len(data) - begin)
    view = memoryview(data)[begin:]
    return {
        name: as_numbers(view[low:high], kind).reshape(shape)
        for name, (kind, shape, low, high) in layouts.items()
    }


def _entry(entry: Node, held: int) -> tuple[str, tuple[int, ...], int, int]:
    parts: dict[str, Any] = entry.members("data_offsets", "dtype", "shape")
    kind = _TYPES[parts["dtype"].text()]
    shape = tuple(parts["shape"].value) if is_shape(parts["shape"].value) else None
    if shape is None:
        raise parts["shape"].refuse(f"a list of sizes, at most {MAX_VALUES} values in all")
    low, high = (offset.integer(0, held) for offset in parts["data_offsets"].items(2, 2))
    size = math.prod(shape) * width_of(kind)
    if high - low != size:
        raise format_error(
            FormatDefect.BAD_OFFSETS,
            entry.owner,
            expected=f"{size} bytes for {kind} of shape {shape}",
            got=f"data_offsets [{low}, {high}]",
        )
    return kind, shape, low, high
