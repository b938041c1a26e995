"""Sparse and 4-bit models in every runtime of files: 0 LSB from the reference."""

from __future__ import annotations

import pytest

from edgernn.model.formats import Precision
from edgernn.model.storage import Storage
from edgernn_export.verification.comparison import verify
from edgernn_export.verification.executors import EXECUTORS
from edgernn_export.writers.file_formats import probe_codes
from tests.support.models.integer import random_model
from tests.support.models.stored import stored
from tests.support.runtimes import require

pytestmark = pytest.mark.sampled(2)

RUNTIMES = sorted({entry.runtime for entry in EXECUTORS} - {"native"})


@pytest.mark.parametrize(
    ("cell", "precision", "storages"),
    [
        ("lstm", Precision.W8A8, (Storage.SPARSE8,)),
        ("gru_after", Precision.W8A8, (Storage.DENSE4,)),
        ("gru_before", Precision.W8A16, (Storage.SPARSE8, Storage.DENSE4, Storage.DENSE8)),
    ],
)
def test_runtimes_give_the_reference_bits(cell, precision, storages):
    require("tflite_runtime", "ai_edge_litert", "onnxruntime")
    model = stored(random_model(cell, precision, inputs=3, units=6), *storages)
    result = verify(model, probe_codes(model, 30, 5), RUNTIMES)
    assert result.differing == 0
    assert result.passed
    assert len([o for o in result.outcomes if o.status == "ran"]) > len(RUNTIMES)
    assert result.precision == model.precision_label
