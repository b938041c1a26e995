"""What is trained of a network, and where its layers stand, whatever library trains it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgernn.cells.general.leaky_rnn import LeakyRNN
from edgernn.errors import TrainingError
from edgernn.model.formats import BoolArray, FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import Embedding
from edgernn.model.routes import before_states
from edgernn_export.compress.qat.integer_side.value_integers import EMBEDDINGS
from edgernn_export.compress.qat.maps.columns import Columns, LayerPlace
from edgernn_export.compress.qat.maps.float_weights import KERNEL, RECURRENT, is_registered
from edgernn_export.float_model.model import (
    FloatCell,
    FloatDelay,
    FloatDense,
    FloatDenseRows,
    FloatEmbedding,
    FloatGRU,
    FloatLayer,
    FloatLayerNorm,
    FloatLSTM,
    FloatMemory,
    FloatMerge,
    FloatModel,
    FloatPointwise,
    FloatPReLU,
    FloatSimpleRNN,
)
from edgernn_export.float_model.own_cells import general_cell
from edgernn_export.float_model.sharing import SharedByPrograms, WeightUse


class TrainingPlan:
    """The layers of a network under training: what they read, and which weights they share.

    Attributes:
        trained: the float network.
        integer: its integers.
        every_step: the layers that answer at every step; the others at the last one alone.
        columns: what each layer reads.
        holders: what holds the weights of the layers that are made, by their index; with the
            attributes integers and float_weights.
        groups: uses of weights that several layers have, of other programs too.
    """

    def __init__(
        self,
        trained: FloatModel,
        integer: IntegerModel,
        mean: FloatArray,
        passed: BoolArray | None = None,
    ) -> None:
        """Find what every layer reads.

        Args:
            trained: the float network.
            integer: its integers.
            mean: of the readings, physical units, float64 [I].
            passed: which channels are outputs of other programs, bool [I]; None where none is.

        Raises:
            TrainingError: a layer that is called twice follows a scaling by 0.
        """
        self.trained, self.integer = trained, integer
        places = range(len(integer.layers))
        self._own = [Columns.of(integer, index, mean, passed) for index in places]
        self.columns = list(self._own)
        self.holders: dict[int, Any] = {}
        self.groups: list[Group] = []
        for uses in trained.shared:
            self.groups.append(_linked([(self, use) for use in uses]))
        states = [bool(layer.states) for layer in integer.layers]
        self.every_step = set(before_states(integer.wiring, states))
        if trained.return_sequences:
            self.every_step = set(range(len(integer.layers)))

    def has_constants(self, index: int) -> bool:
        """Whether a layer reads values and keeps the constants of the integer model."""
        record = self.integer.layers[index]
        trained = getattr(self.trained.layers[index], "trained", False)
        return record.reads_values and not (isinstance(record, Embedding) or trained)

    def place(self, index: int) -> LayerPlace:
        """Where a layer with weights stands, the layers before it having their holders.

        Args:
            index: of the layer.
        """
        first, of_first = self.first_use(index)
        own = (first, of_first) == (self, index)
        return LayerPlace(
            model=self.integer,
            index=index,
            columns=self.columns[index],
            weights=None if own else first.holders[of_first].float_weights,
        )

    def first_use(self, index: int) -> tuple[TrainingPlan, int]:
        """The first layer with the weights of a layer, and the plan that it is in."""
        own = (self, index)
        uses = (group for group in self.groups if own in [(p, u.layer) for p, u in group])
        first, use = next(uses, ((self, None),))[0]
        return first, index if use is None else use.layer

    def trained_weights(self, index: int) -> dict[str, FloatArray]:
        """The weights of a trained layer in the units of training, biases left out."""
        source, unit = self.trained.layers[index], self.columns[index].unit
        record = self.integer.layers[index]
        if isinstance(record, LeakyRNN):
            return _leaky_weights(source, record, unit)
        if isinstance(source, (FloatLSTM, FloatGRU)) and is_registered(record):
            return _weights(general_cell(source), unit)
        return _weights(source, unit)

    def share(self, group: Group) -> None:
        """Take over a group with layers of several programs; it replaces the groups it contains."""
        places = {use.layer for plan, use in group if plan is self}
        kept = [old for old in self.groups if not places & {use.layer for _, use in old}]
        self.groups = [*kept, group]
        for place, (plan, use) in list(enumerate(group))[1:]:
            if plan is self:
                (first, of_first), uses = group[0], tuple(use for _, use in group)
                theirs = first.own_columns(of_first.layer)
                self.columns[use.layer] = self._own[use.layer].shared(theirs, uses, place)

    def own_columns(self, index: int) -> Columns:
        """What a layer reads, in its own units."""
        return self._own[index]


#: Uses of the weights of one layer, and the plans of their programs; the first one has them.
Group = tuple[tuple[TrainingPlan, WeightUse], ...]


def _linked(uses: Sequence[tuple[TrainingPlan, WeightUse]]) -> Group:
    """A group whose layers know each other's units.

    Raises:
        TrainingError: a scaling of one of them has a gain of 0.
    """
    group = tuple(uses)
    for plan, use in group:
        if not (use.gain.all() and use.out_gain.all()):
            raise TrainingError(
                f"{plan.trained.layers[use.layer].name}: expected scalings with nonzero gains "
                "around a layer that is called more than once, got a gain of 0. Train "
                "without the features that a scaling makes constant."
            )
    for plan in {id(plan): plan for plan, _ in group}.values():
        plan.share(group)
    return group


def link(plans: Mapping[str, TrainingPlan], shared: Sequence[SharedByPrograms]) -> None:
    """Let layers of several programs have the weights that they have in the float network.

    Args:
        plans: by program.
        shared: uses of weights, by program.

    Raises:
        TrainingError: a layer that is called twice follows a scaling by 0.
    """
    for uses in shared:
        _linked([(plans[program], use) for program, use in uses])


def start(plans: Sequence[TrainingPlan]) -> None:
    """Set all weights to those of the trained network, next to the integers'.

    Args:
        plans: of all programs, each with its holders.
    """
    groups = {id(group): group for plan in plans for group in plan.groups}
    shared = [[(plan, use.layer) for plan, use in group] for group in groups.values()]
    known = {(id(plan), index) for group in shared for plan, index in group}
    alone = [
        [(plan, index)]
        for plan in plans
        for index in sorted(plan.holders)
        if (id(plan), index) not in known
    ]
    for group in (*shared, *alone):
        holders = [plan.holders[index] for plan, index in group]
        plan, index = group[0]
        trained, weights = plan.trained_weights(index), holders[0].float_weights
        values = {name: np.array(v, dtype=np.float32) for name, v in weights.items()}
        for holder in reversed(holders):  # the first has the last word
            values = holder.integers.nearest(values, trained)
            trained = {name: values.get(name, array) for name, array in trained.items()}
        for holder in holders:
            holder.integers.begin(values)
        for name, variable in weights.items():
            variable.assign(values[name])


def _weights(source: FloatLayer, unit: FloatArray) -> dict[str, FloatArray]:
    """The weights of a trained layer in the units of its columns [N], biases left out."""
    # Delays have none; rates and attention are refused.
    assert not isinstance(source, (FloatDelay, FloatDenseRows, FloatMemory))
    if isinstance(source, FloatEmbedding):
        return {EMBEDDINGS: source.table}
    if isinstance(source, FloatMerge):
        return {KERNEL: source.gain * unit.reshape(source.gain.shape)}
    if isinstance(source, FloatCell):
        return {
            name: values.T * unit[:, None] if name.endswith(".x") else values.T
            for name, values in source.by_name.items()
        }
    assert not isinstance(source, (FloatPointwise, FloatPReLU, FloatLayerNorm))  # constants stay
    weights = {KERNEL: (source.kernel * unit).T}
    if not isinstance(source, FloatDense):
        weights[RECURRENT] = source.recurrent.T
    return weights


def _leaky_weights(source: FloatLayer, record: LeakyRNN, unit: FloatArray) -> dict[str, FloatArray]:
    """The same of a layer that keeps a share of each unit apart, which is not trained."""
    if isinstance(source, FloatCell):
        (matrix,) = (values for name, values in source.by_name.items() if name.endswith(".x"))
        return {"gates.x": (matrix * unit).T}
    assert isinstance(source, FloatSimpleRNN)
    rest = source.recurrent - np.diag(kept_share(record))
    return {"gates.x": (source.kernel * unit).T, "gates.h": rest.T}


def kept_share(record: LeakyRNN) -> FloatArray:
    """The share of each unit that a layer keeps apart from its matrix, float64 [H]."""
    lost = (record.leak.high.astype(np.float64) * 32768.0 + record.leak.low) / 2.0**30
    return 1.0 - lost
