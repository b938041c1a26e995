"""From an integer model to the files runtimes execute."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

from edgernn.errors import EdgeRnnError
from edgernn.model import IntegerModel
from edgernn_export.probe import golden_vector
from edgernn_export.writers import SESSION_FORMATS, WRITERS, Contents, open_writer


def export(
    model: IntegerModel,
    directory: str | os.PathLike[str],
    formats: Sequence[str] = SESSION_FORMATS,
    *,
    name: str | None = None,
) -> dict[str, Path]:
    """Write a model in several file formats.

    Each .tflite and .onnx file carries the model's `Interface` with a golden vector, which sessions
    run once on opening; C comes as a folder with a self-test. Same model, same bytes. All formats
    are written before the first file appears.

    Args:
        model: the integer model.
        directory: where to write; made if it does not exist.
        formats: keys of `edgernn_export.writers.WRITERS`.
        name: file name without suffix; default the model's name.

    Returns:
        The path of each format's file or folder.

    Raises:
        EdgeRnnError: an unknown format, or none.
    """
    if isinstance(formats, str) or not formats:
        raise EdgeRnnError(
            f"export: expected a sequence of formats among {', '.join(WRITERS)}, "
            f"got {formats!r:.40}."
        )
    writers = {wanted: open_writer(wanted) for wanted in formats}
    golden = golden_vector(model)
    contents = {wanted: writer(model, golden) for wanted, (writer, _) in writers.items()}
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    stem = _file_stem(name or model.name)
    paths = {wanted: folder / f"{stem}{suffix}" for wanted, (_, suffix) in writers.items()}
    for wanted, path in paths.items():
        _write(path, contents[wanted])
    return paths


def _write(path: Path, contents: Contents) -> None:
    if isinstance(contents, bytes):
        write_atomically(path, contents)
        return
    path.mkdir(exist_ok=True)
    for name, content in contents.items():
        write_atomically(path / name, content)


def _file_stem(name: str) -> str:
    """A model name as a plain file name."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".") or "model"


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that is either complete or not there.

    Raises:
        OSError: the file could not be written; a file of this name is left as it was.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        with draft.open("xb") as file:
            file.write(content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
