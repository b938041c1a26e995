"""Random integer networks that are no chains: branches, merges, several inputs and outputs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from edgernn.model.formats import INT16_MAX, Precision
from edgernn.model.integer_model import IntegerModel, Provenance
from edgernn.model.interface import InputSpec, OutputSpec, Port
from edgernn.model.layers import Layer
from edgernn.model.merges import PAIRS, Merge, MergeOperation
from edgernn.model.routes import MODEL_INPUT, Route, RoutePart
from edgernn.model.scales import ScaleVector
from tests.support.models.integer import CELLS, REACH, random_layer

WHOLE = slice(None)


def random_scale(rng: np.random.Generator, width: int, *, bias: bool = True) -> ScaleVector:
    """Gains of about 1 in either direction, some of them at the ends of their range."""
    shift = int(rng.integers(13, 16))
    ends = rng.random(width) < 0.1
    multiplier = rng.integers(-(1 << shift), (1 << shift), width).clip(-INT16_MAX, INT16_MAX)
    multiplier = np.where(ends, rng.choice([-INT16_MAX, INT16_MAX], width), multiplier)
    offsets = rng.integers(-3000, 3000, width) * bias
    return ScaleVector(
        multiplier=multiplier.astype(np.int16), shift=shift, bias=offsets.astype(np.int16)
    )


def random_merge(
    rng: np.random.Generator, name: str, operation: MergeOperation, count: int, units: int
) -> Merge:
    """A merge of that many vectors."""
    return Merge(
        name=name,
        inputs=count * units,
        units=units,
        operation=operation,
        terms=tuple(random_scale(rng, units, bias=bool(rng.integers(2))) for _ in range(count)),
        shift=int(rng.integers(12, 17)) if operation is MergeOperation.PRODUCT else 0,
        output_scale=2.0**-12,
    )


class Wiring:
    """Collects layers and what they read."""

    def __init__(self, inputs: int) -> None:
        self.widths = {MODEL_INPUT: inputs}
        self.layers: list[Layer] = []
        self.routes: list[Route] = []

    def part(self, source: int, part: slice = WHOLE) -> RoutePart:
        start, stop, _ = part.indices(self.widths[source])
        return RoutePart(source=source, start=start, width=stop - start)

    def add(self, layer: Layer, *parts: RoutePart) -> int:
        self.layers.append(layer)
        self.routes.append(tuple(parts))
        index = len(self.layers) - 1
        self.widths[index] = layer.units
        return index


def wired_model(
    wiring: Wiring, precision: Precision, output: Route, name: str, inputs: Any, outputs: Any
) -> IntegerModel:
    width, put_out = wiring.widths[MODEL_INPUT], sum(part.width for part in output)
    return IntegerModel(
        name=name,
        precision=precision,
        layers=tuple(wiring.layers),
        routes=(*wiring.routes, output),
        input=InputSpec(
            names=tuple(f"x{i}" for i in range(width)),
            units=("",) * width,
            scale=np.full(width, 0.03125),
            offset=np.linspace(-1, 1, width),
            ports=tuple(Port(name=n, width=w) for n, w in inputs),
        ),
        output=OutputSpec(
            names=tuple(f"y{i}" for i in range(put_out)),
            units=("",) * put_out,
            scale=np.full(put_out, 2.0**-10),
            softmax=False,
            ports=tuple(Port(name=n, width=w) for n, w in outputs),
        ),
        provenance=Provenance(float_model_sha256="0" * 64, calibration_sha256="0" * 64),
    )


def residual_network(
    precision: Precision = Precision.W8A8, *, cell: str = "gru_after", seed: int = 0, units: int = 8
) -> IntegerModel:
    """Two recurrent layers, their sum, a Dense layer."""
    rng = np.random.default_rng(seed)
    w = Wiring(3)
    a = w.add(random_layer(rng, cell, "a", 3, units, precision), w.part(MODEL_INPUT))
    b = w.add(random_layer(rng, cell, "b", units, units, precision, first=False), w.part(a))
    merge = random_merge(rng, "add", MergeOperation.SUM, 2, units)
    added = w.add(merge, w.part(a), w.part(b))
    y = w.add(random_layer(rng, "dense", "out", units, 2, precision, first=False), w.part(added))
    return wired_model(w, precision, (w.part(y),), "residual", (), ())


def two_input_network(
    precision: Precision = Precision.W8A8, *, seed: int = 0, units: int = 6
) -> IntegerModel:
    """Inputs "a" and "b", a layer each, both concatenated; a Dense layer and a state come out."""
    rng = np.random.default_rng(seed)
    w = Wiring(5)
    lstm = random_layer(rng, "lstm", "of_a", 3, units, precision)
    a = w.add(lstm, w.part(MODEL_INPUT, slice(0, 3)))
    gru = random_layer(rng, "gru_before", "of_b", 2, units + 1, precision)
    b = w.add(gru, w.part(MODEL_INPUT, slice(3, 5)))
    head = random_layer(rng, "dense", "head", 2 * units + 1, 2, precision, first=False)
    y = w.add(head, w.part(a), w.part(b))
    output = (w.part(y), w.part(b, slice(1, 4)))
    return wired_model(
        w, precision, output, "two-inputs", (("a", 3), ("b", 2)), (("head", 2), ("hidden", 3))
    )


def random_network(
    precision: Precision, *, seed: int, kind: str = "tame", layers: int = 7, inputs: int = 6
) -> IntegerModel:
    """Layers of every kind that read anything before them, and an output of what is left over."""
    rng = np.random.default_rng(seed)
    w = Wiring(inputs)
    w.add(
        random_layer(rng, str(rng.choice(CELLS)), "cell", inputs, 7, precision, reach=REACH[kind]),
        w.part(MODEL_INPUT),
    )

    def some_part(width: int | None = None) -> RoutePart:
        wide_enough = [s for s, n in w.widths.items() if n >= (width or 1)]
        source = int(rng.choice(wide_enough))
        whole = w.widths[source]
        count = width or int(rng.integers(1, whole + 1))
        start = int(rng.integers(0, whole - count + 1))
        return w.part(source, slice(start, start + count))

    for number in range(1, layers):
        operation = list(MergeOperation)[(number // 2 + seed) % len(MergeOperation)]
        if number % 2:
            count = 2 if operation in PAIRS else int(rng.integers(2, 4))
            width = int(rng.integers(1, 6))
            merge = random_merge(rng, f"merge_{number}", operation, count, width)
            w.add(merge, *(some_part(width) for _ in range(count)))
            continue
        parts = [some_part() for _ in range(int(rng.integers(1, 4)))]
        cell = str(rng.choice((*CELLS, "dense")))
        layer = random_layer(
            rng, cell, f"{cell}_{number}", sum(part.width for part in parts),
            int(rng.integers(1, 10)), precision, common=bool(rng.integers(2)), reach=REACH[kind],
        )  # fmt: skip
        w.add(layer, *parts)
    read = {part.source for route in w.routes for part in route}
    output = tuple(w.part(source) for source in range(len(w.layers)) if source not in read)
    output = (*output, w.part(0, slice(2, 5)))
    return wired_model(w, precision, output, f"network-{seed}-{kind}", (), ())


def networks() -> dict[str, IntegerModel]:
    """A grid of networks: both precisions, tame and hostile."""
    made: dict[str, IntegerModel] = {}
    for precision in Precision:
        made[f"residual-{precision.value}"] = residual_network(precision)
        made[f"two-inputs-{precision.value}"] = two_input_network(precision)
        for seed, kind in enumerate(("tame", "hostile", "tame", "hostile")):
            model = random_network(precision, seed=seed, kind=kind)
            made[f"{model.name}-{precision.value}"] = replace(model, name=model.name)
    return made


def head_network(precision: Precision = Precision.W8A8, *, seed: int = 0) -> IntegerModel:
    """Behind the last state, a merge reads the input, and what a layer made before the state."""
    rng = np.random.default_rng(seed)
    w = Wiring(5)
    early = w.add(random_layer(rng, "dense", "early", 5, 3, precision), w.part(MODEL_INPUT))
    gru = random_layer(rng, "gru_before", "gru", 3, 3, precision, first=False)
    state = w.add(gru, w.part(early))
    merge = random_merge(rng, "late", MergeOperation.SUM, 3, 3)
    late = w.add(merge, w.part(MODEL_INPUT, slice(1, 4)), w.part(early), w.part(state))
    return wired_model(w, precision, (w.part(late), w.part(early)), "head", (), ())


def merge_chain(precision: Precision = Precision.W8A8, *, seed: int = 0) -> IntegerModel:
    """A chain, in which merges put halves of the input and of a state together."""
    rng = np.random.default_rng(seed)
    w = Wiring(6)
    halves = random_merge(rng, "halves", MergeOperation.PRODUCT, 2, 3)
    first = w.add(halves, w.part(MODEL_INPUT))
    gru = random_layer(rng, "gru_after", "gru", 3, 8, precision, first=False)
    state = w.add(gru, w.part(first))
    last = w.add(random_merge(rng, "pairs", MergeOperation.MINIMUM, 4, 2), w.part(state))
    model = wired_model(w, precision, (w.part(last),), "merges", (), ())
    assert model.routes == ()
    return model
