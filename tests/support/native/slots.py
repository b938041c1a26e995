"""The slots of ``edgernn_variant.h``, who fills them, and ``edgernn/native/README.md`` about it.

python -m tests.support.native.slots    writes the file anew
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.native.compilers import NATIVE

README = NATIVE / "README.md"
HEADER = NATIVE / "edgernn_variant.h"
#: Slots that no text stands in for.
REQUIRED = ("LANES_HEADER", "AFFINE_HEADER", "SPARSE_HEADER", "DOT4_HEADER")

TEXT = """\
# Kernels in C99

The layers of edgernn, NUMERICS.md sections 6 to 8, bit for bit on every core. This folder is what
`edgernn export --to c` copies and what the extension module compiles. All includes are relative:
no path need be set.

| place | what it is |
|---|---|
| `edgernn_*.h` | public headers; `edgernn_config.h` chooses the variant |
| `edgernn_*.c` | one source per layer, the maps, the tables, the border, the check: compile these |
| `common/` | text that every variant compiles |
| `isa/<name>/` | what one instruction set brings; `variant.h` says which slots it fills |

Only `edgernn_config.h` and `edgernn_variant.h` ask for `EDGERNN_VARIANT`. A new instruction set is
a name in these two, a folder with a `variant.h`, and the slots below: four that each variant must
fill, and others that have a text for all (`edgernn_variant.h` or the file named there).

## Slots

Each folder's entry is what fills the slot: a header, `own` text in its `variant.h`, or nothing
where it takes the text for all. Names lack their `EDGERNN_`; a star marks a slot that must be
filled.

@table@

This table is generated from the sources: `python -m tests.support.native.slots`.
"""


def variants() -> dict[str, str]:
    """Folder of each variant by macro, as edgernn_variant.h has them."""
    chosen = r'#(?:el)?if EDGERNN_VARIANT == EDGERNN_(\w+)\n#include "isa/(\w+)/variant\.h"'
    return dict(re.findall(chosen, HEADER.read_text("ascii")))


def slots() -> list[str]:
    """Names in the comment of edgernn_variant.h, without EDGERNN_."""
    return re.findall(r"^ \*   EDGERNN_(\w+)", HEADER.read_text("ascii"), re.M)


def filled(folder: str) -> dict[str, str]:
    """What a variant.h and the layouts it includes define: slot -> header, or "own"."""
    path = NATIVE / "isa" / folder / "variant.h"
    text = path.read_text("ascii")
    for header in re.findall(r'^#include "([\w./]+)"', text, re.M):
        text += (path.parent / header).read_text("ascii")
    found = {}
    for name, rest in re.findall(r"^#define EDGERNN_(\w+)(.*)$", text, re.M):
        header = re.search(r'"(?:\.\./)*(?:isa/)?(\w+/\w+\.h)"', rest)
        found[name] = f"`{header[1]}`" if header else "own"
    return {slot: found[slot] for slot in slots() if slot in found}


def read_me() -> str:
    """What README.md must hold."""
    folders = list(variants().values())
    by_folder = {folder: filled(folder) for folder in folders}
    lines = ["| slot | " + " | ".join(folders) + " |", "|---" * (len(folders) + 1) + "|"]
    for slot in slots():
        star = " *" if slot in REQUIRED else ""
        cells = " | ".join(by_folder[folder].get(slot, "") for folder in folders)
        lines.append(f"| `{slot}`{star} | {cells} |")
    return TEXT.replace("@table@", "\n".join(lines))


if __name__ == "__main__":
    Path(README).write_text(read_me(), encoding="ascii")
