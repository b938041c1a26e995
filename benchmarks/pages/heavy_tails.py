"""docs/results/heavy_tails.md."""

from __future__ import annotations

from benchmarks.pages.markdown import Record, bullets, generated, joined, paragraph, table

#: Choices of bits -> title of their column.
TITLES = {
    "w8a8": "`w8a8`",
    "all 4": "all 4",
    "w4a8": "`w4a8`",
    "recurrent 8": "recurrent 8",
}


def page(record: Record) -> str:
    """The whole page."""
    runs = record["runs"]
    scores = [
        [run["network"], str(run["seed"]), f"{run['float']:.3f}"]
        + [_score(run["choices"][choice]) for choice in TITLES]
        for run in runs
    ]
    sizes = [
        [f"{run['network']}, seed 0", *(f"{run['choices'][c]['bytes']:,}" for c in TITLES)]
        for run in runs
        if run["seed"] == 0
    ]
    return joined(
        [
            "# 4-bit weights and heavy tails",
            paragraph(
                "This page shows how much accuracy 4-bit weights cost if some readings have heavy "
                "tails, that is, rare values far outside the usual range. Such readings are the "
                "hardest case for few bits: the scale must cover the rare values, so the common "
                "ones are resolved coarsely."
            ),
            paragraph(
                f"**In short.** The default `w4a8` keeps {_kept(runs, 'w4a8')} of the float "
                f"network's R². 4-bit weights in every layer keep {_kept(runs, 'all 4')}."
            ),
            generated("heavy_tails"),
            paragraph(
                "The data is synthetic: an air-quality station with seven hourly channels, two of "
                "them with heavy tails (log-normal wind, and rain that is exponential above a "
                f"threshold). LSTM and GRU networks with {record['units']} units and a Dense layer "
                "forecast particulate matter three hours ahead. Each cell shows R², the share of "
                "the target's variance that the forecast explains, over the last 30% of the hours, "
                "which training and calibration did not use. The percentage in brackets is R² "
                "relative to the float network, and dB is the signal-to-quantization-noise ratio "
                "of the outputs."
            ),
            bullets(
                [
                    "`w4a8` is the default choice of bits: the input kernel keeps 8-bit weights, "
                    "because it would cause nearly all of the noise.",
                    "*all 4* uses 4-bit weights in every layer, requested with `weight_bits`.",
                    "*recurrent 8* keeps 8-bit weights in the recurrent kernel instead of the "
                    "input kernel, for comparison.",
                ]
            ),
            "## Accuracy",
            table(["network", "seed", "float", *TITLES.values()], scores),
            "## Size of the .edgernn file, bytes",
            table(["network", *TITLES.values()], sizes),
        ]
    )


def _kept(runs: list[Record], choice: str) -> str:
    shares = [run["choices"][choice]["kept"] for run in runs]
    return f"{min(shares):.1%} to {max(shares):.1%}"


def _score(found: Record) -> str:
    return f"{found['explained']:.3f} ({found['kept']:.1%}), {found['sqnr_db']:.1f} dB"
