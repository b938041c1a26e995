"""Few models that together take every way through the kernels: cells, precisions, storages."""

from __future__ import annotations

import dataclasses

from edgernn.model.formats import Precision
from edgernn.model.interface import Window
from edgernn.model.storage import Storage
from tests.support.models.integer import random_model
from tests.support.models.stored import stored

SHAPE = {"inputs": 9, "units": 21}
W8A8, W8A16 = Precision.W8A8, Precision.W8A16
DENSE8, SPARSE8, DENSE4 = Storage.DENSE8, Storage.SPARSE8, Storage.DENSE4
MODELS = {
    "lstm-w8a8": random_model("lstm", W8A8, stack=2, **SHAPE),
    "gru_after-w8a16": random_model("gru_after", W8A16, common=False, **SHAPE),
    "window-gru_before-w8a8": dataclasses.replace(
        random_model("gru_before", W8A8, **SHAPE), window=Window(steps=4, hop=3)
    ),
    "int4-simple_rnn-w8a16": stored(random_model("simple_rnn", W8A16, **SHAPE), DENSE4),
    "sparse-int4-gru_after-w8a8": stored(
        random_model("gru_after", W8A8, common=False, **SHAPE), SPARSE8, DENSE4, density=0.5
    ),
}
