"""The .pt file of torch since 1.6: a ZIP archive with a pickle, and one member per storage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from edgernn_export.keras_reader.stored.kind import refuse
from edgernn_export.weight_files.tensors.number_types import (
    MAX_VALUES,
    NamedArrays,
    as_numbers,
    width_of,
)
from edgernn_export.weight_files.tensors.state_pickle import (
    SAVE_WEIGHTS,
    PickledStorage,
    PickledTensor,
    read_state_pickle,
)
from edgernn_export.weight_files.tensors.zip_members import AGAIN, ZipMembers, opened_archive

PICKLE: Final = "data.pkl"
#: Deepest nesting of dictionaries, and most values in them, of a checkpoint.
_MAX_DEPTH: Final = 32
_MAX_ENTRIES: Final = 1 << 17
#: Tensors may show the numbers of a file that many times: tied weights are shared, and few more.
_MAX_SHARING: Final = 4
_SMALL_VALUES: Final = 1 << 16
_SEPARATOR: Final = "."


def read_torch_archive(path: Path) -> NamedArrays:
    """All tensors of a state dict, or of a checkpoint: those of containers in it.

    Args:
        path: of the file.

    Returns:
        Arrays by name; of containers in containers the names are joined with ".".

    Raises:
        UnsupportedModelError: it is damaged, or has more than tensors and plain values.
    """
    with opened_archive(path) as members:
        folder = _folder(members)
        found = read_state_pickle(members.read(f"{folder}{PICKLE}"), path.name)
        tensors = _tensors(found, path.name)
        _check_size(tensors, path)
        return _Storages(members, folder).arrays(tensors)


def _folder(members: ZipMembers) -> str:
    """The folder of the pickle, with "/"."""
    owner = members.owner
    places = [name for name in members.names if name.rpartition("/")[2] == PICKLE]
    if len(places) != 1:
        refuse(owner, f"an archive with one {PICKLE}", f"{len(places)}", AGAIN)
    folder = places[0].removesuffix(PICKLE)
    if any(name == f"{folder}constants.pkl" for name in members.names):
        cure = "Save its weights: torch.save(torch.jit.load(path).state_dict(), 'weights.pt')."
        refuse(owner, "a state dict", "a TorchScript module", cure)
    return folder


def _tensors(found: Any, owner: str) -> dict[str, PickledTensor]:
    if isinstance(found, PickledTensor):
        refuse(owner, "a dictionary of tensors", "one tensor", SAVE_WEIGHTS)
    if not isinstance(found, dict):
        refuse(owner, "a dictionary of tensors", type(found).__name__, SAVE_WEIGHTS)
    tensors: dict[str, PickledTensor] = {}
    for count, (name, value) in enumerate(_walked(found, (), owner)):
        if count >= _MAX_ENTRIES:
            refuse(owner, f"at most {_MAX_ENTRIES} values", "more", SAVE_WEIGHTS)
        if name in tensors:
            refuse(owner, "one tensor of each name", f"{name!r:.80} twice", SAVE_WEIGHTS)
        if isinstance(value, PickledTensor):
            tensors[name] = value
    if not tensors:
        refuse(owner, "tensors", "a dictionary without any", SAVE_WEIGHTS)
    return tensors


def _walked(found: Any, path: tuple[str, ...], owner: str) -> Iterator[tuple[str, Any]]:
    """All that is in nested containers, and the containers."""
    if len(path) > _MAX_DEPTH:
        refuse(owner, f"dictionaries at most {_MAX_DEPTH} deep", "deeper ones", SAVE_WEIGHTS)
    for key, value in found.items() if isinstance(found, dict) else enumerate(found):
        place = (*path, str(key))
        yield _SEPARATOR.join(place), value
        if isinstance(value, (dict, list, tuple)):
            yield from _walked(value, place, owner)


def _check_size(tensors: dict[str, PickledTensor], path: Path) -> None:
    """Refuse tensors that together are much larger than the file."""
    total = sum(int(np.prod(tensor.shape)) for tensor in tensors.values())
    limit = min(max(_SMALL_VALUES, _MAX_SHARING * path.stat().st_size), MAX_VALUES)
    if total > limit:
        cure = "Save tensors that are stored whole: tensor.contiguous()."
        refuse(path.name, f"at most {limit} values", f"{total}", cure)


class _Storages:
    """The numbers of an archive, each storage read once."""

    def __init__(self, members: ZipMembers, folder: str) -> None:
        self._members = members
        self._folder = folder
        self._read: dict[str, npt.NDArray[Any]] = {}
        self._order: Literal["<", ">"] = "<"
        order = f"{folder}byteorder"
        if order in members.names:
            said = members.read(order)
            if said not in (b"little", b"big"):
                refuse(members.owner, "the byte order little or big", f"{said!r:.40}", AGAIN)
            self._order = "<" if said == b"little" else ">"

    def arrays(self, tensors: dict[str, PickledTensor]) -> NamedArrays:
        """The arrays of all tensors."""
        return {name: self._array(tensor) for name, tensor in tensors.items()}

    def _array(self, tensor: PickledTensor) -> npt.NDArray[Any]:
        numbers = self._numbers(tensor.storage)
        width = numbers.itemsize
        # The pickle was refused if one of its tensors reaches beyond its storage.
        return as_strided(
            numbers[tensor.offset :], tensor.shape, [step * width for step in tensor.strides]
        ).copy()

    def _numbers(self, storage: PickledStorage) -> npt.NDArray[Any]:
        name = f"{self._folder}data/{storage.key}"
        if name not in self._read:
            owner = self._members.owner
            if name not in self._members.names:
                refuse(owner, f"a member {name!r:.80}", "none", AGAIN)
            data = self._members.read(name)
            wanted = storage.count * width_of(storage.kind)
            if len(data) != wanted:
                got = f"{len(data)}"
                refuse(owner, f"{wanted} bytes of numbers in {name!r:.80}", got, AGAIN)
            self._read[name] = as_numbers(data, storage.kind, self._order)
        return self._read[name]
