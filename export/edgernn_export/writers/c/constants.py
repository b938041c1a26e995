"""Constants of a generated model in C; its check, which reads them, and the CRC-32 it must find."""

from __future__ import annotations

import json
import re
import textwrap
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn_export.writers.c.kernels.tile_layouts import Layout

_COLUMNS: Final = 100


def identifier(text: str) -> str:
    """Turn any text into letters, digits and '_' that may continue a C identifier."""
    return re.sub(r"[^A-Za-z0-9_]", "_", text)


def comment_text(text: str) -> str:
    """Text in ASCII that cannot end, open or break a C comment."""
    plain = json.dumps(text)[1:-1]
    return plain.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?")


def array(ctype: str, name: str, values: npt.NDArray[Any] | Sequence[int]) -> str:
    """A constant C array."""
    numbers = [str(int(v)) for v in np.asarray(values).ravel()]
    return f"static const {ctype} {name}[{len(numbers)}] = {{\n{_columns(numbers)}\n}};\n"


def record(ctype: str, name: str, members: Iterable[str]) -> str:
    """A constant C struct or array of structs, one member a line."""
    return "\n".join([f"static const {ctype} {name} = {{", *(f"    {m}," for m in members), "};\n"])


def _columns(words: Sequence[str]) -> str:
    lines, line = [], "   "
    for word in words:
        if len(line) + len(word) + 2 > _COLUMNS:
            lines.append(line)
            line = "   "
        line += f" {word},"
    return "\n".join([*lines, line])


#: C type -> function of edgernn_check.h for arrays of it, and type of what counts.
_ARRAYS: Final = {
    "uint8_t": ("edgernn_check_uint8s", "<u1"),
    "int16_t": ("edgernn_check_int16s", "<i2"),
    "int32_t": ("edgernn_check_int32s", "<i4"),
}
#: As in edgernn_tables.h.
_ACTIVATIONS: Final = ("linear", "relu", "tanh", "sigmoid", "hard_sigmoid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Constants that one call reads.

    Attributes:
        function: of edgernn_check.h.
        arguments: in C, after the CRC so far.
        content: the bytes that it adds to the CRC, by layout.
    """

    function: str
    arguments: str
    content: Callable[[Layout], bytes]

    def crc(self, layout: Layout, crc: int) -> int:
        """The CRC with these constants."""
        return zlib.crc32(self.content(layout), crc)


def check_array(ctype: str, member: str, name: str, values: npt.NDArray[Any]) -> Check:
    """Of an array of a C type, which a member of a record names."""
    function, dtype = _ARRAYS[ctype]
    content = values.astype(dtype).tobytes() + b"\0"
    return _check(function, f"&{member}, {name}, {values.size}", content)


def check_no_array(ctype: str, member: str) -> Check:
    """Of a member of a record that names no array."""
    return _check(_ARRAYS[ctype][0], f"&{member}, 0, 0", b"\0")


def check_weights(member: str, name: str, size: str, content: Callable[[Layout], bytes]) -> Check:
    """Of an array of weights, of which this many bytes count."""
    return Check(
        function="edgernn_check_int8s",
        arguments=f"&{member}, {name}, {size}",
        content=lambda layout: content(layout) + b"\0",
    )


def check_term(width: str, term: str, numbers: Sequence[int], *, sparse: bool, bits: int) -> Check:
    """Of a term's numbers and of how it is stored."""
    content = _int32s(numbers) + bytes([sparse]) + _int32s([bits])
    return _check(f"edgernn_check_term{width}", f"&{term}", content)


def check_map(width: str, member: str, terms: str, numbers: Sequence[int]) -> Check:
    """Of a map's numbers, and of the terms it names."""
    return _check(f"edgernn_check_map{width}", f"&{member}, {terms}", _int32s(numbers) + b"\0")


def check_member(member: str, value: int | str) -> Check:
    """Of a number, or of an activation by its name."""
    if isinstance(value, int):
        return _check("edgernn_check_int32", f"&{member}", _int32s([value]))
    code = _int32s([_ACTIVATIONS.index(value)])
    return _check("edgernn_check_activation", f"&{member}", code)


def check_channels(kind: str, channels: Sequence[Sequence[int]], of: str = "") -> Check:
    """Of the constants of channels, ``kind`` input or output, whose names begin with ``of``."""
    content = np.array(channels, dtype=np.int64).astype("<u4").tobytes()
    return _check(f"edgernn_check_{kind}s", f"{of}{kind}_channels, {len(channels)}", content)


def check_function(prefix: str, checks: Iterable[Check]) -> str:
    """The definition of a model's check."""
    crcs = dict.fromkeys(Layout, 0)
    calls = []
    for check in checks:
        crcs = {layout: check.crc(layout, crc) for layout, crc in crcs.items()}
        calls += _wrapped(f"    crc = {check.function}(crc, {check.arguments});")
    wanted = ", ".join(f"0x{crc:08X}u" for crc in crcs.values())
    calls += _wrapped(f"    wanted = EDGERNN_BY_LAYOUT({wanted});")
    lines = "\n".join(calls)
    return f"""\
int32_t {prefix}_check(void)
{{
    uint32_t crc = EDGERNN_CHECK_BEGIN;
    uint32_t wanted;
{lines}
    return EDGERNN_CHECK_END(crc) == wanted ? 0 : 1;
}}
"""


def _wrapped(statement: str) -> list[str]:
    """Lines of a statement, which end between arguments."""
    whole = statement.replace(" * ", "\N{NO-BREAK SPACE}*\N{NO-BREAK SPACE}")
    lines = textwrap.wrap(whole, 100, subsequent_indent=" " * 8, break_long_words=False)
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def _check(function: str, arguments: str, content: bytes) -> Check:
    return Check(function=function, arguments=arguments, content=lambda _: content)


def _int32s(values: Sequence[int]) -> bytes:
    return np.array(values, dtype="<i4").tobytes()
