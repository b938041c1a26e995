"""docs/results/sparse.md and docs/results/int4.md."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.pages.markdown import Record, bullets, generated, joined, paragraph, table

DENSE = "dense"
#: Share of blocks that the short answer quotes.
SHOWN = "30%"


def sparse_page(record: Record) -> str:
    """The whole page on block-sparse weights."""
    setup = record["setup"]
    blocks = [
        "# Block-sparse weights",
        paragraph(
            "This page shows what block sparsity saves: bytes, instructions on four "
            "microcontroller cores, and time on the native back-end. The accuracy that pruning "
            "costs depends on training; see [pruning](../guides/pruning.md) and "
            "[compression](compression.md)."
        ),
        *_sparse_in_short(record["cases"]),
        generated("sparse"),
        paragraph(
            "A matrix stored as `sparse8` leaves out every tile of 4 rows by 4 columns that holds "
            "only zeros. Its index takes one byte per stored tile and one byte per 4 rows. The "
            "results are the same as those of the dense matrix with zeros in it (NUMERICS.md, "
            "clause 4.5)."
        ),
        paragraph(
            "The columns are the dense network and networks that keep a share of their blocks of "
            "8 rows by 4 columns, chosen at random. At 100% no tile is left out, so this column "
            "shows the cost of the index alone. The number in brackets is the share of the dense "
            f"figure. Every network ends in a Dense layer with {setup['outputs']} outputs."
        ),
        _how_measured(setup),
    ]
    for precision in ("w8a8", "w8a16"):
        for case in record["cases"]:
            if case["precision"] == precision:
                blocks += [f"## {case['network']}, `{precision}`", _sparse_table(case)]
    return joined(blocks)


def int4_page(record: Record) -> str:
    """The whole page on 4-bit weights."""
    setup, cases = record["setup"], record["cases"]
    blocks = [
        "# 4-bit weights",
        paragraph(
            "This page shows what 4-bit weights save compared with 8-bit weights: bytes, "
            "instructions on four microcontroller cores, and time on the native back-end. The "
            "accuracy they cost is on two other pages: [compression](compression.md) and "
            "[4-bit weights and heavy tails](heavy_tails.md)."
        ),
        _int4_in_short(cases),
        generated("int4"),
        paragraph(
            "A matrix stored as `dense4` has weights in [-7, 7], two in each byte. Every row keeps "
            "its own scale, and the arithmetic is that of 8-bit weights, so storing these weights "
            "in 4 bits does not change the results (NUMERICS.md, clause 4.5). Weights are stored "
            "in tiles of 4 by 4, padded with zeros. Every network ends in a Dense layer with "
            f"{setup['outputs']} outputs. The number in brackets is the share of the 8-bit figure."
        ),
        _how_measured(setup),
        "## Bytes of weights",
        table(
            ["network", "8 bits", "4 bits"],
            (
                [case["network"], *_both(*case["weight_bytes"])]
                for case in cases
                if case["precision"] == "w8a8"
            ),
        ),
    ]
    for precision in ("w8a8", "w8a16"):
        some = [case for case in cases if case["precision"] == precision]
        blocks.append(f"## `{precision.replace('w8', 'w4')}` compared with `{precision}`")
        blocks += _int4_tables(some)
    return joined(blocks)


def _sparse_in_short(cases: list[Record]) -> list[str]:
    """What the largest network saves with `SHOWN` of its blocks, where that was measured."""
    case = max(
        (c for c in cases if c["precision"] == "w8a8"), key=lambda c: c["weight_bytes"][DENSE]
    )
    if SHOWN not in case["native"]:
        return []
    runs = case["cores"].values()
    counts = [run[SHOWN]["instructions"] / run[DENSE]["instructions"] for run in runs]
    size = case["weight_bytes"][SHOWN] / case["weight_bytes"][DENSE]
    return [
        paragraph(
            f"**In short.** {case['network']} (`w8a8`) with {SHOWN} of its blocks needs "
            f"{size:.2f} of the weight bytes and {min(counts):.2f} to {max(counts):.2f} of the "
            f"instructions, depending on the core. Small networks gain less."
        )
    ]


def _int4_in_short(cases: list[Record]) -> str:
    """The span of the shares of instructions and of flash."""
    pairs = [pair for case in cases for pair in case["cores"].values()]
    spans = []
    for key in ("instructions", "flash_bytes"):
        found = [four[key] / eight[key] for eight, four in pairs]
        spans.append(f"{min(found):.2f} to {max(found):.2f}")
    return paragraph(
        f"**In short.** Compared with 8-bit weights, a step takes {spans[0]} times the "
        f"instructions and the program {spans[1]} times the flash, depending on network and core. "
        "Large networks save the most flash; in small ones the code for unpacking can cost more "
        "than it saves."
    )


def _how_measured(setup: Record) -> str:
    """What the figures depend on."""
    return bullets(
        [
            "Instructions: executed in one `model_step`, compiled with `-O2`, counted under QEMU; "
            f"median of {setup['steps']} steps. Every output and state is compared with the "
            "reference first (0 LSB difference).",
            "Flash: code and constants of the model, including tables.",
            "Native µs: processor time of a bound step with "
            f"`{setup['isa']}` on {setup['processor']}; median of {setup['rounds']} interleaved "
            f"rounds of {setup['native_steps']} steps.",
            "The native back-end keeps a matrix in its stored form if that is faster, and "
            "otherwise expands it to one byte per weight. [Time per step](speed.md) compares both.",
            *(f"`{name}`: {version}" for name, version in setup["programs"]),
        ]
    )


def _sparse_table(case: Record) -> str:
    """One row per figure, one column per form."""
    forms = [*case["native"]]
    cores = case["cores"]

    def of(core: str, key: str) -> dict[str, int]:
        return {form: cores[core][form][key] for form in forms}

    rows: list[tuple[str, dict[str, str]]] = [
        ("bytes of weights and index", _shares(case["weight_bytes"])),
        *((f"instructions, {core}", _shares(of(core, "instructions"))) for core in cores),
        (
            "native µs",
            {
                form: f"{found['us']:.2f}" + (f" ({found['share']:.2f})" if form != DENSE else "")
                for form, found in case["native"].items()
            },
        ),
        *((f"flash bytes, {core}", _shares(of(core, "flash_bytes"))) for core in cores),
        *(
            (f"stack bytes, {core}", {f: f"{n:,}" for f, n in of(core, "stack_bytes").items()})
            for core in cores
        ),
    ]
    return table(["", *forms], ([what, *(row[f] for f in forms)] for what, row in rows))


def _shares(values: Mapping[str, int]) -> dict[str, str]:
    """All but the dense form's with the share of it."""
    dense = values[DENSE]
    return {
        form: f"{value:,}" + (f" ({value / dense:.2f})" if form != DENSE else "")
        for form, value in values.items()
    }


def _int4_tables(cases: list[Record]) -> list[str]:
    """One row per network and core, and one per network for native steps."""
    rows = []
    for case in cases:
        for core, (eight, four) in case["cores"].items():
            cells = [case["network"], core]
            for key in ("instructions", "flash_bytes"):
                cells += _both(eight[key], four[key])
            rows.append(cells)
    native = []
    for case in cases:
        eight, four = case["native"]
        share = f"{four['us']:.2f} ({four['share']:.2f})"
        native.append([case["network"], f"{eight['us']:.2f}", share])
    head = ["network", "core", "instructions, 8 bits", "4 bits", "flash bytes, 8 bits", "4 bits"]
    return [table(head, rows), table(["network", "native µs, 8 bits", "4 bits"], native)]


def _both(eight: int, four: int) -> tuple[str, str]:
    """Two counts, the second with its share of the first."""
    return f"{eight:,}", f"{four:,} ({four / eight:.2f})"
