"""docs/results/device_layers.md."""

from __future__ import annotations

from benchmarks.pages.markdown import Record, bullets, generated, joined, paragraph, table


def page(record: Record) -> str:
    """The whole page."""
    return joined([
        "# Instructions of preparation and log-mel features",
        paragraph(
            "This page shows what the layers in front of a network cost on seven processor cores: "
            "log-mel features of sound, and the preparation of readings. `edgernn export --to c` "
            "writes them in integers. Add these figures to those of the network "
            "([instructions per step](instructions.md))."
        ),
        generated("device_layers"),
        paragraph(
            "The counts are exact. Each layer is compiled with `-O2` and runs under QEMU, and "
            "every input code that it makes is compared with the reference first: 0 of "
            f"{_compared(record):,} codes differ."
        ),
        "## Log-mel features",
        paragraph(
            f"Instructions per frame, the median of {record['frames']} frames of a speech-like "
            "sound. They include a call for each sample of the hop. *Table bytes* are those of the "
            "first front end, *RAM* is its ring of samples and its scratch buffer."
        ),
        _table(record["sound"]),
        "## Preparation",
        paragraph(
            f"Instructions per reading of one channel, the median of {record['readings']} readings "
            "in a `w8a8` model. *A value* is the conversion of a reading to an input code; each "
            "other column has one more feature. Minimum, maximum and deviation read their whole "
            "window for every reading, so their cost grows with its length. The others do not "
            "depend on it."
        ),
        _table(record["preparation"]),
        "## Compilers and emulators",
        bullets(f"`{name}`: {version}" for name, version in record["programs"]),
    ])  # fmt: skip


def _table(cores: Record) -> str:
    names = [*next(iter(cores.values()))]
    rows = []
    for core, layers in cores.items():
        first = layers[names[0]]
        rows.append([
            core,
            *(f"{layers[name]['instructions']:,}" for name in names),
            *(f"{first[key]:,}" for key in ("code_bytes", "table_bytes", "ram_bytes")),
            f"{first['stack_bytes']:,}",
        ])  # fmt: skip
    return table(["core", *names, "code bytes", "table bytes", "RAM", "stack"], rows)


def _compared(record: Record) -> int:
    return sum(
        layer["compared"]
        for kind in ("sound", "preparation")
        for layers in record[kind].values()
        for layer in layers.values()
    )
