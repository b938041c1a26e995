"""Keras models, what Keras answers, and their float .onnx files.

As a script (`keras_answers.py FOLDER`) it writes FOLDER/<name>.onnx and <name>.npz with the
readings and the outputs for two successive chunks: onnxruntime then runs in a process without
TensorFlow.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.models.registered import CELLS, inner_widths

BATCH, CHUNK = 2, 9


def layers(name: str) -> list[Any]:
    """Keras layers of a named model; all return sequences and are stateful."""
    from keras.layers import GRU, LSTM, RNN, Dense, SimpleRNN

    from edgernn_export.cells import RegisteredCell

    kept = {"return_sequences": True, "stateful": True}
    table = {
        "simple_rnn": lambda: [SimpleRNN(6, **kept), Dense(2)],
        "relu": lambda: [SimpleRNN(4, activation="relu", **kept)],
        "lstm": lambda: [LSTM(6, **kept), Dense(5, activation="relu"), Dense(2)],
        "lstm_hard": lambda: [LSTM(6, recurrent_activation="hard_sigmoid", **kept), Dense(2)],
        "lstm_no_bias": lambda: [LSTM(6, use_bias=False, **kept), Dense(2, use_bias=False)],
        "gru_after": lambda: [GRU(6, **kept), Dense(3, activation="softmax")],
        "gru_before": lambda: [GRU(6, reset_after=False, **kept), Dense(2)],
        "gru_hard": lambda: [GRU(6, recurrent_activation="hard_sigmoid", **kept), Dense(2)],
        "stack": lambda: [LSTM(5, **kept), GRU(4, reset_after=False, **kept), GRU(3, **kept)],
    }
    if name in CELLS:
        return [RNN(RegisteredCell(name, 5, inner_widths(name, 5)), **kept), Dense(2)]
    return table[name]()


NAMES = (
    "simple_rnn", "relu", "lstm", "lstm_hard", "lstm_no_bias", "gru_after", "gru_before",
    "gru_hard", "stack", *CELLS,
)  # fmt: skip


def _main(folder: Path) -> None:
    from edgernn_export.keras_reader import read_keras
    from edgernn_export.writers.onnx.float_operators import write_onnx_float
    from tests.support.models.keras import answer, readings, sequential

    for name in NAMES:
        model = sequential(*layers(name), batch=BATCH)
        (folder / f"{name}.onnx").write_bytes(write_onnx_float(read_keras(model)))
        xs = readings(BATCH, 2 * CHUNK)
        ys = [answer(model, chunk) for chunk in np.split(xs, 2, axis=1)]
        np.savez(folder / f"{name}.npz", xs=xs, ys=np.concatenate(ys, axis=1))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
