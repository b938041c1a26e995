"""Layers of a float model that a Keras model made of the weights of one layer."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from edgernn.model.formats import ArrayRecord, FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WeightUse(ArrayRecord):
    """One of several layers with the same weights, and the scalings that it took up.

    Where the Keras layer makes W·x + b of x, this one makes
    out_gain · (W·(gain · x + offset) + b) + out_offset.

    Attributes:
        layer: its position.
        gain, offset: [I], of what it reads.
        out_gain, out_offset: [U], of what it puts out; other than 1 and 0 in a linear Dense alone.
    """

    layer: int
    gain: FloatArray
    offset: FloatArray
    out_gain: FloatArray
    out_offset: FloatArray

    @staticmethod
    def of(layer: int, gain: FloatArray, offset: FloatArray, units: int) -> WeightUse:
        """The use of weights behind a scaling, before any is behind them."""
        return WeightUse(
            layer=layer,
            gain=np.array(gain),
            offset=np.array(offset),
            out_gain=np.ones(units),
            out_offset=np.zeros(units),
        )


#: Uses of the weights of one layer, at least two, in the order of their positions.
Shared = tuple[WeightUse, ...]
#: Uses of the weights of one layer in several programs, with the names of these, in their order.
SharedByPrograms = tuple[tuple[str, WeightUse], ...]


@dataclass(slots=True, kw_only=True)
class WeightUses:
    """The uses of all weights, noted while layers are made.

    Attributes:
        owner: whose weights the next layers use, and which of them where a layer has several.
    """

    owner: Hashable = 0
    _found: dict[int, tuple[Any, WeightUse]] = field(default_factory=dict)

    def note(self, kind: str, use: WeightUse) -> None:
        """Note the use of the owner's weights by such a layer; it may have several."""
        self._found[use.layer] = ((self.owner, kind), use)

    def replaced(self, old: int, new: int, gain: FloatArray, offset: FloatArray) -> None:
        """Note that a layer takes the place of another one and scales its output.

        Of layers whose uses are not noted, nothing changes.

        Args:
            old: position of the replaced layer.
            new: position of the other one.
            gain: [U] or a scalar.
            offset: [U] or a scalar.
        """
        if old not in self._found:
            return
        key, use = self._found[old]
        out_gain, out_offset = use.out_gain * gain, use.out_offset * gain + offset
        self._found[new] = key, replace(use, layer=new, out_gain=out_gain, out_offset=out_offset)

    def shared(self, kept: Sequence[int]) -> tuple[Shared, ...]:
        """The uses of weights that several layers have.

        Args:
            kept: the layers that are left, in their order; positions in it are what is returned.
        """
        return tuple(tuple(uses) for uses in self.by_owner(kept).values() if len(uses) > 1)

    def by_owner(self, kept: Sequence[int]) -> dict[Any, list[WeightUse]]:
        """The uses of all weights, by whose they are.

        Args:
            kept: as of `shared`.
        """
        groups: dict[Any, list[WeightUse]] = {}
        for place, index in enumerate(kept):
            if index in self._found:
                key, use = self._found[index]
                groups.setdefault(key, []).append(replace(use, layer=place))
        return groups


def shared_by_programs(
    found: Mapping[str, Mapping[Any, Sequence[WeightUse]]],
) -> tuple[SharedByPrograms, ...]:
    """The uses of weights that several programs have.

    Args:
        found: by program, what `WeightUses.by_owner` found in it.
    """
    groups: dict[Any, list[tuple[str, WeightUse]]] = {}
    for program, own in found.items():
        for key, uses in own.items():
            groups.setdefault(key, []).extend((program, use) for use in uses)
    return tuple(
        tuple(uses) for uses in groups.values() if len({program for program, _ in uses}) > 1
    )
