"""Random float networks that are no chains, made without Keras."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgernn.model.interface import Port
from edgernn.model.merges import PAIRS, MergeOperation
from edgernn.model.routes import MODEL_INPUT, RoutePart
from edgernn_export.float_model.model import FloatDelay, FloatDense, FloatMerge, FloatModel
from tests.support.models.float import float_layer


def part(source: int, start: int, width: int) -> RoutePart:
    return RoutePart(source=source, start=start, width=width)


def whole(source: int, width: int) -> tuple[RoutePart, ...]:
    return (part(source, 0, width),)


def dense(rng: np.random.Generator, name: str, inputs: int, units: int, **options: Any) -> Any:
    kernel = rng.normal(size=(units, inputs)) / np.sqrt(inputs)
    return FloatDense(name=name, kernel=kernel, bias=rng.normal(size=units) * 0.1, **options)


def named(inputs: int, outputs: int) -> dict[str, Any]:
    """Names of channels."""
    return {
        "input_names": tuple(f"x{i}" for i in range(inputs)),
        "input_units": ("",) * inputs,
        "output_names": tuple(f"y{i}" for i in range(outputs)),
        "output_units": ("",) * outputs,
    }


def merging_network(
    operation: MergeOperation, *, seed: int = 0, units: int = 6, plain: bool = False
) -> FloatModel:
    """Two recurrent layers and the input's first channels merged; the merge is put out."""
    rng = np.random.default_rng(seed)
    count = 2 if operation in PAIRS else 3
    gain = np.ones((count, units)) if plain else rng.uniform(0.3, 1.5, (count, units))
    offset = np.zeros((count, units)) if plain else rng.uniform(-0.5, 0.5, (count, units))
    routes = [*whole(0, units), *whole(1, units), part(MODEL_INPUT, 0, units)][-count:]
    return FloatModel(
        name="merging",
        layers=(
            float_layer(rng, "gru_after", units + 1, units, name="g"),
            float_layer(rng, "lstm", units, units, name="l"),
            FloatMerge(name="m", operation=operation, gain=gain, offset=offset),
        ),
        routes=(whole(MODEL_INPUT, units + 1), whole(0, units), tuple(routes), whole(2, units)),
        **named(units + 1, units),
    )


def two_port_network(*, seed: int = 0, units: int = 8) -> FloatModel:
    """Inputs "a" and "b", a residual stack, a concatenation, outputs "level" and "kind"."""
    rng = np.random.default_rng(seed)
    ones = np.ones((2, units))
    sum_ = MergeOperation.SUM
    return FloatModel(
        name="two-ports",
        layers=(
            float_layer(rng, "gru_after", 3, units, name="first"),
            float_layer(rng, "gru_after", units, units, name="second"),
            FloatMerge(name="add", operation=sum_, gain=ones, offset=np.zeros((2, units))),
            dense(rng, "level", units + 2, 2),
            dense(rng, "kind", units + 2, 3),
        ),
        routes=(
            (part(MODEL_INPUT, 0, 3),),
            whole(0, units),
            (part(0, 0, units), part(1, 0, units)),
            (part(2, 0, units), part(MODEL_INPUT, 3, 2)),
            (part(2, 0, units), part(MODEL_INPUT, 3, 2)),
            (part(3, 0, 2), part(4, 0, 3)),
        ),
        final_activation="softmax",
        input_ports=(Port(name="a", width=3), Port(name="b", width=2)),
        output_ports=(Port(name="level", width=2), Port(name="kind", width=3, softmax=True)),
        **named(5, 5),
    )


def delaying_network(start: float, *, seed: int = 0) -> FloatModel:
    """A delay of the input, which begins with a number, a GRU and a delay of what it puts out."""
    rng = np.random.default_rng(seed)
    rows = np.linspace(1.0, 2.0, 3) * start
    return FloatModel(
        name="delaying",
        layers=(
            FloatDelay(name="d", depth=4, start=rows),
            dense(rng, "c", 12, 5, activation="relu"),
            float_layer(rng, "gru_after", 5, 4, name="g"),
            FloatDelay(name="e", depth=2, start=np.zeros(4)),
            dense(rng, "out", 8, 2),
        ),
        **named(3, 2),
    )
