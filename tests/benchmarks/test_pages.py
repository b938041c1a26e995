"""The results pages show the stored figures, and the driver runs every benchmark that it can."""

import re
from pathlib import Path

import pytest

from benchmarks import all as driver
from benchmarks.pages import __main__ as pages
from benchmarks.pages.markdown import PAGES, RESULTS

ROOT = Path(__file__).resolve().parents[2]
#: Words of internal targets, which mean nothing to a reader.
TARGETS = re.compile(r"\baims?\b|below the|must hold", re.IGNORECASE)


@pytest.mark.parametrize("page", pages.TEXTS)
def test_a_page_shows_its_stored_figures(page, capsys):
    assert pages.main(["--check", page]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("page", pages.TEXTS)
def test_a_page_opens_with_what_it_is_for_and_has_no_internal_target(page):
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    title, opening, *_ = text.split("\n\n")
    assert title.startswith("# ")
    assert re.match(r"[A-Z].*\.$", opening, re.DOTALL)
    assert f"`python -m benchmarks.pages {page}`" in text
    assert TARGETS.findall(text) == []


def test_every_page_is_generated():
    assert {path.stem for path in PAGES.glob("*.md")} == {*pages.TEXTS}


def test_an_outdated_page_is_reported_and_then_rebuilt(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pages, "PAGES", tmp_path)
    page = tmp_path / "int4.md"
    page.write_text("old\n", encoding="utf-8")
    assert pages.main(["--check", "int4"]) == 1
    assert "docs/results/int4.md: expected" in capsys.readouterr().out
    assert page.read_text(encoding="utf-8") == "old\n"
    assert pages.main(["int4"]) == 0
    assert pages.main(["--check", "int4"]) == 0


def test_an_unknown_page_is_an_error(capsys):
    with pytest.raises(SystemExit):
        pages.main(["nowhere"])
    assert "got nowhere" in capsys.readouterr().err


def test_the_benchmarks_without_data_fit_half_an_hour():
    assert sum(b.minutes for b in driver.BENCHMARKS.values() if not b.data) <= 30


def test_every_benchmark_has_figures_and_a_page():
    for name, benchmark in driver.BENCHMARKS.items():
        assert (RESULTS / f"{name}.json").is_file()
        assert benchmark.page in pages.TEXTS
        assert (ROOT / f"{benchmark.module.replace('.', '/')}.py").is_file()


def test_a_failure_does_not_stop_the_others(capsys):
    chosen = {name: driver.BENCHMARKS[name] for name in ("instructions", "int4", "drift")}
    calls = []

    def call(arguments, environment):
        calls.append(arguments)
        return 3 if arguments[0] == "benchmarks.instructions" else 0

    assert driver.run(chosen, has_data=False, call=call) == 1
    said = capsys.readouterr().err
    assert [arguments[0] for arguments in calls] == [
        "benchmarks.instructions",
        "benchmarks.int4",
        "benchmarks.pages",
    ]
    assert calls[-1][1:] == ("instructions", "int4", "summary")
    assert "1/2 instructions (about " in said
    assert "Failed: instructions (exit code 3)" in said
    assert "Not run, because EDGERNN_DATA is not set: drift" in said
    assert driver.run({"int4": chosen["int4"]}, has_data=False, call=lambda *_: 0) == 0


def test_only_takes_benchmarks_and_pages(monkeypatch, capsys):
    ran = []
    monkeypatch.setattr(driver, "run", lambda chosen, **_: ran.append([*chosen]) or 0)
    assert driver.main(["--only", "int4,accuracy", "--only", "sparse"]) == 0
    assert ran == [["sparse", "int4", "accuracy", "drift"]]
    with pytest.raises(SystemExit):
        driver.main(["--only", "nowhere"])
    assert "got nowhere" in capsys.readouterr().err
    assert driver.main(["--list"]) == 0
    assert "drift            accuracy             5  needs EDGERNN_DATA" in capsys.readouterr().out
