"""Contenders of the native benchmark in processes of `edgernn.bench.workers`."""

from __future__ import annotations

from importlib import util
from pathlib import Path
from typing import Final

from benchmarks.native.contenders import NETWORKS, OTHERS, native_contenders
from edgernn.bench.contenders import Contender, Opened
from edgernn.bench.workers import Worker

#: Process, named like the module it loads -> name of the program.
TFLITE: Final = {
    "tflite_runtime": "tflite-runtime",
    "ai_edge_litert": "ai-edge-litert",
}
ARRAYS: Final = "arrays"


def groups() -> list[str]:
    """Processes for what is installed: native, onnxruntime and NumPy share one."""
    return [ARRAYS, *(name for name in TFLITE if util.find_spec(name))]


def open_worker(group: str, folder: Path, core: int | None) -> Worker:
    """Start the process of a group."""
    return Worker(group, f"{__name__}:open_group", [group, str(folder)], core)


def open_group(group: str, folder: str) -> Opened:
    """Checked contenders of every network; the opener of a process."""
    return Opened(
        contenders={
            network: open_contenders(group, network, Path(folder))
            for network in (*NETWORKS, *OTHERS)
        }
    )


def open_contenders(group: str, network: str, folder: Path) -> list[Contender]:
    """Checked contenders of one process."""
    from benchmarks.native.peers import numpy_contenders, onnx_contenders, tflite_contenders

    if network in OTHERS:
        return native_contenders(network) if group == ARRAYS else []
    if group in TFLITE:
        return tflite_contenders(network, folder, group, TFLITE[group])
    return [
        *native_contenders(network),
        *numpy_contenders(network),
        *onnx_contenders(network, folder),
    ]
