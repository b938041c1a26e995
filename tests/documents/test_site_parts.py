"""The parts of the site one by one, and the project files that other programs read."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from types import SimpleNamespace

import pytest
import yaml

import edgernn
from tests.support.documents import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
#: All keys of a CITATION.cff of version 1.2.0, and those it must have.
CITATION_KEYS = {
    "abstract", "authors", "cff-version", "commit", "contact", "date-released", "doi",
    "identifiers", "keywords", "license", "license-url", "message", "preferred-citation",
    "references", "repository", "repository-artifact", "repository-code", "title", "type", "url",
    "version",
}  # fmt: skip
REQUIRED_KEYS = {"authors", "cff-version", "message", "title"}


@pytest.fixture
def part(monkeypatch):
    """Import a module of docs/site."""
    monkeypatch.syspath_prepend(str(ROOT / "docs/site"))
    names = ("links", "contents", "notebooks", "c_reference", "cli_reference")
    yield importlib.import_module
    for name in names:
        sys.modules.pop(name, None)


class NoFiles:
    def get_file_from_path(self, path):
        return object() if path == "decisions/index.md" else None


@pytest.mark.parametrize(
    ("place", "written", "wanted"),
    [
        ("guides/x.md", "[a](tokens.md#b)", "[a](tokens.md#b)"),
        (
            "guides/x.md",
            "[a](../../edgernn/container/FORMAT.md#c)",
            "[a](../reference/format.md#c)",
        ),
        ("guides/x.md", "[a](../../README.md)", "[a](../index.md)"),
        ("CONTRIBUTING.md", "[a](decisions/)", "[a](decisions/index.md)"),
        ("guides/x.md", "[a](../../edgernn/cells)", "[a](../source/edgernn/cells/index.md)"),
        ("reference/format.md", "[a](../../docs/guides/tokens.md)", "[a](../guides/tokens.md)"),
        ("guides/x.md", "`[a](../../README.md)`", "`[a](../../README.md)`"),
        ("guides/x.md", "```text\n[a](../../README.md)\n```", "```text\n[a](../../README.md)\n```"),
        ("guides/x.md", "[a](https://example.org/README.md)", "[a](https://example.org/README.md)"),
        ("guides/x.md", "![a](data:image/png;base64,a/b)", "![a](data:image/png;base64,a/b)"),
        ("guides/x.md", "[a](#b)", "[a](#b)"),
        ("guides/x.md", "[a](nosuch.md)", "[a](nosuch.md)"),
    ],
)
def test_links_between_files_become_links_between_pages(part, place, written, wanted):
    assert part("links").rewritten(written, place, NoFiles()) == wanted


def test_the_navigation_is_the_table_of_contents(part, tmp_path):
    contents = part("contents")
    index = tmp_path / "index.md"
    index.write_text(
        "# t\n\n- [not a page](x.md)\n\n## Guides\n\nShort.\n\n- [One](guides/a.md): first\n\n"
        "### More\n\n- [Two](guides/b.md)\n- [Book](guides/c.ipynb)\n\n## Project\n\n"
        "- [Format](../edgernn/container/FORMAT.md)\n- [Rules](RULES.md)\n\n## Later\n\nSoon.\n"
    )
    sections = contents.read(index)
    assert contents.navigation(sections) == [
        {"Home": "index.md"},
        {"Guides": ["guides/index.md", {"One": "guides/a.md"},
                    {"More": [{"Two": "guides/b.md"}, {"Book": "guides/c.md"}]}]},
        {"Project": [{"Format": "reference/format.md"}, {"Rules": "RULES.md"}]},
    ]  # fmt: skip
    assert sections[0].markdown() == (
        "# Guides\n\n\nShort.\n\n\n- [One](a.md): first\n\n"
        "## More\n\n- [Two](b.md)\n- [Book](c.md)\n"
    )


def test_notebooks_become_pages(part):
    cells = (
        '{"cells": [{"cell_type": "markdown", "source": ["# Title\\n", "text"]},'
        '{"cell_type": "code", "source": "print(1)", "outputs": [{"text": ["1\\n"]},'
        '{"data": {"image/png": "AAAA\\n", "text/plain": "<Figure>"}}]}]}'
    )
    file = SimpleNamespace(content_string=cells, src_uri="examples/notebooks/a.ipynb")
    assert part("notebooks").markdown(file) == (
        "# Title\n\n[Download this notebook](a.ipynb){ download }\ntext\n\n"
        "```python\nprint(1)\n```\n\n```text\n1\n```\n\n"
        "![Output of the cell](data:image/png;base64,AAAA)\n"
    )


def test_declarations_of_a_header(part):
    header = (
        'extern "C" {\n#endif\n\n#define M_N 3 /* channels */\n\n/* Owned by\n * you. */\n'
        "typedef struct {\n    int16_t h[4];\n} m_state_t;\n\n/* One step of x[M_N]. */\n"
        "int32_t m_step(m_state_t *state,\n               const int8_t *x);\n"
        "#ifdef __cplusplus\n}\n"
    )
    found = part("c_reference").declarations(header)
    assert [(one.kind, one.name, one.comment) for one in found] == [
        ("macro", "M_N", "Channels."),
        ("type", "m_state_t", "Owned by you."),
        ("function", "m_step", "One step of `x[M_N]`."),
    ]


def test_citation_has_the_keys_of_the_format():
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert set(found) >= REQUIRED_KEYS
    assert set(found) <= CITATION_KEYS
    assert found["cff-version"] == "1.2.0"
    assert found["type"] == "software"
    assert str(found["version"]) == edgernn.__version__ == PROJECT["version"]
    assert found["license"] == PROJECT["license"]
    assert all(set(author) <= {"name", "family-names", "given-names", "orcid"}
               for author in found["authors"])  # fmt: skip


def test_hosted_ci_runs_the_gate_and_targets_that_exist():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    jobs = workflow["jobs"]
    steps = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert ".ci/run" in steps
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for step in steps:
        for target in re.findall(r"(?:\.ci/run|make) ((?:[a-z-]+ ?)*)", step):
            assert all(f"\n{name}:" in makefile for name in target.split()), step
    tested = set(jobs["device"]["strategy"]["matrix"]["python"])
    claimed = {line.rpartition(" ")[2] for line in PROJECT["classifiers"] if "Python :: 3." in line}
    assert claimed <= tested


@pytest.mark.parametrize("path", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")))
def test_issue_templates_are_forms(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.stem == "config":
        assert set(form) <= {"blank_issues_enabled", "contact_links"}
        return
    assert {"name", "description", "body"} <= set(form)
    ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]
    assert len(ids) == len(set(ids)) > 0
    assert {f["type"] for f in form["body"]} <= {"markdown", "textarea", "input", "dropdown"}
