"""Random integer models of general cells, leaky ones, and layers of values; wide states or not.

Functions, tables, limits, steps and exponents are random within what operations allow; tables have
nothing to do with the functions whose names layers carry, on which no integer depends.
"""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from typing import Any, Final

import numpy as np

from edgernn.cells.general import WIDE_GATES
from edgernn.errors import ModelError
from edgernn.graph.lowering import OPERATIONS, lowered
from edgernn.model.formats import INT16_MAX, INT16_MIN, Precision
from edgernn.model.functions.curves import CURVE_STEP_BITS, CurveTable
from edgernn.model.functions.exponents import chosen_exponents
from edgernn.model.functions.pointwise import POINTWISE, PointwiseFunction
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layer_record import ScaledRecord
from edgernn.model.layers import Layer, layer_class
from edgernn.model.routes import MODEL_INPUT
from edgernn.model.scales import LeakConstants, NormalizationConstants
from tests.support.models.integer import (
    REACH,
    random_affine,
    random_layer,
    random_model,
    term_width,
)
from tests.support.models.networks import Wiring, random_scale, wired_model

#: Cells that carry states, and layers that read values.
GENERAL_CELLS: Final = (
    "general_lstm", "general_gru_before", "general_gru_after", "general_rnn", "leaky_rnn",
    "three_function_lstm",
)  # fmt: skip
GENERAL_LAYERS: Final = ("pointwise", "prelu", "layer_norm")
#: Those of the cells that are wide or not.
WIDENED: Final = (
    "general_lstm", "general_gru_before", "general_gru_after", "three_function_lstm",
)  # fmt: skip
#: Draws of functions and exponents until operations allow them.
_TRIES: Final = 200


def random_function(rng: np.random.Generator) -> str:
    """A function with parameters, half of them as usual."""
    name = str(rng.choice(list(POINTWISE)))
    given = {
        key: float(rng.integers(1, 64)) / (-8 if key == "low" else 8)
        for key, usual in POINTWISE[name].items()
        if rng.random() < 0.5 and math.isfinite(usual)
    }
    return str(PointwiseFunction.of(name, **given))


def random_curve(rng: np.random.Generator, step_bits: int = 0) -> CurveTable:
    """A table: a walk, a rising line with bends, or any codes; limits that act, or none.

    Args:
        rng: source of the numbers.
        step_bits: of its steps; 0: any.
    """
    bits = step_bits or int(rng.integers(min(CURVE_STEP_BITS), max(CURVE_STEP_BITS) + 1))
    count = (1 << (16 - bits)) + 1
    kind = int(rng.integers(3))
    if kind == 0:
        entries = np.cumsum(rng.normal(0, 60000 / math.sqrt(count), count))
    elif kind == 1:
        entries = np.linspace(-20000, 30000, count) + rng.normal(0, 3000, count)
    else:
        entries = rng.integers(INT16_MIN, INT16_MAX + 1, count).astype(np.float64)
        entries[rng.random(count) < 0.2] = INT16_MIN
        entries[rng.random(count) < 0.2] = INT16_MAX
    low, high = INT16_MIN, INT16_MAX
    if rng.random() < 0.5:
        low, high = sorted(int(v) for v in rng.integers(INT16_MIN, INT16_MAX + 1, 2))
    made = entries.round().clip(INT16_MIN, INT16_MAX).astype(np.int16)
    return CurveTable(entries=made, low=low, high=high)


def random_leak(rng: np.random.Generator, width: int) -> LeakConstants:
    """Shares of every size, some at the ends of their range, and every shift."""
    share = (2.0 ** rng.uniform(-30, 0, width) * (2**30 - 1)).astype(np.int64)
    ends = rng.random(width) < 0.2
    share = np.where(ends, rng.choice([0, 1, 2**30 - 1], width), share)
    return LeakConstants(
        high=(share >> 15).astype(np.int16),
        low=(share & 32767).astype(np.int16),
        shift=rng.integers(0, 16, width).astype(np.int16),
    )


