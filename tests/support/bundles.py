"""What tests of deployment need: a wheel made in a moment, a config, stand-ins for programs."""

from __future__ import annotations

import base64
import hashlib
import os
import zipfile
from pathlib import Path

import numpy as np

import edgernn
from edgernn.deploy.bundle import BundleOrder, make_bundle

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "edgernn" / "data" / "demo.edgernn"
CONFIG = """\
# Readings of a file; predictions to another.
[model]
path = "demo"   # inside the package

[store]
path = "states.db"

[http]
listen = "{listen}"

[[source]]
kind = "csv"
path = "readings.csv"

[[sink]]
kind = "jsonl"
path = "predictions.jsonl"
"""


def quick_wheel(folder: Path) -> Path:
    """A wheel of the sources as they are, with the extension that is built beside them."""
    info = f"edgernn-{edgernn.__version__}.dist-info"
    wheel = folder / f"edgernn-{edgernn.__version__}-py3-none-any.whl"
    files = {
        path.relative_to(home).as_posix(): path.read_bytes()
        for home, package in (
            (ROOT, "edgernn"), (ROOT / "firmware_sim", "edgernn_firmware_sim"),
        )
        for path in sorted((home / package).rglob("*"))
        if path.is_file() and path.suffix in (".py", ".so", ".sh", ".edgernn", ".csv", ".md")
    }  # fmt: skip
    files[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: edgernn\nVersion: {edgernn.__version__}\n"
        "Requires-Dist: numpy>=1.24\n"
    ).encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/entry_points.txt"] = b"[console_scripts]\nedgernn = edgernn.cli:main\n"
    rows = []
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
            rows.append(f"{name},sha256={digest.decode()},{len(content)}\n")
        archive.writestr(zipfile.ZipInfo(f"{info}/RECORD"), "".join(rows) + f"{info}/RECORD,,\n")
    return wheel


def library_wheel(folder: Path, name: str, version: str) -> Path:
    """A wheel of a library that has nothing in it."""
    info, wheel = f"{name}-{version}.dist-info", folder / f"{name}-{version}-py3-none-any.whl"
    distribution = name.replace("_", "-")
    with zipfile.ZipFile(wheel, "w") as archive:
        head = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        archive.writestr(f"{info}/METADATA", head)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
        archive.writestr(f"{info}/RECORD", f"{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return wheel


def make_demo_bundle(
    folder: Path, listen: str = "", model: Path = DEMO, config: str = CONFIG
) -> Path:
    """A bundle of the packaged model for this machine."""
    (wheels := folder / "given").mkdir(parents=True)
    quick_wheel(wheels)
    if listen:
        library_wheel(wheels, "prometheus_client", "0.26.0")
    (folder / "serve.toml").write_text(config.format(listen=listen))
    order = BundleOrder(
        model=model, config=folder / "serve.toml", name="demo", targets=("pure",),
        wheels=(wheels,), download=False,
    )  # fmt: skip
    make_bundle(order, folder / "out")
    return folder / "out"


def program(folder: Path, name: str, text: str) -> Path:
    """A shell script in a folder."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def device_python(folder: Path) -> dict[str, str]:
    """Environment in which programs find this Python's NumPy and nothing else of it."""
    (site := folder / "site").mkdir(parents=True, exist_ok=True)
    home = Path(np.__file__).parents[1]
    for path in [*home.glob("numpy"), *home.glob("numpy.libs"), *home.glob("numpy-*.dist-info")]:
        if not (site / path.name).exists():
            (site / path.name).symlink_to(path)
    runner = program(folder, "runner", f'PYTHONPATH="{site}" exec "$@"')
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PIP_"))}
    return kept | {"EDGERNN_RUN": str(runner)}
