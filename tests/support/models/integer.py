"""Random integer models built record by record, without a float model or the quantizer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.model.affine import (
    ACCUMULATOR_LIMIT_W8A8,
    Affine,
    Affine8,
    Affine16,
    Source,
    Term8,
    Term16,
)
from edgernn.model.formats import OperandArray, Precision
from edgernn.model.integer_model import IntegerModel, Provenance
from edgernn.model.interface import InputSpec, OutputSpec
from edgernn.model.layers import (
    LSTM,
    CellActivation,
    Dense,
    DenseActivation,
    GateActivation,
    GRUAfter,
    GRUBefore,
    Layer,
    SimpleRNN,
)
from edgernn.model.storage import TILE, Storage, padded

CELLS = ("simple_rnn", "simple_rnn_relu", "lstm", "gru_after", "gru_before")
#: Reach of the pre-activations in real units: tame stays linear, hostile saturates every gate.
REACH = {"tame": 3.0, "hostile": 60.0}


def term_width(source: Source, inputs: int, units: int) -> int:
    """Operand codes that a term reads."""
    return {"x": inputs, "h": units, "rh": units, "xh": inputs + units}[source.value]


def _affine8(
    rng: np.random.Generator,
    rows: int,
    widths: list[tuple[Source, int]],
    reach: Any,
    frac_bits: int,
    shift: int,
) -> Affine8:
    target = reach * 2.0**frac_bits * 2.0**shift / len(widths)
    terms = []
    worst = np.zeros(rows)
    for source, width in widths:
        weights = rng.integers(-127, 128, (rows, width)).astype(np.int8)
        bound = np.maximum(np.abs(weights.astype(np.int64)).sum(axis=1) * 128, 1)
        spread = rng.uniform(0.5, 1.0, rows)
        limit = (ACCUMULATOR_LIMIT_W8A8 * 0.4 / len(widths)) // bound
        multiplier = np.minimum(np.ceil(spread * target * 4 / bound), limit).astype(np.int32)
        terms.append(Term8(source=source, weights=weights, multiplier=multiplier))
        worst += bound * multiplier
    bias = rng.integers(-1, 2, rows) * rng.uniform(0, 0.05, rows) * worst
    return Affine8(terms=tuple(terms), bias=bias.astype(np.int32), shift=shift)


def _affine16(
    rng: np.random.Generator,
    rows: int,
    widths: list[tuple[Source, int]],
    reach: Any,
    frac_bits: int,
    high: dict[Source, int],
) -> Affine16:
    terms = []
    for source, width in widths:
        weights = rng.integers(-127, 128, (rows, width)).astype(np.int8)
        bound = np.maximum(np.abs(weights.astype(np.float64)).sum(axis=1) * high[source], 1.0)
        ratio = reach * 2.0**frac_bits * 4 / len(widths) / bound
        shift = np.clip(np.floor(-np.log2(ratio)), 3, 24).astype(np.int32)
        multiplier = np.clip(ratio * 2.0**shift * 32768, 1, 32767).astype(np.int32)
        bias = (rng.integers(-1000, 1000, rows) * 4 + 1).astype(np.int32)
        terms.append(
            Term16(source=source, weights=weights, bias=bias, shift=shift, multiplier=multiplier)
        )
    return Affine16(terms=tuple(terms))


def random_affine(
    rng: np.random.Generator,
    precision: Precision,
    rows: int,
    widths: list[tuple[Source, int]],
    *,
    shift: int,
    first: bool,
    reach: Any = 3.0,
    frac_bits: int = 10,
) -> Affine:
    """A random map.

    Args:
        rng: source of the numbers.
        precision: of the model.
        rows: how many.
        widths: sources of the terms, and what they read.
        shift: of a map in `w8a8`.
        first: it reads codes of the model's input.
        reach: real units that results come to, of all rows or of each.
        frac_bits: of results.
    """
    if precision is Precision.W8A8:
        return _affine8(rng, rows, widths, reach, frac_bits, shift)
    inner, outer = precision.operand_high, -precision.input_low
    x_high = outer if first else inner
    high = {
        Source.X: x_high, Source.H: inner, Source.RH: inner, Source.XH: max(x_high, inner)
    }  # fmt: skip
    return _affine16(rng, rows, widths, reach, frac_bits, high)


def random_layer(
    rng: np.random.Generator,
    kind: str,
    name: str,
    inputs: int,
    units: int,
    precision: Precision,
    *,
    common: bool = True,
    reach: float = 3.0,
    first: bool = True,
    **options: Any,
) -> Layer:
    """One random layer; ``common`` uses the joint source `xh` where a layer allows it."""
    shift = int(rng.integers(6, 12))

    def affine(rows: int, *sources: Source, frac_bits: int = 10) -> Affine:
        widths = [(s, term_width(s, inputs, units)) for s in sources]
        return random_affine(
            rng, precision, rows, widths, shift=shift, first=first, reach=reach, frac_bits=frac_bits
        )

    both = (Source.XH,) if common else (Source.X, Source.H)
    base: dict[str, Any] = {"name": name, "inputs": inputs, "units": units}
    gate = options.get("gate_activation", GateActivation.SIGMOID)
    builders: dict[str, Callable[[], Layer]] = {
        "simple_rnn": lambda: SimpleRNN(
            **base, activation=CellActivation.TANH, state_exponent=15, gates=affine(units, *both)
        ),
        "simple_rnn_relu": lambda: SimpleRNN(
            **base,
            activation=CellActivation.RELU,
            state_exponent=options.get("state_exponent", 11),
            gates=affine(units, *both, frac_bits=options.get("state_exponent", 11)),
        ),
        "lstm": lambda: LSTM(
            **base,
            gate_activation=gate,
            cell_exponent=options.get("cell_exponent", 12),
            gates=affine(4 * units, *both),
        ),
        "gru_after": lambda: GRUAfter(
            **base,
            gate_activation=gate,
            zr=affine(2 * units, *both),
            n_x=affine(units, Source.X),
            n_h=affine(units, Source.H),
        ),
        "gru_before": lambda: GRUBefore(
            **base,
            gate_activation=gate,
            zr=affine(2 * units, *both),
            n=affine(units, Source.X, Source.RH),
        ),
        "dense": lambda: Dense(
            **base,
            activation=options.get("activation", DenseActivation.LINEAR),
            output_scale=2.0**-15
            if options.get("activation") in (DenseActivation.TANH, DenseActivation.SIGMOID)
            else 2.0**-10,
            out=affine(units, Source.X),
        ),
    }
    return builders[kind]()


def random_model(
    cell: str,
    precision: Precision = Precision.W8A8,
    *,
    seed: int = 0,
    inputs: int = 3,
    units: int = 8,
    outputs: int = 2,
    stack: int = 1,
    kind: str = "tame",
    **options: Any,
) -> IntegerModel:
    """A random model: ``stack`` recurrent layers of one cell and a Dense (none if outputs=0)."""
    rng = np.random.default_rng(seed)
    layers: list[Layer] = []
    width = inputs
    for index in range(stack):
        layers.append(
            random_layer(
                rng, cell, f"{cell}_{index}", width, units, precision,
                reach=REACH[kind], first=index == 0, **options,
            )
        )  # fmt: skip
        width = units
    if outputs:
        layers.append(random_layer(rng, "dense", "out", width, outputs, precision, first=False))
        width = outputs
    return IntegerModel(
        name=f"{cell}-{kind}",
        precision=precision,
        layers=tuple(layers),
        input=InputSpec(
            names=tuple(f"x{i}" for i in range(inputs)),
            units=("",) * inputs,
            scale=np.full(inputs, 0.03125),
            offset=np.linspace(-1, 1, inputs),
        ),
        output=OutputSpec(
            names=tuple(f"y{i}" for i in range(width)),
            units=("",) * width,
            scale=np.full(width, 2.0**-10),
            softmax=False,
        ),
        provenance=Provenance(
            float_model_sha256="0" * 64, calibration_sha256="0" * 64, seeds=(("test", seed),)
        ),
    )


def random_codes(
    model: IntegerModel, steps: int, seed: int = 1, extremes: float = 0.05
) -> OperandArray:
    """Random operand codes [T, I], a share of them at the ends of the range."""
    rng = np.random.default_rng(seed)
    p = model.precision
    shape = (steps, model.input.width)
    low, high = p.input_low // p.input_step, p.input_high // p.input_step
    codes = rng.normal(0, high / 3, shape).round().clip(low, high).astype(np.int64)
    pick = rng.uniform(size=shape)
    codes = np.where(pick < extremes / 2, low, np.where(pick > 1 - extremes / 2, high, codes))
    codes *= p.input_step
    for channel, size in enumerate(model.input.vocabulary):
        if size:
            codes[:, channel] = rng.integers(0, size, steps)
    result: npt.NDArray[Any] = codes.astype(model.code_dtype)
    return result


def step_codes(model: IntegerModel, steps: int, seed: int = 1) -> OperandArray:
    """Random operand codes of the network's steps, of as many readings each as it takes."""
    readings = random_codes(model, steps * model.step_readings, seed)
    return readings.reshape(steps, model.step_width)


