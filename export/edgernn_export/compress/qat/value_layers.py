"""Keras layers that read values and whose forward pass is the integer model's, on int16 codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from edgernn.graph.lowering import lowered
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import Delay, Layer
from edgernn_export.cells.keras_cell import Between
from edgernn_export.compress.qat.ends import Refused
from edgernn_export.compress.qat.integer_side.sequences import (
    delayed,
    each_step,
    initial_codes,
    remembered,
    start_rows,
)
from edgernn_export.compress.qat.integer_side.value_integers import DepthwiseIntegers, TableIntegers
from edgernn_export.compress.qat.interpreter import TrainingInterpreter
from edgernn_export.compress.qat.maps.columns import LayerPlace
from edgernn_export.compress.tensors.back_ends import Tensor


class QatDelay(Refused, keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """The last rows of a stream (clause 8.4), of all steps at once.

    Args:
        record: the delay.
        batch: streams; None if every batch begins with the rows before a stream.
        last_step: of the last step alone.
    """

    def __init__(
        self, record: Delay, *, batch: int | None, last_step: bool, **options: Any
    ) -> None:
        super().__init__(**options)
        self.record = record
        self._batch, self._last_step = batch, last_step
        self.rows: Any = None

    def build(self, input_shape: Any) -> None:  # noqa: ARG002  # Keras passes it
        """Make room for the rows of every stream that goes on."""
        if self._batch is not None:
            record = self.record
            shape = (self._batch, (record.rows - 1) * record.inputs)
            self.rows = self.add_weight(name="rows", shape=shape, trainable=False)
            self.reset_state()

    def reset_state(self) -> None:
        """Start new streams."""
        if self.rows is not None:
            self.rows.assign(start_rows(self.record, self.rows.value))

    def call(self, codes: Tensor) -> Tensor:
        """Codes [B, T, I] to codes [B, T, rows * I], the newest row first, or to [B, rows * I]."""
        before = start_rows(self.record, codes) if self.rows is None else self.rows.value
        made, rows = delayed(self.record, codes, before)
        if self.rows is not None:
            self.rows.assign(rows)
        return made[:, -1] if self._last_step else made


class QatMemory(Refused, keras.layers.Layer):  # type: ignore[misc]  # as above
    """A layer with a memory of rows: what fills it, or attention over it.

    Args:
        model: the integer model.
        record: the layer.
        last_step: of the last step alone.

    Attributes:
        return_state: whether it gives its states after the last step, too.
    """

    def __init__(
        self, model: IntegerModel, record: Layer, *, last_step: bool, **options: Any
    ) -> None:
        super().__init__(**options)
        self.return_state = False
        self._record, self._last_step = record, last_step
        self._step = TrainingInterpreter(lowered(model.precision, (record,)))

    def call(self, codes: Tensor, initial_state: Any = None) -> Any:
        """Codes [B, T, N] to codes [B, T, U], or to [B, U]; and codes [B, H] of the states."""
        states = initial_state or [initial_codes(spec, codes) for spec in self._record.states]
        made, after = remembered(self._step, codes, states)
        made = made[:, -1] if self._last_step else made
        return (made, *after) if self.return_state else made


class QatValues(Refused, keras.layers.Layer):  # type: ignore[misc]  # as above
    """A layer of values without weights: its constants are those of the integer model."""

    def __init__(self, model: IntegerModel, record: Layer, **options: Any) -> None:
        super().__init__(**options)
        self._step = TrainingInterpreter(lowered(model.precision, (record,)))

    def call(self, codes: Tensor) -> Tensor:
        """Codes [..., N] to codes [..., U]."""
        return each_step(lambda flat: self._step({}, {}, (), read=flat)[0], codes)


class _Trained(Refused, keras.layers.Layer):  # type: ignore[misc]  # as above
    """A layer of values with weights.

    Args:
        integers: of the layer.
        place: where it stands.
    """

    def __init__(
        self, integers: DepthwiseIntegers | TableIntegers, place: LayerPlace, **options: Any
    ) -> None:
        super().__init__(**options)
        self.integers, self._place = integers, place

    def build(self, input_shape: Any) -> None:  # noqa: ARG002  # Keras passes it
        """Make the weights, or take those of the layer that has them."""
        limits = self.integers.limits
        self.float_weights: Mapping[str, Any] = self._place.weights or {
            name: self.add_weight(
                name=name,
                shape=limit.shape,
                constraint=None if np.isinf(limit).any() else Between(-limit, limit),
            )
            for name, limit in limits.items()
        }

    def call(self, codes: Tensor) -> Tensor:
        """Codes [..., N] to codes [..., U]."""
        constants = self.integers.constants(self.float_weights)
        step = self.integers.step
        return each_step(lambda flat: step({}, {}, (), constants, flat)[0], codes)


class QatDepthwise(_Trained):
    """A depthwise convolution; of its delay it reads the rows."""

    def __init__(self, place: LayerPlace, **options: Any) -> None:
        super().__init__(DepthwiseIntegers(place), place, **options)


class QatEmbedding(_Trained):
    """Rows of a table by their tokens."""

    def __init__(self, place: LayerPlace, **options: Any) -> None:
        super().__init__(TableIntegers(place), place, **options)
