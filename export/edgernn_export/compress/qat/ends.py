"""The two ends of a network under training, the routes between its layers, and what all share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import keras
import numpy as np
import tensorflow as tf

from edgernn.errors import TrainingError
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import port_slices
from edgernn.model.routes import Route
from edgernn_export.compress.qat.maps.columns import Columns
from edgernn_export.compress.qat.straight_through import input_codes
from edgernn_export.compress.qat.tensor_arithmetic import Tensor
from edgernn_export.keras_reader.findings import owner_of


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPlace:
    """Where a layer with weights stands.

    Attributes:
        model: the integer model training starts from.
        index: of the layer.
        columns: what it reads.
        weights: those of a layer that has the same ones, by name; None where they are its own.
    """

    model: IntegerModel
    index: int
    columns: Columns
    weights: Mapping[str, Any] | None


class Refused:
    """What a layer under quantization-aware training cannot do."""

    def get_config(self) -> NoReturn:
        """Refuse: a configuration does not hold the integer model.

        Raises:
            TrainingError: always.
        """
        raise TrainingError(
            f"{owner_of(self)}: expected save_weights, got a request for its configuration. "
            "Save weights, and load them into a new qat_model of the same network and calibration."
        )


def each_step(run: Callable[[Tensor], Tensor], codes: Tensor) -> Tensor:
    """What a layer makes of every step by itself.

    Args:
        run: from codes [B, N] to codes [B, U].
        codes: [..., N].

    Returns:
        [..., U].
    """
    made = run(tf.reshape(codes, (-1, codes.shape[-1])))
    return tf.reshape(made, tf.concat((tf.shape(codes)[:-1], made.shape[-1:]), axis=0))


class QuantizeInput(Refused, keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Readings in physical units to operand codes (clause 9.1).

    Attributes:
        model: the integer model training starts from.
    """

    def __init__(self, model: IntegerModel, **options: Any) -> None:
        super().__init__(**options)
        self.model = model

    def call(self, readings: Any) -> Tensor:
        """[..., I], or a list of what several inputs read, to codes [..., I].

        Tokens are codes already, [..., n] or without an axis where there is one of them.
        """
        spec = self.model.input
        several = isinstance(readings, (list, tuple))
        parts = []
        slices = port_slices(spec.ports).values() if several else [slice(None)]
        for x, part in zip(readings if several else [readings], slices, strict=True):
            if not any(spec.vocabulary[part]):
                given = spec.scale[part], spec.offset[part]
                parts.append(input_codes(x, *given, self.model.precision))
                continue
            tokens = x if len(x.shape) == 3 else x[..., None]
            parts.append(tf.cast(tokens, tf.float32))
        return tf.concat(parts, axis=-1) if several else parts[0]


class Routed(Refused, keras.layers.Layer):  # type: ignore[misc]  # as above
    """What a layer reads, or the model puts out, of the codes of several (clause 6.6).

    Args:
        route: the parts.
        last_step: of the last step alone.
    """

    def __init__(self, route: Route, *, last_step: bool, **options: Any) -> None:
        super().__init__(**options)
        self._cuts = [slice(part.start, part.start + part.width) for part in route]
        self._last_step = last_step

    def call(self, sources: list[Tensor]) -> Tensor:
        """Codes [..., N] of the source of every part to codes [..., N]; a step has no time axis."""
        parts = [
            (codes[:, -1] if self._last_step and len(codes.shape) == 3 else codes)[..., cut]
            for codes, cut in zip(sources, self._cuts, strict=True)
        ]
        return tf.concat(parts, axis=-1)


class DequantizeOutput(Refused, keras.layers.Layer):  # type: ignore[misc]  # as above
    """Codes that the model puts out to real outputs (clause 9.2)."""

    def __init__(self, scale: FloatArray, **options: Any) -> None:
        super().__init__(**options)
        self.scale = scale.astype(np.float32)

    def call(self, codes: Tensor) -> Tensor:
        """[..., O] to outputs [..., O]."""
        return codes * self.scale
