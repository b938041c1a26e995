"""Arrays from .npz files of data sets, checked."""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.errors import DataUnavailable

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
