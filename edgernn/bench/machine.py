"""Facts about the machine that figures depend on."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import statistics
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np

_GOVERNOR: Final = "/sys/devices/system/cpu/cpu{}/cpufreq/scaling_governor"
_CLOCK_TRIALS: Final = 2000


def last_core() -> int | None:
    """The core all processes share; None if the system does not let us choose."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, allowed)  # changes nothing, but a sandbox may forbid it
    except OSError:
        return None
    return max(allowed)


def processor() -> str:
    """The processor's name for itself; of a single-board computer, the board's."""
    board = _text(Path("/proc/device-tree/model"))
    if board:
        return board
    for line in _text(Path("/proc/cpuinfo")).splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.processor() or "unknown processor"


def governor(core: int | None) -> str | None:
    """The clock governor of a core, such as "performance"; None if it cannot be read."""
    return _text(Path(_GOVERNOR.format(core or 0))) or None


def peak_memory_bytes() -> int | None:
    """Peak resident memory of this process; None if the system does not tell."""
    for line in _text(Path("/proc/self/status")).splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    return None


def clock_ns() -> float:
    """Median nanoseconds of reading the clock, which every timed call contains."""
    clock, times = time.perf_counter_ns, []
    for _ in range(_CLOCK_TRIALS):
        start = clock()
        times.append(clock() - start)
    return float(statistics.median(times))


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of installed distributions, by name; others are left out."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def is_installed(package: str) -> bool:
    """Whether a package, or a module of one, can be imported."""
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def machine_facts(core: int | None, packages: Iterable[str]) -> dict[str, Any]:
    """What the figures depend on, as JSON values.

    Args:
        core: that all processes are pinned to; None if they are not.
        packages: distributions whose versions count.
    """
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "versions": {"numpy": np.__version__} | versions(packages),
        "pinned_core": core,
        "governor": governor(core),
        "load_average": None if load is None else round(load, 2),
        "clock_ns": clock_ns(),
    }


def _text(path: Path) -> str:
    """The content of a file of the system; "" if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return ""
