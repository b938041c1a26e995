"""What the names and shapes of tensors alone say of a network, and what they leave open."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy.typing as npt

from edgernn_export.weight_files.layout_entries import LayoutEntry
from edgernn_export.weight_files.weight_layout import WeightLayout

#: Rows of a recurrent layer for each of its units -> its class.
_BY_GATES: Final = {4: "LSTM", 3: "GRU", 1: "RNN"}
_FLAX: Final = re.compile(r"(^|\.)(kernel|embedding)$")
#: Kinds that may stand at most once, and behind all others.
_HEAD: Final = "Linear"
#: Kinds of which their tensors show all but the order.
_SURE: Final = ("LSTM", "GRU", "LSTMCell", "GRUCell", "Embedding", _HEAD)

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
    for name, values in tensors.items():
        path, _, own = name.rpartition(".")
        parts.setdefault(path, {})[own] = values
    if any(_FLAX.search(name) for name in tensors):
        doubt = 'These are names of Flax: write framework = "flax" and its layers.'
        return LayoutDraft(layout=None, doubts=(doubt,))
    doubts: list[str] = []
    found: list[tuple[LayoutEntry, tuple[int, int] | None]] = []
    for path, arrays in parts.items():
        kind = _kind(arrays)
        if kind is None:
            names = ", ".join(map(repr, list(arrays)[:4]))
            doubts.append(f"{path!r} has {names}, which no layer has under these names.")
            continue
        found.append((LayoutEntry(kind=kind, path=path), _widths(kind, arrays)))
    found = [_as_embedding(place, found, parts) for place in range(len(found))]
    doubts += _doubts([entry for entry, _ in found], [widths for _, widths in found], parts)
    entries = tuple(entry for entry, _ in found)
    layout = WeightLayout(framework="torch", layers=entries) if entries else None
    return LayoutDraft(layout=layout, doubts=tuple(doubts))


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


def _as_embedding(
    place: int,
    found: list[tuple[LayoutEntry, tuple[int, int] | None]],
    parts: Mapping[str, _Arrays],
) -> tuple[LayoutEntry, tuple[int, int] | None]:
    """A matrix without a bias at the beginning, which the next layer can read by rows alone."""
    entry, widths = found[place]
    behind = found[place + 1][1] if place + 1 < len(found) else None
    rows = entry.kind == _HEAD and "bias" not in parts[entry.path] and not place
    if not rows or widths is None or behind is None:
        return entry, widths
    if behind[0] != widths[0] or widths[0] == widths[1]:
        return entry, widths
    return LayoutEntry(kind="Embedding", path=entry.path), (1, widths[0])


def _doubts(
    entries: list[LayoutEntry], widths: list[tuple[int, int] | None], parts: Mapping[str, _Arrays]
) -> list[str]:
    """What may be otherwise."""
    doubts: list[str] = []
    heads = [entry.path for entry in entries if entry.kind == _HEAD]
    for entry in entries:
        if entry.kind in ("RNN", "RNNCell"):
            doubts.append(f'{entry.path!r}: write nonlinearity = "relu" if it is not tanh.')
        elif entry.kind == "Conv1d":
            doubts.append(f"{entry.path!r}: write its stride, dilation and whether it is causal.")
        elif entry.kind == "BatchNorm1d":
            doubts.append(f"{entry.path!r}: write its eps if it is not 1e-5.")
        elif entry.kind not in _SURE:
            doubts.append(f"{entry.path!r}: check that it is {entry.kind}.")
    if len(heads) > 1 or (heads and entries[-1].path != heads[-1]):
        doubts.append(f"{', '.join(map(repr, heads))}: write the functions behind them.")
    if not any(f"weight_ih{part}" in parts[e.path] for e in entries for part in ("", "_l0")):
        doubts.append("There is no recurrent layer.")
    known = [pair for pair in zip(entries, widths, strict=True) if pair[1] is not None]
    for (first, given), (second, read) in itertools.pairwise(known):
        if given is not None and read is not None and given[1] != read[0]:
            doubts.append(
                f"{second.path!r} reads {read[0]} features, {first.path!r} gives {given[1]}: check "
                "their order."
            )
    return doubts
