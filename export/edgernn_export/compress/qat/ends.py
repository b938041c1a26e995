"""The two ends of a network under training, the routes between its layers, and what all share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import keras
import numpy as np
from keras import ops

from edgernn.errors import TrainingError
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import port_slices
from edgernn.model.routes import Route
from edgernn_export.compress.qat.arithmetic.back_ends import Tensor
from edgernn_export.compress.qat.arithmetic.input_codes import InputCodes
from edgernn_export.compress.qat.arithmetic.integers import constant
from edgernn_export.compress.qat.maps.columns import Columns
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
            f"{owner_of(self)}: expected a call of save_weights, got one that saves the whole "
            "model. Save only the weights, and load them into a new qat_model of the same "
            "network and calibration."
        )


def each_step(run: Callable[[Tensor], Tensor], codes: Tensor) -> Tensor:
    """The outputs of a layer that acts on each step separately.

    Args:
        run: from codes [B, N] to codes [B, U].
        codes: [..., N].

    Returns:
        [..., U].
    """
    made = run(ops.reshape(codes, (-1, codes.shape[-1])))
    return ops.reshape(made, (*ops.shape(codes)[:-1], made.shape[-1]))


class QuantizeInput(Refused, keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Readings in physical units to operand codes (clause 9.1).

    Attributes:
        model: the integer model training starts from.
    """

    def __init__(self, model: IntegerModel, **options: Any) -> None:
        super().__init__(**options)
        self.model = model
        spec = model.input
        ports = port_slices(spec.ports).values() if spec.ports else [slice(None)]
        #: What makes codes of the readings of each port; None of tokens.
        self._coders = [
            None
            if any(spec.vocabulary[part])
            else InputCodes(spec.scale[part], spec.offset[part], model.precision)
            for part in ports
        ]

    def call(self, readings: Any) -> Tensor:
        """[..., I], or a list of what several inputs read, to codes [..., I].

        Tokens are codes already, [..., n] or without an axis where there is one of them.
        """
        several = isinstance(readings, (list, tuple))
        parts = []
        for x, coder in zip(readings if several else [readings], self._coders, strict=True):
            if coder is not None:
                parts.append(coder(x))
                continue
            tokens = x if len(x.shape) == 3 else x[..., None]
            parts.append(ops.cast(tokens, "float32"))
        return ops.concatenate(parts, axis=-1) if several else parts[0]


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
        return ops.concatenate(parts, axis=-1)


class DequantizeOutput(Refused, keras.layers.Layer):  # type: ignore[misc]  # as above
    """Codes that the model puts out to real outputs (clause 9.2)."""

    def __init__(self, scale: FloatArray, **options: Any) -> None:
        super().__init__(**options)
        self.scale = scale.astype(np.float32)

    def call(self, codes: Tensor) -> Tensor:
        """[..., O] to outputs [..., O]."""
        return codes * constant(self.scale)
