"""What `edgernn watch` draws: one screen, from 80 columns and 24 lines on."""

from __future__ import annotations

import re
import time
from typing import Any, Final

#: Eight heights of a bar.
_BARS: Final = "▁▂▃▄▅▆▇█"
#: Lines of the screen that are not streams.
_OTHER_LINES: Final = 13
#: Older events are shown with their date.
_DAY_S: Final = 86_400.0
_UNITS: Final = ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms"), (120.0, 1.0, "s"), (7200.0, 1 / 60, "min"))


def screen(state: dict[str, Any], width: int, height: int | None, problem: str = "") -> Any:
    """A screen.

    Args:
        state: what the service says of itself.
        width: columns.
        height: lines; None: as many as there are.
        problem: why the state is old; "" if it is not.
    """
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    streams = sorted(state["streams"], key=lambda one: (not one["alarm"], _natural(one["key"])))
    room = len(streams) if height is None else max(1, height - _OTHER_LINES)
    parts: list[Any] = [_head(state, problem), Text(_figures(state)), Text("")]
    table = Table(box=None, padding=(0, 1), width=width, header_style="bold", pad_edge=False)
    table.add_column("stream", ratio=3, no_wrap=True, overflow="ellipsis")
    spark = max(8, min(30, width - 62))
    for title in ("", "value", "alarm"):
        table.add_column(title, no_wrap=True, justify="right" if title == "value" else "left")
    table.add_column("readings", justify="right", no_wrap=True)
    table.add_column("last", justify="right", no_wrap=True)
    unit = state["outputs"][0]["unit"] if state["outputs"] else ""
    for one in streams[:room]:
        value = next(iter(one["y"].values()), None)
        shown = "-" if value is None else f"{value:.4g} {unit}".rstrip()
        alarms = ", ".join(name for name, on in one["decisions"].items() if on is True)
        style = "red" if one["alarm"] else "dim" if one["silent_s"] > 60 else ""
        table.add_row(
            Text(one["key"], style=style), Text(bars(one["spark"], spark), style="cyan"),
            Text(shown), Text(alarms[:16], style="red"), f"{one['readings']:,}",
            _ago(one["silent_s"]),
        )  # fmt: skip
    if streams:
        parts.append(table)
    else:
        parts.append(Text("Waiting for the first reading.", style="dim"))
    hidden = state["streams_in_memory"] - min(room, len(streams))
    parts.append(Text(f"and {hidden:,} more" if hidden > 0 else "", style="dim"))
    parts += _ranges(state, width)
    parts += [_connections(state), *_events(state)]
    return Group(*parts)


def bars(values: list[float | None], width: int) -> str:
    """The last values as a line of bars.

    >>> bars([0.0, 1.0, None, 7.0], 10)
    '▁▂ █'
    """
    shown = values[-width:]
    known = [value for value in shown if value is not None]
    if not known:
        return ""
    low, span = min(known), max(known) - min(known)
    top = len(_BARS) - 1
    return "".join(
        " " if value is None else _BARS[round(top * (value - low) / span) if span else top // 2]
        for value in shown
    )


def _natural(key: str) -> list[tuple[int, str]]:
    """An order in which pump-2 comes before pump-10."""
    return [(len(part), part) if part.isdigit() else (0, part) for part in re.split(r"(\d+)", key)]


def _head(state: dict[str, Any], problem: str) -> Any:
    from rich.text import Text

    health = state["health"]
    failing = ", ".join(health["failing_sinks_s"])
    status, style = health["status"], "green"
    if problem:
        status, style = "no connection", "red"
    elif failing:
        status, style = f"waiting for {failing}", "red"
    elif status != "ok":
        style = "red"
    return Text.assemble(
        (state["title"], "bold"), "  ", (status, style),
        (f"  {health['model_sha256'][:8]}, up {_duration(health['uptime_s'])}", "dim"),
    )  # fmt: skip


def _figures(state: dict[str, Any]) -> str:
    latency, counts = state["latency"], state["counts"]
    bad = counts.get("bad", 0) + counts.get("unreadable", 0)
    return (
        f"{state['rate_hz']:.4g} readings/s   p50 {_duration(latency['p50_s'])}   "
        f"p99 {_duration(latency['p99_s'])}   {state['streams_in_memory']:,} streams   "
        f"{state['alarms_on']} alarms   {bad:,} bad"
    )


def _ranges(state: dict[str, Any], width: int) -> list[Any]:
    """The channels that left their range most often."""
    from rich.text import Text

    rows = [(one["share"], f"{one['name']} clipped") for one in state["inputs"]]
    rows += [(one["share"], f"{one['name']} saturated") for one in state["outputs"]]
    worst = sorted((row for row in rows if row[0] > 0), reverse=True)[:3]
    if not worst:
        return [Text("range     every value within its range", style="dim")]
    text = "   ".join(f"{name} {100 * share:.2g} %" for share, name in worst)
    return [Text(f"range     {text}"[:width], style="yellow" if worst[0][0] > 0.05 else "")]


def _connections(state: dict[str, Any]) -> Any:
    from rich.text import Text

    lines = []
    for name, one in state["health"]["sources"].items():
        last = "ended" if one["ended"] else f"last {_ago(one['silent_s'])}"
        lines.append(f"source    {name}: {one['readings']:,} readings, {last}")
    for one in state["sinks"]:
        dropped = f", {one['dropped']:,} dropped" if one["dropped"] else ""
        fails = ", FAILS" if one["failing"] else ""
        lines.append(f"sink      {one['name']}: {one['written']:,} written{dropped}{fails}")
    more = [f"and {len(lines) - 5} more connections"] if len(lines) > 6 else []
    return Text("\n".join(lines[:6] if not more else [*lines[:5], *more]))


def _events(state: dict[str, Any]) -> list[Any]:
    from rich.text import Text

    found = []
    for event in state["events"][:2]:
        time_s = event["time_s"] or 0
        form = "%H:%M:%S" if abs(time.time() - time_s) < _DAY_S else "%d %b %H:%M"
        moment = time.strftime(form, time.localtime(time_s))
        key = f"{event['key']}: " if event["key"] else ""
        style = "red" if event.get("on") or event["kind"] == "error" else "dim"
        found.append(Text(f"{moment}  {key}{event['text']}", style=style, no_wrap=True))
    return found


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for limit, factor, unit in _UNITS:
        if seconds < limit:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds / 3600:.3g} h" if seconds < 172_800 else f"{seconds / 86_400:.3g} d"


def _ago(seconds: float) -> str:
    return "now" if seconds < 1 else f"{_duration(float(round(seconds)))} ago"
