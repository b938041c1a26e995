"""Every program that can execute an exported model, and how to run one in a separate process.

TFLite runtimes contain the same native symbols and cannot share a process, so none is imported
here.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

import edgernn
import edgernn_firmware_sim
from edgernn.backends import native
from edgernn.errors import EdgeRnnError
from edgernn.model.formats import Int16Array

_TIMEOUT_S: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Executor:
    """One runtime in one configuration.

    Attributes:
        runtime: distribution that provides it, by its name for pip; "native" is part of this one.
        package: what Python imports; None for the reference, which is always there.
        variant: the configuration, for people.
        backend: key of `edgernn.backends.BACKENDS`.
        options: passed to the backend.
    """

    runtime: str
    package: str | None
    variant: str
    backend: str
    options: tuple[tuple[str, str], ...] = ()

    @property
    def version(self) -> str | None:
        """Installed version, None where the runtime is not installed."""
        if self.package is None:
            return edgernn.__version__
        if importlib.util.find_spec(self.package) is None:
            return None
        if self.package == _NATIVE:
            return edgernn.__version__
        try:
            return importlib.metadata.version(self.runtime)
        except importlib.metadata.PackageNotFoundError:
            return "unknown"


_NATIVE: Final = "edgernn._native"


def _native_executors() -> tuple[Executor, ...]:
    """One for each instruction set of this build and processor, or one that is missing."""
    isas = native.isas() if native.is_available() else ["auto"]
    return tuple(
        Executor(
            runtime="native", package=_NATIVE, variant=isa, backend="native",
            options=(("isa", isa),),
        )
        for isa in isas
    )  # fmt: skip


REFERENCE: Final = Executor(runtime="reference", package=None, variant="NumPy", backend="reference")

#: Everything that must give the reference's bits.
EXECUTORS: Final[tuple[Executor, ...]] = (
    *_native_executors(),
    *(
        Executor(
            runtime=runtime,
            package=package,
            variant=variant,
            backend="tflite",
            options=(("runtime", package), ("resolver", resolver)),
        )
        for runtime, package in (
            ("tflite-runtime", "tflite_runtime"),
            ("ai-edge-litert", "ai_edge_litert"),
        )
        for variant, resolver in (
            ("default", "default"),
            ("no delegate", "no_delegate"),
            ("reference kernels", "reference"),
        )
    ),
    *(
        Executor(
            runtime="onnxruntime",
            package="onnxruntime",
            variant=f"optimization {level}",
            backend="onnx",
            options=(("optimization", level),),
        )
        for level in ("all", "extended", "basic", "disabled")
    ),
)


def runtimes() -> list[str]:
    """What `select` knows, installed or not."""
    return list(dict.fromkeys(executor.runtime for executor in EXECUTORS))


def select(names: list[str] | None) -> tuple[Executor, ...]:
    """The executors of the named runtimes; all by default.

    Raises:
        EdgeRnnError: no executor belongs to a name.
    """
    known = runtimes()
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise EdgeRnnError(
            f"verify: expected backends among {', '.join(known)}, got {', '.join(unknown)}. "
            "The reference always runs; do not name it."
        )
    return tuple(e for e in EXECUTORS if names is None or e.runtime in names)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trace:
    """What an executor computed.

    Attributes:
        q_ys: int16 [T, O].
        q_states: int16 [T, S], all state vectors of every step side by side.
        step_us: median microseconds per step, the Python call included.
    """

    q_ys: Int16Array
    q_states: Int16Array
    step_us: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GoldenTrace:
    """What an executor made of the golden vector in a file.

    Attributes:
        q_ys: int16 [T, O].
        wanted: int16 [T, O], the outputs in the file.
        model_sha256: of the model that the file says it is of.
        step_us: mean microseconds per step.
    """

    q_ys: Int16Array
    wanted: Int16Array
    model_sha256: str
    step_us: float


def trace(executor: Executor, model_file: Path, codes_file: Path, out_file: Path) -> Trace:
    """Stream codes through a model file in a separate process.

    Args:
        executor: runtime and configuration.
        model_file: of the kind the executor's backend opens.
        codes_file: .npy file with operand codes [T, I].
        out_file: .npz file to write.

    Raises:
        EdgeRnnError: the process failed; the message contains its last line.
    """
    _work(executor, {"model": str(model_file), "codes": str(codes_file)}, out_file)
    return _read_trace(out_file)


def walk_trace(
    executor: Executor, programs: Path, files: Mapping[str, Path], walk_file: Path, out_file: Path
) -> Trace:
    """Take a walk over programs that share states, in a separate process.

    Args:
        executor: runtime and configuration.
        programs: .edgernn file of the set.
        files: of the kind the executor's backend opens, by program; one may hold all of them.
        walk_file: .npz file of a `program_walk.Walk`.
        out_file: .npz file to write.

    Returns:
        Outputs and states one behind another, int16 [M] and [S].

    Raises:
        EdgeRnnError: as `trace`.
    """
    paths = {name: str(path) for name, path in files.items()}
    _work(executor, {"set": str(programs), "files": paths, "walk": str(walk_file)}, out_file)
    return _read_trace(out_file)


def _read_trace(out_file: Path) -> Trace:
    with np.load(out_file, allow_pickle=False) as arrays:
        return Trace(
            q_ys=arrays["q_ys"],
            q_states=arrays["q_states"],
            step_us=float(arrays["step_us"]),
        )


def golden_trace(executor: Executor, model_file: Path, out_file: Path) -> GoldenTrace:
    """Run the golden vector of a .tflite or .onnx file in a separate process.

    Raises:
        EdgeRnnError: as `trace`.
    """
    _work(executor, {"model": str(model_file)}, out_file)
    with np.load(out_file, allow_pickle=False) as arrays:
        return GoldenTrace(
            q_ys=arrays["q_ys"],
            wanted=arrays["wanted"],
            model_sha256=str(arrays["model_sha256"]),
            step_us=float(arrays["step_us"]),
        )


def _work(executor: Executor, job: dict[str, Any], out_file: Path) -> None:
    """Run a separate process that fills the output file.

    Raises:
        EdgeRnnError: the process failed; the message contains its last line.
    """
    out_file.unlink(missing_ok=True)  # an earlier executor's values must never pass for this one's
    order = json.dumps(
        job
        | {
            "backend": executor.backend,
            "options": dict(executor.options),
            "out": str(out_file),
        }
    )
    try:
        done = subprocess.run(
            [sys.executable, "-m", "edgernn_export.verification.worker", order],
            capture_output=True,
            text=True,
            errors="replace",
            env=_environment(),
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise EdgeRnnError(f"expected a result within {_TIMEOUT_S} s, got a timeout") from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise EdgeRnnError(f"expected exit status 0, got {done.returncode}: {last:.300}")


def _environment() -> dict[str, str]:
    """The environment, with this process's three packages first on the path."""
    packages = [Path(package.__path__[0]) for package in (edgernn, edgernn_firmware_sim)]
    roots = [str(package.parent) for package in (*packages, Path(__file__).parents[1])]
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join(dict.fromkeys([*roots, *([inherited] if inherited else [])]))
    return os.environ | {"PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
