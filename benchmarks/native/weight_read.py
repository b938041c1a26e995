"""The weight-read limit: no step that reads all weights can be faster than reading them."""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.model.integer_model import IntegerModel

SOURCE: Final = Path(__file__).with_name("weight_read.c")
FLAGS: Final = ("-std=gnu99", "-O3", "-march=native", "-shared", "-fPIC")
#: Bytes of the widest load; the array begins at a multiple of it and is one long.
ALIGNMENT: Final = 64

#: (address, bytes, passes) -> sum of the 64-bit words over all passes, modulo 2**64.
Reader = Callable[[ctypes.c_void_p, int, int], int]


def weight_bytes(model: IntegerModel) -> int:
    """Bytes of all weight matrices; biases and multipliers are not counted."""
    affines = (affine for layer in model.layers for affine in layer.affines.values())
    return sum(term.weights.nbytes for affine in affines for term in affine.terms)


def compiler() -> str:
    """The command that compiles C."""
    return os.environ.get("CC") or "gcc"


def load_reader() -> Reader:
    """Compile the reading loop for this processor and load it."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "weight_read.so"
        subprocess.run([*compiler().split(), *FLAGS, str(SOURCE), "-o", str(library)], check=True)
        function = ctypes.CDLL(str(library)).edgernn_read_passes
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t]
    function.restype = ctypes.c_uint64
    reader: Reader = function
    return reader


def aligned(size: int) -> npt.NDArray[np.uint8]:
    """Random bytes, at least `size` of them, that begin at and fill whole widest loads."""
    whole = -(-size // ALIGNMENT) * ALIGNMENT
    memory = np.random.default_rng(0).integers(0, 256, whole + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + whole]
