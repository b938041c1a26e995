"""Read a network from its weights and a description of its layers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn.errors import LayoutWarning, UnsupportedModelError
from edgernn_export.float_model.model import FloatModel
from edgernn_export.float_model.program_sets.chunks import FloatChunks
from edgernn_export.keras_reader.findings import Findings
from edgernn_export.keras_reader.program_sets.passes import read_described
from edgernn_export.keras_reader.stored.kind import refuse
from edgernn_export.keras_reader.stored.network import StoredModel
from edgernn_export.keras_reader.wording import Wording
from edgernn_export.weight_files.layer_row import LayerRow
from edgernn_export.weight_files.layout_draft import draft_layout
from edgernn_export.weight_files.tensor_shelf import TensorShelf, flattened, without_training
from edgernn_export.weight_files.tensors.number_types import NamedArrays
from edgernn_export.weight_files.tensors.tensor_file import read_tensors
from edgernn_export.weight_files.weight_layout import TABLES, WeightLayout, read_layout

_CURE: Final = "Quantize the module itself: edgernn_export.quantize(module, calibration)."
#: What helps, in the words of layouts.
WEIGHTS: Final = Wording(
    features_input=_CURE,
    float_input=_CURE,
    same_steps=_CURE,
    last_step="Move LastStep or FinalState behind all recurrent layers.",
    every_step="Move LastStep or FinalState behind all recurrent layers.",
    stateless="A network without a state needs no session: run it in another tool.",
    identity_after=_CURE,
    identity_before=_CURE,
    longer_windows="Write steps = {steps} in the layout; the outputs belong to the same readings.",
    causal="Train with zeros before the first reading, and write causal = true.",
    causal_first="Move strides, pooling and convolutions without causal = true before all "
    "recurrent layers, or train with stride 1 and zeros before the first reading.",
    last_of_backward="Write FinalState instead.",
    fixed_steps="Write steps = T in the layout, for windows of T readings.",
    unit_strides="Train with stride 1 and zeros before the first reading.",
)


def read_weights(
    source: str | PathLike[str] | Mapping[str, Any],
    layout: WeightLayout | str | PathLike[str] | None = None,
    *,
    input_names: Sequence[str] | None = None,
    input_units: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    output_units: Sequence[str] | None = None,
) -> FloatModel | FloatChunks:
    """Read a network from its weights, without the framework that trained it.

    Args:
        source: a .safetensors file, a .pt file of PyTorch, an .npz file, or the arrays by name, in
            dictionaries of any depth, as ``model.state_dict()`` and ``nnx.to_pure_dict`` give them.
        layout: what the tensors are, or the path of a file that says it. None leaves it to the
            names and shapes of the tensors, where those leave one reading.
        input_names: one per feature; x0, x1, ... by default.
        input_units: physical units, one per feature; "" by default.
        output_names: one per output; y0, y1, ... by default.
        output_units: physical units, one per output; "" by default.

    Returns:
        The float model; of networks that read in both directions, their passes over a chunk.

    Raises:
        FileNotFoundError: there is nothing at a path.
        ShapeError: the number of names or units does not fit.
        UnsupportedModelError: the file is damaged, the description does not fit, or the network
            does something that edgernn does not execute; the error lists everything found.

    Warns:
        LayoutWarning: no layout was given, and the tensors leave one reading.
    """
    network = weights_network(source, layout)
    labels = {
        "input_names": input_names,
        "input_units": input_units,
        "output_names": output_names,
        "output_units": output_units,
    }
    return read_described(network, labels)


def weights_network(
    source: str | PathLike[str] | Mapping[str, Any],
    layout: WeightLayout | str | PathLike[str] | None = None,
) -> StoredModel:
    """The calls of a network, for those who read networks of all formats.

    Args:
        source: as for `read_weights`.
        layout: as there.

    Raises:
        FileNotFoundError: there is nothing at a path.
        UnsupportedModelError: the file is damaged, or the description does not fit; the error
            lists everything found.

    Warns:
        LayoutWarning: as there.
    """
    findings = Findings(wording=WEIGHTS)
    if isinstance(source, Mapping):
        name, owner, tensors = "network", "weights", _arrays(source)
    else:
        path = Path(source)
        name, owner, tensors = path.stem, path.name, read_tensors(path)
        tensors = _dotted(tensors, owner)
    tensors = without_training(tensors)
    if layout is None:
        described = _guessed(tensors, owner)
    else:
        described = layout if isinstance(layout, WeightLayout) else read_layout(layout)
    shelf = TensorShelf(tensors, findings, root=described.root, ignored=described.ignore)
    row = LayerRow(findings)
    kinds = TABLES[described.framework].kinds
    for entry in described.layers:
        kinds[entry.kind].read(entry, shelf, row)
    shelf.finish(owner)
    network = row.network(name, repr(name), described.steps, WEIGHTS)
    findings.refuse()
    return network


def _guessed(tensors: NamedArrays, owner: str) -> WeightLayout:
    """The only layout that tensors leave.

    Raises:
        UnsupportedModelError: they leave several.
    """
    draft = draft_layout(tensors)
    if draft.layout is None or draft.doubts:
        cure = (
            f"Write it to a file and pass it with --layout FILE, or as layout=. A draft:\n{draft}"
        )
        raise UnsupportedModelError(
            [f"{owner}: expected a layout, which says what the tensors are, got none. {cure}"]
        )
    told = ", ".join(f"{entry.kind} {entry.path!r}" for entry in draft.layout.layers)
    warnings.warn(
        f"{owner}: no layout was given. The tensors are read as {told}, with no function between "
        "or behind these layers and an answer at every reading. If the network does more, write a "
        f"layout; this one says the same:\n{draft}",
        LayoutWarning,
        stacklevel=3,
    )
    return draft.layout


def _dotted(tensors: NamedArrays, owner: str) -> NamedArrays:
    """Tensors under names with "." where files of JAX have "/"."""
    made = {name.replace("/", "."): values for name, values in tensors.items()}
    if len(made) != len(tensors):
        cure = "Save them under other names."
        refuse(owner, 'names that differ in more than "." and "/"', "two that do not", cure)
    return made


def _arrays(source: Mapping[str, Any]) -> NamedArrays:
    """Arrays of a dictionary in memory, of NumPy, JAX or PyTorch."""
    findings = Findings()
    found: NamedArrays = {}
    try:
        flat = flattened(source)
    except RecursionError:
        cure = "Pass a plain dictionary of arrays."
        reason = f"weights: expected dictionaries at most 64 deep, got deeper ones. {cure}"
        raise UnsupportedModelError([reason]) from None
    for name, value in flat.items():
        try:
            # Torch lends no memory of tensors that are trained, nor of bfloat16.
            plain = value.detach().cpu().double() if hasattr(value, "detach") else value
            found[name] = np.asarray(plain)
        except (TypeError, ValueError, RuntimeError) as error:
            findings.add(f"{name!r}", "an array", f"{error!s:.80}", "Pass arrays of NumPy.")
            continue
        if found[name].dtype.name == "bfloat16":
            found[name] = found[name].astype(np.float32)
    findings.refuse()
    return found
