"""The parts and tools that edgernn can use, found without importing them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from edgernn.errors import BackendUnavailable
from edgernn.install import hint, library_hint

OK: Final = "ok"
MISSING: Final = "missing"
BROKEN: Final = "broken"

_BACKENDS: Final = "Back-ends"
_WORKSTATION: Final = "Workstation: training, conversion, export"
_STREAMS: Final = "Streams of sensors"
_TOOLS: Final = "Compilers and emulators"
_DATA: Final = "Data"
_TIMEOUT_S: Final = 10

#: module -> (distributions, extra, group, purpose).
_LIBRARIES: Final[dict[str, tuple[tuple[str, ...], str, str, str]]] = {
    "tflite_runtime": (("tflite-runtime",), "tflite", _BACKENDS, "run .tflite files"),
    "ai_edge_litert": (
        ("ai-edge-litert", "ai-edge-litert-nightly"), "tflite", _BACKENDS, "run .tflite files",
    ),
    "onnxruntime": (
        ("onnxruntime", "onnxruntime-gpu"), "onnx", _BACKENDS, "run .onnx files",
    ),
    "paho": (("paho-mqtt",), "mqtt", _STREAMS, "edgernn serve: MQTT, Home Assistant"),
    "prometheus_client": (("prometheus-client",), "serve", _STREAMS, "edgernn serve: /metrics"),
    "rich": (("rich",), "serve", _STREAMS, "edgernn watch"),
    "pymodbus": (("pymodbus",), "modbus", _STREAMS, "edgernn serve: Modbus"),
    "serial": (("pyserial",), "serial", _STREAMS, "edgernn serve: serial ports"),
    "tensorflow": (
        ("tensorflow", "tensorflow-cpu"), "export", _WORKSTATION, "train with Keras",
    ),
    "keras": (("keras",), "export", _WORKSTATION, "train, prune, distill"),
    "h5py": (("h5py",), "export", _WORKSTATION, "read Keras models"),
    "onnx": (("onnx",), "onnx-import", _WORKSTATION, "read and write .onnx files"),
    "flatbuffers": (("flatbuffers",), "onnx-import", _WORKSTATION, "write .tflite files"),
    "matplotlib": (("matplotlib",), "export", _WORKSTATION, "plots"),
    "tqdm": (("tqdm",), "onnx-import", _WORKSTATION, "progress bars"),
    "optuna": (("optuna",), "export", _WORKSTATION, "edgernn search"),
    "sklearn": (("scikit-learn",), "sklearn", _WORKSTATION, "EdgeRNNRegressor, EdgeRNNClassifier"),
    "pandas": (("pandas",), "demo", _WORKSTATION, "edgernn demo"),
    "statsmodels": (("statsmodels",), "demo", _WORKSTATION, "edgernn demo"),
    "jax": (("jax",), "backends", _WORKSTATION, "train --qat on JAX"),
    "torch": (("torch",), "torch", _WORKSTATION, "read PyTorch modules; train --qat on PyTorch"),
}  # fmt: skip

#: program -> (Debian packages, purpose).
_PROGRAMS: Final[dict[str, tuple[str, str]]] = {
    "arm-none-eabi-gcc": ("gcc-arm-none-eabi", "firmware for Cortex-M"),
    "riscv64-linux-gnu-gcc": ("gcc-riscv64-linux-gnu", "firmware for RISC-V"),
    "qemu-system-arm": ("qemu-system-arm", "edgernn simulate on Cortex-M"),
    "qemu-system-riscv32": ("qemu-system-misc", "edgernn simulate on RISC-V"),
}
#: How commands that install packages of Debian begin, behind sudo.
INSTALL_PACKAGES: Final = "apt-get install "
_COMPILERS: Final = ("cc", "gcc", "clang")


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A part or tool.

    Attributes:
        group: title of its group.
        name: name of the library or program.
        status: "ok", "missing" or "broken".
        version: its version, or other details; "" if unknown.
        purpose: what edgernn uses it for.
        install: the command that installs it; "" if it is installed.
        problem: the reason if it is broken; "" otherwise.
    """

    group: str
    name: str
    status: str
    version: str
    purpose: str
    install: str = ""
    problem: str = ""


def find_components() -> list[Component]:
    """Look for every part and tool, in the order of the report."""
    compiler = _compiler()
    libraries = [_library(module) for module in _LIBRARIES]
    backends = [one for one in libraries if one.group == _BACKENDS]
    return [
        Component(
            group=_BACKENDS, name="reference", status=OK,
            version=f"NumPy {metadata.version('numpy')}", purpose="run .edgernn files, slowly",
        ),
        _native(compiler),
        *backends,
        *(one for one in libraries if one.group != _BACKENDS),
        compiler,
        *map(_program, _PROGRAMS),
        _data(),
    ]  # fmt: skip


