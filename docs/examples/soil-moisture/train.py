"""Train a GRU that forecasts how the soil moisture changes over the next 12 hours."""

from __future__ import annotations

import argparse

import keras
import numpy as np
import pandas as pd

from edgernn_export import prepare

AHEAD = 12  # hours
LENGTH = 120  # hours per training sequence: five days

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=40)
options = parser.parse_args()

# The hourly readings of each probe, as the service will compute them.
readings = {
    part: {
        probe: prepare("preparation.toml", raw, time_column="time")
        for probe, raw in pd.read_csv(f"{part}.csv").groupby("probe")
    }
    for part in ("train", "test")
}
streams = [stream for one in readings["train"].values() for stream in one.streams]
np.savez("calibration.npz", *streams)
tables = []
for probe, one in readings["test"].items():
    table = pd.DataFrame(one.x, columns=one.names)
    table.insert(0, "probe", probe)
    table.insert(1, "time", pd.to_datetime(one.times_s, unit="s"))
    tables.append(table)
pd.concat(tables).to_csv("test_prepared.csv", index=False)

cuts = [
    stream[start : start + LENGTH + AHEAD]
    for stream in streams
    for start in range(0, len(stream) - LENGTH - AHEAD, LENGTH // 4)
]
x = np.stack([cut[:LENGTH] for cut in cuts])
y = np.stack([cut[AHEAD:, :1] for cut in cuts])
change = y - x[..., :1]

keras.utils.set_random_seed(2)
normalize = keras.layers.Normalization()
normalize.adapt(x)
inputs = keras.Input((None, x.shape[-1]))
hidden = keras.layers.GRU(16, return_sequences=True)(normalize(inputs))
rescale = keras.layers.Rescaling(float(change.std()), float(change.mean()))
forecast = keras.layers.Add()([inputs[..., :1], rescale(keras.layers.Dense(1)(hidden))])
network = keras.Model(inputs, forecast)  # moisture plus its change

steps = options.epochs * -(-len(x) // 32)
rate = keras.optimizers.schedules.CosineDecay(0.01, steps)
network.compile(keras.optimizers.Adam(rate), "mse")
network.fit(x, y, epochs=options.epochs, batch_size=32, verbose=0)
network.save("soil.keras")
error = float(np.sqrt(np.mean((network.predict(x, verbose=0) - y) ** 2)))
print(f"error on the training data: {error:.2f} %, without a network: {change.std():.2f} %")
