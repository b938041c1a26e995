"""docs/results/learning.md."""

from __future__ import annotations

import statistics

from benchmarks.pages.markdown import Record, bullets, generated, joined, paragraph, table

#: Experiment -> what it is about, in front of its table.
TEXTS = {
    "Forget bias": "The forget gate of an LSTM starts half open if its bias is 0, and the cell "
    "loses half of its content in every step. With a bias of 1, which is Keras's default "
    "(`unit_forget_bias`), it starts at 73%. Each sequence shows a value of 1 or −1 in its first "
    "reading, then noise; the network must give the value at the end.",
    "Gradient clipping": "The recurrent weights of a SimpleRNN start as an orthogonal matrix times "
    "1.3, so that gradients grow with the distance. With clipping, the gradient of a batch is "
    "scaled down if its norm is above 1 (`global_clipnorm=1.0` of a Keras optimizer).",
    "Truncated backpropagation": "A SimpleRNN is trained on endless streams in pieces of k "
    "readings. The state is carried from piece to piece, gradients are not. All k see the same "
    "readings, so a small k has more updates. What came more than k readings before gives the "
    "recurrent weights no gradient; it is in the state only as far as they keep it by chance.",
}


def page(record: Record) -> str:
    """The whole page."""
    experiments = {found["name"]: found for found in record["experiments"]}
    blocks = [
        "# Learning experiments",
        paragraph(
            "This page shows four effects that decide whether a recurrent network learns: "
            "vanishing gradients, the bias of the forget gate, clipping of gradients, and the "
            "length of truncated backpropagation. The tasks are small and generated, and each "
            "experiment takes about a minute on a laptop. "
            "[Look inside a network](../guides/inspect.md) explains how to run them, and how to "
            "look at your own network."
        ),
        paragraph(f"**In short.** {_short(record, experiments)}"),
        generated("learning"),
        "## Gradients against distance",
        paragraph(
            f"Untrained networks with {record['units']} units read random numbers. The table shows "
            "the norm of the gradient of the last output to the reading that came some steps "
            "before, relative to that of the last reading, and the factor per step; geometric "
            f"means over {len(experiments['Forget bias']['seeds'])} seeds. Where the gradient is "
            "small, training hardly sees what happened there. Untrained gates are half open, so "
            "an untrained GRU forgets fastest; training can open them. The orthogonal recurrent "
            "matrix with which Keras starts a SimpleRNN keeps most of the gradient, but it has no "
            "gates that keep one value and forget another."
        ),
        _gradients(record["gradients"]),
    ]
    for name, text in TEXTS.items():
        found = experiments[name]
        blocks += [
            f"## {name}",
            paragraph(f"Task: {found['task']}. {text}"),
            table(
                ["variant", "mean error", "errors by seed", "diverged", "largest gradient"],
                [_row(variant, len(found["seeds"])) for variant in found["variants"]],
            ),
        ]
    blocks += [
        paragraph(
            "The error is the mean squared error on new data, divided by the variance of the "
            "target: 0 is a perfect answer, and 1 is what a constant gives. The largest gradient "
            "is the median over the seeds of the largest norm during training, before clipping."
        ),
        "## What to do",
        bullets(
            [
                "Look at the gradients of your network with `edgernn inspect --gradients`, "
                "before training and after it.",
                "Keep Keras's default for the bias of the forget gate.",
                "Clip gradients if the loss jumps during training.",
                "With truncated backpropagation, choose k a few times as long as the memory that "
                "the task needs.",
            ]
        ),
    ]
    return joined(blocks)


def _gradients(rows: list[Record]) -> str:
    distances = list(rows[0]["left"])
    heads = ["network", *(f"{distance} steps" for distance in distances), "factor per step"]
    cells = [
        [
            row["network"], *(f"{row['left'][distance]:.1e}" for distance in distances),
            f"{row['factor_per_step']:.3f}",
        ]
        for row in rows
    ]  # fmt: skip
    return table(heads, cells)


def _row(variant: Record, seeds: int) -> list[str]:
    errors = [error for error in variant["errors"] if error is not None]
    every = ", ".join("–" if error is None else f"{error:.3f}" for error in variant["errors"])
    gradients = [g for g in variant["largest_gradients"] if g is not None]
    largest = f"{statistics.median(gradients):.3g}" if gradients else "infinite"
    mean = f"{statistics.mean(errors):.3f}" if errors else "–"
    return [variant["name"], mean, every, f"{variant['diverged']} of {seeds}", largest]


def _short(record: Record, experiments: dict[str, Record]) -> str:
    """The findings in figures."""
    factors = {row["network"]: row["factor_per_step"] for row in record["gradients"]}
    simple = ", ".join(f"{factor:.2f} ({cell})" for cell, factor in factors.items())
    bias, clip, pieces = (_errors(experiments[name]) for name in TEXTS)
    return (
        f"Gradients change per step of distance by a factor of {simple}. A forget bias of 1 "
        f"instead of 0 lowers the error from {bias['bias 0']} to {bias['bias 1']}. Clipping lowers "
        f"it from {clip['off']} to {clip['norm 1']}. Truncated backpropagation with pieces shorter "
        f"than the memory that the task needs leaves an error of {pieces['k = 5']}; with k = 20 "
        f"it is {pieces['k = 20']}."
    )


def _errors(experiment: Record) -> dict[str, str]:
    """Mean error of each variant."""
    found = {}
    for variant in experiment["variants"]:
        errors = [error for error in variant["errors"] if error is not None]
        found[variant["name"]] = f"{statistics.mean(errors):.3f}" if errors else "infinite"
    return found
