"""CfC in Keras: the elapsed time is the last channel of a reading (Hasani et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from edgernn_export.cells.cell_readers import CellMatrix
from edgernn_export.cells.known_cells import BACKBONES


@keras.saving.register_keras_serializable("edgernn")
class CfCCell(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """A closed-form continuous-time cell with its gate, for `keras.layers.RNN`.

    m = f(W [x, h] + b) with a backbone function f, and of m four affine maps g, k, a and b:
    s = sigmoid(a*t + b), h' = (1 - s)*tanh(g) + s*tanh(k). t, the time since the reading before, is
    the last channel of the input; x are the others. Weights are those of a `CfC` of the library
    ncps with one backbone layer: `head_kernel` has ff1, ff2, time_a and time_b side by side.

    Args:
        units: output width H.
        backbone_units: width of the backbone.
        backbone_activation: "lecun_tanh", the default of ncps, or "tanh".
        **layer: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: the backbone has another function.
    """

    def __init__(
        self,
        units: int,
        backbone_units: int = 64,
        backbone_activation: str = "lecun_tanh",
        **layer: Any,
    ) -> None:
        """Check the arguments."""
        super().__init__(**layer)
        if backbone_activation not in BACKBONES:
            wanted = " or ".join(map(repr, BACKBONES))
            raise ValueError(f"backbone_activation: expected {wanted}, got {backbone_activation!r}")
        self.units = self.state_size = self.output_size = units
        self.backbone_units, self.backbone_activation = backbone_units, backbone_activation

    def build(self, input_shape: Any) -> None:
        """Make the weights.

        Raises:
            ValueError: there is no channel besides the time.
        """
        width = int(input_shape[-1])
        if width < 2:
            raise ValueError(
                "CfCCell: expected readings with the elapsed time as the last of two or more "
                f"channels, got {width}. Append the time to the readings."
            )
        for name, shape in (
            ("backbone", (width - 1 + self.units, self.backbone_units)),
            ("head", (self.backbone_units, 4 * self.units)),
        ):
            kernel = self.add_weight(
                name=f"{name}_kernel", shape=shape, initializer="glorot_uniform"
            )
            bias = self.add_weight(name=f"{name}_bias", shape=shape[1:], initializer="zeros")
            setattr(self, f"{name}_kernel", kernel)
            setattr(self, f"{name}_bias", bias)

    def call(self, inputs: Any, states: Sequence[Any]) -> Any:
        """One step, [B, I + 1] and the state [B, H] to [B, H] and the new state."""
        ops = keras.ops
        inner, outer = BACKBONES[self.backbone_activation]
        seen = ops.concatenate([inputs[:, :-1], states[0]], axis=-1)
        z = ops.matmul(seen, self.backbone_kernel) + self.backbone_bias
        m = outer * ops.tanh(inner * z)
        heads = ops.matmul(m, self.head_kernel) + self.head_bias
        first, second, rate, offset = ops.split(heads, 4, axis=-1)
        share = ops.sigmoid(rate * inputs[:, -1:] + offset)
        h = (1.0 - share) * ops.tanh(first) + share * ops.tanh(second)
        return h, [h]

    def matrices(self) -> list[CellMatrix]:
        """Its matrices, for pruning; that of the backbone reads the state too."""
        gates = {"backbone_kernel": ("m",), "head_kernel": ("g", "k", "a", "b")}
        return [
            CellMatrix(name=name, variable=getattr(self, name), parts=parts, recurrent=True)
            for name, parts in gates.items()
        ]

    def get_config(self) -> dict[str, Any]:
        """Arguments of a cell like this one."""
        own = {
            "units": self.units,
            "backbone_units": self.backbone_units,
            "backbone_activation": self.backbone_activation,
        }
        return {**super().get_config(), **own}
