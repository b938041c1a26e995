"""Write networks.npz: parameters of Flax modules, readings, and what Flax answers to them.

It was written with flax 0.12.8 and jax 0.10.2, which do not install next to the libraries of this
project: ``pip install flax==0.12.8 jax==0.10.2`` in a separate environment, then
``python tests/golden/flax/regenerate.py``.
"""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx, traverse_util

FILE = Path(__file__).with_name("networks.npz")
INPUTS, UNITS, STEPS, STREAMS = 3, 4, 8, 6
FUNCTIONS = (
    "relu", "relu6", "leaky_relu", "elu", "celu", "selu", "gelu", "silu", "swish", "softplus",
    "soft_sign", "hard_tanh", "hard_sigmoid", "hard_silu", "hard_swish", "sigmoid", "log_sigmoid",
    "tanh",
)  # fmt: skip


class Network(nnx.Module):
    """A convolution, a normalization, a GRU and a head."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.conv = nnx.Conv(INPUTS, UNITS, 3, padding="CAUSAL", rngs=rngs)
        self.norm = nnx.BatchNorm(UNITS, use_running_average=True, rngs=rngs)
        self.rnn = nnx.RNN(nnx.GRUCell(UNITS, UNITS, rngs=rngs))
        self.head = nnx.Linear(UNITS, 2, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return nnx.softmax(self.head(self.rnn(self.norm(self.conv(x)))))


class Both(nnx.Module):
    """Two cells, one from each end."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        ends = [nnx.RNN(nnx.LSTMCell(INPUTS, UNITS, rngs=rngs)) for _ in range(2)]
        self.both = nnx.Bidirectional(*ends)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.both(x)


class Words(nnx.Module):
    """An embedding and a cell."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.embed = nnx.Embed(7, INPUTS, rngs=rngs)
        self.rnn = nnx.RNN(nnx.OptimizedLSTMCell(INPUTS, UNITS, rngs=rngs))

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.rnn(self.embed(x))


class Cell(nnx.Module):
    """One cell."""

    def __init__(self, cell: nnx.Module) -> None:
        self.rnn = nnx.RNN(cell)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.rnn(x)


def randomized(arrays: dict[str, np.ndarray], generator: np.random.Generator) -> dict:
    """Values unlike those that Flax begins with, biases and statistics among them."""
    made = {}
    for name, values in arrays.items():
        fresh = generator.uniform(-0.8, 0.8, values.shape).astype(np.float32)
        made[name] = np.abs(fresh) + 0.5 if name.endswith("var") else fresh
    return made


def of_nnx(module: nnx.Module, x: np.ndarray, generator: np.random.Generator) -> tuple:
    """Parameters by dotted name, and the answers."""
    state = nnx.state(module, (nnx.Param, nnx.BatchStat))
    flat = traverse_util.flatten_dict(nnx.to_pure_dict(state), sep=".")
    arrays = randomized({name: np.asarray(v) for name, v in flat.items()}, generator)
    nested = traverse_util.unflatten_dict(arrays, sep=".")
    nnx.replace_by_pure_dict(state, jax.tree.map(jnp.asarray, nested))
    nnx.update(module, state)
    return arrays, np.asarray(module(jnp.asarray(x)))


def of_linen(cell: linen.Module, x: np.ndarray, generator: np.random.Generator) -> tuple:
    """The same of a cell of linen."""
    module = linen.RNN(cell)
    params = module.init(jax.random.key(0), jnp.asarray(x))
    flat = traverse_util.flatten_dict(params, sep=".")
    arrays = randomized({name: np.asarray(v) for name, v in flat.items()}, generator)
    nested = traverse_util.unflatten_dict(arrays, sep=".")
    answers = module.apply(jax.tree.map(jnp.asarray, nested), jnp.asarray(x))
    return arrays, np.asarray(answers)


def main() -> None:
    """Write the file."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(STREAMS, STEPS, INPUTS)).astype(np.float32)
    tokens = generator.integers(0, 7, size=(STREAMS, STEPS))
    rngs = nnx.Rngs(0)
    modules = {
        "lstm": Cell(nnx.LSTMCell(INPUTS, UNITS, rngs=rngs)),
        "optimized": Cell(nnx.OptimizedLSTMCell(INPUTS, UNITS, rngs=rngs)),
        "gru": Cell(nnx.GRUCell(INPUTS, UNITS, rngs=rngs)),
        "simple": Cell(nnx.SimpleCell(INPUTS, UNITS, rngs=rngs)),
        "residual": Cell(nnx.SimpleCell(INPUTS, UNITS, residual=True, rngs=rngs)),
        "relu": Cell(nnx.SimpleCell(INPUTS, UNITS, activation_fn=nnx.relu, rngs=rngs)),
        "network": Network(rngs),
        "both": Both(rngs),
        "words": Words(rngs),
    }
    cells = {
        "linen_lstm": linen.LSTMCell(UNITS),
        "linen_optimized": linen.OptimizedLSTMCell(UNITS),
        "linen_gru": linen.GRUCell(UNITS),
        "linen_simple": linen.SimpleCell(UNITS),
    }
    saved = {"x": x, "tokens": tokens}
    found = {
        name: of_nnx(module, tokens if name == "words" else x, generator)
        for name, module in modules.items()
    }
    found |= {name: of_linen(cell, x, generator) for name, cell in cells.items()}
    for name, (arrays, answers) in found.items():
        saved |= {f"{name}.{key}": values for key, values in arrays.items()}
        saved[f"answers.{name}"] = answers
    line = np.linspace(-9, 9, 145, dtype=np.float32)
    saved["line"] = line
    for name in FUNCTIONS:
        saved[f"functions.{name}"] = np.asarray(getattr(nnx, name)(jnp.asarray(line)))
    np.savez_compressed(FILE, **saved)


if __name__ == "__main__":
    main()
