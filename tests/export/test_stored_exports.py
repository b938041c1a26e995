"""Sparse and 4-bit models in every runtime of files: 0 LSB from the reference."""

from __future__ import annotations

import pytest

from edgernn.formats import Precision
from edgernn.storage import Storage
from edgernn_export.executors import EXECUTORS
from edgernn_export.exporting import export_files
from edgernn_export.probe import probe_codes
from edgernn_export.verify import verify
from tests.contract.runtimes import require
from tests.integer_models import random_model
from tests.stored_models import densified, stored

RUNTIMES = sorted({entry.runtime for entry in EXECUTORS} - {"native"})


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize(
    ("cell", "storages"),
    [
        ("lstm", (Storage.SPARSE8,)),
        ("gru_after", (Storage.DENSE4,)),
        ("gru_before", (Storage.SPARSE8, Storage.DENSE4, Storage.DENSE8)),
    ],
)
def test_runtimes_give_the_reference_bits(cell, storages, precision):
    require("tflite_runtime", "ai_edge_litert", "onnxruntime")
    model = stored(random_model(cell, precision, inputs=3, units=6), *storages)
    result = verify(model, probe_codes(model, 30, 5), RUNTIMES)
    assert result.differing == 0
    assert result.passed
    assert len([o for o in result.outcomes if o.status == "ran"]) > len(RUNTIMES)
    assert result.precision == model.precision_label


def test_files_are_those_of_the_dense_model_but_for_its_hash(tmp_path):
    model = stored(random_model("lstm", units=8), Storage.DENSE4)
    dense = densified(model)
    ours = export_files(model, tmp_path / "ours", ["tflite", "onnx"])
    theirs = export_files(dense, tmp_path / "theirs", ["tflite", "onnx"])
    for form, written in ours.items():
        content = written.path.read_bytes()
        assert model.sha256.encode() in content
        same = content.replace(model.sha256.encode(), dense.sha256.encode())
        assert same == theirs[form].path.read_bytes(), form
