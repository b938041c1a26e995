"""How long `edgernn quantize` of a small file takes from start to end, imports included.

    python -m benchmarks.quantize_start
    python -m benchmarks.quantize_start --against ../older-checkout

Each case is a separate process that quantizes an LSTM-16 over 2,000 readings, as the command
line does. With another checkout, both take turns. A case whose arguments are wrong ends in a
refusal: what counts is how soon.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.checkouts import before_and_after, compare, parser, times_faster

PROGRAM: Final = """
import time
wall, processor = time.perf_counter(), time.process_time()
import contextlib, io, json, os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
_, model, calibration, output = sys.argv[1:]
from edgernn.cli import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    main(["quantize", model, "--calibration", calibration, "-o", output])
wall, processor = time.perf_counter() - wall, time.process_time() - processor
print(json.dumps({"wall_s": wall, "processor_s": processor}))
"""


def write_files(folder: Path) -> list[tuple[str, ...]]:
    """A network in two files, readings, and the cases: name, model, calibration, output."""
    import keras

    layers = [keras.Input((30, 2)), keras.layers.LSTM(16), keras.layers.Dense(1)]
    network = keras.Sequential(layers)
    readings = str(folder / "readings.npy")
    np.save(readings, np.random.default_rng(0).normal(size=(2000, 2)))
    out = str(folder / "model.edgernn")
    cases = []
    for suffix in (".keras", ".h5"):
        network.save(folder / f"model{suffix}")
        cases.append((suffix, str(folder / f"model{suffix}"), readings, out))
    absent = str(folder / "absent.npy")
    return [*cases, ("calibration missing", str(folder / "model.keras"), absent, out)]


def main(argv: list[str] | None = None) -> int:
    """Measure and print the table."""
    args = parser(__doc__ or "").parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        cases = write_files(Path(folder))
        found = compare(PROGRAM, cases, args)
    print("| file | wall, s | | processor, s | |")
    print("|---|---|---|---|---|")
    wanted = [case[0] for case in cases if args.only is None or args.only in case[0]]
    for name, sides in zip(wanted, found, strict=True):
        columns = [
            text
            for figure in ("wall_s", "processor_s")
            for text in (before_and_after(sides, figure, 1), times_faster(sides, figure))
        ]
        print(f"| {name} | {' | '.join(columns)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
