"""Small teachers and students, and short runs of a distiller."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.support.models.keras import readings, sequential

#: 16 streams of 5 steps in batches of 8, and one of three classes for each.
XS = readings(16, 5).astype(np.float32)
LABELS = np.random.default_rng(2).integers(3, size=16)
VALUES = readings(16, 5, 3, seed=4).astype(np.float32)


def network(
    units: int, kind: str = "GRU", head: str = "linear", steps: bool = False, outputs: int = 3
) -> Any:
    """A recurrent layer "rnn" and a Dense "head"; outputs [B, K], or [B, T, K] with ``steps``."""
    import keras

    recurrent = getattr(keras.layers, kind)(units, return_sequences=steps, name="rnn")
    return sequential(recurrent, keras.layers.Dense(outputs, head, name="head"))


def teacher(**options: Any) -> Any:
    """An LSTM of 8 units."""
    return network(8, "LSTM", **options)


def distiller(student: Any, teacher: Any, **options: Any) -> Any:
    from edgernn_export.compress.distillation import Distiller

    return Distiller(student, teacher, **options)


def compiled(model: Any, loss: Any, rate: float = 0.01, **options: Any) -> Any:
    """The model, compiled with Adam; eager, because tracing would cost a second each time."""
    import keras

    model.compile(keras.optimizers.Adam(rate), loss=loss, **({"run_eagerly": True} | options))
    return model


def cross_entropy(logits: bool = True) -> Any:
    import keras

    return keras.losses.SparseCategoricalCrossentropy(from_logits=logits)


def fit(model: Any, x: Any, y: Any, *callbacks: Any, epochs: int = 2, **options: Any) -> Any:
    return model.fit(
        x, y, batch_size=8, epochs=epochs, shuffle=False, verbose=0, callbacks=list(callbacks),
        **options,
    )  # fmt: skip


def first_loss(model: Any, x: Any, y: Any, **options: Any) -> float:
    """The training loss of one batch, before its step."""
    return float(np.ravel(model.train_on_batch(x, y, **options))[0])
