"""The tensors of an .edgernn file while a model is built of them (FORMAT.md section 5)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.container.defects import FormatDefect, format_error

Tensors = dict[str, npt.NDArray[Any]]

#: Element types of a file by the names of safetensors.
DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "F64": np.dtype("<f8"),
    "I32": np.dtype("<i4"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
}
DTYPE_NAMES: Final = {dtype: name for name, dtype in DTYPES.items()}


class TensorTable:
    """Hands out tensors by name and remembers which were asked for."""

    def __init__(self, tensors: Tensors) -> None:
        """Start with nothing handed out."""
        self._tensors = tensors
        self._used: set[str] = set()

    def take(
        self, name: str, dtype: npt.DTypeLike, shape: tuple[int | None, ...]
    ) -> npt.NDArray[Any]:
        """The tensor of this name, which must have this dtype and shape; None fits any length.

        Raises:
            FormatError: MISSING_TENSOR, WRONG_DTYPE or SHAPE_MISMATCH.
        """
        self._used.add(name)
        if name not in self._tensors:
            raise format_error(
                FormatDefect.MISSING_TENSOR, "header", expected=f"tensor {name!r:.120}", got="none"
            )
        tensor, owner, wanted = self._tensors[name], f"tensor {name!r:.120}", np.dtype(dtype)
        if tensor.dtype != wanted:
            raise format_error(
                FormatDefect.WRONG_DTYPE, owner, expected=wanted.name, got=tensor.dtype.name
            )
        if not _fits(tensor.shape, shape):
            text = str(shape).replace("None", "any")
            raise format_error(
                FormatDefect.SHAPE_MISMATCH, owner, expected=f"shape {text}", got=f"{tensor.shape}"
            )
        return tensor

    def check_all_used(self) -> None:
        """Refuse tensors nobody asked for.

        Raises:
            FormatError: UNEXPECTED_TENSOR.
        """
        unused = self._tensors.keys() - self._used
        if unused:
            raise format_error(
                FormatDefect.UNEXPECTED_TENSOR,
                "header",
                expected="only tensors that the model record asks for",
                got=f"{min(unused)!r:.60} and {len(unused) - 1} more",
            )


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        length in (None, own) for own, length in zip(shape, wanted, strict=True)
    )
