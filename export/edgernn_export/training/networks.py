"""The Keras networks of the recipes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgernn_export.datasets import Dataset

if TYPE_CHECKING:
    from edgernn_export.training.recipe import Network, Recipe


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
