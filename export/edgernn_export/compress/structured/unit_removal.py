"""Remove hidden units: a smaller model that answers as if those units were 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgernn.cli.style import table
from edgernn.errors import PruningError
from edgernn.model.formats import FloatArray
from edgernn_export.compress.checks import (
    fraction_asked,
    nonnegative,
    one_of,
    units_asked,
)
from edgernn_export.compress.pruning.masks import kept_count
from edgernn_export.compress.structured.keras_chain import (
    Block,
    IntArray,
    KerasChain,
    read_chain,
    read_kernel,
)
from edgernn_export.compress.structured.rebuilt_layers import Cut, copy_layer, rebuild
from edgernn_export.compress.structured.unit_groups import groups_of
from edgernn_export.keras_reader.findings import owner_of


def unit_norms(model: Any, layers: Sequence[str] | None = None) -> dict[str, FloatArray]:
    """Euclidean norms [H] of the groups of all hidden units, by layer; 0 for units that do nothing.

    Args:
        model: a built Sequential or Functional keras.Model.
        layers: names of recurrent layers; None uses all that another layer reads.

    Raises:
        UnsupportedModelError: the Keras reader refuses the model.
        PruningError: a name is unknown, or its units cannot go.
    """
    chain = read_chain(model)
    return {chain.blocks[i].layer.name: _scores(chain, i) for i in chain.removable(layers)}


def norm_table(norms: Mapping[str, FloatArray]) -> str:
    """A text table, one line per layer.

    >>> print(norm_table({"lstm": np.array([0.0, 2.0, 3.0])}))
    layer  units  zero  least  median  largest
    -----  -----  ----  -----  ------  -------
    lstm       3     1      0       2        3
    """
    rows = []
    for name, values in norms.items():
        spread = (values.min(), float(np.median(values)), values.max())
        counts = (str(values.size), str(np.count_nonzero(values == 0.0)))
        rows.append((name, *counts, *(f"{value:.3g}" for value in spread)))
    headings = ("layer", "units", "zero", "least", "median", "largest")
    return "\n".join(table(headings, rows, "<>>>>>"))


def remove_units(
    model: Any,
    *,
    keep: int | Mapping[str, int] | None = None,
    fraction: float | Mapping[str, float] | None = None,
    threshold: float | None = None,
    layers: Sequence[str] | None = None,
) -> Any:
    """A smaller dense model of the same classes and names, with some hidden units gone.

    It answers what the model answers with the outputs of those units held at 0: the same up to
    float rounding where their groups are 0. What a scaling or a function after the layer makes of
    that 0 goes into the next bias. Without an argument the units that do nothing go.

    Args:
        model: a built Sequential or Functional keras.Model; it is not changed.
        keep: how many units stay, those of the largest group norms; one number, or one by layer.
        fraction: share of units that stay, rounded up; one number, or one by layer.
        threshold: units with a group norm up to this go; at most one of the three is given.
        layers: names of recurrent layers; None takes the names in a dict, or else all layers that
            another layer reads.

    Returns:
        The new model, not compiled; the state of stateful layers begins at 0.

    Raises:
        UnsupportedModelError: the Keras reader refuses the model.
        PruningError: a setting or name is refused, or no unit would stay.
    """
    one_of(keep=keep, fraction=fraction, threshold=threshold)
    asked = keep if keep is not None else fraction
    if isinstance(asked, Mapping):
        layers = _names(asked, layers)
    chain = read_chain(model)
    cuts: dict[int, Cut] = {}
    for index in chain.removable(layers):
        block = chain.blocks[index]
        name = block.layer.name
        scores = _scores(chain, index)
        if asked is None:
            kept = _above(block, scores, 0.0 if threshold is None else threshold)
        else:
            wanted = asked[name] if isinstance(asked, Mapping) else asked
            kept = _largest(scores, _count(name, wanted, block.units, keep is None))
        _join(cuts, index, Cut(units=kept))
        _join(cuts, index + 1, _reader_cut(chain.blocks[index + 1], kept, block.units))
    return _smaller(chain, cuts)


def _names(asked: Mapping[str, Any], layers: Sequence[str] | None) -> list[str]:
    if layers is not None and set(layers) != set(asked):
        raise PruningError(
            f"layers: expected the layers of the dict, {', '.join(asked) or 'none'}, got "
            f"{', '.join(layers) or 'none'}. Omit layers."
        )
    return list(asked)


def _scores(chain: KerasChain, index: int) -> FloatArray:
    groups = groups_of(chain, index)
    scores: FloatArray = np.where(groups.idle(), 0.0, groups.norms())
    return scores


def _count(name: str, wanted: Any, units: int, share: bool) -> int:
    if share:
        return kept_count(fraction_asked(name, wanted), units)
    return units_asked(name, wanted, units)


def _largest(scores: FloatArray, count: int) -> IntArray:
    """Indices of the largest scores, in order; among equals the first stay."""
    kept: IntArray = np.sort(np.argsort(-scores, kind="stable")[:count])
    return kept


def _above(block: Block, scores: FloatArray, threshold: float) -> IntArray:
    kept = np.flatnonzero(scores > nonnegative("threshold", threshold))
    if kept.size == 0:
        raise PruningError(
            f"{owner_of(block.layer)}: expected a unit with a group norm above {threshold:g}, "
            f"got {scores.size} of at most {scores.max():.3g}. At least one unit must remain: "
            "lower the threshold, train with less strength, or remove the layer."
        )
    return kept


def _reader_cut(reader: Block, kept: IntArray, units: int) -> Cut:
    """The rows that stay, and what the others give where their units are 0.

    Raises:
        PruningError: a convolution would read a constant, but not before the stream.
    """
    gone = np.setdiff1d(np.arange(units), kept)
    offset = reader.read(np.zeros(units))
    added = reader.added(offset[gone, None] * read_kernel(reader.core)[gone])
    if reader.pads and offset[gone].any():
        raise PruningError(
            f"{owner_of(reader.layer)}: expected no offset before a convolution that reads "
            f"removed units, got one of {owner_of(reader.before[0])}. Keras pads with 0 after "
            "the offset, so a bias cannot replace it: train with this layer before the pruned "
            "one, or prune magnitudes instead."
        )
    return Cut(inputs=kept, added=added)


def _join(cuts: dict[int, Cut], index: int, cut: Cut) -> None:
    """Add to what is cut of a block: inputs come from one side, units from the other."""
    before = cuts.get(index, Cut())
    cuts[index] = Cut(
        inputs=before.inputs if cut.inputs is None else cut.inputs,
        units=before.units if cut.units is None else cut.units,
        added=before.added if cut.added is None else cut.added,
    )


def _smaller(chain: KerasChain, cuts: Mapping[int, Cut]) -> Any:
    by_layer = {}
    for index, cut in cuts.items():
        block = chain.blocks[index]
        by_layer[id(block.layer)] = cut
        by_layer.update((id(layer), Cut(inputs=cut.inputs)) for layer in block.before)
    return rebuild(chain.model, lambda layer: [copy_layer(layer, by_layer.get(id(layer), Cut()))])
