"""The C of a model as a package of a build system: CMake, Arduino, PlatformIO, ESP-IDF, Zephyr.

A package is the sources in ``src/`` and the files of its folder in ``package_files``, where
``@field@`` stands for a field of `edgernn_export.writers.c.packages`.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

from edgernn import __version__
from edgernn.container.memory import weight_memory
from edgernn.errors import EdgeRnnError
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Golden
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.writers.c.border import (
    input_channels,
    output_channels,
    port_names,
    softmax_sentence,
)
from edgernn_export.writers.c.constants import comment_text, identifier
from edgernn_export.writers.c.kernels.files import checked_core
from edgernn_export.writers.c.rate import steps_of_an_answer
from edgernn_export.writers.c.source import carried_bytes, write_c

#: Programs of `write_c`; a package takes those it names, since each defines `main`.
PROGRAMS: Final = ("main.c", "selftest_host.c")
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
        network_only: leave out the layers of a model's preparation and decisions.
    """

    package: str | None = None
    prefix: str | None = None
    core: str | None = None
    amalgamate: bool = False
    network_only: bool = False


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
    prefix = free_prefix(options)
    package = options.package
    core = checked_core(options.core)
    write = functools.partial(
        write_c,
        prefix=prefix,
        core=core,
        amalgamate=options.amalgamate,
        network_only=options.network_only,
    )
    if package is None:
        return (_without_programs(write) if options.amalgamate else write), f"{stem}_c"
    kind, folder = chosen_package(package, stem)
    return functools.partial(_write_package, kind, folder, prefix, write), folder


def chosen_package(package: str, stem: str) -> tuple[Package, str]:
    """A kind of package, and the name of its folder.

    Raises:
        EdgeRnnError: there is no such kind.
    """
    if package not in PACKAGES:
        raise EdgeRnnError(
            f"export to c: expected a package among {', '.join(PACKAGES)}, got {package!r:.40}."
        )
    kind = PACKAGES[package]
    # Build systems want names that begin with a letter or digit, Arduino at most 63 characters.
    return kind, (stem.lstrip("._-")[:48] or "model") + kind.suffix


def free_prefix(options: COptions) -> str:
    """The prefix that a user wants, or the default.

    Raises:
        EdgeRnnError: it is the name of another header or program.
    """
    prefix = _DEFAULT_PREFIX if options.prefix is None else options.prefix
    if identifier(prefix).lower() in _TAKEN:
        raise EdgeRnnError(
            "export to c: expected a prefix that is not the name of another header or program, "
            f"got {prefix!r:.60}. Choose a longer one, such as '{identifier(prefix)}_model'."
        )
    return prefix


