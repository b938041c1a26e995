"""The native back-end's time per step compared with every other runtime for the same network.

    python -m benchmarks.native_step                        print the tables
    python -m benchmarks.native_step --rounds 20 --json     the figures, quickly
    python -m benchmarks.native_step --out benchmarks/results/native_step.json
    python -m benchmarks.pages speed                        rebuild docs/results/speed.md

Contenders per network: `bind()`, `step`, `run` and `run_codes` of the native backend in both
precisions, `run` on every instruction set of this processor; the same integer model in TFLite and
ONNX Runtime; float (TFLite: also int8 by its converter) in TFLite, ONNX Runtime and NumPy; and a C
loop that only reads as many bytes as the network has weights. Networks of other layers, an own cell
and convolutions among them, are run by the native backend alone. Each is compared first: integer
ones with the reference in every code, float ones with the float64 model. Then all take turns, one
round after the other, on one core with one thread, so that what disturbs the machine disturbs all
alike. TFLite runtimes that are not installed are left out.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.native.contenders import NETWORKS, integer_model
from benchmarks.native.report import section
from benchmarks.native.weight_read import compiler, weight_bytes
from benchmarks.native.workers import TFLITE, groups, open_worker
from edgernn.backends.native import isas
from edgernn.bench.machine import last_core, processor
from edgernn.bench.workers import Label, Worker, in_process
from edgernn.errors import BackendUnavailable
from edgernn.model.formats import Precision

ROUNDS = 200


def main(argv: Sequence[str] | None = None) -> int:
    description, _, examples = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=ROUNDS,
        help="turns of every contender (%(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the JSON object here")
    args = parser.parse_args(argv)
    if args.rounds < 1:
        parser.error(f"--rounds: expected 1 or more, got {args.rounds}.")
    require_tools()
    record = measure(args.rounds)
    text = json.dumps(record, indent=1) + "\n"
    if args.out:
        args.out.write_text(text, encoding="utf-8")
    print(text if args.json else section(record), end="")
    return 0


def require_tools() -> None:
    """End in one sentence, and at once, where something is missing."""
    command = compiler().split()[0]
    if shutil.which(command) is None:
        sys.exit(
            f"native_step: expected the C compiler '{command}', got none. Set CC or install it."
        )
    try:
        isas()
    except BackendUnavailable as error:
        sys.exit(str(error))


def measure(rounds: int) -> dict[str, Any]:
    """Machine, versions and figures, as one JSON object."""
    core = last_core()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        if groups()[1:]:
            in_process("benchmarks.native.stock_files:write_files", name)
        workers = [stack.enter_context(open_worker(group, folder, core)) for group in groups()]
        samples = take_turns(workers, rounds)
    return {
        "machine": machine(),
        "pinned": core is not None,
        "rounds": rounds,
        "weight_bytes": {
            network: weight_bytes(integer_model(network, Precision.W8A8)) for network in NETWORKS
        },
        "nanoseconds": [figures(*key, times) for key, times in samples.items()],
    }


def take_turns(workers: Sequence[Worker], rounds: int) -> dict[tuple[str, Label], list[float]]:
    """Nanoseconds per step of every contender of every network, one value per round."""
    networks = dict.fromkeys(network for worker in workers for network in worker.labels)
    turns = [
        (worker, network, index, label)
        for network in networks
        for worker in workers
        for index, label in enumerate(worker.labels[network])
    ]
    samples: dict[tuple[str, Label], list[float]] = {(turn[1], turn[3]): [] for turn in turns}
    # No bar where nobody looks at it (disable=None).
    for _ in tqdm(range(rounds), desc="native step", unit="round", disable=None):
        for worker, network, index, label in turns:
            samples[network, label].append(worker.take_turn(network, index))
    return samples


def figures(network: str, label: Label, times: Sequence[float]) -> dict[str, str | float]:
    """One entry of the results."""
    named = zip(("program", "form", "way", "isa"), label, strict=True)
    return {
        "network": network,
        **dict(named),
        "median": round(statistics.median(times), 2),
        "p10": round(float(np.percentile(times, 10)), 2),
    }


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    packages = ["numpy", "onnxruntime", *(TFLITE[group] for group in groups()[1:])]
    told = subprocess.run(
        [*compiler().split(), "--version"], capture_output=True, text=True, check=True
    )
    return {
        "processor": processor(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "compiler": told.stdout.splitlines()[0],
        "versions": {package: metadata.version(package) for package in packages},
    }


if __name__ == "__main__":
    sys.exit(main())
