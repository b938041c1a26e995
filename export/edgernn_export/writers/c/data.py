"""The data of an integer model as C99 text: identifiers, comments, arrays, records."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

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
    return f"static const {ctype} {name}[{len(numbers)}] = {{\n{_wrapped(numbers)}\n}};\n"


def record(ctype: str, name: str, members: Iterable[str]) -> str:
    """A constant C struct or array of structs, one member a line."""
    return "\n".join([f"static const {ctype} {name} = {{", *(f"    {m}," for m in members), "};\n"])


def _wrapped(words: Sequence[str]) -> str:
    lines, line = [], "   "
    for word in words:
        if len(line) + len(word) + 2 > _COLUMNS:
            lines.append(line)
            line = "   "
        line += f" {word},"
    return "\n".join([*lines, line])
