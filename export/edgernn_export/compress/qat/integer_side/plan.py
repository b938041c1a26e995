"""What is trained of a network, and where its layers stand, whatever library trains it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgernn.cells.general.leaky_rnn import LeakyRNN
from edgernn.errors import TrainingError
from edgernn.model.formats import FloatArray
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
    FloatLSTM,
    FloatMemory,
    FloatMerge,
    FloatModel,
    FloatPointwise,
    FloatPReLU,
    FloatSimpleRNN,
)
from edgernn_export.float_model.own_cells import general_cell
from edgernn_export.float_model.sharing import Shared


class TrainingPlan:
    """The layers of a network under training: what they read, and which weights they share.

    Attributes:
        trained: the float network.
        integer: its integers.
        every_step: the layers that answer at every step; the others at the last one alone.
        columns: what each layer reads.
    """

    def __init__(self, trained: FloatModel, integer: IntegerModel, mean: FloatArray) -> None:
        """Find what every layer reads.

        Args:
            trained: the float network.
            integer: its integers.
            mean: of the readings, physical units, float64 [I].

        Raises:
            TrainingError: a layer that is called twice follows a scaling by 0.
        """
        self.trained, self.integer = trained, integer
        self._groups = _groups(trained)
        self.columns = [Columns.of(integer, index, mean) for index in range(len(integer.layers))]
        for uses in self._groups:
            first = self.columns[uses[0].layer]
            for place, use in list(enumerate(uses))[1:]:
                own = self.columns[use.layer]
                self.columns[use.layer] = own.shared(first, uses, place)
        states = [bool(layer.states) for layer in integer.layers]
        self.every_step = set(before_states(integer.wiring, states))
        if trained.return_sequences:
            self.every_step = set(range(len(integer.layers)))

    def has_constants(self, index: int) -> bool:
        """Whether a layer reads values and keeps the constants of the integer model."""
        record = self.integer.layers[index]
        trained = getattr(self.trained.layers[index], "trained", False)
        return record.reads_values and not (isinstance(record, Embedding) or trained)

    def place(self, index: int, holders: Mapping[int, Any]) -> LayerPlace:
        """Where a layer with weights stands.

        Args:
            index: of the layer.
            holders: what holds the weights of the layers before it, by their index.
        """
        first = self.first_use(index)
        return LayerPlace(
            model=self.integer,
            index=index,
            columns=self.columns[index],
            weights=None if first == index else holders[first].float_weights,
        )

    def first_use(self, index: int) -> int:
        """The first layer with the weights of a layer."""
        uses = next((g for g in self._groups if index in [use.layer for use in g]), None)
        return index if uses is None else uses[0].layer

    def start(self, holders: Mapping[int, Any]) -> None:
        """Set all weights to those of the trained network, next to the integers'.

        Args:
            holders: what holds weights, with attributes integers and float_weights, by layer.
        """
        shared = [[use.layer for use in uses] for uses in self._groups]
        alone = set(holders) - {index for group in shared for index in group}
        for group in (*shared, *([index] for index in sorted(alone))):
            first = holders[group[0]]
            source, unit = self.trained.layers[group[0]], self.columns[group[0]].unit
            record = self.integer.layers[group[0]]
            if isinstance(record, LeakyRNN):
                trained = _leaky_weights(source, record, unit)
            elif isinstance(source, (FloatLSTM, FloatGRU)) and is_registered(record):
                trained = _weights(general_cell(source), unit)
            else:
                trained = _weights(source, unit)
            values = {
                name: np.array(v, dtype=np.float32) for name, v in first.float_weights.items()
            }
            for index in reversed(group):  # the first has the last word
                values = holders[index].integers.nearest(values, trained)
                trained = {name: values.get(name, array) for name, array in trained.items()}
            for index in group:
                holders[index].integers.begin(values)
            for name, variable in first.float_weights.items():
                variable.assign(values[name])


def _groups(trained: FloatModel) -> tuple[Shared, ...]:
    """The uses of weights that several layers have.

    Raises:
        TrainingError: a scaling of one of them has a gain of 0.
    """
    for uses in trained.shared:
        for use in uses:
            if not (use.gain.all() and use.out_gain.all()):
                raise TrainingError(
                    f"{trained.layers[use.layer].name}: expected scalings with nonzero gains "
                    "around a layer that is called more than once, got a gain of 0. Train "
                    "without the features that a scaling makes constant."
                )
    return trained.shared


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
    assert not isinstance(source, (FloatPointwise, FloatPReLU))  # their constants stay
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
