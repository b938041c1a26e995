"""Train a GRU that forecasts how the soil moisture changes over the next 12 hours."""

from __future__ import annotations

import argparse

import keras
import numpy as np
import pandas as pd

AHEAD = 12  # hours
LENGTH = 120  # hours per training sequence: five days

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=40)
options = parser.parse_args()

soil = pd.read_csv("soil.csv", index_col="time").to_numpy()
soil = soil[: int(0.8 * len(soil))]  # the rest is for evaluation
streams = soil.T[..., None]  # one stream per probe, [probes, hours, 1]
np.save("calibration.npy", streams)

starts = range(0, streams.shape[1] - LENGTH - AHEAD, LENGTH // 4)
x = np.concatenate([streams[:, s : s + LENGTH] for s in starts])
y = np.concatenate([streams[:, s + AHEAD : s + AHEAD + LENGTH] for s in starts]) - x

keras.utils.set_random_seed(2)
normalize = keras.layers.Normalization()
normalize.adapt(x)
inputs = keras.Input((None, 1))
hidden = keras.layers.GRU(16, return_sequences=True)(normalize(inputs))
change = keras.layers.Rescaling(float(y.std()), float(y.mean()))(keras.layers.Dense(1)(hidden))
network = keras.Model(inputs, keras.layers.Add()([inputs, change]))  # moisture plus its change

steps = options.epochs * -(-len(x) // 32)
rate = keras.optimizers.schedules.CosineDecay(0.01, steps)
network.compile(keras.optimizers.Adam(rate), "mse")
network.fit(x, x + y, epochs=options.epochs, batch_size=32, verbose=0)
network.save("soil.keras")
error = float(np.sqrt(np.mean((network.predict(x, verbose=0) - x - y) ** 2)))
print(f"error on the training data: {error:.2f} %, without a network: {y.std():.2f} %")
