"""The load of this machine: a sensor that every machine has."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Final

from edgernn.connections.options import ConnectionOption, OptionValues
from edgernn.sources.polling import POLLING_OPTIONS, PolledSource
from edgernn.sources.sysfs import ROOT_OPTION, read_number

MEASUREMENTS: Final = (
    "load_1min", "load_5min", "load_15min", "processes", "cpu_percent", "memory_percent",
    "swap_percent", "temperature_c",
)  # fmt: skip


class LoadSource(PolledSource):
    """Load, memory and temperature, from /proc and /sys."""

    KIND: ClassVar[str] = "load"
    HELP: ClassVar[str] = "This machine's own load: processor, memory, temperature."
    OPTIONS: ClassVar[tuple[ConnectionOption, ...]] = (
        ConnectionOption(
            name="columns",
            help=f"What is measured for a channel that is not called so: channel = one of "
            f"{', '.join(MEASUREMENTS)}.",
            kind="table",
            default={},
            example={"demand": "cpu_percent"},
        ),
        *POLLING_OPTIONS,
        ROOT_OPTION,
    )

    def __init__(self, values: OptionValues, channels: Sequence[str]) -> None:
        """Measure nothing."""
        super().__init__(values, channels)
        renamed = values.table("columns")
        self._wanted = tuple(renamed.get(channel, channel) for channel in self.channels)
        root = Path(values.text("root"))
        self._proc, self._thermal = root / "proc", root / "sys/class/thermal"
        self._cpu = (0.0, 0.0)

    @classmethod
    def problems(cls, values: OptionValues, channels: Sequence[str]) -> list[str]:
        """See `Connection.problems`."""
        columns = values.table("columns")
        strange = [name for name in columns if name not in channels]
        unmeasured = [c for c in channels if columns.get(c, c) not in MEASUREMENTS]
        return [
            *(
                f"columns: expected channels among {', '.join(channels)}, got {name!r:.60}."
                for name in strange
            ),
            *(
                f"columns: expected a measurement for {name!r:.60}, got "
                f"{columns.get(name, 'none')!r:.60}. Add it as in "
                f'columns = {{ "{name:.60}" = "cpu_percent" }}; there are '
                f"{', '.join(MEASUREMENTS)}."
                for name in unmeasured
            ),
        ]

    def start(self) -> None:
        """Look at the processor once: its share is that since the reading before."""
        if "cpu_percent" in self._wanted:
            self._attempt(self._cpu_percent)

    def readings(self) -> list[tuple[str, list[float], str]]:
        """See `PolledSource.readings`."""
        found, problem = {}, ""
        for name in dict.fromkeys(self._wanted):
            found[name], wrong = self._attempt(getattr(self, f"_{name}"))
            problem = problem or (f"expected {name}, got {wrong}" if wrong else "")
        return [(self.key, [found[name] for name in self._wanted], problem)]

    @staticmethod
    def _attempt(measure: Callable[[], float]) -> tuple[float, str]:
        try:
            return measure(), ""
        except (OSError, ValueError, IndexError, KeyError, ZeroDivisionError) as error:
            return math.nan, f"{error!s:.200}" or type(error).__name__

    def _loadavg(self, place: int) -> str:
        return (self._proc / "loadavg").read_text(encoding="ascii").split()[place]

    def _load_1min(self) -> float:
        return float(self._loadavg(0))

    def _load_5min(self) -> float:
        return float(self._loadavg(1))

    def _load_15min(self) -> float:
        return float(self._loadavg(2))

    def _processes(self) -> float:
        return float(self._loadavg(3).partition("/")[2])

    def _cpu_percent(self) -> float:
        """Busy share of all cores since the last call."""
        line = (self._proc / "stat").read_text(encoding="ascii").partition("\n")[0]
        ticks = [float(cell) for cell in line.split()[1:9]]
        idle, total = ticks[3] + ticks[4], sum(ticks)
        before, self._cpu = self._cpu, (idle, total)
        passed = total - before[1]
        return 100.0 * (1.0 - (idle - before[0]) / passed) if passed > 0 else 0.0

    def _memory(self) -> dict[str, float]:
        rows = (self._proc / "meminfo").read_text(encoding="ascii").splitlines()
        pairs = [row.partition(":") for row in rows]
        return {name: float(value.split()[0]) for name, _, value in pairs}

    def _memory_percent(self) -> float:
        memory = self._memory()
        return 100.0 * (1.0 - memory["MemAvailable"] / memory["MemTotal"])

    def _swap_percent(self) -> float:
        memory = self._memory()
        total = memory["SwapTotal"]
        return 100.0 * (1.0 - memory["SwapFree"] / total) if total else 0.0

    def _temperature_c(self) -> float:
        """The hottest thermal zone."""
        return max(read_number(p) for p in self._thermal.glob("thermal_zone*/temp")) / 1e3
