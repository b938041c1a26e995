"""The documentation site builds without a warning, is complete and loads nothing from elsewhere."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from edgernn.cli.commands import SUBCOMMANDS, command_parser

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PACKAGES = {"edgernn": ROOT, "edgernn_export": ROOT / "export",
            "edgernn_firmware_sim": ROOT / "firmware_sim"}  # fmt: skip
#: Tags that load something, and the attribute that says what.
LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
#: Links that load nothing.
NOT_LOADED = {"canonical", "next", "prev", "alternate"}

pytestmark = pytest.mark.slow


class Html(HTMLParser):
    """What a page loads, links to, and offers as anchors."""

    def __init__(self, path):
        super().__init__()
        self.loaded, self.links, self.ids = set(), set(), set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids.add(found.get("id"))
        if tag == "a":
            self.links.add(found.get("href"))
        elif tag in LOADING and not NOT_LOADED & set((found.get("rel") or "").split()):
            self.loaded.add(found.get(LOADING[tag]) or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    build = ["mkdocs", "build", "--strict", "-f", ROOT / ".mkdocs.yml", "-d", folder]
    done = subprocess.run(
        [sys.executable, "-m", *build],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,  # it needs 10 s on a quiet machine
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site):
    return {path.relative_to(site).as_posix(): Html(path) for path in sorted(site.rglob("*.html"))}


def test_pages_load_nothing_from_other_hosts(site, pages):
    assert len(pages) > 60
    foreign = re.compile(r"^(?:https?:)?//")
    assert [(n, x) for n, page in pages.items() for x in page.loaded if foreign.match(x)] == []
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert len(styles) > 10_000
    assert re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//[^)]*", styles) == []
    # The theme fetches the library of diagrams when a page has one.
    assert [n for n in pages if 'class="mermaid"' in (site / n).read_text(encoding="utf-8")] == []


def test_every_page_is_in_the_navigation(pages):
    linked = {link.partition("#")[0] for link in pages["index.html"].links if link}
    missing = []
    for path in sorted(DOCS.rglob("*.md")):
        page = path.relative_to(DOCS).with_suffix(".html").as_posix()
        page = re.sub(r"\bREADME\.html$", "index.html", page)
        if page not in linked:
            missing.append(page)
    assert missing == []


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("reference/numerics", "firmware_sim/edgernn_firmware_sim/NUMERICS.md"),
        ("reference/format", "edgernn/container/FORMAT.md"),
        ("reference/kernels", "edgernn/native/README.md"),
        ("changelog", "CHANGELOG.md"),
    ],
)
def test_texts_next_to_the_code_are_pages(site, page, text):
    title = (ROOT / text).read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
    assert f">{title}<" in (site / f"{page}.html").read_text(encoding="utf-8")


def test_source_files_that_pages_link_to_are_shown(site, pages):
    page = site / "source/edgernn/graph/builder.py.html"
    assert "OpBuilder" in page.read_text(encoding="utf-8")
    assert "../source/edgernn/graph/builder.py.html" in pages["guides/add-a-cell.html"].links


def test_examples_show_their_files(site):
    page = (site / "examples/soil-moisture/index.html").read_text(encoding="utf-8")
    for path in (DOCS / "examples/soil-moisture").glob("*.py"):
        assert re.search(rf"<summary>{path.name}</summary>\s*<p><a[^>]*href=\"{path.name}\"", page)
        assert (site / "examples/soil-moisture" / path.name).is_file()
    assert '<span class="kn">import</span>' in page


def test_every_command_and_option_is_in_the_reference(site, pages):
    page = "reference/cli.html"
    assert set(SUBCOMMANDS) <= pages[page].ids
    text = (site / page).read_text(encoding="utf-8")
    sections = dict(re.findall(r'<h2 id="([^"]+)">(.*?)(?=<h2 |</article>)', text, re.DOTALL))
    for name in SUBCOMMANDS:
        for option in command_parser(name)._option_string_actions:
            where = sections[name] + sections["common-options"]
            assert option in ("-h", "--help") or f"<code>{option}" in where, (name, option)


def public_names():
    """(package, name) of every package that has `__all__`."""
    for package, base in PACKAGES.items():
        for path in sorted((base / package).rglob("__init__.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                    home = ".".join(path.parent.relative_to(base).parts)
                    yield from ((home, name) for name in ast.literal_eval(node.value))


def test_every_public_name_is_in_the_api_pages(site, pages):
    reference = [name for name in pages if name.startswith("reference/api/")]
    ids = set().union(*(pages[name].ids for name in reference))
    text = "".join((site / name).read_text(encoding="utf-8") for name in reference)
    names = set(public_names()) - {("edgernn", "__version__")}
    assert len(names) > 100
    missing = []
    for home, name in sorted(names):
        if f"{home}.{name}" not in ids:
            found = getattr(importlib.import_module(home), name)
            is_documented = inspect.isclass(found) or inspect.isfunction(found)
            wanted = f'id="{found.__module__}.{name}"' if is_documented else f"<code>{name}</code>"
            missing += [f"{home}.{name}"] if wanted not in text else []
    assert missing == []


def test_every_function_of_the_c_header_is_in_the_reference(pages, tmp_path):
    from edgernn.model.integer_model import IntegerModel
    from edgernn_export import export

    model = IntegerModel.load(ROOT / "edgernn/data/demo.edgernn")
    export(model, tmp_path, formats=("c",))
    header = next(tmp_path.rglob("model.h")).read_text(encoding="utf-8")
    declared = set(
        re.findall(r"^\w+ (model_\w+)\(|^\} (model_\w+);|^#define (MODEL_\w+) ", header, re.M)
    )
    names = {name for found in declared for name in found if name}
    assert {"model_step", "model_state_t", "MODEL_STATE_BYTES"} <= names
    assert {n for n in names if n.startswith("model_")} <= pages["reference/c-api.html"].ids


def test_search_finds_commands_and_leaves_out_source_files(site):
    assert (site / "search/search_index.js").is_file()  # for a site that is opened as a file
    index = (site / "search/search_index.json").read_text(encoding="utf-8")
    assert '"location":"reference/cli.html#quantize"' in index.replace(" ", "")
    assert '"location":"source/' not in index.replace(" ", "")