def without_programs(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files that join a firmware, without those that define `main`."""
    return {name: content for name, content in files.items() if name not in PROGRAMS}


def _without_programs(write: CWriter) -> CWriter:
    """A writer of what joins a program alone."""

    def written(model: IntegerModel, golden: Golden) -> dict[str, bytes]:
        return without_programs(write(model, golden))

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
    library = {f"src/{n}": b for n, b in sources.items() if n not in PROGRAMS}
    programs = {path: sources[name] for name, path in kind.programs.items()}
    root = template_root()
    fields = package_fields(model, identifier(prefix), folder, sorted(library))
    fields["interface"] = filled((root / "interface.md").read_text("utf-8"), fields).rstrip()
    texts = {
        path: filled(file.read_text("utf-8"), fields).encode("utf-8", "backslashreplace")
        for name in kind.folders
        for path, file in files_in(root / name)
    }
    return {**library, **programs, **texts}


def template_root() -> Traversable:
    """The folder of all templates."""
    return resources.files("edgernn_export") / "writers" / "c" / "package_files"


def files_in(folder: Traversable, path: str = "") -> Iterator[tuple[str, Traversable]]:
    """Files in a folder and below with their paths in it, in the order of their names."""
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.is_dir():
            yield from files_in(entry, f"{path}{entry.name}/")
        else:
            yield path + entry.name, entry


def filled(template: str, fields: Mapping[str, str]) -> str:
    """A template with its fields; those of several lines keep the indentation of the first."""

    def value(match: re.Match[str]) -> str:
        return match[1] + fields[match[2]].replace("\n", "\n" + match[1])

    return re.sub(r"(^ *|)@(\w+)@", value, template, flags=re.M)


def package_fields(
    model: IntegerModel, prefix: str, folder: str, library: Sequence[str]
) -> dict[str, str]:
    """Text by the name between two '@' in a template.

    Args:
        model: the integer model.
        prefix: of the generated files and symbols.
        folder: name of the package's folder.
        library: paths of the generated sources and headers.
    """
    return common_fields(model, prefix, folder, library) | {
        "inputs": str(model.input.width),
        "outputs": str(model.output.width),
        "state_bytes": str(carried_bytes(model)),
        **_stream(model, prefix),
        "softmax": (
            f" {softmax_sentence(model.output, 'outputs')}" if model.output.softmax else ""
        ),
        "ports": _ports(model, prefix),
        **channel_fields(model, prefix.upper()),
    }


def common_fields(
    model: IntegerModel | ProgramSet, prefix: str, folder: str, library: Sequence[str]
) -> dict[str, str]:
    """Those that packages of models and of programs have in common; see `package_fields`."""
    release = re.match(r"\d+(\.\d+)*", __version__)
    return {
        "prefix": prefix,
        "PREFIX": prefix.upper(),
        "folder": folder,
        # Build systems accept numbers and dots alone.
        "version": release[0] if release else "0",
        "edgernn": __version__,
        # JSON's escapes are those of YAML and of C strings: a label breaks none of them.
        "label": comment_text(model.name),
        # The others are for Markdown.
        "label_md": markdown(model.name),
        "sha256": model.sha256,
        "sources": "\n".join(path for path in library if path.endswith(".c")),
        "weights_bytes": str(weight_memory(model.layers).total_bytes),
    }


def _stream(model: IntegerModel, prefix: str) -> dict[str, str]:
    """How a reading is passed, and what comes before the first."""
    call = f"{prefix}_step(&state, q_x, q_y)"
    step = f"if ({call} == 0) {{\n    return; /* no answer yet */\n}}"
    if model.window is None and model.rate is None:
        return {"step": f"{call};", "pad": "", "kind": ""}
    if model.window is None:
        return {"step": step, "pad": "", "kind": _rate(model, prefix)}
    kind = (
        f"`{prefix}_step` returns 1 where it has an answer to the last {model.window.steps} "
        f"readings, which takes {steps_of_an_answer(model)} of the network, and 0 where none is "
        f"due: in the first {model.window.steps - 1} steps after `{prefix}_init`, and in between "
        f"where the hop ({model.window.hop}) is more than 1. After `{prefix}_pad(&state, q_x)` the "
        "next step "
        "answers.\n\n"
    )
    return {"step": step, "pad": f"{prefix}_pad(&state, q_x);\n", "kind": kind}


def _rate(model: IntegerModel, prefix: str) -> str:
    """Which readings are answered, where a step of the network takes several."""
    assert model.rate is not None
    return (
        f"`{prefix}_step` returns 1 where it has an answer, and 0 where none is due: {model.rate}. "
        f"The network then takes a step of {model.rate.readings} readings at once; the other calls "
        "take next to no time.\n\n"
    )


def _ports(model: IntegerModel, prefix: str) -> str:
    """Which channels are whose, where there are several inputs or outputs."""
    macros = [
        f"`{prefix.upper()}_{side}_{name}_FIRST`"
        for side, ports in (("INPUT", model.input.ports), ("OUTPUT", model.output.ports))
        for name in port_names(ports)
    ]
    if not macros:
        return ""
    return (
        f" The first channels of inputs and outputs with a name: {', '.join(macros)}; `_WIDTH` in "
        "place of `_FIRST` is how many they have."
    )


def channel_fields(model: IntegerModel, upper: str) -> dict[str, str]:
    """The channels as rows of README tables, and as entries of the sketch's arrays."""
    source, sink, precision = model.input, model.output, model.precision
    sensors, input_rows, output_bits, output_rows = [], [], [], []
    sizes = source.vocabulary or (0,) * source.width
    for i, channel in enumerate(input_channels(source, precision)):
        scale, offset = float(source.scale[i]), float(source.offset[i])
        ends = (0, sizes[i] - 1) if sizes[i] else (precision.input_low, precision.input_high)
        low, high = (offset + q * scale for q in ends)
        what = f"{comment_text(source.names[i])} [{comment_text(source.units[i])}]"
        sensors.append(
            f"sensor(A{i}, {_double(low)}, {_double(high)}, {upper}_INPUT_{i}_FRAC_BITS), "
            f"/* {what} */"
        )
        names = f"{markdown(source.names[i])} | {markdown(source.units[i])}"
        input_rows.append(f"| {names} | {low:.6g} | {high:.6g} | {channel.frac_bits} |")
    for i, sunk in enumerate(output_channels(sink)):
        what = f"{comment_text(sink.names[i])} [{comment_text(sink.units[i])}]"
        output_bits.append(f"{upper}_OUTPUT_{i}_FRAC_BITS, /* {what} */")
        names = f"{markdown(sink.names[i])} | {markdown(sink.units[i])}"
        output_rows.append(f"| {names} | {sunk.frac_bits} |")
    return {
        "sensors": "\n".join(sensors),
        "output_bits": "\n".join(output_bits),
        "input_rows": "\n".join(input_rows),
        "output_rows": "\n".join(output_rows),
    }


def _double(value: float) -> str:
    """A C literal of nine digits, which is exact enough for both precisions."""
    text = f"{value:.9g}"
    return text if re.search(r"[.e]", text) else text + ".0"


def markdown(text: str) -> str:
    """Text that Markdown shows unchanged, in a table too."""
    line = json.dumps(text, ensure_ascii=False)[1:-1]
    return re.sub(r"([\\`*_{}\[\]<>#|&])", r"\\\1", line)
