"""Instructions of the layers around a model on every emulated core: log-mel, preparation.

    python -m benchmarks.device_layers [--out FILE] [--cores NAME ...]

Each layer is generated as C, built with the emulator's flags, run under QEMU and compared with the
reference in every code. A difference ends the benchmark. Counts are exact.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.instructions import programs
from benchmarks.pages import device_layers as pages
from benchmarks.pages.markdown import Record, store
from edgernn.model.formats import Precision
from edgernn.prepare.audio.log_mel import LogMel
from edgernn.prepare.preparation import Preparation
from edgernn_export.simulation.layer_cost import LayerRun, emulate_readings, emulate_sound
from edgernn_export.writers.c.preparation.compiled import device_preparation
from edgernn_export.writers.c.preparation.readings import golden_readings
from edgernn_firmware_sim.targets import Core, cores
from tests.support.device_layers import preparing_model, weather
from tests.support.sounds import hearing_model, spoken_sound

#: What a front end is called -> its settings.
FRONT_ENDS = {
    "8 kHz, frames of 256, hop 128, 20 bands": LogMel(floor_db=-80.0),
    "the same, 13 MFCC": LogMel(coefficients=13),
    "16 kHz, frames of 480 in 512, hop 160, 40 bands": LogMel(
        rate_hz=16000, frame=480, hop=160, bands=40, low_hz=125.0, high_hz=7500.0
    ),
}
_ONE = {"inputs": ["x"]}
#: What a preparation is called -> its steps.
PREPARATIONS = {
    "a value": [],
    "and its mean of 60": [{"kind": "window", "channel": "x", "readings": 60}],
    "and its minimum of 60": [
        {"kind": "window", "channel": "x", "readings": 60, "features": ["min"]}
    ],
    "and its deviation of 60": [
        {"kind": "window", "channel": "x", "readings": 60, "features": ["deviation"]}
    ],
    "and its difference to 60 before": [{"kind": "difference", "channel": "x", "readings": 60}],
}
#: Frames, and readings, that are run.
FRAMES, READINGS = 30, 200


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="write the figures here, as JSON")
    parser.add_argument("--cores", nargs="+", choices=sorted(cores()), help="all by default")
    args = parser.parse_args(argv)
    chosen = [cores()[name] for name in args.cores or cores()]
    record: Record = {"programs": programs(chosen), "frames": FRAMES, "readings": READINGS}
    record["sound"] = rows("sound", chosen, {n: sound_run(of) for n, of in FRONT_ENDS.items()})
    record["preparation"] = rows(
        "preparation", chosen, {n: readings_run(steps) for n, steps in PREPARATIONS.items()}
    )
    if args.out:
        store(args.out, record)
    print(pages.page(record), end="")
    return 0


def rows(
    what: str, chosen: list[Core], runs: dict[str, Callable[[Core, Path], LayerRun]]
) -> Record:
    """Core -> layer -> `figures`."""
    return {
        core.name: {name: figures(name, run, core) for name, run in runs.items()}
        for core in tqdm(chosen, desc=what, leave=False, disable=None)
    }


def sound_run(of: LogMel) -> Callable[[Core, Path], LayerRun]:
    """Runs something like speech through a front end."""
    model = hearing_model(of, Precision.W8A8)
    count = of.frame + (FRAMES - 1) * of.hop
    samples = np.rint(20000 * spoken_sound(of.rate_hz, 4)[:count]).astype(np.int16)
    return lambda core, folder: emulate_sound(model, of, core, samples, folder)


def readings_run(steps: list[Record]) -> Callable[[Core, Path], LayerRun]:
    """Runs temperatures through a preparation."""
    preparation = Preparation.from_table({**_ONE, "steps": steps})
    model = preparing_model(Precision.W8A8, preparation, weather(400, seed=5)[:, :1])
    device = device_preparation(preparation, model.input, Precision.W8A8)
    xs = np.array(
        [[0 if x is None else x for x in row] for row in golden_readings(device, READINGS)],
        np.int32,
    )
    return lambda core, folder: emulate_readings(model, preparation, core, xs, folder)


def figures(name: str, run: Callable[[Core, Path], LayerRun], core: Core) -> Record:
    """What the page shows of a layer on a core."""
    with tempfile.TemporaryDirectory() as folder:
        found = run(core, Path(folder))
    if found.differing:
        sys.exit(f"{name}, {core.name}: expected 0 differing codes, got {found.differing}.")
    firmware = found.firmware
    return {
        "instructions": found.instructions[1],
        "most": found.instructions[2],
        "compared": found.compared,
        "code_bytes": firmware.sizes.text_bytes,
        "table_bytes": firmware.sizes.rodata_bytes,
        "ram_bytes": firmware.struct_bytes,
        "stack_bytes": max(firmware.stack_bytes, firmware.static_stack_bytes),
    }


if __name__ == "__main__":
    sys.exit(main())
