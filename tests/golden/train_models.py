"""Train the small models in tests/golden/trained/ and quantize them.

Command: python -m tests.golden.train_models

Each cell learns to predict the change of the weekly Mauna Loa CO2 record (statsmodels) four weeks
ahead from three channels. Training is not bit-reproducible between machines, so CI does not
repeat it; the committed .edgernn files are the golden inputs, their provenance stands in them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgernn.model.formats import FloatArray

FOLDER = Path(__file__).parent / "trained"
SEED = 7
UNITS = 16
HORIZON_WEEKS = 4
CHANNELS = ("change_1w", "change_4w", "change_52w")


def readings() -> tuple[FloatArray, FloatArray]:
    """Inputs [T, 3] and targets [T, 1], ppm, from the weekly CO2 record."""
    from statsmodels.datasets import co2

    level = co2.load_pandas().data["co2"].ffill().to_numpy(dtype=np.float64)
    t = np.arange(52, level.size - HORIZON_WEEKS)
    xs = np.stack([level[t] - level[t - lag] for lag in (1, 4, 52)], axis=1)
    return xs, (level[t + HORIZON_WEEKS] - level[t])[:, None]


def networks() -> dict[str, Any]:
    """Untrained Keras networks by name."""
    from keras import Input, Sequential, layers

    def network(*recurrent: Any) -> Any:
        return Sequential([Input((None, 3)), *recurrent, layers.Dense(1)])

    keep: dict[str, Any] = {"return_sequences": True}
    return {
        "simple_rnn": network(layers.SimpleRNN(UNITS, **keep)),
        "lstm": network(layers.LSTM(UNITS, **keep)),
        "gru_after": network(layers.GRU(UNITS, reset_after=True, **keep)),
        "gru_before": network(layers.GRU(UNITS, reset_after=False, **keep)),
        "stack": network(*(layers.GRU(12, **keep) for _ in range(3))),
    }


def main() -> None:
    """Train, quantize in both precisions, save."""
    import keras

    from edgernn_export.quantizer.quantizer import quantize

    keras.utils.set_random_seed(SEED)
    xs, ys = readings()
    split = int(0.8 * len(xs))
    windows = np.arange(0, split - 104, 26)
    batch_x = np.stack([xs[w : w + 104] for w in windows])
    batch_y = np.stack([ys[w : w + 104] for w in windows])
    FOLDER.mkdir(exist_ok=True)
    for name, network in networks().items():
        network.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse")
        history = network.fit(batch_x, batch_y, epochs=60, batch_size=16, verbose=0)
        print(f"{name}: training loss {history.history['loss'][-1]:.4f} ppm^2")
        for precision in ("w8a8", "w8a16"):
            model = quantize(
                network,
                xs[:split],
                precision,
                input_names=CHANNELS,
                input_units=("ppm",) * 3,
                output_names=("change_4w_ahead",),
                output_units=("ppm",),
                name=f"{name}-trained",
                seeds=(("training", SEED),),
                progress=False,
            )
            model.save(FOLDER / f"{name}-{precision}.edgernn")


if __name__ == "__main__":
    main()
