"""In CI nothing may be skipped: `make test` then passes --fail-on-skip. Long files come first."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.support.native.variants import absent


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare --fail-on-skip."""
    parser.addoption(
        "--fail-on-skip", action="store_true", help="a skipped test or file fails the run"
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, then those with many tests.

    Workers take whole files: a long one at the end would leave all workers but one idle.
    """
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
