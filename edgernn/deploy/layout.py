"""Where a service lies on a device, and the record of what a bundle holds."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from edgernn.errors import DeployError

#: The user that all services run as.
USER: Final = "edgernn"
#: First characters of a model's sha256 that name its folder.
SHORT: Final = 12
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,30}")
_SCHEMA: Final = 1


def check_name(name: str) -> str:
    """The name of a service, if it is one.

    Raises:
        DeployError: it cannot be part of a file, a unit and a package name.
    """
    if not _NAME.fullmatch(name):
        raise DeployError(
            "--name: expected lower-case letters, digits and hyphens that begin with a letter, "
            f"at most 31, got '{name:.60}'. Pass, for example, --name soil."
        )
    return name


def name_of(model_name: str) -> str:
    """A name of a service, made from a model's name; "" if it has no usable character."""
    words = re.sub(r"[^a-z0-9]+", "-", model_name.lower()).lstrip("-0123456789")
    return words[:31].rstrip("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePlace:
    """The files of a service on a device.

    Attributes:
        name: of the service.
        prefix: folder that stands for the root of the device; "/" on the device itself.
    """

    name: str
    prefix: Path = Path("/")

    @property
    def service(self) -> str:
        """Name of the systemd unit, without its suffix."""
        return f"edgernn-{self.name}"

    @property
    def app(self) -> Path:
        """Folder of the environments and the models."""
        return self.prefix / "opt" / "edgernn" / self.name

    @property
    def config(self) -> Path:
        """The file that configures the service."""
        return self.prefix / "etc" / "edgernn" / f"{self.name}.toml"

    @property
    def states(self) -> Path:
        """The working directory, the only folder that the service can write to."""
        return self.prefix / "var" / "lib" / "edgernn" / self.name

    @property
    def python(self) -> Path:
        """Interpreter of the release in use."""
        return self.app / "release" / "venv" / "bin" / "python"

    @property
    def models(self) -> Path:
        """Folder with a folder for each model."""
        return self.app / "models"

    @property
    def link(self) -> Path:
        """Symbolic link to the folder of the model in use."""
        return self.app / "model"

    @property
    def model(self) -> Path:
        """The model in use."""
        return self.link / "model.edgernn"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleManifest:
    """What a bundle holds.

    Attributes:
        name: of the service.
        edgernn: version of the package.
        model_name: of the model.
        model_sha256: of the model (hex).
        targets: machines that the bundle has wheels for.
        offline: whether installing it needs no network.
        requirements: what pip installs.
    """

    name: str
    edgernn: str
    model_name: str
    model_sha256: str
    targets: tuple[str, ...]
    offline: bool
    requirements: tuple[str, ...]

    def to_json(self) -> str:
        """A JSON document."""
        return json.dumps({"schema": _SCHEMA, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def read(cls, path: Path) -> BundleManifest:
        """Read the manifest of a bundle or of an installed service.

        Raises:
            DeployError: there is none, or another version of edgernn wrote it.
        """
        try:
            record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if record.pop("schema") != _SCHEMA:
                raise ValueError("another schema")
            record["targets"] = tuple(record["targets"])
            record["requirements"] = tuple(record["requirements"])
            return cls(**record)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            reason = getattr(error, "strerror", None) or "a file that is none"
            raise DeployError(
                f"deploy: expected a manifest in '{path}', got {reason}. "
                "Make the bundle again, or install it again."
            ) from None


def installed(prefix: Path = Path("/")) -> list[str]:
    """Names of the services that are installed on this device."""
    return sorted(path.parent.name for path in (prefix / "opt/edgernn").glob("*/manifest.json"))
