"""README, and paragraphs that cite a results page, quote only figures that such a page shows."""

import re

import pytest

from tests.support.documents import ROOT

#: Units of a result: time, size, share, factor, ratio, count.
FIGURE = re.compile(
    r"(?<![\w.,])(\d[\d,]*(?:\.\d+)?)\s?"
    r"(?:µs|us\b|ms\b|ns\b|kB\b|kiB\b|KiB\b|MB\b|GB\b|bytes\b|%|×|times\b|ppm\b|dB\b"
    r"|instructions\b|cycles\b|points\b|µJ\b|MACs?\b)"
)
NUMBER = re.compile(r"(?<![\w.,])\d[\d,]*(?:\.\d+)?(?![\d.]*\d)")
CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)
#: Figures of README that no benchmark measures -> why.
NOT_MEASURED = {
    "0.8 GB": "download of make demo",
    "3 GB": "disk space of make demo",
    "5 GB": "disk space of make test",
}
#: Figures of other origin in paragraphs that cite a results page -> their origin.
OTHERWISE = {
    ("docs/guides/firmware.md", "1.2 kB"): "size of compiled kernels, which no benchmark measures",
    ("docs/guides/firmware.md", "2.8 kB"): "size of compiled kernels, which no benchmark measures",
    ("docs/guides/qat.md", "1.7 %"): "benchmarks/results/qat_settings.json, validation parts",
}
CITED = re.compile(r"results/(\w+)\.md")
DOCUMENTS = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "docs").rglob("*.md")
    if path.parent.name != "results"
)


def figures(text):
    """Numbers with a unit outside code, as (number, the whole phrase)."""
    plain = CODE.sub("", text)
    return [(found[1], " ".join(found[0].split())) for found in FIGURE.finditer(plain)]


def unknown(text, pages):
    """Quoted figures that none of these pages shows."""
    shown = {number for page in pages for number in NUMBER.findall(page)}
    return [
        phrase
        for number, phrase in figures(text)
        if phrase not in NOT_MEASURED and number not in shown
    ]


def results():
    """The texts of all results pages."""
    return [path.read_text(encoding="utf-8") for path in (ROOT / "docs/results").glob("*.md")]


def test_readme_quotes_the_results_pages():
    assert unknown((ROOT / "README.md").read_text(encoding="utf-8"), results()) == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paragraphs_quote_the_pages_they_cite(document):
    wrong = []
    for paragraph in (ROOT / document).read_text(encoding="utf-8").split("\n\n"):
        names = CITED.findall(paragraph)
        pages = [(ROOT / f"docs/results/{name}.md").read_text(encoding="utf-8") for name in names]
        if pages:
            wrong += unknown(paragraph, pages)
    assert [phrase for phrase in wrong if (document, phrase) not in OTHERWISE] == []


def test_the_summary_quotes_the_pages_it_sums_up():
    summary = (ROOT / "docs/results/summary.md").read_text(encoding="utf-8")
    others = [page for page in results() if page != summary]
    quoted = {number for row in summary.splitlines() if row[:1] == "|" for number in row.split()}
    figures_of_rows = {number for number in quoted if NUMBER.fullmatch(number)}
    shown = {number for page in others for number in NUMBER.findall(page)}
    assert len(figures_of_rows) > 40
    assert sorted(figures_of_rows - shown) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("It takes 0.139 µs.", []),
        ("It takes 0.14 µs.", ["0.14 µs"]),
        ("Needs 9,516 instructions, keeps 99.59 %, is 7.6× faster.", []),
        ("Needs 9,517 instructions.", ["9,517 instructions"]),
        ("2.63 times as long, 16 bits, Python 3.11", []),
        ("`0.14 µs` and\n```text\n7 kB\n```\n", []),
    ],
)
def test_figures_are_found(text, wrong):
    page = "| 0.139 | 2.63 (7.6× `step`) | 9,516 | 99.59% |"
    assert unknown(text, [page]) == wrong
