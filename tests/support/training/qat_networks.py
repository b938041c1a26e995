"""Networks that are no chains of recurrent and Dense layers, for quantization-aware training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from edgernn.model.formats import FloatArray
from tests.support.models.keras import randomised
from tests.support.training.qat_runs import streams


def convolutions(last_step: bool = False) -> Any:
    """All convolutions there are, over readings and over layers, with a ReLU behind a merge."""
    import keras

    la = keras.layers
    given = keras.Input((None, 3))
    taps = la.DepthwiseConv1D(3, dilation_rate=2, activation="relu", name="depthwise")
    hidden = taps(la.ZeroPadding1D((4, 0))(given))
    hidden = la.SeparableConv1D(4, 2, name="separable")(la.ZeroPadding1D((1, 0))(hidden))
    mixed = la.Concatenate()([hidden, given])
    hidden = la.Conv1D(4, 3, padding="causal", activation="tanh", name="over_both")(mixed)
    hidden = la.GRU(4, return_sequences=not last_step, name="gru")(hidden)
    return keras.Model(given, la.Dense(2, name="head")(hidden))


def tokens_and_readings() -> Any:
    """Two tokens of one table and three readings, behind which all is joined."""
    import keras

    la = keras.layers
    token = keras.Input((None,), dtype="int32", name="token")
    other = keras.Input((None,), dtype="int32", name="other")
    wind = keras.Input((None, 3), name="wind")
    table = la.Embedding(9, 3, name="table")
    both = la.Concatenate()([table(token), la.Normalization(mean=[0.1, 0.2, -0.1],
        variance=[0.5, 2.0, 1.0])(wind), table(other)])  # fmt: skip
    hidden = la.LSTM(5, return_sequences=True, name="lstm")(both)
    return keras.Model([token, other, wind], la.Dense(2, name="head")(hidden))


def pairs_of_tokens() -> Any:
    """Two tokens a step in one input; the answer comes at the last step."""
    import keras

    la = keras.layers
    tokens = keras.Input((None, 2), dtype="int32")
    rows = la.Reshape((-1, 6))(la.Embedding(7, 3, name="table")(tokens))
    return keras.Model(tokens, la.Dense(3, "softmax", name="head")(la.GRU(4, name="gru")(rows)))


def branches() -> Any:
    """Every merge, a slice, two inputs, two outputs, one of them a softmax."""
    import keras

    la = keras.layers
    a, b = keras.Input((None, 3), name="a"), keras.Input((None, 2), name="b")
    hidden = la.Dense(4, name="first")(a)
    hidden = hidden + la.GRU(4, return_sequences=True, name="gru")(hidden)
    left, right = hidden[..., :2], la.Rescaling(0.5)(hidden[..., 2:])
    merged = [
        left * b,
        keras.ops.maximum(right, b),
        la.Minimum()([left, right]),
        la.Average()([left, right, b]),
        la.Subtract()([left, right]),
    ]
    joined = la.Concatenate()([*merged, hidden])
    level = la.Dense(2, name="level")(joined)
    return keras.Model([a, b], [level, la.Dense(3, "softmax", name="kind")(joined)])


def shared() -> Any:
    """A GRU and a Dense, called behind and before other scalings, and a convolution of itself."""
    import keras

    la = keras.layers
    a, b = keras.Input((None, 2), name="a"), keras.Input((None, 2), name="b")
    gru, dense = la.GRU(4, return_sequences=True, name="gru"), la.Dense(3, name="dense")
    taps = la.DepthwiseConv1D(2, name="taps")
    of_a = gru(la.Normalization(mean=[0.1, 0.2], variance=[0.5, 2.0])(a))
    of_b = gru(la.Rescaling(-0.5, offset=0.3)(b))
    scaled = la.Rescaling([2.0, -1.0, 0.5], offset=0.1)(dense(of_a))
    pad = la.ZeroPadding1D((1, 0))
    again = taps(pad(taps(pad(la.Activation("tanh")(dense(of_b))))))
    return keras.Model([a, b], [la.Subtract(name="apart")([scaled, again]), scaled])


def last_step() -> Any:
    """Pooling, and residuals around a recurrent layer that answers at the last step."""
    import keras

    la = keras.layers
    a = keras.Input((None, 3))
    deep = la.Conv1D(3, 2, padding="causal", name="conv")(a)
    deep = la.AveragePooling1D(2, strides=1, name="mean")(la.ZeroPadding1D((1, 0))(deep))
    last = (a + deep)[:, -1] + la.GRU(3, name="gru")(deep)
    return keras.Model(a, la.Dense(2, name="head")(last))


def _tokens(sizes: tuple[int, ...], inputs: int) -> Callable[[int, int, int], FloatArray]:
    def made(count: int, steps: int, seed: int) -> FloatArray:
        rng = np.random.default_rng(seed)
        parts = [rng.integers(0, size, (count, steps, 1)) for size in sizes]
        if inputs:
            parts.append(streams(count, steps, inputs, seed))
        return np.concatenate(parts, -1, dtype=np.float64)

    return made


#: By name: the network, and the streams [B, T, I] it reads, of a count, steps and a seed.
NETWORKS: Final[dict[str, tuple[Callable[[], Any], Callable[[int, int, int], FloatArray]]]] = {
    "convolutions": (convolutions, _tokens((), 3)),
    "tokens": (tokens_and_readings, _tokens((9, 9), 3)),
    "pairs": (pairs_of_tokens, _tokens((7, 7), 0)),
    "branches": (branches, _tokens((), 5)),
    "shared": (shared, _tokens((), 4)),
    "last step": (last_step, _tokens((), 3)),
}


def network(name: str, seed: int = 0) -> Any:
    """One of `NETWORKS` with small random weights."""
    model = randomised(NETWORKS[name][0](), seed)
    for variable in model.weights:
        if variable.name in {"kernel", "recurrent_kernel"}:
            variable.assign(variable * 0.5)
    return model
