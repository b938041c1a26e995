"""A pruning run on disk: an .npz file with its settings, the batches done and the masks.

Entries: "state", a JSON text with "version", "step" and "settings"; "mask/<matrix>", a Boolean
[R, N] in the integer model's orientation. Nothing in it is pickled.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn.container.disk import write_atomically
from edgernn.errors import PruningError
from edgernn.model.formats import BoolArray

_VERSION: Final = 1
_MASK: Final = "mask/"


def write_state(
    path: Path, step: int, settings: Mapping[str, Any], masks: Mapping[str, BoolArray]
) -> None:
    """Write a state; the file is complete or not there.

    Raises:
        OSError: the file could not be written.
    """
    text = json.dumps({"version": _VERSION, "step": step, "settings": settings})
    content = io.BytesIO()
    entries: dict[str, Any] = {_MASK + name: mask for name, mask in masks.items()}
    np.savez_compressed(content, state=np.array(text), **entries)
    write_atomically(path, content.getvalue())


def read_state(path: Path) -> tuple[int, dict[str, Any], dict[str, BoolArray]]:
    """Read step, settings and masks [R, N].

    Raises:
        OSError: there is no readable file.
        PruningError: it is not a pruning state of this version.
    """
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            state = json.loads(str(file["state"]))
            masks = {n[len(_MASK) :]: file[n] for n in file.files if n.startswith(_MASK)}
            version, step, settings = state["version"], state["step"], state["settings"]
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise PruningError(
            f"{path.name}: expected a pruning state, got another file ({error}). Pass a file "
            "written by save()."
        ) from error
    if version != _VERSION or any(m.dtype != np.bool_ or m.ndim != 2 for m in masks.values()):
        raise PruningError(
            f"{path.name}: expected a pruning state of version {_VERSION}, got version "
            f"{version!r}. Read it with the version of edgernn that wrote it."
        )
    return step, settings, masks
