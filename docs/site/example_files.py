"""The files of an example, shown at the end of its page."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Final

from mkdocs.structure.files import File, Files

_LANGUAGES: Final = {
    ".py": "python",
    ".ino": "cpp",
    ".h": "cpp",
    ".cpp": "cpp",
    ".toml": "toml",
    ".service": "ini",
}


def markdown(page: File, files: Files) -> str:
    """A section that shows all text files in the folder of a README; "" for other pages.

    Args:
        page: of the example.
        files: all files of the site.
    """
    folder = posixpath.dirname(page.src_uri)
    others = [f for f in files if f.src_uri.startswith(f"{folder}/") and _language(f)]
    if posixpath.basename(page.src_uri) != "README.md" or not others:
        return ""
    lines = ["", "## Files", ""]
    for file in sorted(others, key=lambda file: file.src_uri):
        name = posixpath.relpath(file.src_uri, folder)
        text = "\n".join(f"    {line}".rstrip() for line in file.content_string.splitlines())
        fence = f"    ````{_language(file)}\n{text}\n    ````"
        lines += [f'??? note "{name}"', f"    [Download]({name}){{ download }}", "", fence, ""]
    return "\n".join(lines)


def _language(file: File) -> str | None:
    return _LANGUAGES.get(Path(file.src_uri).suffix)
