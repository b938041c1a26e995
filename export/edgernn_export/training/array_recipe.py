"""A recipe from a user's arrays: an .npz file with x and y."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import DistillationError
from edgernn.model.formats import FloatArray
from edgernn_export.datasets import Dataset, DataSource, Part, class_part
from edgernn_export.training.recipe import Network, Recipe, Training

#: What the arrays of the three parts are called; train has no suffix.
_SUFFIXES: Final = ("", "_validation", "_test")
#: Every how many-th stream validates where the file does not say which.
_HELD_OUT: Final = 5
_TRAINING: Final = Training(epochs=30, batch=32, learning_rate=5e-3)

Arrays = Mapping[str, npt.NDArray[Any]]


def read_recipe(path: Path, outputs: int) -> tuple[Recipe, bool]:
    """The recipe of a file, and whether it has a test part.

    Arrays: ``x`` [N, T, I] in physical units; ``y``, whole numbers [N], the class of each stream,
    or real numbers [N, T, O], what to say at every step. ``x_validation``, ``y_validation`` choose
    the epoch that is kept; without them every fifth stream does. ``x_test``, ``y_test`` are
    optional; without them the test part is the validation part.

    Args:
        path: the .npz file.
        outputs: of the teacher; its classes, or O.

    Raises:
        DistillationError: the file holds something else.
        OSError: there is no readable file.
    """
    arrays = _read(path)
    for name in arrays:
        if name not in [letter + suffix for letter in "xy" for suffix in _SUFFIXES]:
            raise DistillationError(
                f"{path.name}: expected x, y, x_validation, y_validation, x_test, y_test, got "
                f"{name!r:.60}. Save it without this array."
            )
    parts = {s: _pair(path, arrays, s) for s in _SUFFIXES if f"x{s}" in arrays or f"y{s}" in arrays}
    if "" not in parts:
        raise DistillationError(f"{path.name}: expected arrays x and y, got none of them.")
    if "_validation" not in parts:
        parts[""], parts["_validation"] = _held_out(path, *parts[""])
    tested = "_test" in parts
    classes = np.issubdtype(parts[""][1].dtype, np.integer)
    train, validation, test = (
        _part(path, *parts.get(s, parts["_validation"]), classes, outputs) for s in _SUFFIXES
    )
    names = tuple(map(str, range(outputs))) if classes else ()
    data = _dataset(path.stem, train, validation, test, names)
    recipe = Recipe(
        name=path.stem,
        title=f"arrays of {path.name}",
        load=lambda: data,
        network=Network(),
        training=_TRAINING,
    )
    return recipe, tested


def _read(path: Path) -> Arrays:
    try:
        with path.open("rb") as raw:
            file = np.load(raw, allow_pickle=False)
            if isinstance(file, np.ndarray):
                raise ValueError("a single array")
            return {name: file[name] for name in file.files}
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DistillationError(
            f"{path.name}: expected an .npz file of numeric arrays, got another file "
            f"({error}). Write it with numpy.savez(path, x=x, y=y)."
        ) from error


def _pair(path: Path, arrays: Arrays, suffix: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Streams [N, T, I] and their targets, checked."""
    both = []
    for name in (f"x{suffix}", f"y{suffix}"):
        if name not in arrays:
            raise DistillationError(f"{path.name}: expected an array {name}, got none.")
        array = arrays[name]
        if array.dtype.kind not in "iuf" or not np.all(np.isfinite(array)):
            raise DistillationError(
                f"{path.name} {name}: expected finite numbers, got {array.dtype}. Remove NaN, "
                "infinity and text."
            )
        both.append(array)
    x, y = both
    streams = y.ndim == 1 and y.dtype.kind != "f"
    steps = y.ndim == 3 and y.dtype.kind == "f" and y.shape[:2] == x.shape[:2]
    if x.ndim != 3 or not x.size or len(x) != len(y) or not (streams or steps):
        raise DistillationError(
            f"{path.name}: expected x{suffix} [N, T, I] and y{suffix} of whole numbers [N] or real "
            f"numbers [N, T, O], got {x.shape} and {y.dtype} {y.shape}."
        )
    return x, y


def _held_out(path: Path, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> Any:
    """All but every fifth stream, and every fifth stream."""
    if len(x) < _HELD_OUT:
        raise DistillationError(
            f"{path.name}: expected at least {_HELD_OUT} streams, or x_validation, got {len(x)}."
        )
    chosen = np.arange(len(x)) % _HELD_OUT == _HELD_OUT - 1
    return (x[~chosen], y[~chosen]), (x[chosen], y[chosen])


def _part(
    path: Path, x: npt.NDArray[Any], y: npt.NDArray[Any], classes: bool, outputs: int
) -> Part:
    if (y.dtype.kind != "f") != classes:
        raise DistillationError(
            f"{path.name}: expected the same type of targets in all parts, got integers and "
            "real numbers."
        )
    if classes:
        if y.min() < 0 or y.max() >= outputs:
            raise DistillationError(
                f"{path.name}: expected classes 0..{outputs - 1} like the teacher, got "
                f"{y.min()}..{y.max()}."
            )
        return class_part(x.astype(np.float64), y.astype(np.int64), outputs)
    if y.shape[2] != outputs:
        raise DistillationError(
            f"{path.name}: expected {outputs} values per step like the teacher, got {y.shape[2]}."
        )
    target: FloatArray = y.astype(np.float64)
    base = np.zeros_like(target)
    return Part(x=x.astype(np.float64), target=target, base=base, scored_from=0)


def _dataset(
    name: str, train: Part, validation: Part, test: Part, classes: tuple[str, ...]
) -> Dataset:
    channels = tuple(f"input_{i}" for i in range(train.x.shape[2]))
    outputs = classes or tuple(f"output_{i}" for i in range(train.target.shape[2]))
    return Dataset(
        name=name,
        source=DataSource(home=name, licence="the user's", citation=name),
        protocol="As the file divides it; else every fifth stream of x validates.",
        train=train,
        validation=validation,
        test=test,
        classes=classes,
        metric="accuracy" if classes else "mse",
        metric_unit="",
        target_scale=1.0 if classes else float(train.target.std()) or 1.0,
        metric_scale=np.ones(1),
        input_names=channels,
        input_units=("",) * len(channels),
        output_names=outputs,
        output_units=("",) * len(outputs),
        step_ms=1.0,
        calibration_stride=1,
    )
