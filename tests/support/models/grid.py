"""Models for the zero-LSB tests: a grid of every cell, and what the grid leaves out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgernn.model.affine import Affine8, Affine16
from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import LSTM, DenseActivation, GateActivation
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.integer import CELLS, random_layer, random_model
from tests.support.runtimes import Stream

SEED = 11


def grid() -> dict[str, IntegerModel]:
    """Every cell, precision, reach of the gates and kind of operand."""
    return {
        f"{cell}-{p.value}-{kind}-{'common' if common else 'separate'}": random_model(
            cell, p, kind=kind, common=common, units=16, seed=SEED
        )
        for cell in CELLS
        for p in Precision
        for kind in ("tame", "hostile")
        for common in (True, False)
    }


def special() -> dict[str, IntegerModel]:
    """What the grid leaves out."""
    models = {}
    for p in Precision:
        name = p.value
        for cell in CELLS:
            models[f"{cell}-{name}-stack3"] = random_model(cell, p, stack=3, seed=SEED)
            models[f"{cell}-{name}-bare"] = random_model(cell, p, outputs=0, seed=SEED)
        for cell in ("lstm", "gru_after", "gru_before"):
            models[f"{cell}-{name}-hard"] = random_model(
                cell, p, gate_activation=GateActivation.HARD_SIGMOID, kind="hostile", seed=SEED
            )
        for exponent in (10, 11, 13, 14):
            models[f"lstm-{name}-e{exponent}"] = random_model(
                "lstm", p, cell_exponent=exponent, kind="hostile", seed=SEED
            )
        for exponent in (0, 6, 15):
            models[f"relu-{name}-e{exponent}"] = random_model(
                "simple_rnn_relu", p, state_exponent=exponent, stack=2, seed=SEED
            )
        models[f"dense-{name}-chain"] = dense_chain(p)
        models[f"labelled-{name}"] = labelled(random_model("lstm", p, seed=SEED))
        models[f"labelled-{name}-separate"] = labelled(
            random_model("gru_after", p, common=False, seed=SEED)
        )
        for common in (True, False):
            models[f"gru_after-{name}-wide-{common}"] = random_model(
                "gru_after", p, units=64, inputs=9, common=common, kind="hostile", seed=SEED
            )
        models[f"extreme-{name}"] = extreme(random_model("lstm", p, seed=SEED))
    return models


def dense_chain(precision: Precision) -> IntegerModel:
    """Dense layers of every activation before and after a GRU."""
    rng = np.random.default_rng(SEED)
    tail = random_model("gru_after", precision, inputs=5, seed=SEED)
    layers = []
    width = 3
    for index, activation in enumerate(DenseActivation):
        layers.append(
            random_layer(
                rng, "dense", f"before_{index}", width, 5, precision,
                first=index == 0, activation=activation,
            )
        )  # fmt: skip
        width = 5
    gru = random_layer(rng, "gru_after", "gru", 5, 8, precision, first=False)
    width = 8
    after = []
    for index, activation in enumerate((*DenseActivation, DenseActivation.RELU)):
        after.append(
            random_layer(
                rng, "dense", f"after_{index}", width, 2 if index == 4 else 6, precision,
                first=False, activation=activation,
            )
        )  # fmt: skip
        width = 6
    narrow = random_model("gru_after", precision, inputs=3, seed=SEED).input
    return replace(tail, layers=(*layers, gru, *after), input=narrow)


def labelled(model: IntegerModel) -> IntegerModel:
    """Scales without offset that are no powers of two: they appear on the tensors x and y."""
    source = replace(
        model.input, scale=np.full(model.input.width, 0.1), offset=np.zeros(model.input.width)
    )
    sink = replace(model.output, scale=np.full(model.output.width, 0.3))
    return replace(model, input=source, output=sink)


def extreme(model: IntegerModel) -> IntegerModel:
    """Every shift, zero and largest multipliers, biases near the accumulator's bound."""
    lstm, dense = model.layers
    assert isinstance(lstm, LSTM)
    gates = lstm.gates
    rows = np.arange(gates.rows)
    if isinstance(gates, Affine8):
        (term,) = gates.terms
        weights, multiplier = term.weights.copy(), term.multiplier.copy()
        weights[::5] = 0
        multiplier[::5] = 1 << 29
        multiplier[1::5] = 0
        bias = gates.bias.copy()
        bias[0], bias[5], bias[1], bias[6] = 1 << 28, -(1 << 28), (1 << 28) - 1, 1 - (1 << 28)
        changed = replace(term, weights=weights, multiplier=multiplier)
        record: Affine8 | Affine16 = Affine8(terms=(changed,), bias=bias, shift=gates.shift)
    else:
        (wide,) = gates.terms
        shift = (3 + rows % 28).astype(np.int32)
        multiplier = np.where(rows % 3 == 0, 32767, np.where(rows % 3 == 1, 0, 12345))
        bias = (4 * (rows % 7 - 3) * 100_000_000 // 2 // 4 * 4 + 1).astype(np.int32)
        changed16 = replace(wide, shift=shift, multiplier=multiplier.astype(np.int32), bias=bias)
        record = Affine16(terms=(changed16,))
    return replace(model, layers=(replace(lstm, gates=record), dense))


def reference_stream(model: IntegerModel, q_xs: np.ndarray) -> Stream:
    """Output and state of the reference at every step [T, ...], of streams [T, B, I] too."""
    reference = Reference(model)
    streams = q_xs.shape[1:-1]
    state = reference.initial_state(*streams)
    stream: Stream = {
        s.name: np.empty((len(q_xs), *streams, s.units), np.int16) for s in model.states
    }
    q_ys = np.empty((len(q_xs), *streams, model.output.width), np.int16)
    for t, q_x in enumerate(q_xs):
        q_ys[t], state = reference.step(q_x, state)
        for spec, vector in zip(model.states, state, strict=True):
            stream[spec.name][t] = vector
    return {"y": q_ys, **stream}
