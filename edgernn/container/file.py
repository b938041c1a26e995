"""The .edgernn file: one integer model, one sequence of bytes (FORMAT.md).

The layout is that of safetensors: header length, JSON header, data. The rule that makes the rest
short: a file is valid if and only if writing the model it describes gives the same bytes.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.container import strict_json
from edgernn.container.defects import FormatDefect, check_limit, format_error
from edgernn.container.disk import read_regular_file, write_atomically
from edgernn.container.record import (
    SCHEMA_VERSIONS,
    SEALED_VERSIONS,
    check_network_inputs,
    from_record,
    sealed_version,
    to_record,
    to_tensors,
    unsealed_version,
)
from edgernn.container.stored_layers import NETWORK_VERSION
from edgernn.container.strict_json import Node
from edgernn.container.tensors import DTYPE_NAMES, DTYPES, NamedTensors
from edgernn.errors import EdgeRnnError, FormatError, ModelError
from edgernn.model.formats import MAX_WIDTH
from edgernn.model.integer_model import IntegerModel

#: No reader looks at more than this.
MAX_FILE_BYTES: Final = 64 * 2**20
MAX_HEADER_BYTES: Final = 2**20

#: Names of files of other formats; what is in a file is what its name says.
_OTHER_SUFFIXES: Final = {
    **{
        f".{kind}": f"Write one with: edgernn_export.export(model, folder, formats=['{kind}'])"
        for kind in ("tflite", "onnx", "c")
    },
    **dict.fromkeys(
        (".keras", ".h5", ".hdf5"), "An integer model cannot become a Keras model again."
    ),
}
_LENGTH_BYTES: Final = 8
_ALIGNMENT: Final = 8
_METADATA: Final = "__metadata__"
_SEAL: Final = "sha256"
#: What stands in place of the checksum while it is computed.
_BLANK: Final = "0" * 64


def to_bytes(model: IntegerModel, version: str | None = None) -> bytes:
    """The bytes of the model's .edgernn file; equal models give equal bytes.

    Args:
        model: what to write.
        version: of the format; one that can hold the model. None: the one that `save` writes.

    Raises:
        FormatError: the model is larger than a file may be, holds text that is none, or is one
            that the version cannot hold.
    """
    lowest = sealed_version(model)
    version = lowest if version is None else version
    if lowest == NETWORK_VERSION:
        if version != NETWORK_VERSION:
            raise format_error(
                FormatDefect.BAD_RECORD,
                "model",
                expected=f"a chain for version {version!r}",
                got=f"a network, which needs version {NETWORK_VERSION!r}",
            )
        check_network_inputs(model.layers)
    for layer in model.layers:
        if max(layer.widths.values()) > MAX_WIDTH:
            raise format_error(
                FormatDefect.BAD_RECORD,
                layer.name,
                expected=f"{' and '.join(layer.widths)} <= {MAX_WIDTH}",
                got=", ".join(f"{name}={width}" for name, width in layer.widths.items()),
            )
    entries: dict[str, Any] = {}
    chunks: list[bytes] = []
    end = 0
    for name, tensor in sorted(to_tensors(model).items(), key=_file_order):
        little = tensor.astype(tensor.dtype.newbyteorder("<"), copy=False)
        begin, end = end, end + little.nbytes
        entries[name] = {
            "data_offsets": [begin, end],
            "dtype": DTYPE_NAMES[little.dtype],
            "shape": list(little.shape),
        }
        chunks.append(little.tobytes())
    record = strict_json.dumps(to_record(model, version)).decode("utf-8")
    metadata = {"edgernn_schema": version, "model": record}
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


def model_sha256(model: IntegerModel) -> str:
    """The model's identity: a SHA-256 in hexadecimal (FORMAT.md 1.6).

    That of its file in the first version that holds it, whichever version it was read from.
    """
    version = sealed_version(model)
    if version != NETWORK_VERSION and model.window is None:
        version = unsealed_version(model)
    return hashlib.sha256(to_bytes(model, version)).hexdigest()


def from_bytes(data: bytes) -> IntegerModel:
    """The model an .edgernn file holds.

    Args:
        data: the whole file.

    Raises:
        FormatError: the bytes break FORMAT.md; ``defect`` names the broken rule.
    """
    check_limit(FormatDefect.FILE_TOO_LARGE, "file", len(data), MAX_FILE_BYTES)
    header, begin = _read_header(data)
    version, record = _read_metadata(header, data)
    tensors = _read_tensors(header, data, begin)
    try:
        model = from_record(record, tensors, version)
    except ModelError as error:
        raise format_error(
            FormatDefect.INVALID_MODEL,
            "model",
            expected="an integer model that proves its own bounds",
            got=f"{error!s:.300}",
        ) from error
    sealed_file = version in SEALED_VERSIONS
    written = sealed_version(model) if sealed_file else unsealed_version(model)
    _check_canonical(data, to_bytes(model, written))
    return model


def _read_header(data: bytes) -> tuple[Node, int]:
    if len(data) < _LENGTH_BYTES:
        raise format_error(
            FormatDefect.TRUNCATED, "file", expected="at least 8 bytes", got=str(len(data))
        )
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    check_limit(FormatDefect.HEADER_TOO_LARGE, "header", length, MAX_HEADER_BYTES)
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
        _check_seal(parts[_SEAL].text(), data)
    return version, strict_json.loads(parts["model"].text(), "model")


def _check_seal(found: str, data: bytes) -> None:
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
            expected=f"the content whose SHA-256 the file carries ({found!r:.80})",
            got="other content: the file is damaged or was changed",
        )


def _read_tensors(header: Node, data: bytes, begin: int) -> NamedTensors:
    """Check that the tensors tile the data section, then look at its bytes."""
    layouts = {
        name: _read_entry(Node(f"tensor {name!r:.60}", entry))
        for name, entry in header.value.items()
        if name != _METADATA
    }
    end = 0
    for name, (_, _, low, high) in sorted(layouts.items(), key=lambda item: item[1][2:]):
        if low != end:
            raise format_error(
                FormatDefect.BAD_OFFSETS,
                f"tensor {name!r:.60}",
                expected=f"data from byte {end}, where the tensor before it ends",
                got=f"from byte {low}",
            )
        end = high
    held = len(data) - begin
    if held != end:
        defect = FormatDefect.TRUNCATED if held < end else FormatDefect.TRAILING_BYTES
        raise format_error(defect, "data", expected=f"{end} bytes", got=str(held))
    return {
        name: np.frombuffer(data, dtype, math.prod(shape), begin + low)
        .reshape(shape)
        .astype(dtype.newbyteorder("="), copy=False)
        for name, (dtype, shape, low, _) in layouts.items()
    }


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


def _check_canonical(data: bytes, wanted: bytes) -> None:
    if data == wanted:
        return
    shorter = min(len(data), len(wanted))
    ours = np.frombuffer(wanted, np.uint8, shorter)
    differing = np.flatnonzero(np.frombuffer(data, np.uint8, shorter) != ours)
    where = int(differing[0]) if differing.size else shorter
    raise format_error(
        FormatDefect.NOT_CANONICAL,
        "file",
        expected="the bytes edgernn writes for this model",
        got="another spelling of the same model",
        where=f"first difference at byte {where}",
    )


def save(model: IntegerModel, path: str | Path) -> Path:
    """Write the model as one .edgernn file, whole or not at all.

    Args:
        model: what to write.
        path: where; a file of this name is replaced.

    Returns:
        The path written.

    Raises:
        FormatError: the model does not fit the format; nothing was written.
        EdgeRnnError: the name is that of another format, or the file could not be written; a file
            of this name is left as it was.
    """
    target = Path(path)
    _refuse_other_format(target)
    data = to_bytes(model)
    from_bytes(data)  # never leave a file behind that `load` would refuse
    try:
        if not target.name or not target.parent.is_dir():
            raise EdgeRnnError(
                f"save: expected a file name in an existing folder, got '{path}'. "
                "Create the folder first."
            )
        write_atomically(target, data, synced=True)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise EdgeRnnError(
            f"save: expected a file that can be written, got '{path!s:.200}' ({reason}). "
            "Nothing was changed; name another file."
        ) from error
    return target


def _refuse_other_format(target: Path) -> None:
    suffix = target.suffix.lower()
    if suffix in _OTHER_SUFFIXES:
        cure = _OTHER_SUFFIXES[suffix]
        raise EdgeRnnError(
            f"save: expected a name ending in .edgernn, got '{target.name:.200}'. {cure}"
        )


def load(path: str | Path) -> IntegerModel:
    """Read an .edgernn file.

    Raises:
        FormatError: no readable file is there, or it breaks FORMAT.md; ``defect`` names the rule.
    """
    try:
        return from_bytes(read_regular_file(Path(path), MAX_FILE_BYTES))
    except FormatError as error:
        raise FormatError(f"{path}: {error}", defect=error.defect) from error
