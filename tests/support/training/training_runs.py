"""Tiny recipes on made-up data: a classifier and a forecaster that train in about a second."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgernn_export.datasets import Dataset, DataSource, Part, class_part
from edgernn_export.training import Network, Recipe, Training

SOURCE = DataSource(home="made up", licence="none", citation="nobody")
CLASSES = ("falling", "rising")
STEPS = 6


def class_data(seed: int = 0) -> Dataset:
    """Noisy ramps in two channels; the class is the sign of the first one's slope."""
    rng = np.random.default_rng(seed)

    def part(streams: int) -> Part:
        label = rng.integers(2, size=streams)
        ramp = np.arange(STEPS) * (2 * label[:, None] - 1) / STEPS
        x = np.stack((ramp, np.zeros_like(ramp)), axis=2)
        return class_part(x + 0.4 * rng.normal(size=x.shape), label, len(CLASSES))

    return _dataset(part(64), part(32), part(40), CLASSES, "accuracy", ("a", "b"), 4)


def forecast_data(seed: int = 0) -> Dataset:
    """A noisy wave of steps of 7 units; what it does within the next two steps."""
    rng = np.random.default_rng(seed)

    def part(steps: int) -> Part:
        time = np.arange(steps + 2) + 10 * rng.uniform()
        wave = 7.0 * np.sin(0.4 * time) + 0.2 * rng.normal(size=steps + 2)
        change = np.diff(wave, prepend=wave[:1])[:steps]
        target = np.stack((wave[1 : steps + 1], wave[2 : steps + 2]), axis=1)
        base = np.repeat(wave[:steps, None], 2, axis=1)
        x = np.stack((wave[:steps], change), axis=1)
        return Part(x=x[None], target=target[None], base=base[None], scored_from=8)

    return _dataset(part(240), part(80), part(80), (), "mse", ("level", "change"), 1)


def _dataset(
    train: Part,
    validation: Part,
    test: Part,
    classes: tuple[str, ...],
    metric: str,
    names: tuple[str, ...],
    stride: int,
) -> Dataset:
    outputs = classes or ("in 1", "in 2")
    return Dataset(
        name="made up",
        source=SOURCE,
        protocol="made up",
        train=train,
        validation=validation,
        test=test,
        classes=classes,
        metric=metric,
        metric_unit="",
        target_scale=1.0 if classes else float(np.std(train.target - train.base)),
        metric_scale=np.ones(len(outputs)),
        input_names=names,
        input_units=("V", "V"),
        output_names=outputs,
        output_units=("",) * len(outputs),
        step_ms=10.0,
        calibration_stride=stride,
    )


def classifier(**changes: Any) -> Recipe:
    """A recipe for `class_data`."""
    settings: dict[str, Any] = {"epochs": 4, "batch": 16, "learning_rate": 0.03}
    return Recipe(
        name="ramps",
        title="rising or falling",
        load=class_data,
        network=Network(cell="GRU", units=6),
        training=Training(**(settings | changes)),
    )


def forecaster(**changes: Any) -> Recipe:
    """A recipe for `forecast_data`."""
    settings: dict[str, Any] = {
        "epochs": 4, "batch": 8, "learning_rate": 0.03,
        "window_steps": 24, "stride_steps": 6, "loss_from": 8,
    }  # fmt: skip
    return Recipe(
        name="waves",
        title="the next two steps of a wave",
        load=forecast_data,
        network=Network(cell="GRU", units=6),
        training=Training(**(settings | changes)),
    )
