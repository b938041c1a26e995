"""What is said where weights of 4 bits by default keep 8."""

from __future__ import annotations

from edgernn.errors import WeightBitsWarning
from edgernn.model.integer_model import IntegerModel
from edgernn.model.storage import Storage
from edgernn_export.quantizer.narrowing.kept_inputs import KEPT, free_layers
from edgernn_export.quantizer.weights.bits import ModelBits


def kept_bits(asked: ModelBits, integer: IntegerModel) -> list[WeightBitsWarning]:
    """Warnings on bits that an integer model has instead of those asked for.

    Args:
        asked: bits of weights by layer.
        integer: made of them.
    """
    free = free_layers(asked)
    if free and Storage.DENSE4 not in integer.storages:
        return [
            WeightBitsWarning(
                f"{integer.name}: the weights of {', '.join(free)} keep 8 bits, with 4 the file "
                "would be larger. weight_bits gives 4 bits to layers it names."
            )
        ]
    kept = dict(integer.provenance.settings).get(KEPT)
    if kept is None:
        return []
    return [
        WeightBitsWarning(
            f"{integer.name}: expected noise in calibration keeps input kernels at 8 bits: {kept}. "
            "weight_bits gives 4 bits to layers it names."
        )
    ]
