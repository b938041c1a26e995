"""Defects of record, tensors and model, one or more tests each (FORMAT.md section 6)."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from edgernn.container.defects import FormatDefect as D
from edgernn.container.file import to_bytes
from edgernn.model.formats import Precision
from tests.support.container.surgery import (
    canonical,
    drop,
    edit_header,
    edit_record,
    edit_tensor,
    frame,
    join,
    put,
    refused,
    split,
)
from tests.support.models.integer import random_model

pytestmark = pytest.mark.device

MODEL = random_model("lstm", common=False)
DATA = to_bytes(MODEL)
WIDE = to_bytes(random_model("lstm", Precision.W8A16))
HEADER, SECTION = split(DATA)
WEIGHTS = "lstm_0/gates/0/weights"


LAYER = ("layers", 0)
BAD_RECORDS = {
    "unknown member": (put("extra", 1), "exactly the members input, layers"),
    "missing member": (drop("name"), "exactly the members input, layers"),
    "name": (put("name", 7), r"model\.name: expected a string, got 7"),
    "precision": (put("precision", "w4a8"), "expected one of w8a8, w8a16, got 'w4a8'"),
    "no layers": (put("layers", []), "an array of at least 1 elements"),
    "layers": (put("layers", {}), "an array of at least 1 elements"),
    "layer": (put("layers", 0, None), r"layers\[0\]: expected a member 'kind'"),
    "kind": (put(*LAYER, "kind", "peephole"), "expected one of simple_rnn, lstm"),
    "layer member": (put(*LAYER, "extra", 1), "exactly the members affines, cell_exponent"),
    "layer option": (drop(*LAYER, "cell_exponent"), "exactly the members affines, cell_exponent"),
    "layer name": (put(*LAYER, "name", None), r"layers\[0\]\.name: expected a string"),
    "inputs flag": (put(*LAYER, "inputs", True), r"expected an integer in \[1, 65536\], got True"),
    "inputs": (put(*LAYER, "inputs", 0), r"expected an integer in \[1, 65536\], got 0"),
    "units": (put(*LAYER, "units", 65_537), r"expected an integer in \[1, 65536\], got 65537"),
    "gate": (put(*LAYER, "gate_activation", "tanh"), "expected one of sigmoid, hard_sigmoid"),
    "gate list": (put(*LAYER, "gate_activation", ["sigmoid"]), "expected one of sigmoid"),
    "affine missing": (put(*LAYER, "affines", {}), "exactly the members gates"),
    "affine": (put(*LAYER, "affines", "gates", 1), "gates: expected an object"),
    "shift missing": (drop(*LAYER, "affines", "gates", "shift"), "members shift, sources"),
    "shift": (put(*LAYER, "affines", "gates", "shift", "8"), "shift: expected an integer"),
    "source": (put(*LAYER, "affines", "gates", "sources", ["y"]), "expected one of x, h, xh, rh"),
    "no source": (put(*LAYER, "affines", "gates", "sources", []), "at least 1 elements"),
    "sources": (put(*LAYER, "affines", "gates", "sources", ["x"] * 3), "at most 2 elements"),
    "real": (put("layers", 1, "output_scale", "1.0.0"), "a hexadecimal floating-point string"),
    "huge real": (put("layers", 1, "output_scale", "0x1p9999"), "a hexadecimal floating-point"),
    "real number": (put("layers", 1, "output_scale", 1), "output_scale: expected a string"),
    "softmax": (put("output", "softmax", 0), "softmax: expected true or false, got 0"),
    "units text": (put("input", "units", 0, None), r"units\[0\]: expected a string"),
    "seed": (put("provenance", "seeds", [["a", "1"]]), r"seeds\[0\]\[1\]: expected an integer"),
    "pair": (put("provenance", "versions", [["a"]]), "an array of at least 2 elements"),
    "setting": (put("provenance", "settings", [["a", 1]]), "expected a string, got 1"),
}


@pytest.mark.parametrize("name", BAD_RECORDS)
def test_bad_record(name):
    edit, match = BAD_RECORDS[name]
    refused(edit_record(DATA, edit), D.BAD_RECORD, match)


def test_bad_record_shift_belongs_to_w8a8_only():
    edit = put(*LAYER, "affines", "gates", "shift", 8)
    refused(edit_record(WIDE, edit), D.BAD_RECORD, "exactly the members sources")


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (put("__metadata__", "extra", "1"), "exactly the members edgernn_schema, model"),
        (drop("__metadata__", "model"), "exactly the members edgernn_schema, model"),
        (put("__metadata__", "model", {}), "model: expected a string"),
        (put("extra", 1), "tensor 'extra': expected an object"),
        (put(WEIGHTS, "extra", 1), "exactly the members data_offsets, dtype, shape"),
        (put(WEIGHTS, "shape", 3), "shape: expected an array"),
        (put(WEIGHTS, "shape", []), "shape: expected an array of at least 1"),
        (put(WEIGHTS, "shape", [1, 1, 96]), "shape: expected an array of at most 2"),
        (put(WEIGHTS, "shape", [0, 3]), r"shape\[0\]: expected an integer in \[1"),
        (put(WEIGHTS, "shape", [-32, -3]), r"shape\[0\]: expected an integer in \[1"),
        (put(WEIGHTS, "dtype", 8), "dtype: expected a string"),
        (put(WEIGHTS, "data_offsets", [0]), "data_offsets: expected an array of at least 2"),
        (put(WEIGHTS, "data_offsets", [-96, 0]), r"data_offsets\[0\]: expected an integer in \[0"),
    ],
)
def test_bad_record_in_the_header(edit, match):
    refused(edit_header(DATA, edit), D.BAD_RECORD, match)


def test_header_is_no_object():
    refused(frame(b"[]", b""), D.BAD_RECORD, "^header: expected an object")


def test_bad_record_unpaired_surrogate():
    header = canonical(HEADER).replace("lstm-tame", "\\\\ud800").encode()
    refused(frame(header, SECTION), D.BAD_RECORD, "surrogates not allowed")


def test_missing_tensor():
    def rename(header):
        header["lstm_0/gates/0/weight"] = header.pop(WEIGHTS)

    refused(edit_header(DATA, rename), D.MISSING_TENSOR, f"expected tensor '{WEIGHTS}', got none")


def test_unexpected_tensor():
    end = len(SECTION)
    entry = {"data_offsets": [end, end + 1], "dtype": "I8", "shape": [1]}
    header = {**HEADER, "zz/extra": entry}
    refused(join(header, SECTION + b"\0"), D.UNEXPECTED_TENSOR, "got 'zz/extra' and 0 more")


def test_wrong_dtype():
    data = edit_header(DATA, lambda h: h[WEIGHTS].update(dtype="I32", shape=[24]))
    refused(data, D.WRONG_DTYPE, f"^tensor '{WEIGHTS}': expected int8, got int32")


@pytest.mark.parametrize("shape", [[3, 32], [96], [96, 1], [16, 6]])
def test_shape_mismatch(shape):
    data = edit_header(DATA, put(WEIGHTS, "shape", shape))
    refused(data, D.SHAPE_MISMATCH, rf"^tensor '{WEIGHTS}': expected shape \(32, 3\), got")


def test_shape_mismatch_when_the_record_lies_about_a_width():
    refused(
        edit_record(DATA, put(*LAYER, "units", 9)), D.SHAPE_MISMATCH, r"expected shape \(36, 3\)"
    )


def fill(content: bytearray, pattern: bytes) -> None:
    content[:] = pattern * (len(content) // len(pattern))


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (edit_tensor(DATA, WEIGHTS, lambda c: fill(c, b"\x80")), r"weights: expected .*\[-127"),
        (
            edit_tensor(DATA, "lstm_0/gates/0/multiplier", lambda c: fill(c, b"\0\0\0\x10")),
            "lstm_0.gates: expected accumulators within clause 4.4",
        ),
        (edit_tensor(WIDE, "lstm_0/gates/0/bias", lambda c: fill(c, b"\2\0\0\0")), "bias mod 4"),
        (edit_tensor(DATA, "input/scale", lambda c: fill(c, bytes(8))), "input.scale: expected"),
        (
            edit_tensor(DATA, "input/offset", lambda c: fill(c, struct.pack("<d", np.nan))),
            "input.offset: expected finite",
        ),
        (edit_record(DATA, put(*LAYER, "cell_exponent", 15)), "cell_exponent: expected 10..14"),
        (edit_record(DATA, put(*LAYER, "affines", "gates", "shift", 0)), "shift: expected 1..28"),
        (edit_record(DATA, put("layers", 1, "output_scale", "-inf")), "output_scale: expected a"),
        (edit_record(DATA, put("input", "names", ["a" * 257] * 3)), "input.names: expected 3"),
    ],
)
def test_invalid_model(data, match):
    refused(data, D.INVALID_MODEL, f"^model: expected an integer model .*{match}")


def reordered(data: bytes) -> bytes:
    """The tensors in another order, every offset correct."""
    header, section = split(data)
    moved, end = b"", 0
    for name in sorted(header.keys() - {"__metadata__"}, reverse=True):
        low, high = header[name]["data_offsets"]
        moved += section[low:high]
        header[name]["data_offsets"] = [end, end + high - low]
        end += high - low
    return join(header, moved)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(frame(canonical(HEADER).encode() + b" " * 8, SECTION), id="padding"),
        pytest.param(frame(b"\n" + canonical(HEADER).encode(), SECTION), id="newline"),
        pytest.param(
            frame(canonical(HEADER).replace("F64", "\\u0046\\u0036\\u0034").encode(), SECTION),
            id="escapes",
        ),
        pytest.param(
            frame(
                json.dumps(dict(reversed(HEADER.items())), separators=(",", ":")).encode(), SECTION
            ),
            id="key order",
        ),
        pytest.param(frame(canonical(HEADER).replace("[0,", "[-0,").encode(), SECTION), id="-0"),
        pytest.param(
            edit_record(DATA, put("layers", 1, "output_scale", "0x1p-10")), id="short real"
        ),
        pytest.param(
            edit_tensor(DATA, "input/offset", lambda c: fill(c, struct.pack("<d", -0.0))), id="-0.0"
        ),
        pytest.param(reordered(DATA), id="tensor order"),
    ],
)
def test_not_canonical(data):
    assert data != DATA
    refused(data, D.NOT_CANONICAL, r"first difference at byte \d+\)\. Save the model again")


def test_not_canonical_spaces():
    data = frame(json.dumps(HEADER, sort_keys=True).encode(), SECTION)
    refused(data, D.NOT_CANONICAL, "^header: expected the checksum after .* Save the model again")