def random_general(
    rng: np.random.Generator,
    kind: str,
    name: str,
    inputs: int,
    units: int,
    precision: Precision,
    *,
    wide: bool = False,
    common: bool = True,
    reach: float = 3.0,
    first: bool = True,
    **options: Any,
) -> Layer:
    """One random layer of `GENERAL_CELLS` or `GENERAL_LAYERS`.

    Args:
        rng: source of the numbers.
        kind: of the layer.
        name: of the layer.
        inputs: its width.
        units: its width.
        precision: of the model.
        wide: its state has a low part, where the cell lets choose.
        common: its maps use the joint source `xh` where they may.
        reach: of most pre-activations, in units of 1024 codes.
        first: it reads the model's input.
        options: functions and exponents that are not drawn.
    """
    record = layer_class(kind)
    assert record is not None
    for _ in range(_TRIES):
        given: dict[str, Any] = {"name": name, "inputs": inputs, "units": units}
        for function in _functions(kind):
            given[function] = random_function(rng)
        if kind in WIDENED:
            given["wide"] = wide
            if wide:
                given["gate_function"] = str(rng.choice(WIDE_GATES, p=[0.6, 0.2, 0.2]))
        if kind == "layer_norm":
            given["rows"] = int(rng.choice([n for n in range(1, units + 1) if units % n == 0]))
        if kind == "leaky_rnn":
            given["rectified"] = bool(rng.integers(2))
        given |= {key: value for key, value in options.items() if key not in record.exponents}
        given |= chosen_exponents(record.exponents, given, lambda _, e: int(rng.choice(e.allowed)))
        given |= {key: value for key, value in options.items() if key in record.exponents}
        for curve, function in record.curve_shape.items():
            if given[function] not in OPERATIONS or kind == "pointwise":
                table = random_curve(rng)
                if curve == "gate_curve" and given.get("wide"):  # its results are shares
                    table = replace(table, low=max(table.low, 0), high=max(table.high, 0))
                given[curve] = table
        given |= _constants(rng, record, given, precision, common, reach, first)
        layer = record(**given)
        try:
            lowered(precision, (layer,))
        except ModelError:
            continue  # formats too far apart for a product
        return layer
    raise ValueError(f"{kind}: no functions and exponents that operations allow, of {options}")


def _functions(kind: str) -> list[str]:
    record = layer_class(kind)
    assert record is not None
    return sorted(set(record.curve_shape.values()))


def _constants(
    rng: np.random.Generator,
    record: type[Layer],
    given: dict[str, Any],
    precision: Precision,
    common: bool,
    reach: float,
    first: bool,
) -> dict[str, Any]:
    """Maps, scales, leaks and output scale of a layer."""
    inputs, units = given["inputs"], given["units"]
    shift, made = int(rng.integers(6, 12)), {}
    for field, (count, allowed) in record.shape.items():
        choices = sorted(allowed, key=lambda s: ((len(s) == 1) == common, str(s)))
        sources = choices[-1]
        if record.kind == "leaky_rnn" and rng.random() < 0.7:
            sources = max(choices, key=lambda s: sum(term_width(t, inputs, units) for t in s))
        # Rows far from 0 beside rows that stay near it: gates that are all but shut, and others.
        spread = reach * 2.0 ** rng.uniform(-3, 1, count * units)
        made[field] = random_affine(
            rng, precision, count * units, [(s, term_width(s, inputs, units)) for s in sources],
            shift=shift, first=first, reach=spread,
        )  # fmt: skip
    for field, count in record.scale_shape.items():
        made[field] = random_scale(rng, count * units, bias=field in record.offsets)
        if record.norm_shape:  # of what is about 1, in Q4.11
            made[field] = replace(made[field], shift=made[field].shift - 5)
    for field, count in record.norm_shape.items():
        width = count * record.width_of(field, given)
        scale, epsilon = 2.0 ** rng.uniform(-15, -8), float(rng.choice([0.0, 1e-5, 1e-3]))
        made[field] = NormalizationConstants.of(width, scale, epsilon)
    for field in record.leak_shape:
        made[field] = random_leak(rng, units)
    if issubclass(record, ScaledRecord):
        made["output_scale"] = 2.0**-12
    return made


def general_model(
    kind: str,
    precision: Precision = Precision.W8A8,
    *,
    seed: int = 0,
    inputs: int = 3,
    units: int = 6,
    stack: int = 1,
    outputs: int = 2,
    reach: str = "tame",
    **options: Any,
) -> IntegerModel:
    """Layers of one kind one behind another, and a Dense layer; behind an LSTM, of values.

    Args:
        kind: one of `GENERAL_CELLS` or `GENERAL_LAYERS`.
        precision: of the model.
        seed: of its numbers.
        inputs: of the model.
        units: of the layers.
        stack: how many there are.
        outputs: of the Dense layer; 0: there is none.
        reach: tame or hostile.
        options: as `random_general` takes them.
    """
    rng = np.random.default_rng(seed)
    frame = random_model(
        "lstm", precision, seed=seed, inputs=inputs, units=units, outputs=outputs, kind=reach
    )
    layers: list[Layer] = []
    width = inputs
    if kind in GENERAL_LAYERS:
        layers, width = [frame.layers[0]], units
    for index in range(stack):
        layers.append(
            random_general(
                rng, kind, f"{kind}_{index}", width, units, precision,
                reach=REACH[reach], first=not layers, **options,
            )
        )  # fmt: skip
        width = units
    layers += frame.layers[1:]
    return replace(frame, name=f"{kind}-{reach}", layers=tuple(layers))


