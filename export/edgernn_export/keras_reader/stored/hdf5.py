"""HDF5 without surprises: plain groups, plain arrays, no more bytes than the file can hold."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import UnsupportedModelError
from edgernn_export.keras_reader.stored.kind import refuse

#: Arrays up to this size are read whatever the file stores of them.
_SMALL_BYTES: Final = 1 << 20
#: A compressed array may be that many times larger than its bytes in the file.
_MAX_EXPANSION: Final = 100
_DAMAGED: Final = "Save or copy the file again."
#: What h5py raises on damaged files.
_ERRORS: Final = (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError)


@contextmanager
def opened(source: Path | BinaryIO, owner: str) -> Iterator[Any]:
    """An h5py.File, closed at the end; what h5py cannot make sense of becomes one reason.

    Raises:
        UnsupportedModelError: the file is damaged.
    """
    import h5py

    try:
        with h5py.File(source, "r") as file:
            yield file
    except UnsupportedModelError:
        raise
    except _ERRORS:
        refuse(owner, "a whole HDF5 file", "a damaged one", _DAMAGED)


def text(value: Any) -> str | None:
    """A string attribute, or None."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return str(value) if isinstance(value, str) else None


def texts(attributes: Any, name: str) -> list[str]:
    """A list of strings, which Keras splits into name0, name1, ... when it is long."""
    if name in attributes:
        return [text(value) or "" for value in np.ravel(attributes[name])]
    found: list[str] = []
    part = 0
    while f"{name}{part}" in attributes:
        found += [text(value) or "" for value in np.ravel(attributes[f"{name}{part}"])]
        part += 1
    return found


def child(group: Any, name: str, owner: str) -> Any:
    """A group or array inside a group, "/" between the names; None where there is none.

    Raises:
        UnsupportedModelError: the name is a link to somewhere else.
    """
    import h5py

    for part in name.split("/"):
        if not isinstance(group, h5py.Group) or part not in group:
            return None
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            refuse(owner, "weights inside the file", f"a link at {name!r}", _DAMAGED)
        group = group[part]
    return group


def array(dataset: Any, owner: str) -> npt.NDArray[np.generic]:
    """The numbers of a dataset.

    Raises:
        UnsupportedModelError: they are no numbers, or more than the file can hold.
    """
    import h5py

    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "fiu":
        refuse(owner, "weights that are numbers", f"{dataset!r:.60}", _DAMAGED)
    size = math.prod(dataset.shape or ()) * dataset.dtype.itemsize
    stored = dataset.id.get_storage_size()
    if dataset.external or dataset.is_virtual or size > max(_SMALL_BYTES, _MAX_EXPANSION * stored):
        got = f"{dataset.name} of shape {dataset.shape} in {stored} bytes"
        refuse(owner, "weights stored in the file", got, _DAMAGED)
    return np.asarray(dataset[()])
