"""Links between files of the repository as links between pages of the site.

On a code host a page links to files: ``../../edgernn/container/FORMAT.md``. On the site these are
pages too. Specifications and the changelog have fixed places. Any other file becomes a page that
shows its text.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mkdocs.structure.files import Files

from notebooks import page_of

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"

#: Markdown files outside docs/ -> their pages.
PAGES: Final = {
    "firmware_sim/edgernn_firmware_sim/NUMERICS.md": "reference/numerics.md",
    "edgernn/container/FORMAT.md": "reference/format.md",
    "edgernn/native/README.md": "reference/kernels.md",
    "CHANGELOG.md": "changelog.md",
}
_FILES: Final = {page: name for name, page in PAGES.items()}
_SOURCES: Final = "source/"
_CODE: Final = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"(?<=\]\()([^)#\s]*)(#[^)\s]*)?(?=\))")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*:")
_LANGUAGES: Final = {".py": "python", ".c": "c", ".h": "c", ".toml": "toml", ".yml": "yaml"}


def rewritten(markdown: str, place: str, files: Files) -> str:
    """The text of a page with links that lead to pages.

    Args:
        markdown: the text as it is in the repository.
        place: of the page, relative to docs/.
        files: all pages.
    """

    def replaced(link: re.Match[str]) -> str:
        name = _target(link[1], place)
        if name is None:
            return link[0]
        page = _page(name, files)
        return posixpath.relpath(page, posixpath.dirname(place) or ".") + (link[2] or "")

    parts, end = [], 0
    for code in _CODE.finditer(markdown):
        parts += [_LINK.sub(replaced, markdown[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, _LINK.sub(replaced, markdown[end:])])


def source_pages(files: Files) -> dict[str, str]:
    """Texts of the pages that show source files, by place: those that a page links to."""
    found: dict[str, str] = {}
    for file in files.documentation_pages():
        for name in _linked(file.content_string, file.src_uri):
            for path in _with_children(ROOT / name):
                found[_source_place(path)] = _source_text(path)
    return found


def _linked(markdown: str, place: str) -> Iterator[str]:
    """Files outside docs/ that a page links to and that have no page yet."""
    for link in _LINK.finditer(_CODE.sub("", markdown)):
        name = _target(link[1], place)
        if name is not None and name not in PAGES and not name.startswith("docs/"):
            yield name


def _target(target: str, place: str) -> str | None:
    """What a link leads to, relative to the repository; None for other hosts and anchors."""
    if not target or _SCHEME.match(target):
        return None
    origin = _FILES.get(place, f"docs/{place}")
    name = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
    return name if (ROOT / name).exists() else None


def _page(name: str, files: Files) -> str:
    """The page, relative to docs/, that shows a file or folder of the repository."""
    if name in PAGES:
        return PAGES[name]
    if name == "README.md":
        return "index.md"
    if not name.startswith("docs/"):
        return _source_place(ROOT / name)
    place = name.removeprefix("docs/")
    if place.endswith(".ipynb"):
        return page_of(place)
    if (ROOT / name).is_dir():
        indexes = (f"{place}/{index}" for index in ("index.md", "README.md"))
        return next((index for index in indexes if files.get_file_from_path(index)), place)
    return place


def _with_children(path: Path) -> Iterator[Path]:
    """A file; or a folder and the files in it."""
    yield path
    if path.is_dir():
        yield from (child for child in sorted(path.iterdir()) if child.suffix in _LANGUAGES)


def _source_place(path: Path) -> str:
    name = path.relative_to(ROOT).as_posix()
    return f"{_SOURCES}{name}/index.md" if path.is_dir() else f"{_SOURCES}{name}.md"


def _source_text(path: Path) -> str:
    name = path.relative_to(ROOT).as_posix()
    head = f"---\nsearch:\n  exclude: true\n---\n# {name}\n\n"
    if path.is_dir():
        children = [child for child in _with_children(path) if child != path]
        return head + "\n".join(f"- [{child.name}]({child.name}.md)" for child in children) + "\n"
    text = path.read_text(encoding="utf-8")
    return f"{head}````{_LANGUAGES.get(path.suffix, 'text')}\n{text}\n````\n"
