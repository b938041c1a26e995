"""The table of contents in docs/index.md, as the navigation of the site and as overviews."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from links import PAGES
from notebooks import page_of

_SECTION: Final = re.compile(r"^## (.+)$")
_GROUP: Final = re.compile(r"^### (.+)$")
_ENTRY: Final = re.compile(r"^- \[([^\]]+)\]\(([^)]+)\)(?:: (.*))?$")


@dataclass(frozen=True, slots=True)
class Entry:
    """One page.

    Attributes:
        title: in the navigation.
        place: of the page, relative to docs/.
        line: what it is about; empty where the title says it.
    """

    title: str
    place: str
    line: str


@dataclass(slots=True)
class Section:
    """One section of docs/index.md.

    Attributes:
        title: its heading.
        text: what is between the heading and the first page.
        groups: pages by the heading above them; "" for those directly in the section.
    """

    title: str
    text: list[str] = field(default_factory=list)
    groups: dict[str, list[Entry]] = field(default_factory=dict)

    @property
    def entries(self) -> list[Entry]:
        """All pages in order."""
        return [entry for entries in self.groups.values() for entry in entries]

    @property
    def overview(self) -> str | None:
        """The page that lists the pages of the section; None where they share no folder."""
        folders = {entry.place.rpartition("/")[0].partition("/")[0] for entry in self.entries}
        folder = folders.pop()
        return f"{folder}/index.md" if folder and not folders else None

    def markdown(self) -> str:
        """The text of the overview."""
        lines = [f"# {self.title}", "", *self.text, ""]
        folder = posixpath.dirname(self.overview or "")
        for group, entries in self.groups.items():
            lines += [f"## {group}", ""] if group else []
            for entry in entries:
                line = f": {entry.line}" if entry.line else ""
                target = posixpath.relpath(entry.place, folder or ".")
                lines.append(f"- [{entry.title}]({target}){line}")
            lines.append("")
        return "\n".join(lines)


def read(path: Path) -> list[Section]:
    """The sections of docs/index.md that list pages."""
    sections: list[Section] = []
    group = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if heading := _SECTION.match(line):
            sections.append(Section(heading[1]))
            group = ""
        elif not sections:
            continue  # the introduction
        elif heading := _GROUP.match(line):
            group = heading[1]
        elif entry := _ENTRY.match(line):
            made = Entry(entry[1], _place(entry[2]), entry[3] or "")
            sections[-1].groups.setdefault(group, []).append(made)
        elif not sections[-1].groups:
            sections[-1].text.append(line)
    return [section for section in sections if section.entries]


# A README is the index of its folder. As the first page of a group it would replace the group's
# heading, so an example with a folder is listed directly in its section.
def navigation(sections: list[Section]) -> list[dict[str, Any]]:
    """The sections as mkdocs' ``nav``."""
    nav: list[dict[str, Any]] = [{"Home": "index.md"}]
    for section in sections:
        items: list[Any] = [section.overview] if section.overview else []
        for group, entries in section.groups.items():
            pages: list[Any] = [{e.title: e.place} for e in entries if e.place != section.overview]
            items += [{group: pages}] if group else pages
        nav.append({section.title: items})
    return nav


def _place(target: str) -> str:
    """The page behind a link of docs/index.md."""
    name = posixpath.normpath(posixpath.join("docs", target))
    if name in PAGES:
        return PAGES[name]
    place = name.removeprefix("docs/")
    return page_of(place) if place.endswith(".ipynb") else place
