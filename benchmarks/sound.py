"""Spoken digits at other levels, of other speakers and in other sounds; voice activity by noise.

    python -m benchmarks.sound [--seeds 5] [--out FILE]

Reads FSDD under EDGERNN_DATA. 15 trainings of about a minute; each is stored in the file when it
is done, and a file that exists is continued. Then run: python -m benchmarks.pages sound
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from tqdm import tqdm

from benchmarks.pages.markdown import Record, store
from benchmarks.pages.sound import page
from edgernn.prepare.audio.front_end import FrontEnd
from edgernn_export import quantize
from edgernn_export.datasets import Dataset, Part, class_part
from edgernn_export.datasets.audio import fsdd_digits, scenes, spoken_words, voice_activity
from edgernn_export.datasets.audio.fsdd_digits import RATE_HZ, TEST_INDICES, Clip, load_fsdd
from edgernn_export.training import Recipe, calibration, evaluate, find_recipe, train
from edgernn_export.training.evaluation import outputs

PRECISIONS: Final = ("w8a8", "w8a16")
LEVELS_DB: Final = (0.0, -10.0, -20.0, -30.0, -40.0)
UNHEARD: Final = "89"
#: Loudness of noise, in dB of full scale, and seconds of each kind at each.
_NOISE_DB: Final = (-60.0, -30.0)
_NOISE_S: Final = 300
_PAUSE_S: Final = 0.5
Models = Mapping[str, Any]


def trained(recipe: Recipe, data: Dataset, seed: int) -> Models:
    """The float network and its integer models."""
    network, _ = train(recipe, seed, data=data)
    options = {**data.labels(), "stream": "endless", "progress": False}
    return {"float": network} | {
        precision: quantize(network, calibration(data), precision, **options)
        for precision in PRECISIONS
    }


def scored(models: Models, recipe: Recipe, data: Dataset) -> Record:
    """Metrics of the test part by model."""
    return {name: evaluate(model, recipe, data=data) for name, model in models.items()}


def alarms(models: Models, samples: Any) -> dict[str, int]:
    """Words that the models hear in one stream of int16 samples, by model."""
    rows = FrontEnd(spoken_words.FEATURES).apply(samples)[None]
    return {
        name: len(spoken_words.words(spoken_words.votes(outputs(model, rows)[0].argmax(axis=1))))
        for name, model in models.items()
    }


def noises() -> dict[str, Any]:
    """Streams without speech, by name: int16 samples."""
    rng = np.random.default_rng(3)
    count = _NOISE_S * RATE_HZ
    found = {"digital silence": np.zeros(count, np.int16)}
    for kind in ("white", "pink", "hum", "clicks"):
        for level_db in _NOISE_DB:
            sound = scenes.noise(kind, count, rng, rate_hz=RATE_HZ)
            found[f"{kind}, {level_db:g} dB"] = scenes.recorded(sound, level_db)
    return found


def levels(recipe: Recipe, data: Dataset, clips: Sequence[Clip], seed: int) -> Record:
    """Accuracy by level, and words heard where there are none, of one seed."""
    models = trained(recipe, data, seed)
    by_level = {}
    for level_db in LEVELS_DB:
        part = spoken_words.plain(clips, [level_db] * len(clips))
        by_level[f"{level_db:g}"] = scored(models, recipe, replace(data, test=part))
    backward = spoken_words.continuous([clip.sound[::-1] for clip in clips], _PAUSE_S)
    return {
        "levels": by_level,
        "noises": {name: alarms(models, samples) for name, samples in noises().items()},
        "noise_s": _NOISE_S,
        "backward": {
            "words": len(clips),
            "hours": len(backward) / RATE_HZ / 3600,
            "alarms": alarms(models, backward),
        },
    }


def one_level(recipe: Recipe, clips: Sequence[Clip]) -> Record:
    """Accuracy by level of the recipe that learns each recording at its own level, seed 0."""
    data = recipe.load()
    models = trained(recipe, data, 0)
    by_level = {}
    for level_db in LEVELS_DB:
        sounds = [scenes.recorded(clip.sound, level_db) / 32768.0 for clip in clips]
        x = np.stack([fsdd_digits.features(sound) for sound in sounds])
        part = class_part(x, np.array([clip.digit for clip in clips]), len(data.classes))
        by_level[f"{level_db:g}"] = scored(models, recipe, replace(data, test=part))
    return by_level


def unheard(recipe: Recipe, clips: Sequence[Clip]) -> Record:
    """Words heard in digits that no training recording says."""
    recipe = recipe.configured({"unheard": UNHEARD})
    data = recipe.load()
    models = trained(recipe, data, 0)
    others = [clip.sound for clip in clips if str(clip.digit) in UNHEARD]
    samples = spoken_words.continuous(others, _PAUSE_S)
    return {
        "digits": UNHEARD,
        "words": len(others),
        "hours": len(samples) / RATE_HZ / 3600,
        "alarms": alarms(models, samples),
        "scores": scored(models, recipe, data),
    }


def left_out(recipe: Recipe, speaker: str) -> Record:
    """Scores on a speaker whom no training recording has."""
    recipe = recipe.configured({"speaker": speaker})
    data = recipe.load()
    return scored(trained(recipe, data, 0), recipe, data)


def activity(recipe: Recipe, speaker: str) -> Record:
    """Voice activity of a speaker whom no training recording has, by noise and ratio."""
    recipe = recipe.configured({"speaker": speaker})
    data = recipe.load()
    models = trained(recipe, data, 0)
    answers = {name: outputs(model, data.test.x) for name, model in models.items()}
    answers |= {"rule": next(iter(data.naive.values()))}
    order = np.arange(len(data.test.x)) % len(voice_activity.CONDITIONS)
    rows = []
    for index, (kind, snr_db) in enumerate(voice_activity.CONDITIONS):
        own = order == index
        part = Part(
            x=data.test.x[own], target=data.test.target[own], base=data.test.base[own],
            scored_from=0,
        )  # fmt: skip
        rows.append(
            {
                "noise": kind,
                "snr_db": snr_db if np.isfinite(snr_db) else None,
                "scores": {n: voice_activity.scores(y[own], part) for n, y in answers.items()},
            }
        )
    whole = {name: voice_activity.scores(y, data.test) for name, y in answers.items()}
    return {"scores": whole, "conditions": rows}


def main(argv: Sequence[str] | None = None) -> int:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description="Measure the recipes of sound.")
    parser.add_argument("--seeds", type=int, default=5, help="of the levels (default: 5)")
    parser.add_argument("--out", type=Path, help="write the figures here, as JSON, or continue it")
    args = parser.parse_args(argv)
    record: Record = {"digits": {}, "one_level": {}, "speakers": {}, "unheard": {}, "vad": {}}
    if args.out and args.out.exists():
        record = json.loads(args.out.read_text(encoding="utf-8"))
    digit, voice = find_recipe("spoken_digit"), find_recipe("vad")
    clips = load_fsdd()
    tested = [clip for clip in clips if clip.index in TEST_INDICES]
    data: list[Dataset] = []

    def of_seed(seed: int) -> Record:
        data[:] = data or [digit.load()]
        return levels(digit, data[0], tested, seed)

    speakers = sorted({clip.speaker for clip in clips})
    runs: list[tuple[str, str, Callable[[], Record]]] = [
        ("digits", str(seed), partial(of_seed, seed)) for seed in range(args.seeds)
    ]
    for name in speakers:
        runs.append(("speakers", name, partial(left_out, digit, name)))
        runs.append(("vad", name, partial(activity, voice, name)))
    runs.append(("unheard", UNHEARD, partial(unheard, digit, clips)))
    runs.append(("one_level", "fsdd", partial(one_level, find_recipe("fsdd"), tested)))
    for group, name, run in tqdm(runs, leave=False, disable=None):
        if name not in record[group]:
            record[group][name] = run()
            if args.out:
                store(args.out, record)
    print(page(record), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
