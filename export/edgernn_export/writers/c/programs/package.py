"""The C of programs as a package: that of a model, with separate files in ``of_programs``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edgernn.model.interface import Golden
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.writers.c.constants import identifier
from edgernn_export.writers.c.packages import (
    PROGRAMS,
    COptions,
    channel_fields,
    chosen_package,
    common_fields,
    files_in,
    filled,
    free_prefix,
    markdown,
    template_root,
    without_programs,
)
from edgernn_export.writers.c.programs.layout import c_programs
from edgernn_export.writers.c.programs.source import carried_bytes, write_c_programs

#: Templates for programs; those beside it are for both, but for this sketch.
_OWN: Final = "of_programs"
_SKETCH_OF_A_MODEL: Final = "sketch"


def write_programs(
    programs: ProgramSet, goldens: Sequence[Golden], options: COptions, stem: str
) -> tuple[str, dict[str, bytes]]:
    """The folder of a set, and contents by path in it.

    Args:
        programs: the set.
        goldens: what the self-test reads, by program.
        options: of the user.
        stem: file name of the set without suffix.

    Raises:
        EdgeRnnError: as `open_c_writer` and `write_c_programs`.
    """
    prefix = free_prefix(options)
    sources = write_c_programs(
        programs, goldens, prefix=prefix, core=options.core, amalgamate=options.amalgamate
    )
    if options.package is None:
        return f"{stem}_c", without_programs(sources) if options.amalgamate else sources
    kind, folder = chosen_package(options.package, stem)
    library = {f"src/{n}": b for n, b in sources.items() if n not in PROGRAMS}
    mains = {path: sources[name] for name, path in kind.programs.items()}
    root = template_root()
    fields = _fields(programs, identifier(prefix), folder, sorted(library))
    interface = (root / _OWN / "interface.md").read_text("utf-8")
    fields["interface"] = filled(interface, fields).rstrip()
    both = [root / name for name in kind.folders if name != _SKETCH_OF_A_MODEL]
    own = [root / _OWN / name for name in kind.folders]
    templates = {
        path: file for base in (*both, *own) if base.is_dir() for path, file in files_in(base)
    }
    texts = {
        path: filled(file.read_text("utf-8"), fields).encode("utf-8", "backslashreplace")
        for path, file in templates.items()
    }
    return folder, {**library, **mains, **texts}


def _fields(
    programs: ProgramSet, prefix: str, folder: str, library: Sequence[str]
) -> dict[str, str]:
    """Text by the name between two '@' in a template."""
    models = programs.programs
    return common_fields(programs, prefix, folder, library) | {
        "inputs": ", ".join(f"{m.input.width} ({m.name})" for m in models),
        "outputs": ", ".join(f"{m.output.width} ({m.name})" for m in models),
        "state_bytes": str(carried_bytes(programs, c_programs(programs, prefix))),
        "functions": "".join(_function(prefix, name) for name in programs.names),
        "tables": "\n\n".join(_table(programs, prefix, name) for name in programs.names),
    }


def _function(prefix: str, program: str) -> str:
    """How a program takes a reading."""
    name = f"{prefix}_{program}"
    upper = name.upper()
    return f"""

/* {name}_begin(&state) before; x and y: physical values times 2^(fractional bits). */
void on_{program}(const int32_t x[{upper}_INPUTS], int32_t y[{upper}_OUTPUTS])
{{
    {name}_input_t q_x[{upper}_INPUTS];
    int16_t q_y[{upper}_OUTPUTS];
    {name}_quantize_input(x, q_x);
    {name}_step(&state, q_x, q_y);
    {name}_dequantize_output(q_y, y);
}}"""


def _table(programs: ProgramSet, prefix: str, program: str) -> str:
    """The channels of a program."""
    rows = channel_fields(programs[program], f"{prefix}_{program}".upper())
    return f"""| input of {markdown(program)} | unit | from | to | fractional bits |
|---|---|---|---|---|
{rows["input_rows"]}

| output of {markdown(program)} | unit | fractional bits |
|---|---|---|
{rows["output_rows"]}"""
