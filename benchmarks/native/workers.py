"""Processes that hold contenders and take turns on command.

The TFLite runtimes exclude each other and TensorFlow from a process, so each has its own; the
parent lets them work one after the other, never at the same time.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from importlib import util
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, Self

from benchmarks.native.contenders import NETWORKS, OTHERS, Contender, native_contenders

#: Process, named like the module it loads -> name of the program.
TFLITE: Final = {
    "tflite_runtime": "tflite-runtime",
    "ai_edge_litert": "ai-edge-litert",
}
ARRAYS: Final = "arrays"
#: One thread each; read by the libraries when they are loaded.
ENVIRONMENT: Final = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
#: Everything that identifies a contender within a network.
Label = tuple[str, str, str, str]

_CONTEXT = multiprocessing.get_context("spawn")


def groups() -> list[str]:
    """Processes for what is installed: native, onnxruntime and NumPy share one."""
    return [ARRAYS, *(name for name in TFLITE if util.find_spec(name))]


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


def in_process(function: Callable[..., None], *arguments: Any) -> None:
    """Run a function in a process of its own to its end."""
    os.environ.update(ENVIRONMENT)
    process = _CONTEXT.Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(f"{function.__name__}: expected exit code 0, got {process.exitcode}.")


class Worker:
    """The parent's end of one process.

    Attributes:
        labels: contenders of each network, in the order of their indices.
    """

    def __init__(self, group: str, folder: Path, core: int | None) -> None:
        """Start the process and wait until its contenders are checked."""
        os.environ.update(ENVIRONMENT)
        self._group = group
        self._connection, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=serve, args=(theirs, group, folder, core))
        self._process.start()
        theirs.close()
        self.labels: dict[str, list[Label]] = self._receive()

    def take_turn(self, network: str, index: int) -> float:
        """Nanoseconds per step of one turn."""
        self._connection.send((network, index))
        nanoseconds: float = self._receive()
        return nanoseconds

    def _receive(self) -> Any:
        try:
            return self._connection.recv()
        except EOFError:
            sys.exit(f"{self._group}: expected an answer, got an ended process.")

    def __enter__(self) -> Self:
        """Return the worker itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """End the process."""
        self._connection.close()
        self._process.join()


def serve(connection: Connection, group: str, folder: Path, core: int | None) -> None:
    """The process's end: open, check, then one turn per message until the parent hangs up."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    contenders = {
        network: open_contenders(group, network, folder) for network in (*NETWORKS, *OTHERS)
    }
    connection.send({network: [label(c) for c in found] for network, found in contenders.items()})
    gc.freeze()
    gc.disable()
    try:
        while True:
            network, index = connection.recv()
            connection.send(per_step_ns(contenders[network][index]))
    except EOFError:
        return


def label(contender: Contender) -> Label:
    """What the results call a contender."""
    return contender.program, contender.form, contender.way, contender.isa


def per_step_ns(contender: Contender) -> float:
    """Time of one turn, after another that brings its memory back into the caches."""
    contender.turn()
    start = time.perf_counter_ns()
    contender.turn()
    return (time.perf_counter_ns() - start) / contender.steps
