"""The slots of ``edgernn_variant.h``, which variants fill them, and ``edgernn/native/README.md``.

python -m tests.support.native.slots    writes that file again
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.native.compilers import NATIVE

README = NATIVE / "README.md"
HEADER = NATIVE / "edgernn_variant.h"
#: Slots without a default.
REQUIRED = ("LANES_HEADER", "AFFINE_HEADER", "SPARSE_HEADER", "DOT4_HEADER")

TEXT = """\
# C99 kernels

C sources of all edgernn layers (NUMERICS.md, sections 6 to 8), bit-exact on every core. The command
`edgernn export --to c` copies this folder, and the extension module of the native back-end is
compiled from it. All includes are relative, so you do not need to set an include path.

| path | contents |
|---|---|
| `edgernn_*.h` | public headers; `edgernn_config.h` selects the variant |
| `edgernn_*.c` | sources to compile: layers, maps, tables, input and output conversion, self-test |
| `common/` | code that every variant compiles |
| `isa/<name>/` | code for one instruction set; its `variant.h` defines the slots it fills |

## Adding an instruction set

Only `edgernn_config.h` and `edgernn_variant.h` read `EDGERNN_VARIANT`. To add an instruction set:

1. Add its name to these two files.
2. Add a folder `isa/<name>/` with a `variant.h`.
3. Fill the slots below. Every variant must fill four of them. The others have a default
   (`edgernn_variant.h` or the file that it names).

## Slots

Each column shows how a folder fills the slots: with a header, with its `own` definition in
`variant.h`, or with the default (empty cell). The prefix `EDGERNN_` is omitted. A star marks a slot
that every variant must fill.

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
