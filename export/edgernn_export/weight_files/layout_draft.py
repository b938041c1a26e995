"""What the names and shapes of tensors alone say of a network, and what they leave open."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy.typing as npt

from edgernn_export.weight_files.layout_entries import LayoutEntry
from edgernn_export.weight_files.torch_layers import TORCH
from edgernn_export.weight_files.weight_layout import WeightLayout

#: Rows of a recurrent layer for each of its units -> its class.
_BY_GATES: Final = {4: "LSTM", 3: "GRU", 1: "RNN"}
_FLAX: Final = re.compile(r"(^|\.)(kernel|embedding)$")
#: Kinds that may stand at most once, and behind all others.
_HEAD: Final = "Linear"
#: Kinds of which their tensors show all but the order.
_SURE: Final = ("LSTM", "GRU", "LSTMCell", "GRUCell", "Embedding", _HEAD)

#: What checkpoints, `nn.DataParallel`, `torch.compile` and Lightning put before all names.
_ROOTS: Final = ("_orig_mod", "model", "model_state_dict", "module", "net", "network", "state_dict")
#: Layers of which all orders are tried.
_MOST_ORDERED: Final = 6

_Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutDraft:
    """A layout that fits the tensors of a file, as far as they say.

    Attributes:
        layout: the layers in the order of the file; None where no tensor is known.
        doubts: what the tensors leave open, one sentence each; none where there is one reading.
    """

    layout: WeightLayout | None
    doubts: tuple[str, ...]

    def __str__(self) -> str:
        """As a layout file has it, with the doubts as comments."""
        doubts = [f"# {doubt}" for doubt in self.doubts]
        return "\n".join([*doubts, *([] if self.layout is None else [str(self.layout)])])


def draft_layout(tensors: _Arrays) -> LayoutDraft:
    """Say what tensors of PyTorch may be.

    Args:
        tensors: by name, in the order of the state dict.
    """
    parts: dict[str, dict[str, npt.NDArray[Any]]] = {}
    root = _root(list(tensors))
    for name, values in tensors.items():
        path, _, own = name.removeprefix(f"{root}." if root else "").rpartition(".")
        parts.setdefault(path, {})[own] = values
    if any(_FLAX.search(name) for name in tensors):
        doubt = 'These are names of Flax: write framework = "flax" and its layers.'
        return LayoutDraft(layout=None, doubts=(doubt,))
    doubts: list[str] = []
    found: list[_Part] = []
    for path, arrays in parts.items():
        kind = _kind(arrays)
        if kind is None:
            names = ", ".join(map(repr, list(arrays)[:4]))
            doubts.append(f"{path!r} has {names}, which no layer has under these names.")
            continue
        found.append(
            _Part(
                LayoutEntry(kind=kind, module=TORCH.module, path=path),
                _widths(kind, arrays),
                tuple(arrays),
            )
        )
    readings = _readings(found)
    if len(readings) > 1:
        doubts.append("The order of the layers: their widths allow several.")
    found = readings[0] if readings else found
    doubts += _doubts(found)
    entries = tuple(part.entry for part in found)
    layout = WeightLayout(framework="torch", layers=entries, root=root) if entries else None
    return LayoutDraft(layout=layout, doubts=tuple(doubts))


def _root(names: list[str]) -> str:
    """What all names begin with and no module of the network is."""
    found: list[str] = []
    while names:
        pairs = [name.partition(".") for name in names]
        firsts, rests = {first for first, _, _ in pairs}, [rest for _, _, rest in pairs]
        if len(firsts) > 1 or not firsts <= set(_ROOTS) or not all("." in rest for rest in rests):
            break
        found += firsts
        names = rests
    return ".".join(found)


@dataclass(frozen=True, slots=True)
class _Part:
    """A layer, the features it reads and gives, and the names of its tensors.

    The widths are None where they are the same, or open.
    """

    entry: LayoutEntry
    widths: tuple[int, int] | None
    names: tuple[str, ...]

    def alternatives(self, first: bool) -> list[_Part]:
        """What it may be: a matrix without a bias may be an embedding of the readings."""
        if not first or self.entry.kind != _HEAD or "bias" in self.names or self.widths is None:
            return [self]
        entry = replace(self.entry, kind="Embedding")
        return [self, _Part(entry, (1, self.widths[0]), self.names)]

    @property
    def is_recurrent(self) -> bool:
        """Whether it has a state."""
        return any(name.startswith("weight_hh") for name in self.names)


def _readings(found: list[_Part]) -> list[list[_Part]]:
    """Orders in which each layer reads what the one before gives; that of the file comes first.

    The order of tensors in a file is that of their names, or that in which modules were made: it
    is not yet the order in which they are applied.
    """
    if not 0 < len(found) <= _MOST_ORDERED:
        return []
    return [
        [head, *rest]
        for first, *rest in itertools.permutations(found)
        for head in first.alternatives(True)
        if _misfit([head, *rest]) is None
    ]


def _misfit(parts: list[_Part]) -> tuple[_Part, _Part] | None:
    """The first layer that does not fit behind the one before."""
    known = [part for part in parts if part.widths is not None]
    for first, second in itertools.pairwise(known):
        assert first.widths is not None  # mypy does not see the filter
        assert second.widths is not None
        if first.widths[1] != second.widths[0]:
            return first, second
    return None


def _kind(arrays: _Arrays) -> str | None:
    """The class of a layer with tensors of these names and shapes."""
    for part, ending in (("_l0", ""), ("", "Cell")):
        kernel, back = arrays.get(f"weight_ih{part}"), arrays.get(f"weight_hh{part}")
        if kernel is None or back is None or kernel.ndim != 2 or back.ndim != 2:
            continue
        projected = f"weight_hr{part}" in arrays
        gates = 4 if projected else len(kernel) // max(1, back.shape[1])
        return f"{_BY_GATES[gates]}{ending}" if gates in _BY_GATES else None
    weight = arrays.get("weight")
    if "running_mean" in arrays:
        return "BatchNorm1d"
    if weight is None or weight.ndim not in (1, 2, 3):
        return None
    if weight.ndim == 1:
        return "LayerNorm" if "bias" in arrays else "PReLU"
    return _HEAD if weight.ndim == 2 else "Conv1d"


def _widths(kind: str, arrays: _Arrays) -> tuple[int, int] | None:
    """Features that a layer reads and gives; None where they are the same, or open."""
    cell = "" if kind.endswith("Cell") else "_l0"
    if f"weight_ih{cell}" in arrays:
        back = arrays[f"weight_hh{cell}"]
        directions = 1 + (f"weight_ih{cell}_reverse" in arrays)
        return int(arrays[f"weight_ih{cell}"].shape[1]), int(back.shape[1]) * directions
    weight = arrays.get("weight")
    if weight is None or weight.ndim < 2:
        return None
    return int(weight.shape[1]), int(weight.shape[0])


def _doubts(parts: list[_Part]) -> list[str]:
    """What may be otherwise."""
    doubts: list[str] = []
    heads = [part.entry.path for part in parts if part.entry.kind == _HEAD]
    for part in parts:
        path, kind = part.entry.path, part.entry.kind
        if kind in ("RNN", "RNNCell"):
            doubts.append(f'{path!r}: write nonlinearity = "relu" if it is not tanh.')
        elif kind == "Conv1d":
            doubts.append(f"{path!r}: write its stride, dilation and whether it is causal.")
        elif kind == "BatchNorm1d":
            doubts.append(f"{path!r}: write its eps if it is not 1e-5.")
        elif kind == "LayerNorm":
            doubts.append(
                f"{path!r}: check that it is LayerNorm, and write its eps if it is not 1e-5."
            )
        elif kind not in _SURE:
            doubts.append(f"{path!r}: check that it is {kind}.")
    if len(heads) > 1 or (heads and parts[-1].entry.path != heads[-1]):
        doubts.append(f"{', '.join(map(repr, heads))}: write the functions behind them.")
    if not any(part.is_recurrent for part in parts):
        doubts.append("There is no recurrent layer.")
    wrong = _misfit(parts)
    if wrong is not None:
        first, second = wrong
        doubts.append(
            f"{second.entry.path!r} reads {(second.widths or (0,))[0]} features, "
            f"{first.entry.path!r} gives {(first.widths or (0, 0))[1]}: check their order."
        )
    return doubts
