"""The C of a model as a package of a build system: CMake, Arduino, PlatformIO, ESP-IDF, Zephyr.

A package is the sources in ``src/`` and the files of its folder in ``package_files``, where
``@field@`` stands for a field of `edgernn_export.writers.c.package_fields`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

from edgernn.errors import EdgeRnnError
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Golden
from edgernn_export.writers.c.constants import identifier
from edgernn_export.writers.c.kernels.files import checked_core
from edgernn_export.writers.c.package_fields import package_fields
from edgernn_export.writers.c.source import write_c

#: Programs of `write_c`; a package takes those it names, since each defines `main`.
_PROGRAMS: Final = ("main.c", "selftest_host.c")
#: Headers that a compiler, a kernel or a board includes by these names, and the programs.
_TAKEN: Final = frozenset({
    "arduino", "assert", "complex", "ctype", "errno", "fenv", "fixed_point", "float", "inttypes",
    "iso646", "limits", "locale", "main", "math", "selftest_host", "setjmp", "signal", "stdalign",
    "stdarg", "stdatomic", "stdbool", "stddef", "stdint", "stdio", "stdlib", "stdnoreturn",
    "string", "tgmath", "threads", "time", "uchar", "wchar", "wctype",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One kind of package.

    Attributes:
        suffix: of the folder's name.
        folders: of templates, in ``package_files``.
        programs: where a program of `write_c` goes, by its name.
    """

    suffix: str
    folders: tuple[str, ...]
    programs: Mapping[str, str] = field(default_factory=dict)


#: Arduino keeps its own name for itself: libraries of others do without it.
PACKAGES: Final[dict[str, Package]] = {
    "cmake": Package(
        suffix="_cmake",
        folders=("cmake",),
        programs={"selftest_host.c": "selftest/selftest_host.c"},
    ),
    "arduino": Package(suffix="_edgernn", folders=("arduino", "sketch")),
    "platformio": Package(suffix="_platformio", folders=("platformio", "sketch")),
    "esp-idf": Package(suffix="_esp_idf", folders=("esp_idf",)),
    "zephyr": Package(suffix="_zephyr", folders=("zephyr",)),
}

CWriter = Callable[[IntegerModel, Golden], dict[str, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class COptions:
    """What a user says about C; of other formats all of it is None or False.

    Attributes:
        package: key of `PACKAGES`; None for plain sources.
        prefix: what file names and symbols begin with; None for "model".
        core: of `edgernn targets`, whose kernels alone are written; None or "host" for all.
        amalgamate: one source and one header.
    """

    package: str | None = None
    prefix: str | None = None
    core: str | None = None
    amalgamate: bool = False


_DEFAULT_PREFIX: Final = "model"


def open_c_writer(options: COptions, stem: str) -> tuple[CWriter, str]:
    """The writer of a package, or of plain sources where the package is None.

    Args:
        options: of the user.
        stem: file name of the model without suffix.

    Returns:
        The writer, and the name of the folder that its files belong in.

    Raises:
        EdgeRnnError: no package or core has this name, or the prefix names a file that is not the
            model's.
    """
    prefix = _DEFAULT_PREFIX if options.prefix is None else options.prefix
    package = options.package
    core = checked_core(options.core)
    write = functools.partial(write_c, prefix=prefix, core=core, amalgamate=options.amalgamate)
    if identifier(prefix).lower() in _TAKEN:
        raise EdgeRnnError(
            "export to c: expected a prefix that is not the name of another header or program, "
            f"got {prefix!r:.60}. Choose a longer one, say '{identifier(prefix)}_model'."
        )
    if package is None:
        return (_without_programs(write) if options.amalgamate else write), f"{stem}_c"
    if package not in PACKAGES:
        raise EdgeRnnError(
            f"export to c: expected a package among {', '.join(PACKAGES)}, got {package!r:.40}."
        )
    kind = PACKAGES[package]
    # Build systems want names that begin with a letter or digit, Arduino at most 63 characters.
    folder = (stem.lstrip("._-")[:48] or "model") + kind.suffix
    return functools.partial(_write_package, kind, folder, prefix, write), folder


def _without_programs(write: CWriter) -> CWriter:
    """A writer of what joins a program alone."""

    def written(model: IntegerModel, golden: Golden) -> dict[str, bytes]:
        return {n: b for n, b in write(model, golden).items() if n not in _PROGRAMS}

    return written


def _write_package(
    kind: Package,
    folder: str,
    prefix: str,
    write: CWriter,
    model: IntegerModel,
    golden: Golden,
) -> dict[str, bytes]:
    """Contents by path in the folder; same model, same bytes."""
    sources = write(model, golden)
    library = {f"src/{n}": b for n, b in sources.items() if n not in _PROGRAMS}
    programs = {path: sources[name] for name, path in kind.programs.items()}
    root = resources.files("edgernn_export") / "writers" / "c" / "package_files"
    fields = package_fields(model, identifier(prefix), folder, sorted(library))
    fields["interface"] = _filled((root / "interface.md").read_text("utf-8"), fields).rstrip()
    texts = {
        path: _filled(file.read_text("utf-8"), fields).encode("utf-8", "backslashreplace")
        for name in kind.folders
        for path, file in _files(root / name)
    }
    return {**library, **programs, **texts}


def _files(folder: Traversable, path: str = "") -> Iterator[tuple[str, Traversable]]:
    """Files in a folder and below with their paths in it, in the order of their names."""
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.is_dir():
            yield from _files(entry, f"{path}{entry.name}/")
        else:
            yield path + entry.name, entry


def _filled(template: str, fields: Mapping[str, str]) -> str:
    """A template with its fields; those of several lines keep the indentation of the first."""

    def value(match: re.Match[str]) -> str:
        return match[1] + fields[match[2]].replace("\n", "\n" + match[1])

    return re.sub(r"(^ *|)@(\w+)@", value, template, flags=re.M)