def general_network(precision: Precision = Precision.W8A8, *, seed: int = 0) -> IntegerModel:
    """Layers of all kinds that read one another, and the input, by routes.

    Cells are wide where the seed is odd.
    """
    rng = np.random.default_rng(seed)
    wide = bool(seed % 2)
    w = Wiring(5)
    x = w.part(MODEL_INPUT)

    def make(kind: str, name: str, inputs: int, units: int, *, first: bool = False) -> Layer:
        return random_general(
            rng, kind, name, inputs, units, precision, wide=wide, reach=8.0, first=first
        )

    a = w.add(make("general_lstm", "a", 5, 6, first=True), x)
    bent = w.add(make("pointwise", "bent", 5, 5), x)
    b = w.add(make("general_gru_after", "b", 9, 4), w.part(a, slice(1, 5)), w.part(bent))
    sloped = w.add(make("prelu", "sloped", 7, 7), w.part(b), w.part(a, slice(0, 3)))
    c = w.add(make("leaky_rnn", "c", 7, 5), w.part(sloped))
    d = w.add(make("general_gru_before", "d", 5, 4), w.part(c))
    e = w.add(make("general_rnn", "e", 9, 3, first=True), w.part(d), x)
    last = w.add(make("pointwise", "last", 3, 3), w.part(e))
    out = w.add(
        random_layer(rng, "dense", "out", 8, 2, precision, first=False), w.part(last), w.part(c)
    )
    even = w.add(make("layer_norm", "even", 10, 10), w.part(a), w.part(d))
    output = (w.part(out), w.part(d), w.part(sloped, slice(2, 4)), w.part(even))
    return wired_model(w, precision, output, f"general-{seed}", (), ())


#: Fixed choices that random ones may not come to: operations as functions, and the ends of ranges.
_CHOICES: Final[dict[str, tuple[dict[str, Any], ...]]] = {
    "general_lstm": (
        {"gate_function": "sigmoid", "cell_function": "tanh", "cell_exponent": 8},
        {"gate_function": "sigmoid", "cell_function": "tanh", "cell_exponent": -5},
        {"gate_function": "hard_sigmoid", "cell_function": "tanh", "cell_exponent": 14},
        {"gate_function": "sigmoid", "cell_function": "relu", "cell_exponent": 5,
         "candidate_exponent": 5, "candidate_input_exponent": 5, "shown_exponent": 5},
        {"gate_function": "hard_sigmoid_keras2", "cell_function": "linear", "cell_exponent": 3,
         "candidate_exponent": 9, "candidate_input_exponent": 9, "shown_exponent": 3},
        {"gate_function": "hard_sigmoid", "cell_function": "softsign"},
    ),
    "general_gru_before": (
        {"gate_function": "sigmoid", "cell_function": "tanh"},
        {"gate_function": "hard_sigmoid_keras2", "cell_function": "relu"},
    ),
    "general_gru_after": (
        {"gate_function": "sigmoid", "cell_function": "tanh"},
        {"gate_function": "hard_sigmoid", "cell_function": "linear"},
    ),
    "general_rnn": ({"cell_function": "softsign"}, {"cell_function": "sigmoid"}),
    "leaky_rnn": ({"rectified": True}, {"rectified": False}),
    "three_function_lstm": (
        {"gate_function": "sigmoid", "cell_function": "tanh(limit=0.5)", "shown_function": "tanh",
         "cell_exponent": 8},
        {"gate_function": "hard_sigmoid", "cell_function": "tanh", "shown_function": "linear",
         "cell_exponent": 5, "shown_exponent": 5},
    ),
    "pointwise": ({},),
    "prelu": ({},),
    "layer_norm": ({},),
}  # fmt: skip


@functools.cache
def general_models() -> dict[str, IntegerModel]:
    """By name: every kind and precision, wide and not, tame and hostile, fixed and random choices.

    Names are "<kind>-<precision>-<reach>-<narrow or wide>-<number>"; networks are "network-…".
    """
    models = {}
    seed = 0
    for precision in Precision:
        for kind in (*GENERAL_CELLS, *GENERAL_LAYERS):
            for wide in (False, True) if kind in WIDENED else (False,):
                choices = (*_CHOICES[kind], {}, {}, {})
                for number, choice in enumerate(choices):
                    seed += 1
                    reach = ("tame", "hostile")[number % 2]
                    name = f"{kind}-{precision.value}-{reach}-{'wide' if wide else 'narrow'}"
                    more = {"wide": wide} if kind in WIDENED else {}
                    if not wide and "cell_exponent" in choice:
                        # Products of two values lose 30 bits at most.
                        more["cell_exponent"] = max(choice["cell_exponent"], 0)
                    models[f"{name}-{number}"] = general_model(
                        kind, precision, seed=seed, reach=reach, common=bool(seed % 2),
                        stack=1 + number % 2, **choice | more,
                    )  # fmt: skip
        for number in range(4):
            models[f"network-{precision.value}-{number}"] = general_network(precision, seed=number)
    return models
