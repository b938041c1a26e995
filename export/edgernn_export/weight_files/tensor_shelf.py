"""Tensors by name, each taken by one layer; missing and remaining ones are reasons."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.model.formats import FloatArray
from edgernn_export.keras_reader.findings import Findings

#: What stands in the names of tensors that a weight is computed from -> what makes it plain.
_COMPUTED: Final = (
    ("{}_orig", "Make pruning or spectral norm permanent before you save: "
     "torch.nn.utils.prune.remove or torch.nn.utils.remove_spectral_norm."),
    ("{}_g", "Make the weight norm permanent before you save: torch.nn.utils.remove_weight_norm."),
    ("parametrizations.{}.original", "Make the parametrization permanent before you save: "
     "torch.nn.utils.parametrize.remove_parametrizations."),
    ("parametrizations.{}.original0", "Make the parametrization permanent before you save: "
     "torch.nn.utils.parametrize.remove_parametrizations."),
)  # fmt: skip
#: Names of tensors of a network inside a checkpoint, of optimizers, and of losses and scores.
_CHECKPOINT: Final = re.compile(r"(model_)?state_dict\.")
_OF_OPTIMIZER: Final = re.compile(r"optim(izer)?(s|_states?|_state_dict)?\.(\d+\.)?state\.\d+\.")
_MEASURED: Final = re.compile(r"[^.]+$|(callbacks|loops|lr_schedulers)\.")
_SHOWN: Final = 8


def listed_names(names: Sequence[str]) -> str:
    """Some names, and how many more there are."""
    shown = ", ".join(f"{name!r:.60}" for name in names[:_SHOWN])
    return shown + f" and {len(names) - _SHOWN} more" * (len(names) > _SHOWN)


class TensorShelf:
    """The tensors of a network.

    Attributes:
        findings: where reasons are noted.
    """

    def __init__(
        self,
        tensors: Mapping[str, npt.NDArray[np.generic]],
        findings: Findings,
        *,
        root: str = "",
        ignored: Sequence[str] = (),
    ) -> None:
        """Put up tensors.

        Args:
            tensors: by name.
            findings: receives reasons.
            root: only tensors whose names begin with it are put up; it is taken off.
            ignored: beginnings of names of tensors that nobody needs to take.
        """
        self.findings = findings
        self._root = f"{root}." if root else ""
        self._all = list(tensors)
        self._tensors = {
            name.removeprefix(self._root): values
            for name, values in tensors.items()
            if name.startswith(self._root)
        }
        self._ignored = ignored
        self._taken: set[str] = set()
        self._refused: set[str] = set()
        self._is_deeper = False

    def has(self, path: str, name: str) -> bool:
        """Whether there is a tensor."""
        return _joined(path, name) in self._tensors

    def take(self, owner: str, path: str, name: str, axes: int | None = None) -> FloatArray | None:
        """A tensor in float64; None, and a reason, where there is none of that form.

        Args:
            owner: how reasons name the layer.
            path: of the layer.
            name: of its tensor.
            axes: how many it has; None where that is free.
        """
        whole = _joined(path, name)
        values = self._tensors.get(whole)
        if values is None:
            self._refused |= {f"{path}."} if path else set()
            self.findings.add(owner, f"a tensor {whole!r}", "none", self._cure(path, name))
            return None
        self._taken.add(whole)
        if values.dtype.kind != "f":
            got = f"{whole!r} of {values.dtype}"
            cure = "Pass the weights of the float network, before it was quantized."
            self.findings.add(owner, "weights that are floats", got, cure)
            return None
        if axes is not None and values.ndim != axes:
            got = f"shape {values.shape}"
            cure = "Check the kind of the layer in the layout."
            self.findings.add(owner, f"{whole!r} with {axes} axes", got, cure)
            return None
        return values.astype(np.float64)

    def take_optional(self, owner: str, path: str, name: str) -> tuple[FloatArray | None, bool]:
        """A vector that may be absent, and whether nothing is wrong with it."""
        if not self.has(path, name):
            return None, True
        values = self.take(owner, path, name, 1)
        return values, values is not None

    def pass_over(self, path: str, name: str) -> None:
        """Leave a tensor that says nothing about what the network computes."""
        self._taken.add(_joined(path, name))

    def finish(self, owner: str) -> None:
        """Note the tensors that nobody took, unless there is a reason for it already."""
        prefixes = [*(f"{one}." for one in self._ignored), *self._refused]
        left = [
            name
            for name in self._tensors
            if name not in self._taken
            and name not in self._ignored
            and not name.startswith(tuple(prefixes))
        ]
        if left and not self._is_deeper:
            paths = list(dict.fromkeys(name.rpartition(".")[0] or name for name in left))
            cure = (
                "Add their layers to the layout, or leave them out: "
                f"ignore = [{', '.join(f'{path!r}' for path in paths[:_SHOWN])}]."
            ).replace("'", '"')
            self.findings.add(owner, "a layer for every tensor", f"none for {listed_names(left)}",
                              cure)  # fmt: skip

    def _cure(self, path: str, name: str) -> str:
        """What helps where a tensor is missing."""
        for pattern, cure in _COMPUTED:
            if self.has(path, pattern.format(name)):
                return cure
        ending = _joined(path, name)
        deeper = next((other for other in self._all if other.endswith(f".{ending}")), None)
        if deeper is not None and not self._root:
            self._is_deeper = True
            return f'Say where the network is in the file: root = "{deeper[: -len(ending) - 1]}".'
        beside = [one for one in self._tensors if one.startswith(_joined(path, ""))]
        if path and beside:
            return f"{path!r} has {listed_names(beside)}: check the kind of the layer."
        if self._tensors:
            return (
                f"The file has {listed_names(list(self._tensors))}: check the names in the layout."
            )
        return f"The file has {listed_names(self._all)}, nothing under root = {self._root[:-1]!r}."


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def without_training(tensors: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """The tensors of a checkpoint that are none of its optimizers and no measured numbers.

    Args:
        tensors: by name; those of a state dict alone all stay.
    """
    if not any(_CHECKPOINT.match(name) or _OF_OPTIMIZER.match(name) for name in tensors):
        return dict(tensors)
    return {
        name: values
        for name, values in tensors.items()
        if not _OF_OPTIMIZER.match(name) and not (values.ndim == 0 and _MEASURED.match(name))
    }


def flattened(tensors: Mapping[Any, Any], path: str = "", depth: int = 0) -> dict[str, Any]:
    """The arrays of nested dictionaries, their keys joined with "."; "/" in keys is one, too.

    Raises:
        RecursionError: they are nested without end.
    """
    if depth > 64:
        raise RecursionError
    found: dict[str, Any] = {}
    for key, value in tensors.items():
        name = _joined(path, str(key).replace("/", "."))
        if isinstance(value, Mapping):
            found |= flattened(value, name, depth + 1)
        else:
            found[name] = value
    return found
