"""A stream as bytes, and back, with the reason where bytes are refused (FORMAT.md section 10)."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from edgernn.backends.base import State
from edgernn.errors import StateError
from edgernn.model.formats import BoolArray, Int16Array, OperandArray
from edgernn.model.interface import Interface

MAGIC: Final = b"ErSt"
#: The same of a set of programs.
SET_MAGIC: Final = b"ErPs"
VERSION: Final = 1
#: Longest name of a model that is recorded, in bytes.
_MAX_NAME: Final = 40
#: Magic, version, bytes of the name; SHA-256 of the model; hashes of form and border.
_HEAD: Final = struct.Struct("<4sBB16s8s4s")
_NAME_BYTES_AT: Final = 5
#: Flags, number of the last reading, bad readings.
_COUNTS: Final = struct.Struct("<BqQ")
_HELD, _EARLY, _LAST, _CLIPPED = 1, 2, 4, 8
_CRC_BYTES: Final = 4
#: More than the fixed part of either head.
_LEAST_BYTES: Final = _HEAD.size + _CRC_BYTES


@dataclass(slots=True, kw_only=True)
class StreamContent:
    """The content of a stream.

    Attributes:
        sequence: number of its last reading.
        bad: readings of which a value was missing.
        clipped: clipped readings per channel; None stands for zeros.
        state: the carried vectors.
        held: codes [I] of the last step; None before the first.
        known: bool [I], before the first step: the channels that have had a value, in ``held``.
        last: output [O] of the last step, or of the last answer; None before the first.
    """

    sequence: int
    bad: int
    clipped: tuple[int, ...] | None
    state: State
    held: OperandArray | None
    known: BoolArray | None
    last: Int16Array | None


def stream_head(interface: Interface) -> bytes:
    """What the bytes of every stream of a model begin with."""
    name = recorded_name(interface.name)
    sha = bytes.fromhex(interface.model_sha256)[:16]
    border = _border(interface)
    vectors = [
        [s.name, s.units, s.format.bits, s.format.frac_bits, s.codes] for s in interface.carried
    ]
    keeps_readings = interface.carried != interface.states or any(s.codes for s in interface.states)
    form = _json([vectors, interface.input.width, interface.output.width])
    form += border if keeps_readings else b""
    hashes = hashlib.sha256(form).digest()[:8], border[:4]
    return _HEAD.pack(MAGIC, VERSION, len(name), sha, *hashes) + name


def streams_continue(before: Interface, after: Interface) -> bool:
    """Whether one model takes the streams of another, with migrate=True."""
    forms = [_HEAD.unpack_from(stream_head(interface))[4] for interface in (before, after)]
    return bool(forms[0] == forms[1])


def recorded_name(name: str) -> bytes:
    """As much of a name as fits, in UTF-8."""
    return name.encode()[:_MAX_NAME].decode(errors="ignore").encode()


def _border(interface: Interface) -> bytes:
    """A hash of what codes of readings and of outputs mean."""
    source = interface.input
    mask = [] if source.mask is None else [source.mask.hex()]
    hashed = hashlib.sha256(_json([interface.precision.value, list(source.vocabulary), *mask]))
    for values in (source.offset, source.scale, interface.output.scale):
        hashed.update(np.asarray(values, "<f8").tobytes())
    return hashed.digest()


def _json(value: object) -> bytes:
    """Canonical JSON (FORMAT.md section 3)."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def encode_stream(head: bytes, content: StreamContent, interface: Interface) -> bytes:
    """The bytes of a stream (FORMAT.md section 10).

    Args:
        head: from `stream_head`.
        content: of the stream.
        interface: of its model.
    """
    codes = interface.code_dtype.newbyteorder("<")
    flags, parts = 0, [b""]
    if content.clipped is not None and any(content.clipped):
        flags |= _CLIPPED
        parts.append(np.array(content.clipped, "<u8").tobytes())
    for vector, dtype in zip(content.state, _dtypes(interface), strict=True):
        parts.append(vector.astype(dtype).tobytes())
    known = content.known
    if known is not None and not known.any():
        known = None
    if content.held is not None and known is not None:
        flags |= _EARLY
        parts.append(np.where(known, content.held, 0).astype(codes).tobytes())
        parts.append(known.astype(np.uint8).tobytes())
    elif content.held is not None and content.known is None:
        flags |= _HELD
        parts.append(content.held.astype(codes).tobytes())
    if content.last is not None:
        flags |= _LAST
        parts.append(content.last.astype("<i2").tobytes())
    counts = _COUNTS.pack(flags, content.sequence, content.bad)
    whole = head + counts + b"".join(parts)
    return whole + zlib.crc32(whole).to_bytes(_CRC_BYTES, "little")


def last_sequence(blob: bytes) -> int:
    """The number of the last reading, from bytes that `decode_stream` takes."""
    after_name = _HEAD.size + blob[_NAME_BYTES_AT]
    return int(_COUNTS.unpack_from(blob, after_name)[1])


def _dtypes(interface: Interface) -> list[np.dtype[Any]]:
    """Type of the elements of each carried vector: readings that are kept have that of codes."""
    states, carried = interface.states, interface.carried
    wide = np.dtype("<i2")
    if carried == states:
        return [wide] * len(states)
    return [interface.code_dtype.newbyteorder("<")] + [wide] * (len(carried) - 1)