def with_terms(
    model: IntegerModel, change: Callable[[Layer, Term8 | Term16], Term8 | Term16]
) -> IntegerModel:
    """The model with every product changed."""
    layers = []
    for layer in model.layers:
        affines = {
            name: dataclasses.replace(affine, terms=tuple(change(layer, t) for t in affine.terms))
            for name, affine in layer.affines.items()
        }
        layers.append(dataclasses.replace(layer, **affines))
    return dataclasses.replace(model, layers=tuple(layers))


def sparse_model(model: IntegerModel, density: float, seed: int = 0) -> IntegerModel:
    """The model with that share of its blocks of 8 rows by 4 columns, all products stored sparse.

    The same blocks for all densities: those of a smaller one are in those of a larger one.
    """
    rng = np.random.default_rng(seed)

    def prune(layer: Layer, term: Term8 | Term16) -> Term8 | Term16:
        rows, columns = term.weights.shape
        tiles = np.arange(columns) // TILE
        if term.source is Source.XH:
            hidden = np.arange(columns - layer.inputs) // TILE + padded(layer.inputs) // TILE
            tiles[layer.inputs :] = hidden
        kept = rng.random((-(-rows // 8), tiles[-1] + 1)) < density
        mask = kept[np.arange(rows) // 8][:, tiles]
        return dataclasses.replace(term, weights=term.weights * mask, storage=Storage.SPARSE8)

    return with_terms(model, prune)
