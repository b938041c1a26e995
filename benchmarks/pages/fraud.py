"""docs/results/fraud.md."""

from __future__ import annotations

from benchmarks.pages.markdown import Record, generated, joined, paragraph, table

_CLOCKS = {"cpu_us": "processor", "wall_us": "clock"}


def page(record: Record) -> str:
    """The whole page."""
    service = record["service"]
    return joined(
        [
            "# Card fraud",
            paragraph(
                "This page compares the recipe `fraud` ([payments](../recipes/payments.md)) with a "
                "rule and with models without memory, and shows what a payment costs in a service "
                f"with {service['users']:,} users. All payments are generated: the figures compare "
                "methods, and say nothing about the fraud of a bank."
            ),
            generated("fraud"),
            "## Who finds the fraud",
            paragraph(
                f"{record['protocol']} *Caught* is the share of fraudulent payments above the "
                "threshold that one genuine payment in a thousand exceeds. The models without "
                "memory read the same channels, the time since the payment before among them. The "
                "integer models are those of one training. A CfC computes with the time since the "
                "payment before ([cells](../guides/cells.md#irregular-readings)). Instructions are "
                "those of the network for one payment on an emulated Cortex-M4."
            ),
            table(
                ["method", "average precision", "caught", "weights, bytes", "instructions, M4"],
                [
                    [name, f"{scores['average_precision']:.3f}", f"{scores['caught']:.1%}",
                     *_costs(record["costs"].get(name))]
                    for name, scores in record["scores"].items()
                ],
            ),
            paragraph(
                "The integer model of the recipe at the same threshold, by kind of attack. An "
                "attack counts as caught if one of its payments is:"
            ),
            table(
                ["attack", "payments", "caught", "attacks", "caught"],
                [
                    [name, f"{found['payments']:,}", f"{found['caught']:.1%}",
                     f"{found['attacks']:,}", f"{found['attacks_caught']:.1%}"]
                    for name, found in record["attacks"].items()
                ],
            ),
            "## A payment in a service",
            paragraph(
                f"The pipeline of `edgernn serve` (preparation, model, one stream per user) with "
                f"{service['users']:,} users in memory, one thread, on {record['processor']}. "
                "Payments come from random users. *Processor* is the time that the processor "
                "spends on a call. *Clock* is the time from the call to the answer, in which other "
                "programs ran at the same time."
            ),
            table(
                ["payments per call", *(f"{clock}, {share}, µs" for clock in _CLOCKS.values()
                                        for share in ("p50", "p99", "longest"))],
                [
                    [size, *(f"{us:,.0f}" for clock in _CLOCKS for us in found[clock])]
                    for size, found in service["latency"].items()
                ],
            ),
            paragraph(
                f"A user needs {service['bytes_per_user']:,.0f} bytes of memory: "
                f"{service['state_bytes']} of them are the state of the network, the rest is its "
                "preparation and the entry in the index."
            ),
        ]
    )  # fmt: skip


def _costs(cost: Record | None) -> list[str]:
    """Cells of a method; of one without an integer model there are no figures."""
    if cost is None:
        return ["–", "–"]
    return [f"{cost['weight_bytes']:,}", f"{cost['instructions']:,}"]
