"""Sparse and 4-bit weights on the native back-end: in stored form and at one byte per weight.

    python -m benchmarks.native_layout [--out FILE]

The first table has whole networks. The second has one map at a time, over many shapes: the limits
in ``edgernn.backends.native_layout`` come from it, and it shows how well they choose. Both are in a
section of docs/results/speed.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

from tqdm import tqdm

import edgernn
from benchmarks.native.contenders import NATIVE, NATIVE_STEPS, NETWORKS, integer_model, readings
from benchmarks.native_step import processor
from benchmarks.pages.markdown import Record, store
from benchmarks.pages.speed import layout_section
from benchmarks.stored_weights import ROUNDS, interleaved_us
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


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="write the figures here, as JSON")
    args = parser.parse_args(argv)
    measured = [isa for isa in isas() if (isa, 8) in LIMITS]
    cases = list(product(NETWORKS, Precision))
    networks = [
        row
        for network, precision in tqdm(cases, desc="networks", leave=False, disable=None)
        for row in network_rows(network, precision, measured)
    ]
    sets = list(product(measured, Precision, (1, 2)))
    maps = [map_row(*one) for one in tqdm(sets, desc="maps", leave=False, disable=None)]
    record = {
        "processor": processor(),
        "rounds": ROUNDS,
        "isas": measured,
        "networks": networks,
        "maps": maps,
    }
    if args.out:
        store(args.out, record)
    print(layout_section(record), end="")
    return 0


def forms(dense: IntegerModel) -> dict[str, IntegerModel]:
    """Sparse ones of every density, and one of 4 bits."""
    sparse = {f"{density:.0%}": sparse_model(dense, density) for density in DENSITIES}
    return sparse | {FOUR_BITS: stored(dense, Storage.DENSE4)}


def network_rows(network: str, precision: Precision, measured: list[str]) -> Iterator[Record]:
    """Figures of every form: microseconds in `run`, in either layout."""
    dense = integer_model(network, precision)
    models = forms(dense)
    sessions = {(isa, DENSE, DENSE): edgernn.load(dense, NATIVE, isa=isa) for isa in measured}
    for isa, form, layout in product(measured, models, LAYOUTS):
        sessions[isa, form, layout] = edgernn.load(models[form], NATIVE, isa=isa, layout=layout)
    xs = readings(dense, NATIVE_STEPS)
    turns = {key: lambda s=session: s.run(xs) for key, session in sessions.items()}
    us = interleaved_us(turns, NATIVE_STEPS)
    for form in models:
        times: Record = {}
        for isa in measured:
            first = us[isa, DENSE, DENSE]
            times[isa] = {"dense": first}
            for layout in LAYOUTS:
                time = us[isa, form, layout]
                times[isa][layout] = {"us": time, "share": time / first}
        yield {"network": network, "precision": precision.value, "form": form, "isas": times}


def map_row(isa: str, precision: Precision, products: int) -> Record:
    """How the limits choose among maps of this many products."""
    times = [
        time
        for units, inputs in product(UNITS, INPUTS)
        for time in map_times(isa, precision, products, units, inputs)
    ]
    kept = sorted((t for t in times if t.kept), key=lambda t: t.share)
    others = sorted((t for t in times if not t.kept), key=lambda t: t.share)
    return {
        "isa": isa,
        "precision": precision.value,
        "products": products,
        "maps": len(times),
        "kept": len(kept),
        "slower": sum(t.share > 1 + NOISE for t in kept),
        "slowest": _named(kept[-1:]),
        "fastest": _named(others[:1]),
        "faster": sum(t.share < 1 - NOISE for t in others),
    }


def _named(times: list[MapTime]) -> Record | None:
    return {"share": times[0].share, "name": times[0].name} if times else None


def map_times(
    isa: str, precision: Precision, products: int, units: int, inputs: int
) -> Iterator[MapTime]:
    """All forms of one map, and the dense one for comparison, each as it is stored."""
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
