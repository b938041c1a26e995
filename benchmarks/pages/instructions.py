"""docs/results/instructions.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from benchmarks.pages.markdown import Record, bullets, generated, joined, paragraph, table

#: Figures of one network on one core.
Figures = Record
#: Core -> network -> figures.
Rows = dict[str, dict[str, Figures]]


def page(record: Record) -> str:
    """The whole page."""
    tables: dict[str, Rows] = record["networks"]
    last = [*next(iter(tables["w8a8"].values()))][-1]
    blocks = [
        "# Instructions per step",
        paragraph(
            "This page shows how many instructions one step of the generated C executes on seven "
            "processor cores, and how much flash, RAM and stack it needs. Use the tables to check "
            "whether a network of about your size fits a microcontroller. For your own model, run "
            "`edgernn simulate` ([simulate a microcontroller](../guides/simulate.md))."
        ),
        *_in_short(tables["w8a8"]),
        generated("instructions"),
        paragraph(
            "The counts are exact. Each network is compiled with `-O2` and runs under QEMU, and "
            "every output and state is compared with the reference first (0 LSB difference). Each "
            f"figure is the median of {record['steps']} steps. The number in brackets is the "
            "instructions of the whole step per multiply-accumulate (MAC) of the matrix products. "
            "GRU-32/8 is a GRU with 32 units and 8 inputs. Every network ends in a Dense layer "
            f"with {record['outputs']} outputs. *Code bytes* are those of {last}, without weights "
            "and tables."
        ),
        paragraph(
            "A gate is computed in one of two ways: as one product of the input and the state, "
            "which then share the scale of each weight row, or as the sum of two products with "
            "separate scales. `quantize` chooses two products if shared scales would cost "
            "accuracy, which happens in trained networks."
        ),
    ]
    for precision, rows in tables.items():
        code = _table(rows, counts, "code bytes", lambda f: f"{f['code_bytes']:,}")
        blocks += [f"## Instructions, `{precision}`", code]
    blocks += [
        "## Estimated cycles, `w8a8`",
        paragraph(
            "Instructions are not cycles: a load or a branch can take several. These are "
            "**estimated** cycles per step, computed from timing tables of the cores, without wait "
            "states. [Simulate a microcontroller](../guides/simulate.md) explains how far such "
            "estimates can be off."
        ),
        _table(tables["w8a8"], cycles, "stack bytes", lambda f: f"{f['stack_bytes']:,}"),
        *_against_operations(record),
        *_wide_states(record),
        *_others(record["others"]),
        "## Compilers and emulators",
        bullets(f"`{name}`: {version}" for name, version in record["programs"]),
    ]
    return joined(blocks)


def _in_short(rows: Rows) -> list[str]:
    """The first network on three cores, where they were measured."""
    if not {*_SHOWN} <= {*rows}:
        return []
    name = next(iter(rows["cortex-m4"]))
    listed = [
        f"{rows[core][name]['instructions']:,}{'' if i else ' instructions'} on {title}"
        for i, (core, title) in enumerate(_SHOWN.items())
    ]
    low, high = (cycles / 1e5 for cycles in rows["cortex-m4"][name]["cycles"])
    return [
        paragraph(
            f"**In short.** A `w8a8` step of {name} executes {', '.join(listed[:-1])} and "
            f"{listed[-1]}. On a Cortex-M4 at 100 MHz, that is an estimated {low:.2f} to "
            f"{high:.2f} ms. For another size, multiply the number of weights by the instructions "
            "per MAC of the nearest network; small networks need more per weight than large ones."
        )
    ]


def counts(figures: Figures) -> str:
    """Instructions, and per MAC."""
    instructions, macs = figures["instructions"], figures["macs"]
    return f"{instructions:,} ({instructions / macs:.2f})"


def cycles(figures: Figures) -> str:
    """Both ends of the estimate."""
    low, high = figures["cycles"]
    return f"{low:,}" if low == high else f"{low:,} – {high:,}"


def _table(
    rows: Rows, cell: Callable[[Figures], str], last: str, last_cell: Callable[[Figures], str]
) -> str:
    """One row per core, one column per network, and one figure of the last network."""
    networks = next(iter(rows.values()))
    head = ["core", *(f"{name}, {f['macs']:,} MAC" for name, f in networks.items()), last]
    return table(
        head,
        (
            [core, *map(cell, found.values()), last_cell([*found.values()][-1])]
            for core, found in rows.items()
        ),
    )


def _pairs(names: Iterable[str], ones: Rows, others: Rows, key: str) -> str:
    """One row per core, one column per network: a figure of two forms, and their ratio."""
    listed = [*names]

    def cell(core: str, name: str) -> str:
        one, other = ones[core][name][key], others[core][name][key]
        return f"{one:,} → {other:,} ({other / one:.2f}×)"

    return table(
        ["core", *listed], ([core, *(cell(core, name) for name in listed)] for core in others)
    )


def _against_operations(record: Record) -> list[str]:
    """The same networks by kernels and operation by operation."""
    kernels, operations = record["kernels"], record["operations"]
    names = [*next(iter(kernels.values()))]
    return [
        "## Fused kernels and single operations",
        paragraph(
            "SimpleRNN, LSTM, GRU and Dense have their own fused C kernels. Every other layer runs "
            "as a sequence of single operations. This table runs the same `w8a8` networks both "
            "ways: instructions per step with kernels → with single operations (ratio)."
        ),
        _pairs(names, kernels, operations, "instructions"),
        "Bytes of flash, including weights and tables:",
        _pairs(names, kernels, operations, "flash_bytes"),
    ]


def _wide_states(record: Record) -> list[str]:
    """The networks that can have wide states, without and with them."""
    kernels, wide = record["kernels"], record["wide"]
    names = [*next(iter(wide.values()))]
    return [
        "## Wide states",
        paragraph(
            "Layers with 31-bit states ([long memory](../guides/long-memory.md)) run as single "
            "operations. Instructions per step of `w8a8` networks of the same shape: 16-bit states "
            "with kernels → 31-bit states (ratio)."
        ),
        _pairs(names, kernels, wide, "instructions"),
        "Bytes of flash, including weights and tables:",
        _pairs(names, kernels, wide, "flash_bytes"),
    ]


def _others(tables: dict[str, Rows]) -> list[str]:
    """One row per network and core: instructions and memory in both precisions."""
    kinds = [f"`{p}`: {k}" if not i else k for p in tables for i, k in enumerate(_KINDS)]
    cores = next(iter(tables.values()))
    rows = []
    for name in next(iter(cores.values())):
        for core in cores:
            cells = [name, core]
            for found in tables.values():
                figures = found[core][name]
                cells += [counts(figures), *(f"{figures[k]:,}" for k in _BYTES)]
            rows.append(cells)
    return [
        "## Custom cells, convolutions, embeddings and branched networks",
        paragraph(
            "Instructions per step, with instructions per MAC in brackets, and bytes of flash and "
            "RAM. Flash includes weights and tables. RAM is the state, the scratch buffer and the "
            "largest stack that a step can need. The custom cell is an LSTM with coupled gates "
            "([add a cell](../guides/add-a-cell.md) shows another one). The network with two "
            "inputs is the one in [networks](../guides/networks.md)."
        ),
        table(["network", "core", *kinds], rows),
    ]


#: Cores of the short answer -> their names.
_SHOWN = {"cortex-m0": "Cortex-M0", "cortex-m4": "Cortex-M4", "cortex-m55": "Cortex-M55"}
_KINDS = ("instructions", "flash", "RAM")
_BYTES = ("flash_bytes", "ram_bytes")
