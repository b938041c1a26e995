"""The smallest affine maps, for tests of records."""

from __future__ import annotations

import numpy as np

from edgernn.model.affine import Affine8, Source, Term8, Term16
from edgernn.model.formats import Precision

W8A8, W8A16 = Precision


def int8(*rows):
    return np.array(rows, dtype=np.int8)


def int32(*values):
    return np.array(values, dtype=np.int32)


def term8(**changes):
    fields = {"source": Source.X, "weights": int8([1, 2]), "multiplier": int32(1)}
    return Term8(**{**fields, **changes})


def term16(**changes):
    fields = {"source": Source.X, "weights": int8([1, 2]), "bias": int32(1)}
    return Term16(**{**fields, "shift": int32(8), "multiplier": int32(9), **changes})


def affine8(*terms, bias=(0,), shift=8):
    return Affine8(terms=terms or (term8(),), bias=int32(*bias), shift=shift)
