"""Which files of ``edgernn/native`` a model brings: those of every core, or of one.

Its copy of ``edgernn_storage.h`` tells the kernels which storages the model has.
"""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from typing import Final

from edgernn.errors import EdgeRnnError
from edgernn.model.storage import Storage
from edgernn_export.writers.c.kernels.conditions import Items, parse, settled

#: The header that chooses what a variant brings.
VARIANT_HEADER: Final = "edgernn_variant.h"
STORAGE_HEADER: Final = "edgernn_storage.h"
#: Storage -> what the kernels' macro for it is called, and what it stands for.
_MACROS: Final = {
    Storage.SPARSE8: ("EDGERNN_HAS_SPARSE", "block-sparse weights"),
    Storage.DENSE4: ("EDGERNN_HAS_INT4", "4-bit weights"),
}
#: Name for every core, as without a name.
HOST: Final = "host"
#: Core of `edgernn targets` -> the variant that its compiler's options choose in edgernn_config.h.
CORES: Final[Mapping[str, str]] = {
    "cortex-m0": "EDGERNN_THUMB1",
    "cortex-m3": "EDGERNN_PORTABLE",
    "cortex-m33": "EDGERNN_DSP",
    "cortex-m4": "EDGERNN_DSP",
    "cortex-m55": "EDGERNN_MVE",
    "cortex-m7": "EDGERNN_DSP",
    "rv32imc": "EDGERNN_RISCV",
}
_CHOICE: Final = r'^#(?:el)?if EDGERNN_VARIANT == (\w+)\n#include "([\w/.]+)"\n'


def checked_core(core: str | None) -> str | None:
    """The core to export for, or None for all.

    Raises:
        EdgeRnnError: there is no such core.
    """
    if core is None or core == HOST:
        return None
    if core not in CORES:
        raise EdgeRnnError(
            f"export to c: expected a core among {', '.join(CORES)} or {HOST}, got {core!r:.40}. "
            "See them with: edgernn targets"
        )
    return core


class Kernels:
    """Files of ``edgernn/native`` as one core, or every core, sees them.

    Attributes:
        core: the core, or None.
        variants: macro of a variant -> path of its variant.h; of the core's alone.
        slots: name of a slot that is a header -> variant -> path from the file that includes it.
        known: values of macros that the core decides; None of those it does not define.
    """

    def __init__(self, core: str | None) -> None:
        """Read what the variants bring.

        Args:
            core: as `checked_core` returns it.
        """
        self.core = core
        choice = dict(re.findall(_CHOICE, native_text(VARIANT_HEADER), re.M))
        self.variants: dict[str, str] = (
            choice if core is None else {CORES[core]: choice[CORES[core]]}
        )
        self.slots: dict[str, dict[str, str]] = {}
        for variant, path in self.variants.items():
            for slot, header in re.findall(
                r'^#define (EDGERNN_\w+_HEADER) "([\w/.]+)"$', native_text(path), re.M
            ):
                self.slots.setdefault(slot, {})[variant] = header
        self.known = {} if core is None else self._known(choice.values())

    def _known(self, paths: Iterable[str]) -> dict[str, int | None]:
        everywhere = (re.findall(r"#define (EDGERNN_\w+_HEADER)", native_text(p)) for p in paths)
        known: dict[str, int | None] = {
            slot: 1 if slot in self.slots else None for slots in everywhere for slot in slots
        }
        (variant, path), *_ = self.variants.items()
        wide = re.search(r"#define EDGERNN_HAS_WIDE_LANES (\d)", native_text(path))
        lanes = posixpath.normpath(
            posixpath.join("common", self.slots["EDGERNN_LANES_HEADER"][variant])
        )
        found = re.search(r"#define EDGERNN_LANES (\d+)", native_text(lanes))
        assert found is not None
        known["EDGERNN_HAS_WIDE_LANES"] = 0 if wide is None else int(wide[1])
        known["EDGERNN_LANES"] = int(found[1])
        return known

    def text(self, path: str) -> str:
        """A file, with no word of other cores where there is one."""
        text = native_text(path)
        if self.core is None or path != VARIANT_HEADER:
            return text
        (variant, header), *_ = self.variants.items()
        begin, end = text.index("#if EDGERNN_VARIANT =="), text.index("#ifndef EDGERNN_CODE8")
        choice = f"""\
#if EDGERNN_VARIANT == {variant}
#include "{header}"
#else
#error "{VARIANT_HEADER}: expected a compiler for {self.core}, whose kernels alone were \\
exported, got one for another core. Export again with: edgernn export MODEL.edgernn --to c \\
--core CORE, or without --core for every core."
#endif

"""
        return text[:begin] + choice + text[end:]

    def included(self, path: str, line: str) -> dict[str, frozenset[str]]:
        """What a line of a file includes: paths, and the variants that include each."""
        found = re.match(r'#include (?:"([\w/.]+)"|(EDGERNN_\w+_HEADER))', line)
        if found is None:
            return {}
        folder = posixpath.dirname(path)
        if found[1]:
            place = posixpath.normpath(posixpath.join(folder, found[1]))
            return {place: frozenset(self.variants)}
        paths: dict[str, frozenset[str]] = {}
        for variant, header in self.slots[found[2]].items():
            place = posixpath.normpath(posixpath.join(folder, header))
            paths[place] = paths.get(place, frozenset()) | {variant}
        return paths

    def files(self, sources: Iterable[str]) -> dict[str, bytes]:
        """Sources by path, and all headers that they include."""
        files: dict[str, bytes] = {}
        wanted = {*sources}
        while wanted:
            path = wanted.pop()
            files[path] = self.text(path).encode("ascii")
            for line in _lines(settled(parse(self.text(path)), self.known)):
                wanted |= self.included(path, line).keys() - files.keys()
        return dict(sorted(files.items()))


def _lines(items: Items) -> Iterator[str]:
    for item in items:
        if isinstance(item, str):
            yield item
        else:
            for branch in item.branches:
                yield from _lines(branch.items)


@functools.cache
def native_text(path: str) -> str:
    """A file of ``edgernn/native``."""
    return (resources.files("edgernn") / "native" / path).read_text("ascii")


def storage_macros(storages: frozenset[Storage]) -> dict[str, int]:
    """Values of the macros of ``edgernn_storage.h`` for kernels that know these storages alone."""
    return {macro: int(storage in storages) for storage, (macro, _) in _MACROS.items()}


def storage_header(everything: str, storages: frozenset[Storage]) -> str:
    """``edgernn_storage.h``, so that kernels know these storages alone.

    Args:
        everything: the header of kernels that know all of them.
        storages: those of the model.
    """
    text = everything
    for macro, known in storage_macros(storages).items():
        text = text.replace(f"#define {macro} 1 ", f"#define {macro} {known} ")
    return text


def storage_checks(storages: frozenset[Storage], prefix: str) -> str:
    """C that ends compilation in a sentence where the kernels lack a storage of the model."""
    return "".join(
        f"#if !{macro}\n"
        f'#error "{prefix}.c: expected kernels for {what}, got none. Set {macro} to 1 in \\\n'
        f'{STORAGE_HEADER}, for all files of the program."\n'
        "#endif\n\n"
        for storage, (macro, what) in _MACROS.items()
        if storage in storages
    )
