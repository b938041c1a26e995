"""How this copy of edgernn was installed, and the command that adds an optional part to it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

_NAME: Final = "edgernn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """The origin of the installed package.

    Attributes:
        kind: "editable" (from a clone), "source" (run from a clone without installing), "folder",
            "file" (a wheel), "url" or "index".
        source: the folder, file or address; "" for an index.
    """

    kind: str
    source: str

    def command(self, extra: str = "") -> str:
        """The pip command that installs the package again, with an extra.

        Args:
            extra: name of the extra, as in "tflite"; "" for none.
        """
        extras = f"[{extra}]" if extra else ""
        if self.kind in ("editable", "source"):
            return f"pip install -e '{_short(self.source)}{extras}'"
        if self.kind in ("folder", "file"):
            return f"pip install '{_short(self.source)}{extras}'"
        if self.kind == "url":
            return f"pip install '{_NAME}{extras} @ {self.source}'"
        return f"pip install '{_NAME}{extras}'" if extra else f"pip install {_NAME}"


def hint(extra: str = "") -> str:
    """The command that adds an extra to this installation: "pip install -e '/clone[tflite]'"."""
    return find_installation().command(extra)


def library_hint(module: str, extra: str) -> str:
    """The command that installs a library.

    Args:
        module: what Python imports, as in "onnxruntime".
        extra: that has it.
    """
    if module == "ai_edge_litert" and sys.version_info < (3, 12):
        return "pip install ai-edge-litert"  # the extra has tflite-runtime there
    return hint(extra)


def find_installation() -> Installation:
    """Look up how this copy of edgernn was installed."""
    package = Path(__file__).resolve().parent
    record = _direct_url(package)
    if record is None:
        clone = package.parent
        if (clone / "pyproject.toml").is_file() and (clone / _NAME / "extension").is_dir():
            return Installation(kind="source", source=str(clone))
        return Installation(kind="index", source="")
    url = str(record.get("url", ""))
    path = unquote(urlsplit(url).path) if url.startswith("file:") else ""
    if "dir_info" in record:
        kind = "editable" if record["dir_info"].get("editable") else "folder"
        return Installation(kind=kind, source=path)
    if path:
        return Installation(kind="file", source=path)
    scheme = str(record.get("vcs_info", {}).get("vcs", ""))
    return Installation(kind="url", source=f"{scheme}+{url}" if scheme else url)


def _direct_url(package: Path) -> dict[str, Any] | None:
    """The record that pip writes of an installation that is not from an index (PEP 610).

    None as well if the record is of another copy than the one that runs.
    """
    from importlib import metadata

    try:
        found = metadata.distribution(_NAME)
        record = json.loads(found.read_text("direct_url.json") or "null")
    except (metadata.PackageNotFoundError, ValueError):
        return None
    if not isinstance(record, dict):
        return None
    if record.get("dir_info", {}).get("editable"):
        home = Path(unquote(urlsplit(str(record.get("url", ""))).path))
    else:
        home = Path(str(found.locate_file("")))
    return record if package.parent == home.resolve() else None


def _short(source: str) -> str:
    """The path of a source, as a dot if it is the current folder."""
    return "." if Path(source).resolve() == Path.cwd() else source
