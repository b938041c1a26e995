"""SVDF in Keras: filters that are products of one over features and one over time."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable("edgernn")
class SVDF(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Units whose filters over the last readings have a low rank (Nakkiran et al. 2015).

    y_t = activation(bias + sum over r and k of v[r, k] * (W_r x_(t-k))): every unit has `rank`
    filters over the features, and for each of them one over the last `memory_size` readings; before
    the first reading there are zeros. [B, T, I] to [B, T, units].

    Args:
        units: output width.
        memory_size: readings that a unit sees.
        rank: filters of a unit.
        activation: as of `keras.layers.Dense`.
        use_bias: whether there is a bias.
        **layer: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: a number is not 1 or more.
    """

    def __init__(
        self,
        units: int,
        memory_size: int,
        rank: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        **layer: Any,
    ) -> None:
        """Check the arguments."""
        super().__init__(**layer)
        for name, value in (("units", units), ("memory_size", memory_size), ("rank", rank)):
            if type(value) is not int or value < 1:
                raise ValueError(f"{name}: expected an integer of 1 or more, got {value!r}")
        self.units, self.memory_size, self.rank = units, memory_size, rank
        self.activation, self.use_bias = keras.activations.get(activation), use_bias

    def build(self, input_shape: Any) -> None:
        """Make the weights; columns are `units` of the first rank, then those of the next."""
        filters = self.rank * self.units
        self.kernel = self.add_weight(
            name="kernel", shape=(int(input_shape[-1]), filters), initializer="glorot_uniform"
        )
        self.time_kernel = self.add_weight(
            name="time_kernel", shape=(self.memory_size, filters), initializer="glorot_uniform"
        )
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")

    def call(self, inputs: Any) -> Any:
        """All steps, [B, T, I] to [B, T, units]."""
        ops = keras.ops
        features = ops.matmul(inputs, self.kernel)
        padded = ops.pad(features, ((0, 0), (self.memory_size - 1, 0), (0, 0)))
        sums = ops.depthwise_conv(padded, self.time_kernel[:, :, None], padding="valid")
        y = sum(ops.split(sums, self.rank, axis=-1))
        return self.activation(y + self.bias if self.use_bias else y)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """[B, T, units]."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """Arguments of a layer like this one."""
        own = {
            "units": self.units,
            "memory_size": self.memory_size,
            "rank": self.rank,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
        }
        return {**super().get_config(), **own}
