"""Remove input channels that change nothing: no weight reads them, or they never change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgernn.errors import PruningError
from edgernn.model.formats import BoolArray, FloatArray
from edgernn_export.calibration.streams import as_streams
from edgernn_export.compress.structured.keras_chain import Block, read_chain, read_kernel
from edgernn_export.compress.structured.rebuilt_layers import Cut, copy_layer, rebuild
from edgernn_export.keras_reader.findings import owner_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RemovedInputs:
    """A model with fewer input channels.

    Attributes:
        model: the new keras.Model, not compiled.
        kept: indices of the channels that stay, in order.
        kept_names: their names.
        unread: names of the channels that no weight reads.
        constant: value by name of the channels that never change.
    """

    model: Any
    kept: tuple[int, ...]
    kept_names: tuple[str, ...]
    unread: tuple[str, ...]
    constant: dict[str, float]


def remove_inputs(
    model: Any, streams: Any = None, *, input_names: Sequence[str] | None = None
) -> RemovedInputs:
    """Remove channels that do nothing; the new model takes the others in the same order.

    A channel that no weight of the first layer reads, or that a scaling multiplies by 0, is removed
    directly. One that has the same value at every reading of the streams goes as well: what it
    contributes becomes part of the first layer's bias. In front of a convolution that reads zeros
    before the stream, channels that contribute something stay. Scalings before that layer keep the
    values of the channels that stay. Where nothing can go, the new model is a copy.

    Args:
        model: a built Sequential or Functional keras.Model; it is not changed.
        streams: readings in physical units, [T, I], [B, T, I] or a sequence of [T_i, I]; None
            takes no channel for constant.
        input_names: one per channel; x0, x1, ... by default.

    Raises:
        UnsupportedModelError: the Keras reader refuses the model.
        CalibrationError: the streams are unusable.
        PruningError: the names do not fit, or no channel would stay.
    """
    chain = read_chain(model)
    first = chain.blocks[0]
    names = _names(input_names, first.inputs)
    constant, values = _constants(streams, first.inputs)
    # Keras sees the value in the model's precision, and normalizing a constant magnifies what
    # that leaves out.
    values = values.astype(str(model.inputs[0].dtype)).astype(np.float64)
    unread, contribution = _contributions(first, values)
    if first.pads:
        silent = ~contribution.any(axis=1)
        unread, constant = unread & silent, constant & silent
    stays = ~(constant | unread)
    if not stays.any():
        raise PruningError(
            f"{owner_of(model)}: expected an input channel that changes the output, got "
            f"{np.count_nonzero(unread)} unused and {np.count_nonzero(constant & ~unread)} "
            "constant channels. Train again, or pass streams in which the channels vary."
        )
    kept = np.flatnonzero(stays)
    cuts = {id(layer): Cut(inputs=kept) for layer in first.before}
    cuts[id(first.layer)] = Cut(inputs=kept, added=first.added(contribution[~stays]))
    smaller = rebuild(
        model, lambda layer: [copy_layer(layer, cuts.get(id(layer), Cut()))], len(kept)
    )
    fixed = np.flatnonzero(constant & ~unread)
    return RemovedInputs(
        model=smaller,
        kept=tuple(int(i) for i in kept),
        kept_names=tuple(names[i] for i in kept),
        unread=tuple(names[i] for i in np.flatnonzero(unread)),
        constant={names[i]: float(values[i]) for i in fixed},
    )


def _names(given: Sequence[str] | None, inputs: int) -> list[str]:
    if given is None:
        return [f"x{i}" for i in range(inputs)]
    if isinstance(given, str) or len(given) != inputs:
        raise PruningError(
            f"input_names: expected {inputs} names, got {given!r:.80}. Name every channel."
        )
    return list(given)


def _constants(streams: Any, inputs: int) -> tuple[BoolArray, FloatArray]:
    """Which channels never change [I], and the values of those; 0 elsewhere."""
    if streams is None:
        return np.zeros(inputs, dtype=np.bool_), np.zeros(inputs)
    readings = np.concatenate([b.reshape(-1, inputs) for b in as_streams(streams, inputs)])
    constant = np.asarray(np.all(readings == readings[0], axis=0), dtype=np.bool_)
    return constant, np.where(constant, readings[0], 0.0)


def _contributions(first: Block, values: FloatArray) -> tuple[BoolArray, FloatArray]:
    """Channels that nothing reads [I], and what each adds to the bias at its value [I, G*H]."""
    kernel = read_kernel(first.core)
    unread = np.asarray(first.muted() | ~np.any(kernel != 0.0, axis=1), dtype=np.bool_)
    return unread, first.read(values)[:, None] * kernel
