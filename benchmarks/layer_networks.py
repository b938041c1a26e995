"""Networks of every kind of layer, whose instructions `benchmarks.instructions` counts.

Their numbers are random. Except for a few instructions where values saturate, a step takes the same
number for any values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np

from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import LSTM
from edgernn.model.merges import MergeOperation
from edgernn.model.routes import MODEL_INPUT
from tests.support.models.convolutions import convolution_chain
from tests.support.models.coupled_lstm import CoupledLSTM
from tests.support.models.integer import random_layer, random_model
from tests.support.models.networks import Wiring, random_merge, wired_model
from tests.support.models.tokens import token_chain


def own_cell(precision: Precision) -> IntegerModel:
    """A registered cell: an LSTM of 32 units with coupled gates, 8 inputs, a Dense layer of 4."""
    model = random_model("lstm", precision, inputs=8, units=32, outputs=4)
    lstm = model.layers[0]
    assert isinstance(lstm, LSTM)
    cell = CoupledLSTM(
        name=lstm.name, inputs=lstm.inputs, units=lstm.units,
        gate_activation=lstm.gate_activation, cell_exponent=lstm.cell_exponent,
        gates=_first_rows(lstm.gates, 3 * lstm.units),
    )  # fmt: skip
    return replace(model, name="coupled-lstm", layers=(cell, *model.layers[1:]))


def _first_rows(record: Any, rows: int) -> Any:
    """A map with the first of its rows, or a term of one."""
    changes: dict[str, Any] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if isinstance(value, np.ndarray):
            changes[field.name] = value[:rows]
        elif field.name == "terms":
            changes[field.name] = tuple(_first_rows(term, rows) for term in value)
    return replace(record, **changes)


def convolution(precision: Precision) -> IntegerModel:
    """Conv1D of 32 filters over 5 rows of 8, a GRU of 4 units, a Dense layer of 2."""
    return convolution_chain(precision, rows=5, inputs=8, units=32)


def embedding(precision: Precision) -> IntegerModel:
    """300 tokens, 8 columns of each, an LSTM of 32 units, a Dense layer of 2."""
    return token_chain(precision, cell="lstm", rows=300, columns=8, units=32)


def two_inputs(precision: Precision) -> IntegerModel:
    """The network of networks.md: residual GRUs over one input, heads that see the other."""
    rng = np.random.default_rng(0)
    w = Wiring(5)
    dense = random_layer(rng, "dense", "dense", 3, 16, precision)
    hidden = w.add(dense, w.part(MODEL_INPUT, slice(0, 3)))
    for name in ("gru", "gru_1"):
        gru = random_layer(rng, "gru_after", name, 16, 16, precision, first=False)
        state = w.add(gru, w.part(hidden))
        merge = random_merge(rng, f"{name}_sum", MergeOperation.SUM, 2, 16)
        hidden = w.add(merge, w.part(hidden), w.part(state))
    both = (w.part(hidden), w.part(MODEL_INPUT, slice(3, 5)))
    power = w.add(random_layer(rng, "dense", "power", 18, 1, precision), *both)
    alarm = w.add(random_layer(rng, "dense", "alarm", 18, 3, precision), *both)
    return wired_model(
        w, precision, (w.part(power), w.part(alarm)), "mill",
        (("wind", 3), ("grid", 2)), (("power", 1), ("alarm", 3)),
    )  # fmt: skip


#: What has no kernel, or is no chain: name -> model.
NETWORKS: dict[str, Callable[[Precision], IntegerModel]] = {
    "own cell: coupled LSTM-32/8": own_cell,
    "Conv1D-32, 5 rows of 8, GRU-4": convolution,
    "Embedding of 300, LSTM-32/8": embedding,
    "two inputs, two residual GRU-16": two_inputs,
}
