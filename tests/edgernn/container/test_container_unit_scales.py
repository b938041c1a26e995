"""Files of layers whose units have output scales of their own: round trip, identity, defects."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from edgernn.cli.info import describe_file
from edgernn.container.defects import FormatDefect as D
from edgernn.container.file import from_bytes, to_bytes
from edgernn.errors import FormatError, ModelError
from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import DenseActivation
from tests.support.container.surgery import (
    drop,
    edit_record,
    edit_tensor,
    put,
    refused,
    split,
)
from tests.support.models.integer import random_layer, random_model
from tests.support.models.networks import residual_network

pytestmark = pytest.mark.device

PLAIN = residual_network()
SCALES = 2.0 ** -np.arange(12, 20)


def scaled(model: IntegerModel, index: int, scales: np.ndarray) -> IntegerModel:
    layer = replace(model.layers[index], output_scale=float(scales.max()), unit_scales=scales)
    return replace(model, layers=(*model.layers[:index], layer, *model.layers[index + 1 :]))


MODEL = scaled(PLAIN, 2, SCALES)
DATA = to_bytes(MODEL)


def test_round_trip():
    loaded = from_bytes(DATA)
    assert loaded == MODEL
    assert loaded != PLAIN
    assert to_bytes(loaded) == DATA
    assert loaded.layers[2].output_scale == 2.0**-12
    np.testing.assert_array_equal(loaded.layers[2].output_scales, SCALES)
    np.testing.assert_array_equal(PLAIN.layers[2].output_scales, np.full(8, 2.0**-12))


def test_what_a_file_says_of_them():
    header, section = split(DATA)
    add = json.loads(header["__metadata__"]["model"])["layers"][2]
    assert (add["name"], add["output_scale"]) == ("add", None)
    entry = header["add/output_scale"]
    low, high = entry["data_offsets"]
    assert (entry["dtype"], entry["shape"]) == ("F64", [8])
    assert section[low:high] == SCALES.tobytes()


def test_a_chain_with_them_is_no_chain_of_version_3():
    chain = random_model("lstm", outputs=4)
    model = scaled(chain, 1, 2.0 ** -np.arange(10, 14))
    data = to_bytes(model)
    assert split(data)[0]["__metadata__"]["edgernn_schema"] == "4"
    assert split(to_bytes(chain))[0]["__metadata__"]["edgernn_schema"] == "3"
    assert from_bytes(data).layers == model.layers
    with pytest.raises(FormatError, match="expected a chain of layers for version '3'"):
        to_bytes(model, "3")


def test_info_lists_them(tmp_path):
    MODEL.save(tmp_path / "m.edgernn")
    layers = describe_file(tmp_path / "m.edgernn")["layers"]
    assert layers[2]["unit_scales"] == SCALES.tolist()
    assert "unit_scales" not in layers[3]


def as_float64(values):
    data = np.array(values, "<f8").tobytes()
    return lambda content: content.__setitem__(slice(0, len(data)), data)


DEFECTS = {
    "no tensor": (
        lambda: edit_record(to_bytes(PLAIN), put("layers", 2, "output_scale", None)),
        D.MISSING_TENSOR, "expected tensor 'add/output_scale', got none",
    ),
    "a tensor that nothing asks for": (
        lambda: edit_record(DATA, put("layers", 2, "output_scale", (2.0**-12).hex())),
        D.UNEXPECTED_TENSOR, "got 'add/output_scale' and 0 more",
    ),
    "no member": (
        lambda: edit_record(DATA, drop("layers", 2, "output_scale")), D.BAD_RECORD, "exactly the",
    ),
    "in a chain": (
        lambda: edit_record(
            to_bytes(random_model("lstm", outputs=4)),
            put("layers", 1, "output_scale", None),
        ),
        D.BAD_RECORD, "output_scale: expected a string",
    ),
    "all alike": (
        lambda: edit_tensor(DATA, "add/output_scale", as_float64([0.5] * 8)), D.INVALID_MODEL,
        "add.unit_scales: expected finite values > 0 that differ",
    ),
    "zero": (
        lambda: edit_tensor(DATA, "add/output_scale", as_float64([0.0])), D.INVALID_MODEL,
        "add.unit_scales: expected finite values > 0 that differ",
    ),
    "not finite": (
        lambda: edit_tensor(DATA, "add/output_scale", as_float64([np.nan])), D.INVALID_MODEL,
        "add.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DEFECTS)
def test_defects(name):
    make, defect, message = DEFECTS[name]
    refused(make(), defect, message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output_scale": 1.0}, "with 1.0 as the largest, got"),
        ({"unit_scales": SCALES[:3]}, r"unit_scales: expected shape \(8,\), got \(3,\)"),
        ({"unit_scales": SCALES.astype(np.float32)}, "expected 1-d float64"),
    ],
)
def test_records_that_contradict_themselves(changes, message):
    with pytest.raises(ModelError, match=message):
        replace(MODEL.layers[2], **changes)


def test_a_bounded_layer_has_one_scale():
    rng = np.random.default_rng(0)
    tanh = DenseActivation.TANH
    dense = random_layer(rng, "dense", "d", 3, 4, Precision.W8A8, first=False, activation=tanh)
    scales = 2.0 ** -np.arange(15, 19)
    with pytest.raises(ModelError, match=r"output_scale: expected 2\*\*-15 for tanh"):
        replace(dense, unit_scales=scales)
