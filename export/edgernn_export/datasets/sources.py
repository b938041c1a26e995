"""Where the files of the data sets are, where they come from, and the arrays in them."""

from __future__ import annotations

import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import DataUnavailable

#: Environment variable that names the folder of the data sets.
VARIABLE: Final = "EDGERNN_DATA"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """Where a data set comes from.

    Attributes:
        home: public home of the files.
        licence: under what they may be used.
        citation: whom to name.
    """

    home: str
    licence: str
    citation: str


def root() -> Path:
    """The folder EDGERNN_DATA names.

    Raises:
        DataUnavailable: the variable is not set.
    """
    folder = os.environ.get(VARIABLE)
    if not folder:
        raise DataUnavailable(
            f"{VARIABLE}: expected the folder of the data sets, got nothing (environment "
            f"variable). Run: export {VARIABLE}=FOLDER"
        )
    return Path(folder)


def find(relative: str, source: DataSource) -> Path:
    """A file under EDGERNN_DATA, as such or with .xz appended.

    Raises:
        DataUnavailable: the variable is not set, or there is no such file; the message says where
            the file is from, and under which license.
    """
    folder = root()
    for candidate in (folder / relative, folder / f"{relative}.xz"):
        if candidate.is_file():
            return candidate
    raise missing(f"the file {relative} or {relative}.xz, got none", source)


def missing(expected: str, source: DataSource) -> DataUnavailable:
    """The error for missing files."""
    return DataUnavailable(
        f"{VARIABLE}: expected {expected} (in {root()}). Public home: {source.home}; license: "
        f"{source.licence}."
    )


Arrays = dict[str, npt.NDArray[Any]]
_DAMAGED = (
    ValueError, EOFError, KeyError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error,
    lzma.LZMAError,
)  # fmt: skip


def read_arrays(path: Path, shapes: Mapping[str, tuple[int | None, ...]]) -> Arrays:
    """The named arrays of a .npz file, as such or packed with xz.

    Args:
        path: the file.
        shapes: name -> expected shape; None stands for any length.

    Raises:
        DataUnavailable: the file is damaged, an array is missing, holds no numbers or has another
            shape.
    """
    try:
        packed = path.read_bytes()
        content = lzma.decompress(packed) if path.suffix == ".xz" else packed
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays: Arrays = {name: archive[name] for name in shapes}
    except _DAMAGED as error:
        raise DataUnavailable(
            f"{path.name}: expected a .npz file with {', '.join(shapes)}, got {error!s:.80}."
        ) from error
    for name, wanted in shapes.items():
        array = arrays[name]
        fits = len(array.shape) == len(wanted) and all(
            length in (None, got) for length, got in zip(wanted, array.shape, strict=True)
        )
        if not fits or array.dtype.kind not in "iuf":
            form = ", ".join("any" if length is None else str(length) for length in wanted)
            raise DataUnavailable(
                f"{path.name}: expected numbers [{form}] in {name}, got {array.dtype.name} "
                f"{list(array.shape)}."
            )
    return arrays
