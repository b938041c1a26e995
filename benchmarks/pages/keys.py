"""docs/results/keys.md, and its plot."""

from __future__ import annotations

from pathlib import Path

from benchmarks.pages.markdown import Record, bullets, generated, joined, paragraph, table

#: Ways of taking readings -> title of their column.
WAYS = {
    "sessions": "a `Session` per key",
    "pool 1": "pool, 1 reading",
    "pool 100": "pool, batches of 100",
    "pool 10000": "pool, batches of 10,000",
}


def page(record: Record) -> str:
    """The whole page."""
    keys = record["keys"]
    times = [[f"{run['keys']:,}", *(_ns(run["ns"].get(way)) for way in WAYS)] for run in keys]
    latencies = [
        [f"{run['keys']:,}"]
        + [f"{us:,.1f}" for batch in ("1", "100") for us in run["latency_us"][batch]]
        for run in keys
    ]
    memory = [
        [f"{run['keys']:,}", *(_bytes(run["bytes"].get(way)) for way in _MEMORY)]
        + [f"{run['create_ns'][way] / 1e3:.2f}" for way in _POOLS]
        for run in keys
        if run["keys"] >= 10_000
    ]
    commits = [
        [
            f"`{one['durable']}`", f"{one['size']:,}", f"{one['commit_ms']:.2f}",
            f"{one['states_per_s']:,.0f}", f"{one['states_per_cpu_s']:,.0f}",
        ]
        for one in record["store"]
    ]  # fmt: skip
    return joined(
        [
            "# Many streams",
            paragraph(
                "This page shows what a stream of a [pool](../guides/many-streams.md) costs in "
                "time and memory, from one key to a million, and what it costs to save states."
            ),
            paragraph(_in_short(record)),
            generated("keys"),
            paragraph(
                "The model is GRU-32/8 with 4 outputs in `w8a8`, "
                f"{keys[0]['state_bytes']} bytes of state, on the native back-end of "
                f"{record['processor']}, with one thread. Keys come in random order."
            ),
            "![Nanoseconds per reading over the number of keys](../images/keys.png)",
            "## Processor time per reading, nanoseconds",
            table(["keys", *WAYS.values()], times),
            paragraph(
                "Medians of interleaved rounds. A row of the state, its entry in the index and the "
                "key itself are in the caches of the processor as long as there are few; with a "
                "million keys each reading waits for memory. A single reading pays for one call "
                "of Python."
            ),
            "## Time of one call, microseconds",
            table(["keys", "1 reading, p50", "p99", "100 readings, p50", "p99"], latencies),
            paragraph(
                "From the call to its answer, as a clock shows it: other programs that run at the "
                "same time count."
            ),
            "## Memory per key, bytes, and creation, microseconds",
            table(
                ["keys", *_MEMORY.values(), *(f"creation, {w}" for w in _POOLS.values())], memory
            ),
            bullets(
                [
                    "Resident memory of the process, state included, without the key object.",
                    "A pool with `capacity` or `idle_s` also remembers the order of use.",
                    "Creation: processor time of a new key's first reading, less that of a later "
                    "one.",
                ]
            ),
            "## Threads",
            paragraph(
                f"One pool takes {record['threads']['1']:,.0f} readings per second in one thread; "
                f"two pools in two threads take {record['threads']['2']:,.0f}, on a machine with "
                "two cores. Steps run without Python's lock."
            ),
            "## Saving states",
            table(
                ["durable", "states per commit", "ms per commit", "states/s", "states per CPU s"],
                commits,
            ),
            bullets(
                [
                    f"20,000 streams of {record['store'][0]['blob_bytes']} bytes each; random keys "
                    "in every commit, and one position of a source.",
                    "`normal`: what was committed survives the end of the process. `full`: also a "
                    "power cut; every commit waits for the disk.",
                ]
            ),
        ]
    )


_POOLS = {"pool": "pool", "pool with capacity": "pool with `capacity`"}
_MEMORY = {**_POOLS, "sessions": "a `Session` per key"}


def _in_short(record: Record) -> str:
    by_count = {run["keys"]: run for run in record["keys"]}
    some, most = by_count[10_000], by_count[1_000_000]
    ratio = some["ns"]["sessions"] / some["ns"]["pool 100"]
    over = most["bytes"]["pool"] - most["state_bytes"]
    return (
        f"**In short.** In batches of 100, a reading of one of 10,000 keys takes "
        f"{some['ns']['pool 100']:.0f} ns, {ratio:.1f} times less than with a `Session` per key. "
        f"With a million keys in random order it takes {most['ns']['pool 10000']:.0f} ns in "
        f"batches of 10,000. A key needs {over:.0f} bytes in addition to its state."
    )


def _ns(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _bytes(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def plot(record: Record, path: Path) -> None:
    """Time per reading over the number of keys, as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    axes = figure.subplots()
    for way, title in WAYS.items():
        points = [(run["keys"], run["ns"][way]) for run in record["keys"] if way in run["ns"]]
        axes.plot(*zip(*points, strict=True), marker="o", label=title.replace("`", ""))
    axes.set(xscale="log", yscale="log", xlabel="keys", ylabel="ns per reading")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Software": None})
