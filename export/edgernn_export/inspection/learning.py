"""Learning experiments of the textbooks, small enough for a laptop.

Each trains the same network in several ways on a task that needs memory, and says which way learns
it. They are about training recurrent networks in Keras, and need its TensorFlow back-end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from edgernn.errors import EdgeRnnError
from edgernn.model.formats import FloatArray
from edgernn_export.inspection.experiment import Experiment, Variant
from edgernn_export.inspection.gradient_norms import check_back_end

SEEDS: Final = (0, 1, 2, 3, 4)
_BATCH: Final = 32
#: Points of a learning curve; each is the mean of its share of the batches.
_POINTS: Final = 50


def forget_bias(
    seeds: Sequence[int] = SEEDS, *, distance: int = 20, batches: int = 120
) -> Experiment:
    """An LSTM whose forget gate begins with a bias of 0, or of 1.

    With 0 the gate begins half open, and what the cell holds is gone after a few steps. Gers et al.
    2000 and Jozefowicz et al. 2015 begin with 1, as Keras does.

    Args:
        seeds: of initial weights and data.
        distance: steps between the value and the answer.
        batches: of training.

    Raises:
        EdgeRnnError: no seed, a number below 1, or another back-end of Keras.
    """
    _check(seeds, distance=distance, batches=batches)
    import keras

    def network(unit_forget_bias: bool) -> Any:
        return keras.Sequential(
            [
                keras.Input((distance + 1, 2)),
                keras.layers.LSTM(16, unit_forget_bias=unit_forget_bias),
                keras.layers.Dense(1),
            ]
        )

    def one(bias: bool, seed: int) -> _Run:
        rng = _seeded(seed)
        made = network(bias)
        data = (recall_batch(rng, _BATCH, distance) for _ in range(batches))
        return _trained(made, keras.optimizers.Adam(0.01), data, recall_batch(rng, 512, distance))

    return Experiment(
        name="Forget bias",
        task=f"LSTM 16 recalls the value of {distance} steps before",
        variants=tuple(
            _variant(f"bias {int(bias)}", [one(bias, seed) for seed in seeds])
            for bias in (False, True)
        ),
        seeds=tuple(seeds),
    )


def clipping(seeds: Sequence[int] = SEEDS, *, steps: int = 12, batches: int = 250) -> Experiment:
    """A SimpleRNN whose gradients explode, with and without clipping of their norm.

    Clipping of the norm to 1 is that of Pascanu, Mikolov & Bengio 2013. The recurrent weights begin
    as an orthogonal matrix times 1.3, so that gradients grow with the distance.

    Args:
        seeds: of initial weights and data.
        steps: length of the sequences.
        batches: of training.

    Raises:
        EdgeRnnError: no seed, a number below 1, or another back-end of Keras.
    """
    _check(seeds, steps=steps, batches=batches)
    import keras

    def network(seed: int) -> Any:
        start = keras.initializers.Orthogonal(gain=1.3, seed=seed)
        return keras.Sequential(
            [
                keras.Input((steps, 2)),
                keras.layers.SimpleRNN(32, activation="relu", recurrent_initializer=start),
                keras.layers.Dense(1),
            ]
        )

    def one(clip_norm: float, seed: int) -> _Run:
        rng = _seeded(seed)
        made = network(seed)
        data = (adding_batch(rng, _BATCH, steps) for _ in range(batches))
        test = adding_batch(rng, 512, steps)
        return _trained(made, keras.optimizers.SGD(0.01, momentum=0.9), data, test, clip_norm)

    return Experiment(
        name="Gradient clipping",
        task=f"SimpleRNN 32 adds two of {steps} numbers",
        variants=tuple(
            _variant(name, [one(clip_norm, seed) for seed in seeds])
            for name, clip_norm in (("off", 0.0), ("norm 1", 1.0))
        ),
        seeds=tuple(seeds),
    )


def truncated_backpropagation(
    seeds: Sequence[int] = SEEDS,
    *,
    lengths: Sequence[int] = (5, 10, 20),
    delay: int = 6,
    steps: int = 1200,
) -> Experiment:
    """A SimpleRNN trained on endless streams in pieces of k steps, for several k.

    The state continues from piece to piece, gradients end where a piece begins (Williams & Peng
    1990). All k see the same readings. What came more than k steps before gives the recurrent
    weights no gradient: it is in the state only as far as these weights keep it by chance.

    Args:
        seeds: of initial weights and data.
        lengths: the values of k.
        delay: steps by which the answer is late.
        steps: readings of each of the streams.

    Raises:
        EdgeRnnError: no seed or length, a number below 1, or another back-end of Keras.
    """
    _check(seeds, delay=delay, steps=steps, **{f"k = {k}": k for k in lengths})
    import keras

    def one(k: int, seed: int) -> _Run:
        rng = _seeded(seed)
        made = keras.Sequential(
            [
                keras.Input((None, 1), batch_size=_BATCH),
                keras.layers.SimpleRNN(32, return_sequences=True, stateful=True),
                keras.layers.Dense(1),
            ]
        )
        streams = delayed_stream(rng, _BATCH, steps + 400, delay)

        def pieces(first: int, last: int) -> Iterator[_Batch]:
            for at in range(first, last - k + 1, k):
                yield _Batch(*(values[:, at : at + k] for values in streams))

        test = _Batch(*(values[:, steps:] for values in streams))
        return _trained(made, keras.optimizers.Adam(0.01), pieces(0, steps), test)

    return Experiment(
        name="Truncated backpropagation",
        task=f"SimpleRNN 32 answers with the reading of {delay} steps before",
        variants=tuple(_variant(f"k = {k}", [one(k, seed) for seed in seeds]) for k in lengths),
        seeds=tuple(seeds),
    )


class _Batch(NamedTuple):
    """Readings [B, T, I] and targets, [B, 1] or [B, T, 1]."""

    x: FloatArray
    y: FloatArray


class _Run(NamedTuple):
    """One training."""

    error: float
    losses: FloatArray
    largest_gradient: float


def recall_batch(rng: np.random.Generator, count: int, distance: int) -> _Batch:
    """The first reading shows a sign and a mark; the answer at the end is this sign."""
    x = rng.normal(0.0, 0.5, (count, distance + 1, 2))
    x[:, :, 1] = 0.0
    y = rng.choice([-1.0, 1.0], (count, 1))
    x[:, 0] = np.hstack([y, np.ones_like(y)])
    return _Batch(x, y)


def adding_batch(rng: np.random.Generator, count: int, steps: int) -> _Batch:
    """The adding problem of Hochreiter & Schmidhuber 1997: the sum of the two marked numbers."""
    x = np.zeros((count, steps, 2))
    x[:, :, 0] = rng.uniform(0.0, 1.0, (count, steps))
    half = steps // 2
    marks = np.stack([rng.integers(0, half, count), rng.integers(half, steps, count)], axis=1)
    np.put_along_axis(x[:, :, 1], marks, 1.0, axis=1)
    return _Batch(x, np.take_along_axis(x[:, :, 0], marks, axis=1).sum(axis=1, keepdims=True))


def delayed_stream(rng: np.random.Generator, count: int, steps: int, delay: int) -> _Batch:
    """Random signs, and the same some steps later."""
    x = rng.choice([-1.0, 1.0], (count, steps + delay, 1))
    return _Batch(x[:, delay:], x[:, :steps])


def _check(seeds: Sequence[int], **numbers: int) -> None:
    check_back_end("experiment")
    wrong = [f"{name} = {number}" for name, number in numbers.items() if number < 1]
    if wrong or not seeds:
        raise EdgeRnnError(
            f"experiment: expected a seed, and numbers of 1 or more, got {len(seeds)} seeds"
            f"{''.join(f', {text}' for text in wrong)}."
        )


def _seeded(seed: int) -> np.random.Generator:
    import keras

    keras.utils.set_random_seed(seed)
    return np.random.default_rng(seed)


def _trained(
    network: Any, optimizer: Any, batches: Iterator[_Batch], test: _Batch, clip_norm: float = 0.0
) -> _Run:
    """Train a network; the training ends early where it diverges."""
    import tensorflow as tf

    weights = network.trainable_variables

    def step(x: Any, y: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(network(x, training=True) - y))
        made = tape.gradient(loss, weights)
        norm = tf.linalg.global_norm(made)
        if clip_norm:
            made, _ = tf.clip_by_global_norm(made, clip_norm, use_norm=norm)
        optimizer.apply_gradients(zip(made, weights, strict=True))
        return loss, norm

    compiled: Callable[..., Any] = tf.function(step)
    losses, largest = [], 0.0
    variance = float(np.var(test.y))
    for x, y in batches:
        loss, norm = (float(value) for value in compiled(*_tensors(x, y)))
        losses.append(loss / variance)
        largest = max(largest, norm)
        if not (np.isfinite(loss) and np.isfinite(norm)):
            return _Run(np.inf, np.array(losses), np.inf)
    x, y = _tensors(test.x, test.y)
    error = float(tf.reduce_mean(tf.square(network(x, training=False) - y))) / variance
    return _Run(error if np.isfinite(error) else np.inf, np.array(losses), largest)


def _tensors(*arrays: FloatArray) -> list[Any]:
    import tensorflow as tf

    return [tf.constant(array, tf.float32) for array in arrays]


def _variant(name: str, runs: Sequence[_Run]) -> Variant:
    longest = max(len(run.losses) for run in runs)
    points = min(_POINTS, longest)
    curves = []
    for run in runs:
        padded = np.full(longest, np.nan)
        padded[: len(run.losses)] = run.losses
        curves.append([float(part.mean()) for part in np.array_split(padded, points)])
    return Variant(
        name=name,
        errors=np.array([run.error for run in runs]),
        curves=np.array(curves),
        largest_gradients=np.array([run.largest_gradient for run in runs]),
    )
