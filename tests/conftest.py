"""In CI nothing may be skipped: `make test` then passes --fail-on-skip. Long files come first.

Tests that passed on the device floor need not run again under the same version of Python.
"""

from __future__ import annotations

import platform
import zlib
from collections import Counter
from pathlib import Path

import pytest

from tests.support.native.variants import absent


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare --fail-on-skip, --record-passed and --leave-out."""
    parser.addoption(
        "--fail-on-skip", action="store_true", help="a skipped test or file fails the run"
    )
    parser.addoption("--record-passed", type=Path, help="write the tests that passed to this file")
    parser.addoption(
        "--leave-out", type=Path, help="leave out what such a file of this Python names"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Record what passes, where that is asked for."""
    if (file := config.getoption("--record-passed")) is not None:
        config.pluginmanager.register(_Passed(file))


class _Passed:
    """Writes the version of Python and the tests that passed, a line each."""

    def __init__(self, file: Path) -> None:
        self._file, self._tests = file, [platform.python_version()]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self._tests.append(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text("\n".join(self._tests) + "\n", encoding="utf-8")


def _left_out(file: Path | None) -> frozenset[str]:
    """Tests of the file; none if it is missing, or of another Python."""
    if file is None or not file.is_file():
        return frozenset()
    version, *tests = file.read_text(encoding="utf-8").splitlines()
    return frozenset(tests) if version == platform.python_version() else frozenset()


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark all but a sample of a `sampled` grid as long.

    The sample is drawn by the names of the tests, so that it is the same in every run.
    """
    sample = item.get_closest_marker("sampled")
    name = item.nodeid.partition("::")[2]
    if sample is not None and "[" in name and zlib.crc32(name.encode()) % sample.args[0]:
        item.add_marker("long")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files with slow tests first, then those with many tests.

    Workers take whole files: a long one at the end would leave all workers but one idle.
    """
    if known := _left_out(config.getoption("--leave-out")):
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in known])
        items[:] = [item for item in items if item.nodeid not in known]
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    count = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path not in slow, -count[item.path], str(item.path)))


def pytest_report_header() -> str | None:
    """Name the kernels that no test can run because the processor lacks their instructions."""
    missing = absent()
    return f"kernels this processor cannot run: {', '.join(missing)}" if missing else None


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that left tests out; skips are those of missing tools."""
    config = session.config
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if not config.getoption("--fail-on-skip") or hasattr(config, "workerinput") or not reporter:
        return
    skipped = reporter.stats.get("skipped", [])
    if skipped:
        reporter.write_line(f"--fail-on-skip: {len(skipped)} skipped, see above", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
