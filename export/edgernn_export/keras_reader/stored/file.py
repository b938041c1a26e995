"""What a file holds of a model: its configuration as JSON, and its weights as HDF5."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edgernn.errors import UnsupportedModelError
from edgernn_export.keras_reader.stored.hdf5 import opened, text
from edgernn_export.keras_reader.stored.kind import FileKind, kind_of, refuse

_CONFIG: Final = "config.json"
_METADATA: Final = "metadata.json"
_WEIGHTS: Final = "model.weights.h5"
_MAX_JSON_BYTES: Final = 64 << 20
#: A packed member up to this size is unpacked whatever its size in the archive.
_SMALL_BYTES: Final = 16 << 20
_MAX_EXPANSION: Final = 100
_AGAIN: Final = "Save or copy the file again."
_MODERN: Final = "Load it with Keras 2, save it with model.save('model.h5') and pass that file."
#: Where the weights of NAME.json are looked for, next to it.
_BESIDE: Final = ("{}.weights.h5", "{}.h5", "{}.hdf5", "{}_weights.h5", "{}_weights.hdf5")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A model in a file that is open.

    Attributes:
        owner: how reasons name the file.
        config: the configuration of the model, {"class_name": ..., "config": ...}.
        weights: the h5py group with the weights.
        keras2: written by Keras 2.
    """

    owner: str
    config: dict[str, Any]
    weights: Any
    keras2: bool


@contextmanager
def opened_file(path: Path, weights: Path | None = None) -> Iterator[StoredFile]:
    """Open a .keras archive, its unpacked folder, a whole-model HDF5 file, or an architecture.

    Args:
        path: what holds the configuration.
        weights: an HDF5 file with the weights; None uses those in ``path`` or next to it.

    Raises:
        FileNotFoundError: there is nothing at a path.
        UnsupportedModelError: it is damaged, or no model.
    """
    kind = kind_of(path)
    if weights is not None and kind_of(weights) is not FileKind.HDF5:
        refuse(weights.name, "weights in HDF5", "another kind of file", "Use model.save_weights.")
    with ExitStack() as stack:
        if kind is FileKind.HDF5:
            file = stack.enter_context(opened(path, path.name))
            config, version = _from_hdf5(file, path.name)
            group = file.get("model_weights")
            if group is None and weights is None:
                refuse(path.name, "a whole model", "one without weights", "Use model.save.")
        elif kind is FileKind.JSON:
            config = _parsed(_read(path), path.name)
            version, group = text(config.get("keras_version")), None
            weights = weights or _beside(path)
        else:
            config, version, source = _from_members(path, kind)
            group = stack.enter_context(opened(source, path.name)) if weights is None else None
        if weights is not None:
            group = stack.enter_context(opened(weights, weights.name))
            group = group.get("model_weights", group)
        major = (version or ("3" if "module" in config else "2")).split(".")[0]
        if major == "1":
            refuse(path.name, "a file of Keras 2 or 3", "one of Keras 1", _MODERN)
        yield StoredFile(owner=path.name, config=config, weights=group, keras2=major == "2")


def _from_hdf5(file: Any, owner: str) -> tuple[dict[str, Any], str | None]:
    raw = text(file.attrs.get("model_config"))
    if raw is None:
        refuse(
            owner,
            "a whole model",
            "weights without a model",
            "Pass the architecture, written with model.to_json(), and these weights: in the "
            "same folder, or as the argument weights.",
        )
    return _parsed(raw, owner), text(file.attrs.get("keras_version"))


def _from_members(
    path: Path, kind: FileKind
) -> tuple[dict[str, Any], str | None, Path | io.BytesIO]:
    """Configuration, version of Keras and weights of a .keras archive or folder."""
    source: Path | io.BytesIO
    if kind is FileKind.FOLDER:
        config, metadata = (_read(path / name) for name in (_CONFIG, _METADATA))
        source = path / _WEIGHTS
        if not source.exists():
            refuse(path.name, f"a folder with {_WEIGHTS}", "one without it", _AGAIN)
    else:
        try:
            with zipfile.ZipFile(path) as archive:
                config, metadata = (
                    _member(archive, name, path.name).decode() for name in (_CONFIG, _METADATA)
                )
                source = io.BytesIO(_member(archive, _WEIGHTS, path.name))
        except UnsupportedModelError:
            raise
        except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, EOFError):
            refuse(path.name, "a whole .keras archive", "a damaged one", _AGAIN)
    version = _parsed(metadata, path.name).get("keras_version")
    return _parsed(config, path.name), text(version), source


def _member(archive: zipfile.ZipFile, name: str, owner: str) -> bytes:
    if name not in archive.namelist():
        refuse(owner, f"an archive with {name}", "one without it", _AGAIN)
    info = archive.getinfo(name)
    if info.file_size > max(_SMALL_BYTES, _MAX_EXPANSION * info.compress_size):
        got = f"{info.file_size} bytes packed in {info.compress_size}"
        refuse(owner, f"{name} with a size that fits the archive", got, _AGAIN)
    return archive.read(name)


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            refuse(path.name, "an architecture", f"{path.stat().st_size} bytes of JSON", _AGAIN)
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        refuse(path.name, "JSON in UTF-8", "a file that is not", _AGAIN)


def _parsed(raw: str, owner: str) -> dict[str, Any]:
    try:
        value = json.loads(raw)
        if isinstance(value, str):  # json.dump(model.to_json(), file): JSON within JSON
            value = json.loads(value)
    except (ValueError, RecursionError):
        refuse(owner, "a configuration in JSON", "damaged JSON", _AGAIN)
    if not isinstance(value, dict):
        refuse(owner, "the configuration of a model", f"a JSON {type(value).__name__}", _AGAIN)
    return value


def _beside(path: Path) -> Path:
    """The weights in the folder of an architecture, under its name."""
    names = [pattern.format(path.stem) for pattern in _BESIDE]
    found = [path.with_name(name) for name in names if path.with_name(name).exists()]
    if not found:
        got = f"none named {', '.join(names)}"
        cure = "Pass the file of the weights: --weights FILE, or weights= in Python."
        refuse(path.name, "weights next to the architecture", got, cure)
    return found[0]
