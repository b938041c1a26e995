"""A small network, and short training runs that prune it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.support.models.keras import readings, sequential

#: 16 streams in batches of 4: four batches an epoch.
XS, YS = readings(16, 5), readings(16, 5, 2, seed=4)


def network(kind: str = "LSTM", units: int = 10, graph: bool = False, **options: Any) -> Any:
    """A compiled model; ``graph`` trains as users do, and costs a second of tracing."""
    import keras

    layers = keras.layers
    recurrent = getattr(layers, kind)(units, return_sequences=True, name="rnn")
    model = sequential(recurrent, layers.Dense(2, name="head"))
    # Momentum moves a weight long after its gradient is gone.
    model.compile(
        keras.optimizers.Adam(0.02, beta_1=0.95), loss="mse", run_eagerly=not graph, **options
    )
    return model


def pruner(final: Any, **options: Any) -> Any:
    from edgernn_export.compress.pruning import MagnitudePruning

    # Gates that compete: each matrix then has the density that was asked for.
    defaults = {"end_step": 8, "frequency": 2, "allocation": "matrix"}
    return MagnitudePruning(final, **(defaults | options))


def fit(model: Any, *callbacks: Any, epochs: int = 3, initial_epoch: int = 0) -> Any:
    return model.fit(
        XS, YS, batch_size=4, epochs=epochs, initial_epoch=initial_epoch,
        shuffle=False, verbose=0, callbacks=list(callbacks),
    )  # fmt: skip


def matrix(model: Any, name: str) -> np.ndarray:
    """Weights [R, N]."""
    layer, kind = name.split("/")
    found = model.get_layer(layer)
    return np.asarray(getattr(getattr(found, "cell", found), kind)).T
