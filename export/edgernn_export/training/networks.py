"""Keras set up to repeat its results, the networks of the recipes, their loss and clipping."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgernn.errors import TrainingError
from edgernn_export.compress.checks import is_real
from edgernn_export.datasets import VOCABULARY, Dataset

if TYPE_CHECKING:
    from edgernn_export.training.recipe import Network, Recipe, Training

#: Most columns of an embedding.
_MOST_COLUMNS = 32
#: Layers of Keras, by the name of a cell.
_LAYERS: Final = ("SimpleRNN", "LSTM", "GRU")
#: Classes of `edgernn_export.cells`, by the name of a cell.
_CLASSES: Final = {"FastRNN": "FastRNNCell", "FastGRNN": "FastGRNNCell", "CfC": "CfCCell"}
#: Cells that are known by their names (`RegisteredCell`).
_REGISTERED: Final = (
    "linear_recurrence", "min_gru", "minimal_gru", "peephole_lstm", "layer_norm_lstm",
    "layer_norm_gru",
)  # fmt: skip
#: Every cell that a recipe can have.
CELLS: Final = (*_LAYERS, *_CLASSES, *_REGISTERED)
#: What the name of the last input of a `CfC` begins with.
ELAPSED: Final = "elapsed"


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


def clipping(norm: float | None = None, value: float | None = None) -> dict[str, float]:
    """Arguments of a Keras optimizer that limit its gradients.

        keras.optimizers.Adam(1e-3, **clipping(norm=1.0))

    Args:
        norm: largest Euclidean norm of the gradient of each weight matrix (Pascanu, Mikolov &
            Bengio 2013).
        value: largest absolute value of each element of a gradient.

    Raises:
        TrainingError: both, or a number that is not above 0.
    """
    given = {"clipnorm": norm, "clipvalue": value}
    chosen = {name: limit for name, limit in given.items() if limit is not None}
    if len(chosen) > 1:
        raise TrainingError(
            f"clipping: expected a norm or a value, got norm {norm!r:.20} and value {value!r:.20}. "
            "Pass None for one of them: an optimizer of Keras applies only one."
        )
    for name, limit in chosen.items():
        if not is_real(limit) or limit <= 0:
            raise TrainingError(
                f"clipping {name.removeprefix('clip')}: expected a number above 0, got "
                f"{limit!r:.40}."
            )
    return chosen


def keras_cell(network: Network) -> Any:
    """The layer class of Keras of a network's cell, where only these can be.

    Raises:
        TrainingError: a cell that is not a layer of Keras.
    """
    from keras import layers

    if network.cell not in _LAYERS:
        raise TrainingError(
            f"network: expected a cell among {', '.join(_LAYERS)} for this kind of network, got "
            f"{network.cell!r:.40}."
        )
    return getattr(layers, network.cell)


def recurrent_layers(cell: str, units: int, *, sequences: bool, name: str) -> list[Any]:
    """One recurrent layer of a network, as Keras layers.

    Behind a linear recurrence, which is linear in its readings, is a Dense with tanh (Orvieto et
    al. 2023 put a gated unit there).

    Args:
        cell: one of `CELLS`.
        units: output width.
        sequences: answers at every step [B, T, H], else after the last one [B, H].
        name: of the recurrent layer.
    """
    from keras import layers

    if cell in _LAYERS:
        return [getattr(layers, cell)(units, return_sequences=sequences, name=name)]
    from edgernn_export import cells

    if cell in _CLASSES:
        own = getattr(cells, _CLASSES[cell])(units)
    else:
        own = cells.RegisteredCell(cell, units)
    made = [layers.RNN(own, return_sequences=sequences, name=name)]
    if cell == "linear_recurrence":
        made.append(layers.Dense(units, activation="tanh", name=f"{name}_mix"))
    return made


def check_cell(network: Network, data: Dataset) -> None:
    """Refuse a CfC without the time that it needs.

    Raises:
        TrainingError: the last input is not the elapsed time, or there are several layers.
    """
    if network.cell != "CfC":
        return
    if not data.input_names[-1].startswith(ELAPSED):
        raise TrainingError(
            f"network: expected the time since the reading before, {ELAPSED!r}, as the last input "
            f"for cell CfC, got {data.input_names[-1]!r:.40} in data set {data.name}. Take "
            "another cell, or a data set with irregular readings."
        )
    if network.layers > 1:
        raise TrainingError(
            f"network layers: expected 1 for cell CfC, got {network.layers}: the second layer "
            "would not see the time. Use more units, or write a build function for your recipe."
        )


def build_network(recipe: Recipe, network: Network, data: Dataset) -> Any:
    """Normalization (train statistics), recurrent layers, one linear Dense.

    Networks whose last step alone counts answer once per stream: [B, O] after it. Others answer
    at every step, [B, T, O]. Classifiers give logits, forecasters physical units; a Rescaling after
    the Dense lets it learn numbers of the size of 1.

    Returns:
        A built `keras.Sequential`.
    """
    import keras

    check_cell(network, data)
    layers = keras.layers
    flat = data.train.x[data.train.present]
    chain = [
        keras.Input((None, flat.shape[1])),
        layers.Normalization(mean=flat.mean(axis=0), variance=flat.var(axis=0)),
        layers.GaussianNoise(recipe.training.input_noise),
    ]
    for index in range(network.layers):
        last = index == network.layers - 1
        sequences = not (last and data.train.last_only)
        name = f"{network.cell.lower()}_{index + 1}"
        chain += recurrent_layers(network.cell, network.units, sequences=sequences, name=name)
    chain.append(layers.Dense(len(data.output_names), name="head"))
    if not data.classes:
        chain.append(layers.Rescaling(_scales(data)))
    return keras.Sequential(chain, name=recipe.name)


def build_text_network(recipe: Recipe, network: Network, data: Dataset) -> Any:
    """Embedding, recurrent layers, one linear Dense: logits of the next token at every step.

    Dropout of the recipe's ``input_noise`` is behind every recurrent layer.

    Returns:
        A built `keras.Sequential`.
    """
    import keras

    check_cell(network, data)
    layers = keras.layers
    tokens = len(data.symbols)
    columns = min(_MOST_COLUMNS, tokens)
    chain = [
        keras.Input((None, 1), dtype="int32", name=data.input_names[0]),
        layers.Embedding(tokens, columns, name="embedding"),
        layers.Reshape((-1, columns)),
    ]
    for index in range(network.layers):
        name = f"{network.cell.lower()}_{index + 1}"
        chain += recurrent_layers(network.cell, network.units, sequences=True, name=name)
        chain.append(layers.Dropout(recipe.training.input_noise))
    chain.append(layers.Dense(tokens, name="head"))
    return keras.Sequential(chain, name=recipe.name)


def build_sentence_network(recipe: Recipe, network: Network, data: Dataset) -> Any:
    """Embedding, bidirectional layers, one linear Dense: logits after the sentence or at each word.

    Dropout of the recipe's ``input_noise`` is behind the embedding and every bidirectional layer.
    The data set has a vocabulary (`edgernn_export.datasets.VOCABULARY`).

    Returns:
        A built `keras.Sequential`.

    Raises:
        TrainingError: a CfC, which needs the elapsed time as an input.
    """
    import keras

    check_cell(network, data)
    layers = keras.layers
    words = len(data.files[VOCABULARY].splitlines())
    columns, dropout = min(_MOST_COLUMNS, words), recipe.training.input_noise
    chain = [
        keras.Input((None, 1), dtype="int32", name=data.input_names[0]),
        layers.Embedding(words, columns, name="embedding"),
        layers.Reshape((-1, columns)),
        layers.Dropout(dropout),
    ]
    for number in range(1, network.layers + 1):
        sequences = number < network.layers or not data.train.last_only
        name = f"{network.cell.lower()}_{number}"
        inside, *mix = recurrent_layers(network.cell, network.units, sequences=sequences, name=name)
        chain += [
            layers.Bidirectional(inside, name=f"bidirectional_{number}"),
            *mix,
            layers.Dropout(dropout),
        ]
    chain.append(layers.Dense(len(data.output_names), name="head"))
    return keras.Sequential(chain, name=recipe.name)


def loss_of(data: Dataset, training: Training) -> Any:
    """Cross-entropy of logits for classes, `ForecastLoss` for forecasts.

    Returns:
        A `keras.losses.Loss`.
    """
    import keras

    if data.classes:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return forecast_loss_class()(_scales(data), training.loss_from, training.linear_from)


def _scales(data: Dataset) -> float | list[float]:
    """The scale of the targets as Keras stores it: one number, or one per output."""
    scales: float | list[float] = np.asarray(data.target_scale, np.float64).tolist()
    return scales


@cache
def forecast_loss_class() -> Any:
    """`ForecastLoss(scale, first, delta)`: Huber loss of errors over a scale, from a step on."""
    import keras

    @keras.saving.register_keras_serializable("edgernn")
    class ForecastLoss(keras.losses.Loss):  # type: ignore[misc]
        def __init__(
            self,
            scale: float | list[float],
            first: int,
            delta: float = 2.0,
            name: str = "forecast_loss",
        ) -> None:
            super().__init__(name=name)
            self.scale, self.first, self.delta = scale, first, delta

        def call(self, y_true: Any, y_pred: Any) -> Any:
            scale = np.asarray(self.scale, np.float32)
            wanted, got = (y[:, self.first :] / scale for y in (y_true, y_pred))
            return keras.losses.huber(wanted, got, delta=self.delta)

        def get_config(self) -> dict[str, Any]:
            own = {"scale": self.scale, "first": self.first, "delta": self.delta}
            return {**own, "name": self.name}

    return ForecastLoss
