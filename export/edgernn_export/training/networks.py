"""Keras set up to repeat its results, the networks of the recipes, and their loss."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

from edgernn_export.datasets import Dataset

if TYPE_CHECKING:
    from edgernn_export.training.recipe import Network, Recipe, Training

#: Errors beyond two standard deviations of the target count linearly.
_HUBER_DELTA = 2.0


def keras_on_cpu() -> Any:
    """Keras, imported with few notes on stderr, no GPU and no oneDNN.

    TensorFlow reads these variables once, when it is imported. oneDNN chooses kernels by
    processor, which would make training depend on the machine more than it must.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    import keras

    return keras


def repeatable_keras(seed: int) -> Any:
    """Keras, seeded, with operations that repeat their bits.

    Runs repeat bit for bit on one machine; another processor or TensorFlow build may differ in the
    last bits, and training amplifies them.

    Args:
        seed: of initial weights, order of examples and noise.
    """
    keras = keras_on_cpu()
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    return keras


def build_network(recipe: Recipe, network: Network, data: Dataset) -> Any:
    """Normalization (train statistics), recurrent layers, one linear Dense.

    Classifiers answer once per stream: logits [B, O] after its last step. Forecasters answer at
    every step, in physical units [B, T, O]; a Rescaling after the Dense lets it learn numbers of
    the size of 1.

    Returns:
        A built `keras.Sequential`.
    """
    import keras

    layers = keras.layers
    flat = data.train.x.reshape(-1, data.train.x.shape[2])
    chain = [
        keras.Input((None, flat.shape[1])),
        layers.Normalization(mean=flat.mean(axis=0), variance=flat.var(axis=0)),
        layers.GaussianNoise(recipe.training.input_noise),
    ]
    cell = getattr(layers, network.cell)
    for index in range(network.layers):
        last = index == network.layers - 1
        sequences = not (last and data.classes)
        name = f"{network.cell.lower()}_{index + 1}"
        chain.append(cell(network.units, return_sequences=sequences, name=name))
    chain.append(layers.Dense(len(data.output_names), name="head"))
    if not data.classes:
        chain.append(layers.Rescaling(data.target_scale))
    return keras.Sequential(chain, name=recipe.name)


def loss_of(data: Dataset, training: Training) -> Any:
    """Cross-entropy of logits for classes, `ForecastLoss` for forecasts.

    Returns:
        A `keras.losses.Loss`.
    """
    import keras

    if data.classes:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return forecast_loss_class()(data.target_scale, training.loss_from)


@cache
def forecast_loss_class() -> Any:
    """`ForecastLoss(scale, first)`: Huber loss of errors divided by a scale, from a step on."""
    import keras

    @keras.saving.register_keras_serializable("edgernn")
    class ForecastLoss(keras.losses.Loss):  # type: ignore[misc]
        def __init__(self, scale: float, first: int, name: str = "forecast_loss") -> None:
            super().__init__(name=name)
            self.scale, self.first = scale, first

        def call(self, y_true: Any, y_pred: Any) -> Any:
            wanted, got = (y[:, self.first :] / self.scale for y in (y_true, y_pred))
            return keras.losses.huber(wanted, got, delta=_HUBER_DELTA)

        def get_config(self) -> dict[str, Any]:
            return {"scale": self.scale, "first": self.first, "name": self.name}

    return ForecastLoss
