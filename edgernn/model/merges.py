"""The layer that joins vectors element by element (NUMERICS.md clause 7.10)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from edgernn.errors import ModelError
from edgernn.model.layer_record import AffineShapes, ScaledRecord
from edgernn.model.scales import SCALE_SHIFTS, ScaleVector


class MergeOperation(enum.Enum):
    """The function of the elements at one place."""

    SUM = "sum"
    PRODUCT = "product"
    MAXIMUM = "maximum"
    MINIMUM = "minimum"
    HYPOTENUSE = "hypotenuse"


#: The operations that join two vectors, never more.
PAIRS: Final = frozenset({MergeOperation.PRODUCT, MergeOperation.HYPOTENUSE})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Merge(ScaledRecord):
    """y = sum, product, maximum, minimum or hypotenuse of vectors of one scale (clause 7.10).

    It reads the int16 values of what feeds it, vectors of U elements one behind another. Of the
    model's input it reads the codes.

    Attributes:
        operation: what joins the elements; a product and a hypotenuse have two vectors.
        terms: what scales each of the vectors, in their order.
        shift: of the product, 1..30; 0 for the others.
        output_scale: real value of one output code.
        unit_scales: those of the elements, where merges alone read them and they differ much.
    """

    kind: ClassVar[str] = "merge"
    shape: ClassVar[AffineShapes] = {}
    reads_values: ClassVar[bool] = True

    operation: MergeOperation
    terms: tuple[ScaleVector, ...]
    shift: int

    def __post_init__(self) -> None:
        """Check counts, widths and the shift."""
        ScaledRecord.__post_init__(self)
        count = len(self.terms)
        product, pair = self.operation is MergeOperation.PRODUCT, self.operation in PAIRS
        if count < 2 or (pair and count > 2):
            raise ModelError(
                f"{self.name}.terms: expected {'2' if pair else '2 or more'} vectors, got {count}"
            )
        if [term.width for term in self.terms] != [self.units] * count:
            raise ModelError(
                f"{self.name}.terms: expected {self.units} elements each, "
                f"got {[term.width for term in self.terms]}"
            )
        if self.inputs != count * self.units:
            raise ModelError(
                f"{self.name}.inputs: expected {count} x {self.units}, got {self.inputs}"
            )
        if self.shift not in (SCALE_SHIFTS if product else (0,)):
            raise ModelError(
                f"{self.name}.shift: expected {'1..30' if product else '0'}, got {self.shift}"
            )

    @property
    def scales(self) -> dict[str, ScaleVector]:
        """What scales the vectors, by name: term0, term1 and so on."""
        return {f"term{index}": term for index, term in enumerate(self.terms)}

    @classmethod
    def scale_widths(cls, widths: Mapping[str, int]) -> dict[str, int]:
        """As many terms as vectors of U elements fit into the input."""
        units = widths["units"]
        return {f"term{index}": units for index in range(widths["inputs"] // units)}

    @classmethod
    def scale_arguments(cls, scales: dict[str, ScaleVector]) -> dict[str, Any]:
        """They are the terms."""
        return {"terms": tuple(scales.values())}
