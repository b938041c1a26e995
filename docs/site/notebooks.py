"""Notebooks as pages: their text, programs and stored outputs."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from mkdocs.structure.files import File


def page_of(notebook: str) -> str:
    """Where the page of a notebook is, relative to docs/."""
    return posixpath.splitext(notebook)[0] + ".md"


def markdown(file: File) -> str:
    """A notebook as a page."""
    cells = json.loads(file.content_string)["cells"]
    name = posixpath.basename(file.src_uri)
    parts = [part for cell in cells for part in _cell(cell)]
    heading, _, rest = "\n\n".join(parts).partition("\n")
    return f"{heading}\n\n[Download this notebook]({name}){{ download }}\n{rest}\n"


def _cell(cell: Mapping[str, Any]) -> Iterator[str]:
    text = "".join(cell["source"]).rstrip()
    if cell["cell_type"] == "markdown":
        yield text
    elif cell["cell_type"] == "code" and text:
        yield f"```python\n{text}\n```"
        for output in cell["outputs"]:
            yield from _output(output)


def _output(output: Mapping[str, Any]) -> Iterator[str]:
    data = output.get("data", {})
    if "image/png" in data:
        image = "".join(data["image/png"]).replace("\n", "")
        yield f"![Output of the cell](data:image/png;base64,{image})"
        return
    text = "".join(output.get("text", data.get("text/plain", ""))).rstrip()
    if text:
        yield f"```text\n{text}\n```"
