"""What mkdocs calls while it builds the site.

The pages are the Markdown files under docs/. This hook adds the others: texts that live next to the
code, notebooks, an overview of each section, and source files that pages link to. It builds the
navigation from docs/index.md, and writes the references in place of what a page has between
``<!-- site: NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import re
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import c_reference
import cli_reference
import contents
import example_files
import links
import notebooks

#: What writes a part of a page that only the site has, by the name in its marker.
PARTS: Final = {
    "command-line": cli_reference.markdown,
    "c-header": c_reference.markdown,
}
_PART: Final = re.compile(r"<!-- site: (\S+) -->.*?<!-- end -->", re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are no files under docs/."""
    for name, place in links.PAGES.items():
        text = (links.ROOT / name).read_text(encoding="utf-8")
        _add(files, config, place, text)
    for file in list(files):
        if file.src_uri.endswith(".ipynb"):
            _add(files, config, notebooks.page_of(file.src_uri), notebooks.markdown(file))
    sections = contents.read(links.DOCS / "index.md")
    for section in sections:
        overview = section.overview
        if overview is not None and files.get_file_from_path(overview) is None:
            _add(files, config, overview, section.markdown())
    for place, text in links.source_pages(files).items():
        _add(files, config, place, text)
    config.nav = contents.navigation(sections)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in the generated parts, and turn links between files into links between pages."""
    del config
    if page.file.src_uri == "index.md":
        page.meta["hide"] = ["navigation"]  # which repeats the tabs
    markdown = _PART.sub(lambda part: PARTS[part[1]](), markdown)
    if page.file.src_uri.startswith("examples/"):
        markdown += example_files.markdown(page.file, files)
    return links.rewritten(markdown, page.file.src_uri, files)


def _add(files: Files, config: MkDocsConfig, place: str, text: str) -> None:
    files.append(File.generated(config, place, content=text))
