"""Train a small GRU that names the condition of the motor after every reading."""

from __future__ import annotations

import argparse

import keras
import numpy as np

LENGTH = 200  # readings per training sequence: one second
COUNTS_PER_G = 16384

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=25)
options = parser.parse_args()

recording = np.loadtxt("train.csv", delimiter=",", skiprows=1)
starts = range(0, len(recording) - LENGTH, LENGTH // 4)
x = np.stack([recording[s : s + LENGTH, :3] for s in starts]).astype(np.float32)
y = np.stack([recording[s : s + LENGTH, 3] for s in starts])

# The network reads raw counts: the first layer turns them into g, and edgernn folds it into the
# integers.
keras.utils.set_random_seed(3)
network = keras.Sequential(
    [
        keras.Input((None, 3)),
        keras.layers.Rescaling(1 / COUNTS_PER_G),
        keras.layers.GRU(20, return_sequences=True),
        keras.layers.Dense(4, activation="softmax"),
    ]
)
steps = options.epochs * -(-len(x) // 32)
rate = keras.optimizers.schedules.CosineDecay(0.015, steps)
network.compile(
    keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
)
history = network.fit(x, y, epochs=options.epochs, batch_size=32, verbose=0)
network.save("vibration.keras")
print(f"accuracy on the training sequences: {history.history['accuracy'][-1]:.1%}")
