"""The two ends of a network under training, the routes between its layers, and what all share."""

from __future__ import annotations

from typing import Any, NoReturn

import keras
import numpy as np
import numpy.typing as npt

from edgernn.errors import TrainingError
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn.model.routes import Route
from edgernn_export.compress.qat.integer_side.sequences import InputQuantizer, routed
from edgernn_export.compress.qat.maps.training_maps import Add
from edgernn_export.compress.tensors.back_ends import Tensor, constant
from edgernn_export.keras_reader.findings import owner_of


class Refused:
    """What a layer under quantization-aware training cannot do; and masks pass through it."""

    supports_masking = True

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


def _listed(readings: Any) -> Any:
    return readings if isinstance(readings, (list, tuple)) else [readings]


def variables_of(owner: Any) -> Add:
    """What makes variables of a Keras layer that are not trained."""

    def add(name: str, value: npt.NDArray[Any]) -> Any:
        variable = owner.add_weight(
            name=name, shape=value.shape, dtype=value.dtype.name, initializer="zeros",
            trainable=False,
        )  # fmt: skip
        variable.assign(value)
        return variable

    return add


class QuantizeInput(Refused, keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Readings in physical units to operand codes (clause 9.1).

    Attributes:
        origin: what training starts from: the integer model, or the programs that it is one of.
    """

    def __init__(
        self, model: IntegerModel, origin: IntegerModel | ProgramSet, **options: Any
    ) -> None:
        super().__init__(**options)
        self.origin = origin
        self._quantizer = InputQuantizer(model)

    def call(self, readings: Any) -> Tensor:
        """[..., I], or a list of what several inputs read, to codes [..., I].

        Tokens are codes already, [..., n] or without an axis where there is one of them.
        """
        return self._quantizer(_listed(readings))

    def compute_mask(self, readings: Any, previous_mask: Any) -> Any:  # noqa: ARG002  # inputs have none
        """Which readings are steps, bool [B, T]; None where no reading is masked."""
        return self._quantizer.taken(_listed(readings))


class Routed(Refused, keras.layers.Layer):  # type: ignore[misc]  # as above
    """What a layer reads, or the model puts out, of the codes of several (clause 6.6).

    Args:
        route: the parts.
        last_step: of the last step alone.
    """

    def __init__(self, route: Route, *, last_step: bool, **options: Any) -> None:
        super().__init__(**options)
        self._route, self._last_step = route, last_step

    def call(self, sources: list[Tensor]) -> Tensor:
        """Codes [..., N] of the source of every part to codes [..., N]; a step has no time axis."""
        return routed(self._route, sources, last_step=self._last_step)

    def compute_mask(self, sources: list[Tensor], previous_mask: Any) -> Any:  # noqa: ARG002
        """The mask of the sources, which is one; a last step has none."""
        return None if self._last_step else next((m for m in previous_mask if m is not None), None)


class DequantizeOutput(Refused, keras.layers.Layer):  # type: ignore[misc]  # as above
    """Codes that the model puts out to real outputs (clause 9.2)."""

    def __init__(self, scale: FloatArray, **options: Any) -> None:
        super().__init__(**options)
        self.scale = scale.astype(np.float32)

    def call(self, codes: Tensor) -> Tensor:
        """[..., O] to outputs [..., O]."""
        return codes * constant(self.scale, codes)
