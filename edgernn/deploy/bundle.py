"""Make a bundle: a folder with everything that a device needs to run a service."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from edgernn.deploy import smoke
from edgernn.deploy.layout import SHORT, BundleManifest, ServicePlace, check_name, name_of
from edgernn.deploy.needs import (
    needs_of,
    read_tables,
    refuse_standard_input,
    with_model_path,
)
from edgernn.deploy.unit import unit_text
from edgernn.deploy.vectors import load_model, make_vectors, write_vectors
from edgernn.deploy.wheels import collect_libraries, collect_others, collect_own, collect_pip
from edgernn.errors import DeployError
from edgernn.service.config.reading import read_config

_README: Final = """\
edgernn {version}: the service {service}

Install (Debian 12 or 13, Raspberry Pi OS 12 or 13):

    sudo sh install.sh

This creates the system user {user}, an environment and the model in {app},
the config {config} and the unit {service}.service, compares the
device with the test vectors, and starts the service. {network}

    journalctl -u {service} -f        # what it says
    sudo systemctl reload {service}   # after a change of the config or the model
    sudo sh uninstall.sh              # remove it; --purge also removes config and states

Secrets belong in {secrets}, one NAME=value a line, mode 600.

Model: {model_name}, sha256 {sha}
Machines: {targets}
"""
_OFFLINE: Final = "It needs no network\nif the device has NumPy (package python3-numpy)."
_ONLINE: Final = "It needs the network\nfor: {missing}."


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleOrder:
    """What goes into a bundle.

    Attributes:
        model: an .edgernn file.
        config: file of `edgernn serve`.
        name: of the service; "" takes the model's.
        targets: machines, keys of `edgernn.deploy.wheels.TARGETS`.
        wheels: folders with wheels.
        download: ask pip for the wheels of libraries that the folders do not have.
    """

    model: Path
    config: Path
    name: str = ""
    targets: tuple[str, ...] = ("aarch64", "armv7l", "pure")
    wheels: tuple[Path, ...] = ()
    download: bool = True


def make_bundle(order: BundleOrder, out: Path) -> BundleManifest:
    """Make a bundle.

    The folder appears when it is complete.

    Args:
        order: what goes into it.
        out: folder to create; one that holds a bundle is replaced.

    Raises:
        DeployError: the model, the config or a wheel is missing or unusable, or the folder holds
            something else.
        EdgeRnnError: the model or the config is damaged.
    """
    if out.exists() and not (out / "manifest.json").is_file() and any(out.iterdir()):
        raise DeployError(
            f"--bundle: expected a new folder or one with a bundle, got '{out}', which holds other "
            "files. Pass another folder."
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".bundle-", dir=out.parent) as folder:
        fresh = Path(folder, "bundle")
        manifest = _fill(order, fresh)
        shutil.rmtree(out, ignore_errors=True)
        fresh.rename(out)
    return manifest


def _fill(order: BundleOrder, folder: Path) -> BundleManifest:
    from edgernn import __version__

    model = load_model(order.model)
    name = check_name(order.name or name_of(model.name) or "model")
    place = ServicePlace(name=name)
    text = order.config.read_text(encoding="utf-8-sig")
    read_config(order.config)
    tables = read_tables(order.config)
    refuse_standard_input(tables, order.config.name)
    needs = needs_of(tables)
    config = with_model_path(text, str(place.model), order.config.name)

    for part in ("model", "wheels"):
        (folder / part).mkdir(parents=True)
    shutil.copyfile(order.model, folder / "model" / "model.edgernn")
    write_vectors(folder / "model" / "vectors.npz", make_vectors(model))

    wheels = folder / "wheels"
    collect_own(order.targets, order.wheels, wheels)
    libraries, missing = collect_libraries(
        needs.extras, order.wheels, wheels, download=order.download
    )
    collect_others(order.wheels, wheels)
    if not collect_pip(wheels):
        missing.append("pip (package python3-venv)")
    manifest = BundleManifest(
        name=name,
        edgernn=__version__,
        model_name=model.name,
        model_sha256=model.sha256,
        targets=order.targets,
        offline=not missing,
        requirements=(f"edgernn=={__version__}", *libraries),
    )
    (folder / "requirements.txt").write_text("\n".join(manifest.requirements) + "\n")
    (folder / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
    (folder / "serve.toml").write_text(config, encoding="utf-8")
    (folder / f"{place.service}.service").write_text(unit_text(name, needs), encoding="utf-8")
    (folder / "README.txt").write_text(_readme(manifest, place, missing), encoding="utf-8")
    shutil.copyfile(smoke.__file__, folder / "smoke_test.py")
    _write_scripts(manifest, folder)
    write_sums(folder)
    return manifest


def _readme(manifest: BundleManifest, place: ServicePlace, missing: Sequence[str]) -> str:
    return _README.format(
        version=manifest.edgernn,
        service=place.service,
        user="edgernn",
        app=place.app,
        config=place.config,
        secrets=place.config.with_suffix(".env"),
        network=_ONLINE.format(missing=", ".join(missing)) if missing else _OFFLINE,
        model_name=manifest.model_name,
        sha=manifest.model_sha256,
        targets=", ".join(manifest.targets),
    )


def _write_scripts(manifest: BundleManifest, folder: Path) -> None:
    values = {
        "@NAME@": manifest.name,
        "@MODEL@": manifest.model_sha256[:SHORT],
        "@OFFLINE@": "yes" if manifest.offline else "no",
    }
    for name in ("install.sh", "uninstall.sh"):
        text = (resources.files("edgernn.deploy") / "files" / name).read_text(encoding="utf-8")
        for mark, value in values.items():
            text = text.replace(mark, value)
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o755)


def write_sums(folder: Path) -> None:
    """Write SHA256SUMS over all files of a folder, in the form of `sha256sum --check`."""
    lines = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "SHA256SUMS":
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            lines.append(f"{digest}  {path.relative_to(folder).as_posix()}\n")
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")
