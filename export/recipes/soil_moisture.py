"""How moist will the soil be in 1 hour and in 24 hours, and which bed needs water tomorrow?

    python export/recipes/soil_moisture.py --seed 0 -o build/soil_moisture
    edgernn train soil_moisture --set readings=garden.csv --set zone=Europe/Berlin -o build/garden

Both train the network below, quantize it and write its files; --help lists the options. The model
records how raw readings are prepared, and the irrigation alarm.
"""

import csv
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn.cli import main
from edgernn.cli.style import table
from edgernn_export.datasets import Dataset, soil_moisture
from edgernn_export.training import Network, Recipe, Training, outputs
from edgernn_export.training.networks import check_cell, recurrent_layers
from edgernn_export.training.pipeline import Produced, Report

#: What the report shows of a model: a heading, the metric, and how it is written.
FIGURES: Final = (
    ("1 h, MAE", "mae_1h", "{:.4f} %"),
    ("24 h, MAE", "mae_24h", "{:.3f} %"),
    ("alarm: precision", "alarm_precision", "{:.1%}"),
    ("recall", "alarm_recall", "{:.1%}"),
    ("before the bed is dry", "alarms_before", "{:.0%}"),
    ("hours before", "lead_h", "{:.0f}"),
)


def build(recipe: Recipe, network: Network, data: Dataset) -> Any:
    """Recurrent layers, heads for both horizons that see the readings too, and the margin.

    The margin is the moisture above the refill point in 24 h.
    """
    import keras

    check_cell(network, data)
    layers = keras.layers
    flat = data.train.x.reshape(-1, data.train.x.shape[2])
    readings = keras.Input((None, len(data.input_names)))
    moisture, refill = readings[..., :1], readings[..., -1:]
    scaled = layers.Normalization(mean=flat.mean(axis=0), variance=flat.var(axis=0))(readings)
    hidden = layers.GaussianNoise(recipe.training.input_noise)(scaled[..., :-1])
    for index in range(network.layers):
        name = f"{network.cell.lower()}_{index + 1}"
        for layer in recurrent_layers(network.cell, network.units, sequences=True, name=name):
            hidden = layer(hidden)
    seen = layers.Concatenate(name="seen")([hidden, scaled[..., :-1]])
    changes = [
        layers.Rescaling(float(scale), name=name)(layers.Dense(1, name=f"head_{name}")(seen))
        for name, scale in zip(
            data.output_names[:2], np.atleast_1d(data.target_scale), strict=False
        )
    ]
    level = layers.Add(name="moisture_24h")([moisture, changes[1]])
    margin = layers.Subtract(name=data.output_names[2])([level, refill])
    return keras.Model(readings, layers.Concatenate()([*changes, margin]), name=recipe.name)


def report(produced: Produced) -> Report:
    """Both horizons and the alarm in the test part, compared with rules without a model.

    A file holds the test streams, prepared, with the truth, for `edgernn bench` and `evaluate`.
    """
    data = produced.data
    answers = dict(data.naive)
    answers |= {name: outputs(model, data.test.x) for name, model in produced.models.items()}
    scores = {name: data.score(answer, data.test) for name, answer in answers.items()}
    rows = [
        (name, *(form.format(found[key]) for _, key, form in FIGURES))
        for name, found in scores.items()
    ]
    beds = int(next(iter(scores.values()))["dry_beds"])
    lines = [
        "",
        *table(["test part", *(heading for heading, _, _ in FIGURES)], rows),
        f"Beds that become dry in the test part: {beds}.",
    ]
    path = produced.order.out / "test.csv"
    write_test(data, path)
    return Report(text="\n".join(lines), record={"test": scores}, files={"test": path})


def write_test(data: Dataset, path: Path) -> None:
    """One row per hour: the probe's number, the inputs, and the true outputs."""
    part = data.test
    truth = [f"true_{name}" for name in data.output_names]
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["probe", *data.input_names, *truth])
        for probe, (x, target, base) in enumerate(
            zip(part.x, part.target, part.base, strict=True), 1
        ):
            for reading, wanted in zip(x.tolist(), (target - base).tolist(), strict=True):
                rows.writerow([probe, *reading, *wanted])


RECIPE = Recipe(
    name="soil_moisture",
    title="soil moisture 1 h and 24 h ahead, and when to irrigate",
    load=soil_moisture,
    network=Network(cell="GRU", units=24),
    training=Training(
        epochs=12,
        batch=64,
        learning_rate=1e-2,
        weight_decay=1e-2,
        input_noise=0.1,
        window_steps=96,
        loss_from=24,
        stride_steps=8,
        linear_from=0.05,  # the median: no reading announces the rain that would lift the mean
    ),
    build=build,
    input_range={"refill": (0.0, 60.0)},  # one probe alone would calibrate a single value
    report=report,
    options={
        "readings": "a CSV file with time, probe, moisture and, if known, refill",
        "zone": "time zone of the readings, such as Europe/Berlin (default: UTC)",
    },
)

if __name__ == "__main__":
    sys.exit(main(["train", __file__, *sys.argv[1:]]))