def _library(module: str) -> Component:
    names, extra, group, purpose = _LIBRARIES[module]
    name, install = names[0], library_hint(module, extra)
    found, version = find_spec(module) is not None, ""
    for distribution in names if found else ():
        try:
            version = metadata.version(distribution)
            break
        except metadata.PackageNotFoundError:
            continue
    if module == "keras" and found:
        version += f" on {_keras_backend()}"
    if module == "tflite_runtime":
        if not found and sys.version_info >= (3, 12):
            return Component(
                group=group, name=name, status=MISSING, version="",
                purpose=f"{purpose} (Python 3.11 and older; use ai-edge-litert)",
            )  # fmt: skip
        if found and int(metadata.version("numpy").partition(".")[0]) >= 2:
            return Component(
                group=group, name=name, status=BROKEN, version=version, purpose=purpose,
                install="pip install 'numpy<2'", problem="It requires NumPy 1, and NumPy 2 is "
                "installed. Install NumPy 1, or use ai-edge-litert.",
            )  # fmt: skip
    return Component(
        group=group, name=name, status=OK if found else MISSING, version=version, purpose=purpose,
        install="" if found else install,
    )  # fmt: skip


def _keras_backend() -> str:
    """The back-end that Keras will use, found without importing it."""
    if chosen := os.environ.get("KERAS_BACKEND"):
        return chosen
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    try:
        return str(json.loads((home / "keras.json").read_bytes()).get("backend", "tensorflow"))
    except (OSError, ValueError, AttributeError):
        return "tensorflow"


def _native(compiler: Component) -> Component:
    """The extension module, which may be missing or made for another machine."""
    from edgernn.backends import native

    purpose = "run .edgernn files, fast"
    try:
        version = ", ".join(native.isas())
    except BackendUnavailable as error:
        built = find_spec("edgernn._native") is not None
        needs = [] if compiler.status == OK else ["gcc", "libc6-dev"]
        if not Path(sysconfig.get_path("include"), "Python.h").is_file():
            needs.append(f"python{sys.version_info[0]}.{sys.version_info[1]}-dev")
        before = f"{_packages(' '.join(needs))} && " if needs else ""
        return Component(
            group=_BACKENDS, name="native", status=BROKEN if built else MISSING, version="",
            purpose=purpose, install=f"{before}{hint()} --force-reinstall --no-deps",
            problem=str(error) if built else "",
        )  # fmt: skip
    return Component(group=_BACKENDS, name="native", status=OK, version=version, purpose=purpose)


def _compiler() -> Component:
    """The C compiler of this computer."""
    purpose = "build the native back-end; edgernn verify of C sources"
    wanted = os.environ.get("CC", "").split()[:1]
    for name in wanted or _COMPILERS:
        if shutil.which(name):
            return Component(
                group=_TOOLS, name="C compiler", status=OK, version=f"{name} {_version(name)}",
                purpose=purpose,
            )  # fmt: skip
    return Component(
        group=_TOOLS, name="C compiler", status=MISSING, version="", purpose=purpose,
        install=_packages("gcc libc6-dev"),
    )  # fmt: skip


def _program(name: str) -> Component:
    packages, purpose = _PROGRAMS[name]
    found = shutil.which(name) is not None
    return Component(
        group=_TOOLS, name=name, status=OK if found else MISSING, purpose=purpose,
        version=_version(name) if found else "", install="" if found else _packages(packages),
    )  # fmt: skip


def _version(program: str) -> str:
    """The version that a program reports; "" if it does not say."""
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    first = done.stdout.partition("\n")[0]
    found = re.findall(r"\d+\.\d+(?:\.\d+)*", first)
    return found[-1] if found else ""


def _packages(names: str) -> str:
    """The command that installs packages of Debian."""
    prefix = "" if hasattr(os, "geteuid") and os.geteuid() == 0 else "sudo "
    return f"{prefix}{INSTALL_PACKAGES}{names}"


def _data() -> Component:
    """The folder with data sets for recipes."""
    folder = os.environ.get("EDGERNN_DATA", "")
    purpose = "data sets for edgernn train and edgernn search"
    if folder and not Path(folder).is_dir():
        return Component(
            group=_DATA, name="EDGERNN_DATA", status=BROKEN, version="", purpose=purpose,
            problem=f"It names '{folder}', which is not a folder.",
        )  # fmt: skip
    return Component(
        group=_DATA, name="EDGERNN_DATA", status=OK if folder else MISSING, version=folder,
        purpose=purpose, install="" if folder else "export EDGERNN_DATA=FOLDER",
    )  # fmt: skip
