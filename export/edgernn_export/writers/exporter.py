"""From an integer model to the files runtimes execute."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgernn.container.disk import write_atomically
from edgernn.errors import EdgeRnnError
from edgernn.model.affine import Term8, Term16
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import Layer
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn.model.storage import Storage
from edgernn_export.writers.c.packages import COptions, open_c_writer
from edgernn_export.writers.c.programs.package import write_programs
from edgernn_export.writers.file_formats import (
    SESSION_FORMATS,
    WRITERS,
    FileContents,
    Writer,
    golden_vector,
    open_programs_writer,
    open_writer,
)

_NO_OPTIONS: Final = COptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What one format became.

    Attributes:
        path: the file, or the folder.
        files: the file itself, or those written in the folder; of programs one for each, where a
            file holds one.
        densified_weights: weights that have a byte each here, and less than that in the model.
    """

    path: Path
    files: tuple[Path, ...]
    densified_weights: int


def export(
    model: IntegerModel | ProgramSet,
    directory: str | os.PathLike[str],
    formats: Sequence[str] = SESSION_FORMATS,
    *,
    name: str | None = None,
    package: str | None = None,
    prefix: str | None = None,
    core: str | None = None,
    amalgamate: bool = False,
    network_only: bool = False,
) -> dict[str, Path]:
    """Write a model in several file formats.

    Each .tflite and .onnx file contains the model's `Interface` with a golden vector, which
    sessions run once on opening; C comes as a folder with a self-test. Same model, same bytes. All
    formats are written before the first file appears.

    Programs that share states are one .tflite file with a signature for each, and an .onnx file for
    each, ``NAME.PROGRAM.onnx``. C has one state for all of them.

    Args:
        model: the integer model, or a set of programs.
        directory: where to write; made if it does not exist.
        formats: keys of `edgernn_export.writers.file_formats.WRITERS`.
        name: file name without suffix; default the model's name.
        package: C as a package of a build system, a key of
            `edgernn_export.writers.c.packages.PACKAGES`; default plain sources.
        prefix: what the C's file names and symbols begin with; default "model".
        core: of `edgernn targets`, say "cortex-m4": C includes only the kernels of this core;
            default, or "host": those of every core.
        amalgamate: C as one source and one header, and a self-test to add or to leave out.
        network_only: C without the layers of the model's preparation and decisions.

    Returns:
        The path of each format's file or folder; of a set's .onnx files, of the directory.

    Raises:
        EdgeRnnError: an unknown format, or none; a package, prefix or core that is unknown or
            without C, or amalgamation without C.
        UnsupportedModelError: C cannot hold all of the model's preparation and decisions.
    """
    options = COptions(
        package=package,
        prefix=prefix,
        core=core,
        amalgamate=amalgamate,
        network_only=network_only,
    )
    written = export_files(model, directory, formats, name=name, options=options)
    return {wanted: entry.path for wanted, entry in written.items()}


def export_files(
    model: IntegerModel | ProgramSet,
    directory: str | os.PathLike[str],
    formats: Sequence[str],
    *,
    name: str | None = None,
    options: COptions = _NO_OPTIONS,
) -> dict[str, Written]:
    """Do what `export` does, and return every file that was written."""
    if isinstance(formats, str) or not formats:
        raise EdgeRnnError(
            f"export: expected a sequence of formats among {', '.join(WRITERS)}, "
            f"got {formats!r:.40}."
        )
    stem = _file_stem(name or model.name)
    writers = _writers(formats, stem, options)
    contents: dict[str, tuple[str, FileContents]]
    if isinstance(model, ProgramSet):
        contents = _of_programs(model, stem, writers, options)
    else:
        golden = golden_vector(model)
        contents = {wanted: (file, w(model, golden)) for wanted, (w, file) in writers.items()}
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    return {
        wanted: Written(
            path=folder / file,
            files=_write(folder / file, content),
            densified_weights=_densified(model.layers) if wanted in SESSION_FORMATS else 0,
        )
        for wanted, (file, content) in contents.items()
    }


def _of_programs(
    programs: ProgramSet,
    stem: str,
    writers: dict[str, tuple[Writer, str]],
    options: COptions,
) -> dict[str, tuple[str, FileContents]]:
    """What each format makes of programs, and the file or folder it fills."""
    goldens = [golden_vector(model) for model in programs.programs]
    contents: dict[str, tuple[str, FileContents]] = {}
    for wanted, (writer, file) in writers.items():
        if wanted == "c":
            contents[wanted] = write_programs(programs, goldens, options, stem)
            continue
        together = open_programs_writer(wanted)
        if together is not None:
            contents[wanted] = file, together(programs, goldens)
            continue
        files: dict[str, bytes] = {}
        for model, golden in zip(programs.programs, goldens, strict=True):
            content = writer(model, golden)
            assert isinstance(content, bytes)  # as of every format of sessions
            files[f"{stem}.{model.name}{Path(file).suffix}"] = content
        contents[wanted] = ".", files
    return contents


def _densified(layers: Iterable[Layer]) -> int:
    """Weights of products that TFLite and ONNX cannot store as the model does."""
    affines = [affine for layer in layers for affine in layer.affines.values()]
    terms: list[Term8 | Term16] = [term for affine in affines for term in affine.terms]
    return sum(term.weights.size for term in terms if term.storage is not Storage.DENSE8)


def _writers(formats: Sequence[str], stem: str, options: COptions) -> dict[str, tuple[Writer, str]]:
    """The writer of each format, and the name of the file or folder it fills."""
    if "c" not in formats and options != _NO_OPTIONS:
        raise EdgeRnnError(
            f"export: expected c among the formats because of {_first_given(options)}, got "
            f"{', '.join(formats)!r:.60}. Add c to the formats."
        )
    writers = {}
    for wanted in formats:
        writer, suffix = open_writer(wanted)
        writers[wanted] = (writer, f"{stem}{suffix}")
    if "c" in writers:
        writers["c"] = open_c_writer(options, stem)
    return writers


def _first_given(options: COptions) -> str:
    if options.core is not None:
        return "a core"
    if options.network_only:
        return "the network alone"
    return "amalgamation" if options.amalgamate else "a package or a prefix"


def _write(path: Path, contents: FileContents) -> tuple[Path, ...]:
    """Write a file, or the files of a folder; what else the folder holds stays."""
    if isinstance(contents, bytes):
        write_atomically(path, contents)
        return (path,)
    for name, content in contents.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, content)
    return tuple(path / name for name in contents)


def _file_stem(name: str) -> str:
    """A model name as a plain file name."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".") or "model"
