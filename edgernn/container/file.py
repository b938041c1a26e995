"""The .edgernn file: one integer model or set of programs, one sequence of bytes (FORMAT.md).

The rule that makes the rest short: a file is valid if and only if writing what it describes gives
the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from edgernn.container.defects import FormatDefect, format_error
from edgernn.container.disk import read_regular_file, write_atomically
from edgernn.container.frame import (
    MAX_FILE_BYTES,
    SEALED_VERSIONS,
    check_canonical,
    framed,
    read_frame,
)
from edgernn.container.stored.program_record import (
    holds_programs,
    programs_from_record,
    programs_record,
    programs_tensors,
    programs_version,
)
from edgernn.container.stored.record import (
    EXTENDED_VERSION,
    SURROUNDED_VERSION,
    check_network_inputs,
    from_record,
    sealed_version,
    to_record,
    to_tensors,
    unsealed_version,
)
from edgernn.container.stored.stored_layers import NETWORK_VERSION
from edgernn.errors import EdgeRnnError, FormatError, ModelError
from edgernn.model.formats import MAX_WIDTH
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import Layer
from edgernn.model.program_sets.program_set import ProgramSet

_Found = TypeVar("_Found", IntegerModel, ProgramSet, IntegerModel | ProgramSet)
#: Versions that hold what no other version does.
_FOR_ONE: Final = {
    NETWORK_VERSION: "a network",
    SURROUNDED_VERSION: "a model with a preparation or decisions",
    EXTENDED_VERSION: "a model with symbols, a mask or a head that learns",
}
#: Names of files of other formats; what is in a file is what its name says.
_OTHER_SUFFIXES: Final = {
    **{
        f".{kind}": f"Write one with: edgernn_export.export(model, folder, formats=['{kind}'])"
        for kind in ("tflite", "onnx", "c")
    },
    **dict.fromkeys(
        (".keras", ".h5", ".hdf5"), "An integer model cannot be converted back to Keras."
    ),
}


def to_bytes(model: IntegerModel | ProgramSet, version: str | None = None) -> bytes:
    """The bytes of an .edgernn file; equal models, and equal sets, give equal bytes.

    Args:
        model: what to write.
        version: of the format; one that can hold the model. None: the one that `save` writes.

    Raises:
        FormatError: the model is larger than a file may be, holds text that is none, or is one
            that the version cannot hold.
    """
    if isinstance(model, ProgramSet):
        layers = [layer for program in model.programs for layer in program.layers]
        _check_widths(layers)
        check_network_inputs(layers)
        return framed(programs_record(model), programs_tensors(model), programs_version(model))
    lowest = sealed_version(model)
    version = lowest if version is None else version
    if lowest in _FOR_ONE:
        if version != lowest:
            raise format_error(
                FormatDefect.BAD_RECORD,
                "model",
                expected=f"a chain of layers for version {version!r}",
                got=f"{_FOR_ONE[lowest]}, which needs version {lowest!r}",
            )
        check_network_inputs(model.layers)
    _check_widths(model.layers)
    return framed(to_record(model, version), to_tensors(model), version)


def _check_widths(layers: Sequence[Layer]) -> None:
    for layer in layers:
        if max(layer.widths.values()) > MAX_WIDTH:
            raise format_error(
                FormatDefect.BAD_RECORD,
                layer.name,
                expected=f"{' and '.join(layer.widths)} <= {MAX_WIDTH}",
                got=", ".join(f"{name}={width}" for name, width in layer.widths.items()),
            )


def model_sha256(model: IntegerModel | ProgramSet) -> str:
    """The model's identity: a SHA-256 in hexadecimal (FORMAT.md 1.6).

    That of its file in the first version that holds it, whichever version it was read from.
    """
    version = None
    if isinstance(model, IntegerModel):
        version = sealed_version(model)
        if version not in _FOR_ONE and model.window is None:
            version = unsealed_version(model)
    return hashlib.sha256(to_bytes(model, version)).hexdigest()


def parsed(data: bytes) -> IntegerModel | ProgramSet:
    """The model, or the set of programs, that an .edgernn file holds.

    Args:
        data: the whole file.

    Raises:
        FormatError: the bytes break FORMAT.md; ``defect`` names the broken rule.
    """
    version, record, tensors = read_frame(data)
    model: IntegerModel | ProgramSet
    try:
        if holds_programs(version, record):
            model = programs_from_record(record, tensors, version)
        else:
            model = from_record(record, tensors, version)
    except ModelError as error:
        raise format_error(
            FormatDefect.INVALID_MODEL,
            "model",
            expected="an integer model whose accumulators cannot overflow",
            got=f"{error!s:.300}",
        ) from error
    written = None
    if isinstance(model, IntegerModel) and version not in SEALED_VERSIONS:
        written = unsealed_version(model)
    check_canonical(data, to_bytes(model, written))
    return model


def from_bytes(data: bytes) -> IntegerModel:
    """The model an .edgernn file holds.

    Args:
        data: the whole file.

    Raises:
        FormatError: the bytes break FORMAT.md, or hold programs; ``defect`` names the broken rule.
    """
    return _one_model(parsed(data))


def _one_model(found: IntegerModel | ProgramSet) -> IntegerModel:
    if isinstance(found, IntegerModel):
        return found
    raise format_error(
        FormatDefect.WRONG_KIND,
        "file",
        expected="one integer model",
        got=f"the programs {', '.join(found.names)}",
    )


def _programs(found: IntegerModel | ProgramSet) -> ProgramSet:
    if isinstance(found, ProgramSet):
        return found
    raise format_error(
        FormatDefect.WRONG_KIND,
        "file",
        expected="programs that share states",
        got=f"the model {found.name!r:.60}",
        cure="Omit the program name (--program), or load the file with IntegerModel.load",
    )


def save(model: IntegerModel | ProgramSet, path: str | Path) -> Path:
    """Write a model, or a set of programs, as one .edgernn file, whole or not at all.

    Args:
        model: what to write.
        path: where; a file of this name is replaced.

    Returns:
        The path written.

    Raises:
        FormatError: the model does not fit the format; nothing was written.
        EdgeRnnError: the name is that of another format, or the file could not be written; an
            existing file of this name is unchanged.
    """
    target = Path(path)
    _refuse_other_format(target)
    data = to_bytes(model)
    parsed(data)  # never leave a file behind that `load` would refuse
    try:
        if not target.name or not target.parent.is_dir():
            raise EdgeRnnError(
                f"save: expected a file name in an existing folder, got '{path}'. "
                "Create the folder first."
            )
        write_atomically(target, data, synced=True)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise EdgeRnnError(
            f"save: expected a writable file, got '{path!s:.200}' ({reason}). "
            "Nothing was changed; choose another path."
        ) from error
    return target


def _refuse_other_format(target: Path) -> None:
    suffix = target.suffix.lower()
    if suffix in _OTHER_SUFFIXES:
        cure = _OTHER_SUFFIXES[suffix]
        raise EdgeRnnError(
            f"save: expected a name ending in .edgernn, got '{target.name:.200}'. {cure}"
        )


def load(path: str | Path) -> IntegerModel:
    """Read an .edgernn file of one model.

    Raises:
        FormatError: the file is missing or unreadable, breaks FORMAT.md, or it holds programs;
            ``defect`` names the rule.
    """
    return _read(path, _one_model)


def load_programs(path: str | Path) -> ProgramSet:
    """Read an .edgernn file of a set of programs.

    Raises:
        FormatError: as `load`, or it holds one model.
    """
    return _read(path, _programs)


def load_program(path: str | Path, program: str = "") -> IntegerModel:
    """Read one model of an .edgernn file.

    Args:
        path: the file.
        program: which one of a set; "" for the only one of a file that holds no set.

    Raises:
        FormatError: as `load` and `load_programs`.
        ModelError: there is no program of this name.
    """
    return load_programs(path)[program] if program else load(path)


def load_either(path: str | Path) -> IntegerModel | ProgramSet:
    """Read an .edgernn file, whichever of the two it holds.

    Raises:
        FormatError: the file is missing or unreadable, or breaks FORMAT.md.
    """
    return _read(path, lambda found: found)


def _read(path: str | Path, wanted: Callable[[IntegerModel | ProgramSet], _Found]) -> _Found:
    try:
        return wanted(parsed(read_regular_file(Path(path), MAX_FILE_BYTES)))
    except FormatError as error:
        raise FormatError(f"{path}: {error}", defect=error.defect) from error
