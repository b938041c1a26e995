"""What the tensors of a file are: a description that is written by hand, in Python or a file."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Final, TypeAlias

from edgernn_export.keras_reader.findings import Findings
from edgernn_export.keras_reader.stored.kind import refuse
from edgernn_export.weight_files.flax_layers import FLAX
from edgernn_export.weight_files.layout_entries import (
    TYPE_NAMES,
    KindTable,
    LayerKind,
    LayoutEntry,
)
from edgernn_export.weight_files.torch_layers import TORCH

#: One layer as it is written: its kind, or its kind and path, and options.
WrittenEntry: TypeAlias = "str | Mapping[str, Any]"
#: Framework -> its layers.
TABLES: Final[Mapping[str, KindTable]] = {"torch": TORCH, "flax": FLAX}
_MAX_FILE_BYTES: Final = 1 << 20
_MEMBERS: Final = ("layers", "framework", "root", "ignore", "steps")
_GUIDE: Final = "See docs/guides/from-weights.md."
_EXAMPLE: Final = 'Write layers = [{LSTM = "rnn"}, {Linear = "head"}, "Softmax"].'


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightLayout:
    """Which layers a network has, one behind another, and which tensors are theirs.

    Attributes:
        framework: "torch" or "flax", whose names layers and tensors have.
        layers: in the order in which they are applied.
        root: what the names of all tensors of the network begin with; "" for whole files.
        ignore: beginnings of names of tensors that are none of the network's.
        steps: readings of the windows it was trained on; None for streams of any length.
    """

    framework: str
    layers: tuple[LayoutEntry, ...]
    root: str = ""
    ignore: tuple[str, ...] = ()
    steps: int | None = None

    def __str__(self) -> str:
        """As a TOML file has it."""
        told = [] if self.framework == "torch" else [f'framework = "{self.framework}"']
        told += [f"root = {json.dumps(self.root)}"] if self.root else []
        told += [f"ignore = {json.dumps(list(self.ignore))}"] if self.ignore else []
        told += [] if self.steps is None else [f"steps = {self.steps}"]
        return "\n".join([*told, "layers = [", *(f"  {layer}," for layer in self.layers), "]"])


def torch_layout(
    layers: Sequence[WrittenEntry],
    *,
    root: str = "",
    ignore: Sequence[str] = (),
    steps: int | None = None,
) -> WeightLayout:
    """Say what the tensors of a state dict of PyTorch are.

    Args:
        layers: one behind another. A layer with tensors is its class and the path of the module,
            ``{"LSTM": "encoder.rnn"}``, with options next to it; a layer without tensors is its
            class, ``"Softmax"``.
        root: what the names of all tensors begin with, such as "model" in a checkpoint.
        ignore: beginnings of names of tensors that are not part of the network.
        steps: readings of the windows that the network was trained on, if it has never seen
            longer streams.

    Raises:
        UnsupportedModelError: with all that is wrong with the description.
    """
    return _parsed("torch", layers, root, ignore, steps, "layout")


def flax_layout(
    layers: Sequence[WrittenEntry],
    *,
    root: str = "",
    ignore: Sequence[str] = (),
    steps: int | None = None,
) -> WeightLayout:
    """Say what the parameters of a Flax module are; the arguments are those of `torch_layout`.

    Raises:
        UnsupportedModelError: with all that is wrong with the description.
    """
    return _parsed("flax", layers, root, ignore, steps, "layout")


def read_layout(path: str | PathLike[str]) -> WeightLayout:
    """Read a description from a file, in TOML or JSON.

    Args:
        path: of a file with ``layers`` and, where they are wanted, ``framework``, ``root``,
            ``ignore`` and ``steps``.

    Raises:
        FileNotFoundError: there is nothing at the path.
        UnsupportedModelError: with all that is wrong with the description.
    """
    file = Path(path)
    if file.stat().st_size > _MAX_FILE_BYTES:
        refuse(file.name, "a layout", f"{file.stat().st_size} bytes", _GUIDE)
    try:
        text = file.read_text(encoding="utf-8-sig")
        told = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except (ValueError, RecursionError, OSError) as error:
        refuse(file.name, "a layout in TOML or JSON", f"{error!s:.100}", _EXAMPLE)
    strange = [name for name in told if name not in _MEMBERS]
    if strange or "layers" not in told:
        got = ", ".join(f"{name!r:.40}" for name in strange) or "no layers"
        refuse(file.name, f"{', '.join(_MEMBERS)}", got, _EXAMPLE)
    return _parsed(
        told.get("framework", "torch"),
        told["layers"],
        told.get("root", ""),
        told.get("ignore", ()),
        told.get("steps"),
        file.name,
    )


def _parsed(
    framework: Any, layers: Any, root: Any, ignore: Any, steps: Any, owner: str
) -> WeightLayout:
    findings = Findings()
    table = TABLES.get(framework) if isinstance(framework, str) else None
    if table is None:
        findings.add(owner, f"framework {' or '.join(map(repr, TABLES))}", f"{framework!r:.40}",
                     _GUIDE)  # fmt: skip
    if not isinstance(root, str):
        findings.add(owner, "a text as root", f"{root!r:.40}", _GUIDE)
    texts = isinstance(ignore, Sequence) and not isinstance(ignore, str)
    if not texts or not all(isinstance(one, str) for one in ignore):
        findings.add(owner, "a list of texts as ignore", f"{ignore!r:.40}", _GUIDE)
    if steps is not None and (type(steps) is not int or steps < 1):
        findings.add(owner, "a number of readings as steps", f"{steps!r:.40}", _GUIDE)
    if isinstance(layers, (str, Mapping)) or not isinstance(layers, Sequence) or not layers:
        findings.add(owner, "a list of layers", f"{layers!r:.60}", _EXAMPLE)
        layers = ()
    made = [
        _entry(written, f"{owner}: layer {number}", table or TORCH, findings)
        for number, written in enumerate(layers, 1)
    ]
    findings.refuse()
    return WeightLayout(
        framework=framework,
        layers=tuple(entry for entry in made if entry is not None),
        root=root.strip("."),
        ignore=tuple(one.strip(".") for one in ignore),
        steps=steps,
    )


def _entry(written: Any, owner: str, table: KindTable, findings: Findings) -> LayoutEntry | None:
    """One layer, or a reason why it is none."""
    if isinstance(written, str):
        written = {written: ""}
    if not isinstance(written, Mapping) or not all(isinstance(key, str) for key in written):
        findings.add(owner, "the kind of a layer, or its kind and path", f"{written!r:.60}",
                     _EXAMPLE)  # fmt: skip
        return None
    kinds = [key for key in written if key in table.kinds]
    if len(kinds) != 1:
        _refuse_kind(written, owner, table, findings)
        return None
    kind = table.kinds[kinds[0]]
    path, options = written[kinds[0]], {k: v for k, v in written.items() if k != kinds[0]}
    if not isinstance(path, str) or (path and not kind.has_tensors):
        wanted = "the path of its tensors" if kind.has_tensors else "no path, as it has no tensors"
        findings.add(f"{owner} ({kinds[0]})", wanted, f"{path!r:.60}", _EXAMPLE)
        return None
    good = [_check_option(name, value, f"{owner} ({kinds[0]})", kind, findings)
            for name, value in options.items()]  # fmt: skip
    if not all(good):
        return None
    return LayoutEntry(
        kind=kinds[0],
        module=table.module if kind.has_tensors else "",
        path=path.strip("."),
        options=tuple(options.items()),
    )


def _refuse_kind(
    written: Mapping[str, Any], owner: str, table: KindTable, findings: Findings
) -> None:
    name = next(iter(written), "")
    near = difflib.get_close_matches(name, table.kinds, n=3, cutoff=0.6)
    cure = table.cures.get(name) or (
        f"Did you mean {' or '.join(near)}?" if near else f"Kinds are {', '.join(table.kinds)}."
    )
    findings.add(owner, "one kind of layer", f"{', '.join(written)!r:.60}", cure)


def _check_option(name: str, value: Any, owner: str, kind: LayerKind, findings: Findings) -> bool:
    wanted = kind.options.get(name)
    if wanted is None:
        known = f"{', '.join(kind.options)}" if kind.options else "no options"
        findings.add(owner, known, f"{name}", "Correct it, or leave it out.")
        return False
    fits = type(value) is wanted or (wanted is float and type(value) is int)
    if not fits:
        findings.add(owner, f"{name} = {TYPE_NAMES[wanted]}", f"{value!r:.40}", "Correct it.")
    return fits
