"""docs/results/sound.md."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from benchmarks.pages.markdown import Record, generated, joined, paragraph, table

MODELS = ("float", "w8a8", "w8a16")


def page(record: Record) -> str:
    """The whole page, of the figures that there are."""
    digits = list(record["digits"].values())
    blocks = [
        "# Spoken digits and voice activity",
        paragraph(
            "This page shows what the recipes `spoken_digit` and `vad` do beyond their test "
            "part: at other recording levels, with speakers whom the training did not hear, "
            "and in sounds that are no digits. [Recipes of sound](../recipes/audio.md) explains "
            "both."
        ),
        generated(
            "sound",
            again="To measure again, delete the file and run: "
            "`python -m benchmarks.sound --out benchmarks/results/sound.json`",
        ),
    ]
    if digits:
        blocks += _level_section(digits, record["one_level"])
    if record["speakers"]:
        blocks += [
            "## Speakers who are new",
            paragraph(
                "All recordings of one speaker are the test part (500), and the training hears the "
                "others alone; seed 0."
            ),
            _speakers(record["speakers"]),
        ]
    if digits:
        blocks += [
            "## False alarms",
            paragraph(
                "Digits that the models hear in an endless stream without any, models of "
                f"{_seeds(digits)} together. Levels of noise are in dB of full scale. *Backward* "
                "are the test recordings played from their end, with half a second of silence "
                "before each."
            ),
            _alarms(digits),
        ]
    blocks += _unheard(record["unheard"])
    if record["vad"]:
        blocks += _vad_section(record["vad"])
    return joined(blocks)


def _means(digits: Sequence[Record]) -> str:
    return "seed 0" if len(digits) == 1 else f"means ± standard deviations over {_seeds(digits)}"


def _seeds(digits: Sequence[Record]) -> str:
    return f"{len(digits)} seeds" if len(digits) > 1 else "1 seed"


def _level_section(digits: Sequence[Record], one_level: Record) -> list[str]:
    blocks = [
        "## Recording level",
        paragraph(
            "The 200 test recordings of the official split with another gain, rounded to 16 bits "
            f"again; {_means(digits)}. *Right* is the share of "
            "streams whose only word in the decisions is their digit, once. *Digit alone* "
            "compares the ten digits by their mean probability over the whole stream, as "
            "classifiers of recordings do."
        ),
        _levels(digits),
    ]
    if one_level:
        blocks += [
            paragraph(
                "The recipe `fsdd`, which learns every recording at its own level and is told "
                "where it begins and ends, for comparison (seed 0, accuracy of the ten digits):"
            ),
            _one_level(one_level["fsdd"]),
        ]
    return blocks


def _vad_section(speakers: Record) -> list[str]:
    return [
        "## Voice activity",
        paragraph(
            "The speaker of a row is the test part, and is heard in no other; seed 0. Scenes of "
            "4 s, four of each noise at each ratio of speech to noise. The *rule* compares the "
            "energy of a frame with the quietest of the last 1.5 s; its limit is the best one on "
            "the validation part."
        ),
        _activity(speakers),
        paragraph("The `w8a8` models by noise, means over these speakers:"),
        _conditions(speakers),
    ]


def _with_mean(speakers: Record) -> list[tuple[str, Record | None]]:
    """Speakers with their figures, and the mean where there are several."""
    mean: list[tuple[str, Record | None]] = [("mean", None)] if len(speakers) > 1 else []
    return [*speakers.items(), *mean]


def _percent(values: Iterable[float]) -> str:
    known = [100 * value for value in values]
    if len(known) < 2:
        return f"{known[0]:.1f} %"
    return f"{statistics.fmean(known):.1f} ± {statistics.stdev(known):.1f} %"


def _levels(digits: Sequence[Record]) -> str:
    rows = []
    for level in digits[0]["levels"]:
        found = [one["levels"][level] for one in digits]
        right = [_percent(one[model]["accuracy"] for one in found) for model in MODELS]
        alone = _percent(one["w8a8"]["digit_accuracy"] for one in found)
        rows.append([f"{level} dB", *right, alone])
    return table(["level", *(f"right, {m}" for m in MODELS), "digit alone, w8a8"], rows)


def _one_level(levels: Record) -> str:
    rows = [
        [f"{level} dB", *(f"{100 * found[model]['accuracy']:.1f} %" for model in MODELS)]
        for level, found in levels.items()
    ]
    return table(["level", *MODELS], rows)


def _speakers(speakers: Record) -> str:
    rows = []
    for name, found in _with_mean(speakers):
        chosen = list(speakers.values()) if found is None else [found]
        cells = [
            f"{100 * statistics.fmean(one[model][metric] for one in chosen):.1f} %"
            for metric in ("accuracy", "digit_accuracy")
            for model in MODELS
        ]
        rows.append([name, *cells])
    heads = [f"{what}, {model}" for what in ("right", "digit alone") for model in MODELS]
    return table(["speaker", *heads], rows)


def _alarms(digits: Sequence[Record]) -> str:
    hours = len(digits) * digits[0]["noise_s"] / 3600
    rows = [
        [
            name,
            f"{hours:.2f} h",
            *(_rate([o["noises"][name][m] for o in digits], hours) for m in MODELS),
        ]
        for name in digits[0]["noises"]
    ]
    backward = [one["backward"] for one in digits]
    hours = sum(one["hours"] for one in backward)
    words = sum(one["words"] for one in backward)
    cells = []
    for model in MODELS:
        heard = [one["alarms"][model] for one in backward]
        cells.append(f"{_rate(heard, hours)}, {100 * sum(heard) / words:.0f} % of words")
    return table(
        ["sound", "listened", *(f"per hour, {model}" for model in MODELS)],
        [*rows, ["backward", f"{hours:.2f} h", *cells]],
    )


def _rate(heard: Iterable[int], hours: float) -> str:
    return f"{sum(heard) / hours:.0f}"


def _unheard(groups: Record) -> list[str]:
    blocks = []
    for found in groups.values():
        digits = " and ".join(found["digits"])
        alarms = "; ".join(
            f"`{model}` {found['alarms'][model]} ({_rate([found['alarms'][model]], found['hours'])}"
            f" per hour, {100 * found['alarms'][model] / found['words']:.0f} %)"
            for model in MODELS
        )
        right = 100 * found["scores"]["w8a8"]["accuracy"]
        blocks.append(
            paragraph(
                f"Other words: the digits {digits} are left out of the training, and the stream "
                f"says nothing else, {found['words']} words in {found['hours']:.2f} hours with "
                f"half a second of silence before each. Words that are taken for one of the other "
                f"digits: {alarms}. The `w8a8` model is right in {right:.1f} % of the streams "
                "with a digit of the training (seed 0)."
            )
        )
    return blocks


def _activity(speakers: Record) -> str:
    rows = []
    for name, found in _with_mean(speakers):
        chosen = list(speakers.values()) if found is None else [found]
        for model in (*MODELS, "rule"):
            scores = [one["scores"][model] for one in chosen]
            metrics = [statistics.fmean(one[m] for one in scores) for m in _METRICS]
            rows.append(
                [name, model, f"{metrics[0]:.3f}", *(f"{100 * v:.1f} %" for v in metrics[1:])]
            )
    return table(["speaker", "model", "AUC", "F1", "speech missed", "false alarms"], rows)


_METRICS = ("auc", "f1", "missed", "false_alarms")


def _conditions(speakers: Record) -> str:
    rows = []
    for index, first in enumerate(next(iter(speakers.values()))["conditions"]):
        own = [one["conditions"][index]["scores"] for one in speakers.values()]
        ratio = "no noise" if first["snr_db"] is None else f"{first['snr_db']:g} dB"
        rows.append(
            [
                first["noise"],
                ratio,
                *(f"{statistics.fmean(o[m]['auc'] for o in own):.3f}" for m in ("w8a8", "rule")),
                *(
                    f"{100 * statistics.fmean(o['w8a8'][m] for o in own):.1f} %"
                    for m in _METRICS[1:]
                ),
            ]
        )
    heads = [
        "noise",
        "speech over noise",
        "AUC",
        "AUC of the rule",
        "F1",
        "speech missed",
        "false alarms",
    ]
    return table(heads, rows)
