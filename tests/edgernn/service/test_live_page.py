"""The live page in headless Chromium: it shows the streams, also on a phone, and runs no text."""

from __future__ import annotations

import shutil
import struct
import subprocess

import pytest

from tests.support.services import Command

pytestmark = pytest.mark.slow
KEY = "<img src=x onerror=alert(1)>"


def chromium(url, *arguments):
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("chromium is not installed: make tools")
    done = subprocess.run(
        [
            program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--virtual-time-budget=3000", *arguments, url,
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    rows = "".join(
        f'{{"key": "{key}", "seq": {n}, "co2_change": {value}, "truth": 1.5{old}}}\n'
        for n in range(1, 60)
        for key, value, old in (
            ("site-1", n % 7 / 3 - 1, ""),
            (KEY, 40, ""),
            ("pump ü", "null", ', "time": "2020-05-01T12:00:00Z"'),
        )
    )
    (folder / "in.jsonl").write_text(rows, encoding="utf-8")
    (folder / "serve.toml").write_text(
        '[model]\npath = "demo"\n[http]\ntruth = "truth"\n'
        '[[decision]]\nkind = "threshold"\nname = "far_out"\nof = "co2_change_in_13_weeks"\n'
        "on = -100.0\n"
        '[[source]]\nkind = "jsonl"\npath = "in.jsonl"\nfollow = true\n'
        '[[sink]]\nkind = "stdout"\n'
    )
    with Command(folder, "serve.toml") as running:
        running.wait_for(lambda state: state["results"] >= 177)
        yield running


def test_the_page_shows_streams_alarms_and_histogram(service):
    page = chromium(f"{service.url}/", "--dump-dom")
    assert 'data-key="site-1"' in page
    assert 'data-key="pump ü"' in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page  # a key is text, not markup
    assert "<img" not in page
    assert "co2_forecaster" in page
    assert ">running<" in page
    assert "far_out" in page
    assert "far_out begins" in page
    assert "truth: truth" in page
    assert "Mean absolute error" in page
    assert "input clipped" in page
    assert "up to " in page  # the bars of the histogram say what they count
    assert 'id="lost" role="alert" style="display: none;"' in page


def test_the_address_names_the_stream_and_old_times_have_a_date(service):
    page = chromium(f"{service.url}/#key=pump+%C3%BC", "--dump-dom")
    assert 'data-key="pump ü" aria-current="true"' in page
    assert page.count('aria-current="true"') == 1
    assert "1 May, " in page


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (500, "light"), (1280, "dark")])
def test_the_page_fits_the_screen(service, tmp_path, width, scheme):
    image = tmp_path / "page.png"
    dark = ["--force-dark-mode"] if scheme == "dark" else []
    chromium(f"{service.url}/", f"--window-size={width},900", f"--screenshot={image}", *dark)
    raw = image.read_bytes()
    assert struct.unpack(">2I", raw[16:24]) == (width, 900)
    assert len(raw) > 20_000  # not an empty page


def test_a_service_that_is_gone_is_said(service, tmp_path):
    """A copy of the page, opened from a file, finds no service."""
    copy = tmp_path / "page.html"
    copy.write_text(service.get("/")[1], encoding="utf-8")
    page = chromium(copy.as_uri(), "--dump-dom")
    assert "no connection" in page
    assert 'style="display: block;"' in page
