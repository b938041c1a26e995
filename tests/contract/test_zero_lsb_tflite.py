"""The .tflite file gives the reference's bits: every output and state of every step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgernn.affine import Affine8, Affine16
from edgernn.formats import Precision
from edgernn.layers import LSTM, DenseActivation, GateActivation
from edgernn.model import IntegerModel
from edgernn_export.writers.tflite import write_tflite
from edgernn_firmware_sim.reference import Reference
from tests.contract.runtimes import RESOLVERS, RUNTIMES, Stream, require, run_files
from tests.integer_models import CELLS, random_codes, random_layer, random_model

STEPS = 300
LONG_STEPS = 10_000
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
    """Output and state of the reference at every step."""
    reference = Reference(model)
    state = reference.initial_state()
    stream: Stream = {s.name: np.empty((len(q_xs), s.units), np.int16) for s in model.states}
    q_ys = np.empty((len(q_xs), model.output.width), np.int16)
    for t, q_x in enumerate(q_xs):
        q_ys[t], state = reference.step(q_x, state)
        for spec, vector in zip(model.states, state, strict=True):
            stream[spec.name][t] = vector
    return {"y": q_ys, **stream}


def compare(models: dict[str, IntegerModel], folder: Path, steps: int) -> int:
    """Number of values compared; fails with the differing ones per file, runtime and kernels."""
    expected = {}
    for name, model in models.items():
        (folder / f"{name}.tflite").write_bytes(write_tflite(model))
        q_xs = random_codes(model, steps)
        np.savez(folder / f"{name}.npz", q_xs=q_xs)
        expected[name] = reference_stream(model, q_xs)
    differing, compared = {}, 0
    for runtime in RUNTIMES:
        results = run_files(folder, runtime)
        assert len(results) == len(models) * len(RESOLVERS)
        for (name, resolver), stream in results.items():
            assert stream.keys() == expected[name].keys()
            for tensor, values in stream.items():
                assert values.shape == expected[name][tensor].shape
                wrong = int(np.count_nonzero(values != expected[name][tensor]))
                compared += values.size
                if wrong:
                    differing[name, runtime, resolver, tensor] = wrong
    assert differing == {}
    return compared


@pytest.mark.parametrize("models", [grid, special], ids=["grid", "special"])
def test_zero_lsb(models, tmp_path):
    require(*RUNTIMES)
    assert compare(models(), tmp_path, STEPS) > 1_500_000


def test_the_streams_reach_both_signs_and_saturate():
    models = {n: m for n, m in grid().items() if "relu" not in n}
    for name, model in models.items():
        stream = reference_stream(model, random_codes(model, STEPS))
        assert stream["y"].min() < 0 < stream["y"].max(), name
        if "hostile" in name:
            h = stream[model.states[0].name]
            assert (h.min() < -32000, h.max() > 32000) == (True, True), name
    for precision in Precision:
        model = special()[f"lstm-{precision.value}-e14"]
        c = reference_stream(model, random_codes(model, STEPS))["lstm_0.c"]
        assert (c.min(), c.max()) == (-32768, 32767)


@pytest.mark.slow
@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize("cell", CELLS)
def test_zero_lsb_over_long_streams(cell, precision, tmp_path):
    require(*RUNTIMES)
    stem = f"{cell}-{precision.value}"
    models = {n: m for n, m in grid().items() if n.startswith(f"{stem}-")}
    models[f"{stem}-stack3"] = random_model(cell, precision, stack=3, units=16, seed=SEED)
    assert len(models) == 5
    assert compare(models, tmp_path, LONG_STEPS) > 6_000_000
