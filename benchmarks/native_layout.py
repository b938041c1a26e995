"""Sparse and 4-bit products natively: as they are stored, and in a byte for each weight.

    python -m benchmarks.native_layout

The first table has whole networks. The second has one map at a time, over many shapes: it is where
the limits of ``edgernn.backends.native_layout`` come from, and says how well they choose. Both are
for a section of docs/results/speed.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final

from tqdm import tqdm

import edgernn
from benchmarks.native.contenders import NATIVE, NATIVE_STEPS, NETWORKS, integer_model, readings
from benchmarks.stored_weights import interleaved_us, ratio
from edgernn.backends.native import isas
from edgernn.backends.native_layout import LAYOUTS, LIMITS, StorageChoice
from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.storage import Storage
from tests.support.models.integer import random_codes, random_model, sparse_model
from tests.support.models.stored import stored

#: Shares of blocks of 8 rows by 4 columns that are kept.
DENSITIES: Final = (1.0, 0.5, 0.3, 0.1)
DENSE: Final = "dense"
FOUR_BITS: Final = "4 bits"
#: Units and inputs of an LSTM, whose one map has 4 rows a unit.
UNITS: Final = (4, 8, 16, 32, 64, 128, 256)
INPUTS: Final = (4, 32, 128, 256)
#: Rounds for one map.
MAP_ROUNDS: Final = 31
#: Weights that are read in a turn of such a map.
MAP_WORK: Final = 2_000_000
#: What a clock and a busy machine make of equal times.
NOISE: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class MapTime:
    """One map in one form.

    Attributes:
        name: its shape and form.
        share: of the dense form's time.
        kept: the backend holds it as it is stored.
    """

    name: str
    share: float
    kept: bool


def main() -> int:
    measured = [isa for isa in isas() if (isa, 8) in LIMITS]
    cases = list(product(NETWORKS, Precision))
    networks = [
        line
        for network, precision in tqdm(cases, desc="networks", leave=False, disable=None)
        for line in network_rows(network, precision, measured)
    ]
    sets = list(product(measured, Precision, (1, 2)))
    maps = [map_row(*one) for one in tqdm(sets, desc="maps", leave=False, disable=None)]
    print("\n".join([*network_head(measured), *networks, "", *MAP_HEAD, *maps]))
    return 0


def forms(dense: IntegerModel) -> dict[str, IntegerModel]:
    """Sparse ones of every density, and one of 4 bits."""
    sparse = {f"{density:.0%}": sparse_model(dense, density) for density in DENSITIES}
    return sparse | {FOUR_BITS: stored(dense, Storage.DENSE4)}


def network_head(measured: list[str]) -> list[str]:
    columns = [f"`{isa}` {what}" for isa in measured for what in (DENSE, *reversed(LAYOUTS))]
    return [
        f"| network | precision | form | {' | '.join(columns)} |",
        "|---" * (len(columns) + 3) + "|",
    ]


def network_rows(network: str, precision: Precision, measured: list[str]) -> Iterator[str]:
    """A row for every form: microseconds in `run`, in either layout."""
    dense = integer_model(network, precision)
    models = forms(dense)
    sessions = {(isa, DENSE, DENSE): edgernn.load(dense, NATIVE, isa=isa) for isa in measured}
    for isa, form, layout in product(measured, models, LAYOUTS):
        sessions[isa, form, layout] = edgernn.load(models[form], NATIVE, isa=isa, layout=layout)
    xs = readings(dense, NATIVE_STEPS)
    turns = {key: lambda s=session: s.run(xs) for key, session in sessions.items()}
    us = interleaved_us(turns, NATIVE_STEPS)
    for form in models:
        cells = []
        for isa in measured:
            first = us[isa, DENSE, DENSE]
            times = [us[isa, form, layout] for layout in reversed(LAYOUTS)]
            cells += [f"{first:.3f}", *(f"{t:.3f} ({ratio(t, first)})" for t in times)]
        yield f"| {network} | `{precision.value}` | {form} | {' | '.join(cells)} |"


MAP_HEAD: Final = (
    "| instruction set | precision | products | maps | kept as stored | slowest of them "
    "| fastest of the others |",
    "|---|---|---|---|---|---|---|",
)


def map_row(isa: str, precision: Precision, products: int) -> str:
    """How the limits choose among maps of so many products."""
    times = [
        time
        for units, inputs in product(UNITS, INPUTS)
        for time in map_times(isa, precision, products, units, inputs)
    ]
    kept = sorted((t for t in times if t.kept), key=lambda t: t.share)
    others = sorted((t for t in times if not t.kept), key=lambda t: t.share)
    slow = sum(t.share > 1 + NOISE for t in kept)
    fast = sum(t.share < 1 - NOISE for t in others)
    return (
        f"| `{isa}` | `{precision.value}` | {products} | {len(times)} | {len(kept)}, {slow} slower "
        f"| {_named(kept[-1:])} | {_named(others[:1])}; {fast} faster |"
    )


def _named(times: list[MapTime]) -> str:
    return "".join(f"{t.share:.2f} ({t.name})" for t in times) or "–"


def map_times(
    isa: str, precision: Precision, products: int, units: int, inputs: int
) -> Iterator[MapTime]:
    """All forms of one map beside the dense one, each as it is stored."""
    dense = random_model(
        "lstm", precision, inputs=inputs, units=units, outputs=0, common=products == 1
    )
    models = forms(dense)
    steps = max(20, min(500, MAP_WORK // (4 * units * (inputs + units))))
    codes = random_codes(dense, steps)
    turns = {}
    for name, model in {DENSE: dense, **models}.items():
        session = edgernn.load(model, NATIVE, isa=isa, layout="stored")
        turns[name] = lambda s=session: s.run_codes(codes)
    us = interleaved_us(turns, steps, MAP_ROUNDS)
    for form, model in models.items():
        (layer,) = model.layers
        (gates,) = layer.affines.values()
        own = tuple(term.storage for term in gates.terms)
        yield MapTime(
            name=f"{4 * units}×{inputs + units}, {form}",
            share=us[form] / us[DENSE],
            kept=StorageChoice(model, isa, "fast").storages(layer, gates) == own,
        )


if __name__ == "__main__":
    sys.exit(main())
