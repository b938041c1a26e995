"""Networks of an encoder and a decoder: a word in other letters, a sentence about a vector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from edgernn.errors import TrainingError
from edgernn_export.datasets import Dataset
from edgernn_export.training.networks import keras_cell

if TYPE_CHECKING:
    from edgernn_export.training.recipe import Network, Recipe

#: Columns of the embeddings.
COLUMNS: Final = 64
#: Width of the rows that a decoder attends to, and of its query.
ROWS_WIDTH: Final = 128
#: Names of the inputs of the decoder.
BEFORE: Final = "token_before"


def _check_layers(recipe: Recipe, network: Network) -> None:
    """Refuse stacks.

    Raises:
        TrainingError: there is more than one layer.
    """
    if network.layers != 1:
        raise TrainingError(
            f"recipe {recipe.name}, network layers: expected 1 in the encoder and in the decoder, "
            f"got {network.layers}. Set units instead."
        )


def build_translator(
    recipe: Recipe, network: Network, data: Dataset, *, attention: bool, taught: bool
) -> Any:
    """An encoder of tokens, and a decoder that starts from its last states.

    With attention (Luong, Pham & Manning 2015, "general"), the decoder also sees the rows that the
    encoder leaves: its state is the query, and what it sees joins the state before the answer.
    Scores are divided by the root of their width.

    Args:
        recipe: ``input_noise`` is the dropout of both embeddings and of the answer.
        network: cell and units of the encoder and the decoder; one layer each.
        data: the task.
        attention: see above.
        taught: for training: sources are padded with the token 0, which is masked. Else the encoder
            reads as many steps as there are, and with attention at most those of the longest
            source.

    Returns:
        A `keras.Model` from tokens [B, T] and tokens [B, U] to probabilities [B, U, O].

    Raises:
        TrainingError: the network has more than one layer.
    """
    import keras

    _check_layers(recipe, network)
    layers, dropout = keras.layers, recipe.training.input_noise
    parts = (data.train, data.validation, data.test)
    most = max(int(part.steps.max()) for part in parts)
    vocabulary = int(max(part.x.max() for part in parts)) + 1
    outputs = len(data.output_names)
    steps = most if attention and not taught else None
    source = keras.Input((steps,), dtype="int32", name=data.input_names[0])
    before = keras.Input((None,), dtype="int32", name=BEFORE)
    cell = keras_cell(network)
    read = layers.Embedding(vocabulary, COLUMNS, mask_zero=taught, name="letters")(source)
    rows, *states = cell(network.units, return_sequences=True, return_state=True, name="reads")(
        layers.Dropout(dropout)(read)
    )
    written = layers.Embedding(outputs, COLUMNS, name="characters")(before)
    seen = cell(network.units, return_sequences=True, name="writes")(
        layers.Dropout(dropout)(written), initial_state=states
    )
    if attention:
        memory = layers.Dense(ROWS_WIDTH, name="rows")(rows)
        # Scores as in Vaswani et al. 2017: those of long sums leave the ±32 of integer scores.
        query = layers.Rescaling(ROWS_WIDTH**-0.5)(layers.Dense(ROWS_WIDTH, name="query")(seen))
        looked = layers.Attention(name="looks")([query, memory])
        joined = layers.Concatenate(name="joined")([seen, looked])
        seen = layers.Dense(ROWS_WIDTH, activation="tanh", name="mixed")(joined)
    seen = layers.Dropout(dropout)(seen)
    answer = layers.Dense(outputs, activation="softmax", name="answer")(seen)
    return keras.Model([source, before], answer, name=recipe.name)


def build_captioner(recipe: Recipe, network: Network, data: Dataset) -> Any:
    """A vector, layers that make the initial state of it, and a decoder of tokens.

    The state comes from one step of a recurrent layer, because every program needs a state.

    Args:
        recipe: ``input_noise`` is the deviation of the noise on the standardized vector.
        network: cell and units of the decoder; one layer.
        data: the task.

    Returns:
        A `keras.Model` from one vector [B, 1, I] and tokens [B, U] to probabilities [B, U, O].

    Raises:
        TrainingError: the network has more than one layer.
    """
    import keras

    _check_layers(recipe, network)
    layers = keras.layers
    vectors = data.train.x[:, 0]
    outputs = len(data.output_names)
    source = keras.Input((None, vectors.shape[1]), name="vector")
    before = keras.Input((None,), dtype="int32", name=BEFORE)
    scaled = layers.Normalization(mean=vectors.mean(axis=0), variance=vectors.var(axis=0))(source)
    hidden = layers.Dense(network.units, activation="relu", name="hidden")(
        layers.GaussianNoise(recipe.training.input_noise)(scaled)
    )
    cell = keras_cell(network)
    _, *states = cell(network.units, return_state=True, name="begins")(hidden)
    written = layers.Embedding(outputs, min(COLUMNS, outputs), name="words")(before)
    seen = cell(network.units, return_sequences=True, name="writes")(written, initial_state=states)
    answer = layers.Dense(outputs, activation="softmax", name="answer")(seen)
    return keras.Model([source, before], answer, name=recipe.name)
