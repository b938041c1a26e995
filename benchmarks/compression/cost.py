"""What the pruned and the 4-bit networks cost: instructions on emulated cores, native time.

    python -m benchmarks.compression.cost --cache build/compression
        --out benchmarks/results/compression_cost.json [--recipes NAME ...]

Seed 0 of every recipe. Instructions hang on sizes and on the number of blocks, and blocks are
counted alike for all seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm

from benchmarks.compression.plan import DENSITIES, PRUNED, RECIPES, Run
from benchmarks.compression.train import data_of, network_path
from benchmarks.stored_weights import emulated, native_us
from edgernn.container.memory import weight_memory
from edgernn.model.integer_model import IntegerModel

CORES: Final = ("cortex-m0", "cortex-m4")
#: Row of the 4-bit form of the dense network; the others are named after their density.
FOUR_BITS: Final = "w4a8"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True, help="folder of the trained networks")
    parser.add_argument("--out", type=Path, help="write the figures here")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=RECIPES)
    args = parser.parse_args(argv)
    found = {
        recipe: costs(recipe, args.cache)
        for recipe in tqdm(args.recipes, desc="costs", disable=None)
    }
    text = json.dumps(found, indent=1) + "\n"
    print(text, end="")
    if args.out:
        args.out.write_text(text, encoding="utf-8")
    return 0


def costs(recipe: str, folder: Path) -> dict[str, dict[str, Any]]:
    """Figures by row name: densities in percent, and 4 bits."""
    models = integer_models(recipe, folder)
    us = native_us(models)
    return {name: cost(f"{recipe} {name}", model, us[name]) for name, model in models.items()}


def integer_models(recipe: str, folder: Path) -> dict[str, IntegerModel]:
    """The networks of one recipe, quantized."""
    from edgernn_export import quantize
    from edgernn_export.training import calibration

    streams = calibration(data_of(recipe))
    dense = Run(recipe=recipe, cell=PRUNED[0], units=PRUNED[1], seed=0)
    made = {
        FOUR_BITS: quantize(
            network_path(folder, dense), streams, FOUR_BITS, stream="endless", progress=False
        )
    }
    for density in (1.0, *DENSITIES):
        path = network_path(folder, replace(dense, density=density))
        made[f"{density:.0%}"] = quantize(path, streams, stream="endless", progress=False)
    return made


def cost(owner: str, model: IntegerModel, us: float) -> dict[str, Any]:
    """Figures of one model."""
    emulations = {core: emulated(owner, model, core) for core in CORES}
    return {
        "weights_bytes": weight_memory(model.layers).total_bytes,
        "native_us": us,
        "instructions": {core: int(e.instructions.median) for core, e in emulations.items()},
        "flash_bytes": {core: e.sizes.flash_bytes for core, e in emulations.items()},
    }


if __name__ == "__main__":
    sys.exit(main())