def decode_stream(
    blob: object, interface: Interface, *, migrate: bool = False, head: bytes = b""
) -> StreamContent:
    """The content of a stream, from its bytes.

    Args:
        blob: bytes.
        interface: of the model that is to continue.
        migrate: take the state of another model of the same form, too. Where its codes of readings
            or outputs mean something else, the last reading and the last output are left out.
        head: from `stream_head`, where it is known.

    Raises:
        StateError: not the bytes of a stream, damaged, or of another model.
    """
    whole = checked_bytes(blob, MAGIC)
    head = head or stream_head(interface)
    _, _, name_bytes, sha, form, border = _HEAD.unpack_from(whole)
    own = _HEAD.unpack_from(head)
    at = _HEAD.size + name_bytes
    if sha != own[3] and not (migrate and form == own[4]):
        raise _another_model(whole[_HEAD.size : at], sha, interface, form == own[4])
    try:
        content = _parts(whole[:-_CRC_BYTES], at, interface)
    except (ValueError, struct.error):
        raise StateError(
            "state: expected the parts that its flags announce, got others. Whatever wrote these "
            "bytes does not follow FORMAT.md; pass what `to_bytes` returned."
        ) from None
    if border != own[5]:
        content.held = content.known = content.last = None
    _check_codes(content, interface)
    return content


def checked_bytes(blob: object, magic: bytes) -> bytes:
    """Bytes that begin with ``magic`` and end in their checksum.

    Raises:
        StateError: not bytes, of another kind, damaged, or of a newer version.
    """
    if not isinstance(blob, (bytes, bytearray, memoryview)):
        raise StateError(
            f"state: expected bytes, got {type(blob).__name__}. Pass what `to_bytes` returned."
        )
    whole = bytes(blob)
    if whole[:4] != magic or len(whole) < _LEAST_BYTES:
        kind = {MAGIC: "a stream of one model", SET_MAGIC: "a stream of a set of programs"}
        got = kind.get(whole[:4], "other bytes") if len(whole) > 4 else f"{len(whole)} bytes"
        raise StateError(
            f"state: expected the bytes of {kind[magic]}, got {got}. Pass what `to_bytes` of the "
            "same kind of session returned."
        )
    if zlib.crc32(whole[:-_CRC_BYTES]).to_bytes(_CRC_BYTES, "little") != whole[-_CRC_BYTES:]:
        raise StateError(
            f"state: expected bytes that match their checksum, got {len(whole)} damaged ones. Take "
            "an older copy, or begin a new stream."
        )
    if whole[4] != VERSION:
        raise StateError(
            f"state: expected version {VERSION}, got {whole[4]}. A newer edgernn wrote this state; "
            "upgrade edgernn here, or begin a new stream."
        )
    return whole


def _another_model(name: bytes, sha: bytes, interface: Interface, same_form: bool) -> StateError:
    cure = (
        "Load that model, or pass migrate=True if the new model continues its streams"
        if same_form
        else "Load that model, or begin a new stream: the two models keep different states, or "
        "read and hold readings in different scales"
    )
    return StateError(
        f"state: expected one of '{interface.name}' (sha256 {interface.model_sha256[:8]}), got "
        f"one of '{name.decode(errors='replace')}' (sha256 {sha.hex()[:8]}). {cure}."
    )


def _parts(whole: bytes, at: int, interface: Interface) -> StreamContent:
    """The parts behind the head.

    Raises:
        ValueError, struct.error: too few bytes, or too many, or flags that say nothing.
    """
    flags, sequence, bad = _COUNTS.unpack_from(whole, at)
    at += _COUNTS.size

    def take(count: int, dtype: Any) -> Any:
        nonlocal at
        found = np.frombuffer(whole, dtype, count, at)
        at += found.nbytes
        return found.astype(found.dtype.newbyteorder("="))

    inputs, outputs = interface.input.width, interface.output.width
    codes = interface.code_dtype.newbyteorder("<")
    clipped = take(inputs, "<u8") if flags & _CLIPPED else None
    units = [spec.units for spec in interface.carried]
    vectors = map(take, units, _dtypes(interface))
    state = tuple(vector.astype(np.int16) for vector in vectors)
    held = take(inputs, codes) if flags & (_HELD | _EARLY) else None
    known = take(inputs, np.uint8) if flags & _EARLY else None
    last = take(outputs, "<i2") if flags & _LAST else None
    begun = bool(flags & _HELD)
    broken = at != len(whole) or flags > 15 or sequence < 0 or (begun and known is not None)
    broken = broken or (last is not None and not begun and interface.input.mask is None)
    broken = broken or (clipped is not None and not clipped.any())
    if known is not None and held is not None:
        broken = broken or known.max() != 1 or bool(held[known == 0].any())
    if broken:
        raise ValueError
    return StreamContent(
        sequence=sequence,
        bad=bad,
        clipped=None if clipped is None else tuple(clipped.tolist()),
        state=state,
        held=held,
        known=None if known is None else known != 0,
        last=last,
    )


def _check_codes(content: StreamContent, interface: Interface) -> None:
    """Refuse a last reading that is none."""
    if content.held is None:
        return
    off = interface.input.code_bounds(interface.precision).broken(content.held)
    if (off if content.known is None else off & content.known).any():
        raise StateError(
            "state: expected input codes (NUMERICS.md clause 2.3) as the last reading, got others. "
            "Whatever wrote these bytes does not follow FORMAT.md."
        )
