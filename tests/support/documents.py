"""Code blocks of Markdown documents, and how to run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r'^```(\w+)(?: title="([\w.-]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block.

    Attributes:
        document: path of the Markdown file relative to the repository.
        language: what stands behind the fence.
        text: the content.
        title: name of the file that the reader saves it as; "" if it has none.
    """

    document: str
    language: str
    text: str
    title: str = ""


def blocks(document: str) -> list[Block]:
    """All fenced blocks of a document; every one names its language."""
    content = (ROOT / document).read_text(encoding="utf-8")
    assert content.count("\n```") == 2 * len(_BLOCK.findall(content)), f"bare fence in {document}"
    return [
        Block(document=document, language=language, text=text, title=title)
        for language, title, text in _BLOCK.findall(content)
    ]


def commands(document: str) -> list[str]:
    """Lines of the bash blocks, continuation lines joined."""
    text = "".join(b.text for b in blocks(document) if b.language == "bash")
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def links(document: str) -> list[str]:
    """Targets of links and images into the repository."""
    content = (ROOT / document).read_text(encoding="utf-8")
    return [target for target in _LINK.findall(content) if "://" not in target]


def run_command(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell command with this environment's programs first on the path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return _run(["bash", "-euo", "pipefail", "-c", command], folder, {"PATH": path})


def run_python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own: runtimes cannot share one."""
    return _run([sys.executable, "-c", code], folder, {})


def _run(
    arguments: list[str], folder: Path, extra: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        arguments,
        cwd=folder,
        env=os.environ | quiet | extra,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
