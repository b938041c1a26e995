"""What the kernels of a generated model know of storages: its copy of ``edgernn_storage.h``."""

from __future__ import annotations

from typing import Final

from edgernn.model.integer_model import IntegerModel
from edgernn.model.storage import Storage

STORAGE_HEADER: Final = "edgernn_storage.h"
#: Storage -> what the kernels' macro for it is called, and what it stands for.
_MACROS: Final = {
    Storage.SPARSE8: ("EDGERNN_HAS_SPARSE", "block-sparse weights"),
    Storage.DENSE4: ("EDGERNN_HAS_INT4", "weights of 4 bits"),
}


def storages_of(model: IntegerModel) -> frozenset[Storage]:
    """The storages of a model's products."""
    affines = (affine for layer in model.layers for affine in layer.affines.values())
    return frozenset(term.storage for affine in affines for term in affine.terms)


def storage_macros(storages: frozenset[Storage]) -> dict[str, int]:
    """Values of the macros of ``edgernn_storage.h`` for kernels that know these storages alone."""
    return {macro: int(storage in storages) for storage, (macro, _) in _MACROS.items()}


def storage_header(everything: str, storages: frozenset[Storage]) -> str:
    """``edgernn_storage.h``, so that kernels know these storages alone.

    Args:
        everything: the header of kernels that know all of them.
        storages: those of the model.
    """
    text = everything
    for macro, known in storage_macros(storages).items():
        text = text.replace(f"#define {macro} 1 ", f"#define {macro} {known} ")
    return text


def storage_checks(storages: frozenset[Storage], prefix: str) -> str:
    """C that ends compilation in a sentence where the kernels lack a storage of the model."""
    return "".join(
        f"#if !{macro}\n"
        f'#error "{prefix}.c: expected kernels for {what}, got none. Set {macro} to 1 in \\\n'
        f'{STORAGE_HEADER}, for all files of the program."\n'
        "#endif\n\n"
        for storage, (macro, what) in _MACROS.items()
        if storage in storages
    )
