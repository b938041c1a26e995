"""docs/results/adaptation.md."""

from __future__ import annotations

from statistics import mean, stdev

from benchmarks.pages.markdown import Record, bullets, generated, joined, paragraph, table

#: Task -> what happens in it.
_TASKS = {
    "gain and offset": "made up: the true value becomes 1.3 times as large, and 0.8 more",
    "season": "made up: the inputs get other weights",
    "soil moisture": "recorded: 13 probes, 24 h ahead",
    "ETTh1": "recorded: oil temperature, 24 h ahead",
}


def page(record: Record) -> str:
    """The whole page."""
    tasks = record["tasks"]
    rates = [*next(iter(tasks.values()))[0]["rates"]]
    errors = [
        [
            name,
            _value([run["old"] for run in runs]),
            _value([run["none"] for run in runs]),
            *(_value([run["rates"][rate]["new"] for run in runs]) for rate in rates),
            _value([run["refitted"] for run in runs]),
        ]
        for name, runs in tasks.items()
    ]
    forgotten = [
        [
            name,
            _value([run["old"] for run in runs]),
            *(_value([run["rates"][rate]["old"] for run in runs]) for rate in rates),
            _value([run["old"] for run in runs]),
        ]
        for name, runs in tasks.items()
    ]
    return joined([
        "# A head that learns",
        paragraph(
            "This page shows how much a [head that learns](../guides/adaptation.md) reduces the "
            "errors of a model after a drift, how much it forgets of the time before, and what it "
            "costs on microcontrollers."
        ),
        generated("adaptation"),
        "## Errors after a drift",
        paragraph(
            f"A GRU with {record['units']} units is trained before the drift and quantized to "
            f"`w8a8`. Each cell is the mean of {record['seeds']} networks and its standard "
            "deviation. An error is the root mean square, divided by the standard deviation of the "
            "true values before the drift. In made-up series, errors after the drift are those of "
            "the last 1,500 steps."
        ),
        bullets(f"*{name}*, {text}." for name, text in _TASKS.items() if name in tasks),
        paragraph(
            "*Refitted* is a comparison, not a function of edgernn: ridge regression in floating "
            f"point refits the head to the last {record['window']} true values every "
            f"{record['every']} steps. All methods get a true value only when it would be there."
        ),
        table(
            ["series", "before the drift", "no adaptation", *(f"rate {rate}" for rate in rates),
             "refitted"],
            errors,
        ),
        "## Forgetting",
        paragraph(
            "The error before the drift again, with the weights that were learned after it and "
            "without further true values. After `forget`, the outputs are those of the model."
        ),
        table(
            ["series", "no adaptation", *(f"rate {rate}" for rate in rates), "after `forget`"],
            forgotten,
        ),
        _found(tasks),
        "## Instructions",
        paragraph(
            "Instructions of a correction, and in addition of learning from one true value for "
            "every output: the median of emulated runs, in which 0 of "
            f"{_compared(record):,} values differ from Python. *RAM* is what the head keeps with a "
            "delay of 0; the code has the same size for every head."
        ),
        _cores(record["cores"]),
        "## Compilers and emulators",
        bullets(f"`{name}`: {version}" for name, version in record["programs"]),
    ])  # fmt: skip


def _value(values: list[float]) -> str:
    return f"{mean(values):.3f} ± {stdev(values):.3f}"


def _found(tasks: Record) -> str:
    """Which series are no better with a head, at the rate that is the default."""
    worse = [
        name
        for name, runs in tasks.items()
        if mean(run["rates"]["0.05"]["new"] for run in runs) >= mean(run["none"] for run in runs)
    ]
    least, most = (
        end(run["condition"] for runs in tasks.values() for run in runs) for end in (min, max)
    )
    text = (
        f"With the default rate of 0.05, the head makes the error larger of: {', '.join(worse)}. "
        "There, true values come 24 h late, and the error of the network is nearly as large as the "
        "spread of the values: little of it can be learned."
        if worse
        else "With the default rate of 0.05, the head reduces the error of every series."
    )
    return paragraph(
        f"{text} The matrix of the states' products, which recursive least squares would invert, "
        f"has condition numbers of {least:.0e} to {most:.0e}."
    )


def _cores(cores: Record) -> str:
    names = [*next(iter(cores.values()))]
    rows = [
        [
            core,
            *(f"{heads[name]['step']:,} + {heads[name]['learn']:,}" for name in names),
            f"{heads[names[0]]['code_bytes']:,}",
            f"{heads[names[0]]['ram_bytes']:,} to {heads[names[-1]]['ram_bytes']:,}",
            f"{heads[names[0]]['stack_bytes']:,}",
        ]
        for core, heads in cores.items()
    ]
    titles = [f"{name} output{'s' * (not name.endswith(' 1'))}" for name in names]
    return table(["core", *titles, "code bytes", "RAM", "stack"], rows)


def _compared(record: Record) -> int:
    return sum(head["compared"] for heads in record["cores"].values() for head in heads.values())
