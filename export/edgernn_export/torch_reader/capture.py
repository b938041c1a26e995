"""The graph of a module: torch.export, with recurrent operators whole and the steps open."""

from __future__ import annotations

import logging
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn.errors import UnsupportedModelError
from edgernn_export.torch_reader.whole_operators import operators_kept_whole

_NO_EXAMPLE: Final = (
    "Pass one, example=torch.zeros(2, 8, features), of the axes that the module is called with."
)


def exported(module: Any, example: Any, name: str, *, fixed: bool = False) -> Any:
    """The program of a module in evaluation mode, whose flags are restored.

    Args:
        module: a torch.nn.Module.
        example: what it is called with: a tensor or an array, a tuple of them, or a mapping of
            keyword arguments.
        name: of the network, for messages.
        fixed: sizes of axes are those of the example.

    Raises:
        UnsupportedModelError: there is no example, or torch cannot export the module with it.
    """
    import torch

    if example is None:
        raise UnsupportedModelError(
            [f"'{name}' (nn.Module): expected an example of its input, got none. {_NO_EXAMPLE}"]
        )
    given, named = _arguments(example, module)
    sizes = None if fixed else torch.export.Dim.AUTO
    shapes = [_open(value, sizes) for value in given]
    keywords = {key: _open(value, sizes) for key, value in named.items()}
    dynamic: Any = tuple(shapes) if not keywords else _by_name(module, shapes, keywords)
    try:
        with _evaluating(module), operators_kept_whole(), _quiet():
            return torch.export.export(
                module, given, named or None, dynamic_shapes=dynamic, strict=False
            )
    except Exception as error:
        raise UnsupportedModelError([_reason(error, name, (*given, *named.values()))]) from error


def with_another_step(example: Any, sizes: Sequence[Sequence[int | None]], steps: int) -> Any:
    """The example with one step more.

    Args:
        example: as for `exported`.
        sizes: of the tensors in it, None for axes that an export left open.
        steps: how many there are: axes of this size are those of steps.
    """
    import torch
    from torch.utils import _pytree

    values, structure = _pytree.tree_flatten(example)
    fixed = iter(sizes)
    made = []
    for value in values:
        if isinstance(value, (np.ndarray, torch.Tensor)):
            value = torch.as_tensor(value)
            for axis, size in enumerate(next(fixed, ())):
                if size == steps:
                    value = torch.cat([value, value.narrow(axis, steps - 1, 1)], axis)
        made.append(value)
    return _pytree.tree_unflatten(made, structure)


def _arguments(example: Any, module: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments as tensors where the module is."""
    import torch

    place = next((value.device for value in module.parameters()), torch.device("cpu"))

    def tensors(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            floats = value.dtype.kind == "f"
            value = torch.as_tensor(value.astype(np.float32) if floats else value)
        if isinstance(value, torch.Tensor):
            return value.detach().to(place)
        if isinstance(value, (list, tuple)):
            return type(value)(tensors(item) for item in value)
        return value

    if isinstance(example, Mapping):
        return (), {str(key): tensors(value) for key, value in example.items()}
    listed = example if isinstance(example, tuple) else (example,)
    return tuple(tensors(value) for value in listed), {}


def _open(value: Any, size: Any) -> Any:
    """Every axis open, where the module leaves it open."""
    import torch

    if isinstance(value, torch.Tensor):
        return {place: size if value.shape[place] > 1 else None for place in range(value.dim())}
    if isinstance(value, (list, tuple)):
        return type(value)(_open(item, size) for item in value)
    return None


def _by_name(module: Any, shapes: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    import inspect

    names = list(inspect.signature(module.forward).parameters)
    return dict(zip(names, shapes, strict=False)) | dict(named)


@contextmanager
def _evaluating(module: Any) -> Iterator[None]:
    """Evaluation mode; every module gets its flag back."""
    flags = [(one, one.training) for one in module.modules()]
    try:
        module.eval()
        yield
    finally:
        for one, flag in flags:
            one.training = flag


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence torch, which logs, prints and warns: what matters is raised."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _reason(error: Exception, name: str, given: Sequence[Any]) -> str:
    """Why a module could not be exported, and the user's line at which it was seen."""
    import torch

    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    text = text.split(" (unhinted")[0].rstrip(".")
    where = _line(error)
    shapes = " and ".join(
        str(tuple(value.shape)) for value in given if isinstance(value, torch.Tensor)
    )
    owner = f"'{name}' (nn.Module)"
    if "data-dependent" in text or "DataDependent" in type(error).__name__:
        return (
            f"{owner}: expected a forward that does not depend on the values of readings, got a "
            f"condition or number computed from them{where}. Compute it outside the module, or "
            "choose by value with nn.ReLU, torch.clamp or torch.maximum."
        )
    return (
        f"{owner}: expected a module that torch.export exports with an example of shape {shapes}, "
        f"got {type(error).__name__}: {text:.200}{where}. Pass an example of the shape that the "
        "module is called with, example=...; where that is right, change this line until "
        "torch.export.export(module, example) works."
    )


def _line(error: BaseException | None) -> str:
    """The last line of the user's code on the way to an error."""
    found = ""
    while error is not None:
        for frame in traceback.extract_tb(error.__traceback__):
            if is_user_file(frame.filename):
                found = f" ({Path(frame.filename).name}, line {frame.lineno}: {frame.line:.80})"
        error = error.__cause__ or error.__context__
    return found


def is_user_file(name: str) -> bool:
    """Whether a file is outside torch, this package and Python."""
    import torch

    folders = (
        Path(torch.__file__).parent,
        Path(__file__).parents[1],
        Path(traceback.__file__).parent,
    )
    path = Path(name)
    own = any(path.is_relative_to(folder) for folder in folders[:2])
    standard = path.parent.parent == folders[2] or path.parent == folders[2]
    return name.endswith(".py") and not own and not standard
