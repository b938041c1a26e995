"""The tables of `edgernn bench`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from edgernn.bench.result import EVERY_READING, RANDOM, Benchmark
from edgernn.bench.timings import Timing
from edgernn.bench.verdict import LimitCheck
from edgernn.cli.style import bad, good, heading, muted, table

_NONE: Final = "–"
#: What the energy of a step is made of.
_ENERGY: Final = "estimate: datasheet power × estimated cycles"


def benchmark_text(found: Benchmark) -> Iterator[str]:
    """The lines of a report.

    Args:
        found: the figures.
    """
    yield from _head(found)
    yield ""
    yield from _times(found)
    if found.throughput:
        yield ""
        yield from _throughput(found)
    yield ""
    yield from _sizes(found)
    if found.boards:
        yield ""
        yield from _boards(found)
    if found.left_out:
        yield ""
        yield heading("Left out")
        yield from (f"  {one.what}: {muted(one.why)}" for one in found.left_out)
    if found.accuracy is not None:
        yield ""
        yield _accuracy(found.accuracy)
    if found.checks:
        yield ""
        yield from _verdict(found)


def _head(found: Benchmark) -> Iterator[str]:
    machine = found.machine
    yield heading(f"{found.model}  {found.precision}")
    yield (
        f"{found.macs:,} multiply-accumulates per step of the network; outputs: {found.stream}; "
        f"{found.state_bytes:,} bytes of state per stream"
    )
    pinned = "not pinned" if machine["pinned_core"] is None else f"core {machine['pinned_core']}"
    facts = [machine["processor"], machine["architecture"], f"one thread, {pinned}"]
    if machine["governor"]:
        facts.append(f"governor {machine['governor']}")
    yield f"{', '.join(facts)}, {machine['system']}, Python {machine['python']}"
    yield (
        f"{found.compared} readings ({found.readings}): all exact back-ends give the reference's "
        "bits"
    )
    load, cores = machine["load_average"], machine["cores"]
    if load is not None and cores is not None and load > cores / 2:
        yield muted(
            f"note: the machine is busy (load {load:g} on {cores} cores); measure again when it is "
            "quiet"
        )


def _times(found: Benchmark) -> Iterator[str]:
    compared = any(timing.departure is not None for timing in found.timings)
    unit = "step" if found.stream == EVERY_READING else "reading"
    headings = [f"µs per {unit}", "numbers", "way", "median", "p95", "p99", "in run", "× fastest"]
    headings += ["error"] * compared
    headings.append("memory")
    fastest = min((timing.median_us for timing in found.timings), default=1.0)
    own = [timing for timing in found.timings if timing.exact]
    peers = [timing for timing in found.timings if not timing.exact]
    rows: list[list[str] | None] = []
    for group in (own, peers):
        rows += [None] * bool(rows and group)
        rows += [_time_row(found, timing, fastest, compared) for timing in group]
    yield from table(headings, rows, "<<<" + ">" * (len(headings) - 3))
    yield muted(
        "median, p95 and p99 of single calls; in run: per step when many readings are passed at a "
        "time; memory: peak of the process"
    )
    yield muted(
        "step, bind: physical units in and out, missing values are checked; codes: integer codes, "
        "no checks; bare: numbers of the file, no checks"
    )
    if not found.stream.startswith(EVERY_READING):
        yield muted("some calls only collect readings for the next answer; their times count too")
    if compared:
        yield muted(
            "error: RMS of the difference from the float network on these readings, in percent of "
            "the standard deviation of its outputs"
        )
        if found.readings == RANDOM:
            yield muted("  these readings are random; pass --data to see the error on your own")
    if peers:
        yield muted("* the float network, or a stock conversion of it:")
        for note, names in _notes(peers).items():
            yield muted(f"  {'; '.join(names)}: {note}")


def _notes(peers: Sequence[Timing]) -> dict[str, list[str]]:
    """How peers are configured, and which."""
    found: dict[str, list[str]] = {}
    for timing in peers:
        named = found.setdefault(timing.note, [])
        name = f"{timing.program} {timing.form}"
        if name not in named:
            named.append(name)
    return found


def _time_row(found: Benchmark, timing: Timing, fastest: float, compared: bool) -> list[str]:
    name = timing.program if timing.exact else f"{timing.program} *"
    memory = found.memory_bytes.get(timing.program if timing.exact else _process(timing))
    row = [
        timing.name if timing.exact else name,
        timing.form,
        timing.way,
        figure(timing.median_us),
        figure(timing.p95_us),
        figure(timing.p99_us),
        _NONE if timing.run_us is None else figure(timing.run_us),
        f"{timing.median_us / fastest:.1f}×",
    ]
    if compared:
        share = timing.departure
        row.append(_NONE if share is None else _percent(share))
    return [*row, _NONE if memory is None else f"{memory / 1e6:.0f} MB"]


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %" if share >= 0.0001 else "< 0.01 %"


def _process(timing: Timing) -> str:
    """The process of a peer, as the benchmark names it."""
    return timing.program if timing.program == "keras" else f"peers in {timing.program}"


def _throughput(found: Benchmark) -> Iterator[str]:
    counts = sorted({one.streams for one in found.throughput})
    program = found.throughput[0].program
    headings = ["steps per second, all streams", *(f"{count}" for count in counts)]
    rows = []
    for way, text in (("step", "one reading each"), ("run", "32 readings each")):
        by_count = {one.streams: one for one in found.throughput if one.way == way}
        rows.append([f"{program}, {text}", *(_rate(by_count[count].steps_per_second)
                                            for count in counts)])  # fmt: skip
    yield from table(headings, rows, "<" + ">" * len(counts))


def _rate(value: float) -> str:
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{figure(value / size)} {unit}"
    return figure(value)


def _sizes(found: Benchmark) -> Iterator[str]:
    rows: list[list[str] | None] = []
    for size in found.sizes:
        if not size.ours and rows and None not in rows:
            rows.append(None)
        packed = _NONE if size.gzip_bytes is None else f"{size.gzip_bytes:,}"
        rows.append([size.name, f"{size.bytes:,}", packed])
    yield from table(["format", "bytes", "gzip"], rows, "<>>")


def _boards(found: Benchmark) -> Iterator[str]:
    headings = ["board", "instructions", "ms", "flash", "RAM", "stack", "fits", "µJ per step"]
    rows = [
        [
            str(board["target"]),
            _count(board["instructions_per_step"]),
            _range(board["low_ms"], board["high_ms"]),
            _least(board) + _count(board["flash_bytes"]),
            _least(board) + _count(board["ram_bytes"]),
            _count(board["stack_bytes"]),
            {True: good("yes"), False: bad("no")}.get(board["fits"], _NONE),
            _range(board["low_uj"], board["high_uj"]),
        ]
        for board in found.boards
    ]
    yield from table(headings, rows, "<" + ">" * (len(headings) - 1))
    yield muted(f"instructions are counted, ms are estimates; µJ are an {_ENERGY}")
    yield from (
        muted(f"{board['target']}: {board['note']}") for board in found.boards if board["note"]
    )


def _least(board: Mapping[str, Any]) -> str:
    """Weights and state alone are the least that firmware needs."""
    return "" if board["measured"] else "≥ "


def _count(value: float | None) -> str:
    return _NONE if value is None else f"{value:,.0f}"


def _range(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return _NONE if high is None else figure(high)
    return figure(low) if figure(low) == figure(high) else f"{figure(low)}–{figure(high)}"


def _accuracy(accuracy: Mapping[str, Any]) -> str:
    kept = accuracy["kept"]
    share = "unknown" if kept is None else f"{100 * kept:.2f} %"
    return f"accuracy kept: {share} of {accuracy['metric']} over {accuracy['answers']:,} outputs"


def _verdict(found: Benchmark) -> Iterator[str]:
    yield heading("Limits")
    for check in found.checks:
        mark = good("✓") if check.kept else bad("✗")
        yield f"  {mark} {check.what}: {_measured(check)}"


def _measured(check: LimitCheck) -> str:
    least = check.unit == "%"
    bound = f"{'at least' if least else 'at most'} {check.limit:g} {check.unit}"
    if check.measured is None:
        return f"not measured, expected {bound}"
    return f"{figure(check.measured)} {check.unit}, expected {bound}"


def figure(value: float) -> str:
    """A figure with about three digits, as 0.551, 12.3 or 1,204."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 4)}f}"
