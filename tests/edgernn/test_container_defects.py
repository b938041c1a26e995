"""One test per defect of FORMAT.md section 6: the name, the message, the cure."""

from __future__ import annotations

import dataclasses
import json
import os
import struct

import numpy as np
import pytest

from edgernn import container
from edgernn.container import MAX_FILE_BYTES, MAX_HEADER_BYTES, from_bytes, load, save, to_bytes
from edgernn.errors import FormatError
from edgernn.format_defects import FormatDefect as D
from edgernn.formats import Precision
from edgernn.model import Provenance
from tests.edgernn.container_surgery import (
    canonical,
    edit_header,
    edit_record,
    edit_tensor,
    frame,
    join,
    split,
)
from tests.integer_models import random_model

MODEL = random_model("lstm", common=False)
DATA = to_bytes(MODEL)
WIDE = to_bytes(random_model("lstm", Precision.W8A16))
HEADER, SECTION = split(DATA)
WEIGHTS = "lstm_0/gates/0/weights"


def refused(data: bytes, defect: D, match: str) -> None:
    with pytest.raises(FormatError, match=match) as caught:
        from_bytes(data)
    assert caught.value.defect == defect
    assert len(str(caught.value)) < 700


def put(*path_and_value):
    """An edit that sets ``object[a][b]... = value``."""
    *path, last, value = path_and_value

    def edit(target):
        for key in path:
            target = target[key]
        target[last] = value

    return edit


def drop(*path):
    *path, last = path

    def edit(target):
        for key in path:
            target = target[key]
        del target[last]

    return edit


@pytest.mark.parametrize("what", ["missing", "directory", "pipe", "device"])
def test_not_a_file(what, tmp_path):
    path = tmp_path / "model.edgernn"
    if what == "directory":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "device":
        path.symlink_to("/dev/zero")
    with pytest.raises(FormatError, match=r"model\.edgernn: file: expected a .*file, got .*path"):
        load(path)
    with pytest.raises(FormatError) as caught:
        load(path)
    assert caught.value.defect == D.NOT_A_FILE


def test_file_too_large(tmp_path):
    path = tmp_path / "sparse"
    path.touch()
    os.truncate(path, MAX_FILE_BYTES + 1)
    with pytest.raises(FormatError, match="at most 67108864 bytes, got 67108865") as caught:
        load(path)
    assert caught.value.defect == D.FILE_TOO_LARGE
    refused(bytes(MAX_FILE_BYTES + 1), D.FILE_TOO_LARGE, "at most 67108864 bytes, got 67108865")


@pytest.mark.parametrize(
    ("length", "owner"), [(0, "file"), (7, "file"), (8, "header"), (100, "header"), (-1, "data")]
)
def test_truncated(length, owner):
    refused(DATA[:length], D.TRUNCATED, f"^{owner}: expected .*Copy the file again")


def test_trailing_bytes():
    refused(DATA + b"\0", D.TRAILING_BYTES, f"^data: expected {len(SECTION)} bytes, got")


@pytest.mark.parametrize("length", [MAX_HEADER_BYTES + 1, 2**63, 2**64 - 1])
def test_header_too_large(length):
    data = struct.pack("<Q", length) + DATA[8:]
    refused(data, D.HEADER_TOO_LARGE, f"^header: expected at most 1048576 bytes, got {length}")


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b'{"a":', b"{'a':1}", b'{"\xff":1}', b'{"a":"\x01"}', b"{}{}", b"\xef\xbb\xbf{}"],
)
def test_not_json(text):
    refused(frame(text, b""), D.NOT_JSON, "^header: expected JSON text in UTF-8, got")


def test_record_not_json():
    data = edit_header(DATA, put("__metadata__", "model", '{"input":'))
    refused(data, D.NOT_JSON, "^model: expected JSON text in UTF-8, got")


@pytest.mark.parametrize("count", [9, 1000, 500_000])
def test_json_too_deep(count):
    refused(frame(b"[" * count, b""), D.JSON_TOO_DEEP, "^header: expected at most 8 levels")
    nested = b'{"a":' * count if count < 1000 else b'{"a":' * 100_000
    refused(frame(nested, b""), D.JSON_TOO_DEEP, "^header: expected at most 8 levels")


@pytest.mark.parametrize(
    "number", ["1.0", "1e3", "NaN", "Infinity", "-Infinity", str(2**63), "9" * 5000, "-" + "9" * 25]
)
def test_bad_number(number):
    data = frame(f'{{"a":{number}}}'.encode(), b"")
    refused(data, D.BAD_NUMBER, "^header: expected integers of 64 bits, got")


def test_duplicate_key():
    text = canonical(HEADER)
    twice = text[:-1] + ',"input/scale":' + json.dumps(HEADER["input/scale"]) + "}"
    data = frame(twice.encode(), SECTION)
    refused(data, D.DUPLICATE_KEY, "^header: expected distinct keys, got 'input/scale' twice")


@pytest.mark.parametrize("metadata", [None, {}, {"format": "pt"}, "edgernn_schema", [1]])
def test_wrong_schema(metadata):
    data = edit_header(DATA, put("__metadata__", metadata))
    refused(data, D.WRONG_SCHEMA, "^header: expected the key 'edgernn_schema'.*an .edgernn file")


@pytest.mark.parametrize("version", ["2", "1.0", "", 1, True, None, ["1"]])
def test_unknown_schema_version(version):
    data = edit_header(DATA, put("__metadata__", "edgernn_schema", version))
    refused(data, D.UNKNOWN_SCHEMA_VERSION, r"schema: expected '1', got .*the version of edgernn")


@pytest.mark.parametrize("dtype", ["BF16", "I64", "i8", "", "F64 "])
def test_unknown_dtype(dtype):
    data = edit_header(DATA, put(WEIGHTS, "dtype", dtype))
    refused(data, D.UNKNOWN_DTYPE, f"^tensor '{WEIGHTS}': expected F64, I32 or I8, got '{dtype}'")


def shifted(name: str, low: int, high: int):
    a, b = HEADER[name]["data_offsets"]
    return edit_header(DATA, put(name, "data_offsets", [a + low, b + high]))


def test_bad_offsets_overlap():
    refused(shifted(WEIGHTS, -1, -1), D.BAD_OFFSETS, "expected data from byte")


def test_bad_offsets_hole():
    header, section = split(DATA)
    for entry in header.values():
        if "data_offsets" in entry:
            entry["data_offsets"] = [offset + 8 for offset in entry["data_offsets"]]
    data = join(header, bytes(8) + section)
    refused(data, D.BAD_OFFSETS, "expected data from byte 0, .* got from byte 8")


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, -1), (1, 0), (0, -10_000)])
def test_bad_offsets_not_the_size_of_the_tensor(low, high):
    data = shifted("output/scale", low, high)
    defect = D.BAD_RECORD if high < -1000 else D.BAD_OFFSETS
    match = "expected an integer in" if high < -1000 else "expected 16 bytes for F64 of shape"
    refused(data, defect, match)


def test_bad_offsets_of_a_shape_whose_product_overflows_64_bits():
    data = edit_header(DATA, put(WEIGHTS, "shape", [2**26, 2**26]))
    refused(data, D.BAD_OFFSETS, "expected 4503599627370496 bytes")


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
        pytest.param(frame(json.dumps(HEADER, sort_keys=True).encode(), SECTION), id="spaces"),
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


def test_every_defect_has_a_test():
    source = open(__file__, encoding="utf-8").read()  # noqa: PTH123, SIM115
    missing = [defect.name for defect in D if f"def test_{defect.value}" not in source]
    assert not missing


def test_save_refuses_what_load_would_refuse(tmp_path):
    origin = Provenance(float_model_sha256="", calibration_sha256="", seeds=(("a", 1.5),))
    model = dataclasses.replace(MODEL, provenance=origin)
    with pytest.raises(FormatError, match="expected integers of 64 bits, got 1.5"):
        save(model, tmp_path / "model.edgernn")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("limit", "value", "defect"),
    [
        ("MAX_WIDTH", 7, D.BAD_RECORD),
        ("MAX_HEADER_BYTES", 1000, D.HEADER_TOO_LARGE),
        ("MAX_FILE_BYTES", 3000, D.FILE_TOO_LARGE),
    ],
)
def test_to_bytes_keeps_the_limits_of_the_reader(limit, value, defect, monkeypatch):
    monkeypatch.setattr(container, limit, value)
    with pytest.raises(FormatError, match="expected .*<= 7|at most") as caught:
        to_bytes(MODEL)
    assert caught.value.defect == defect


def test_to_bytes_refuses_text_utf8_cannot_carry():
    with pytest.raises(FormatError, match="surrogates not allowed"):
        to_bytes(dataclasses.replace(MODEL, name="\ud800"))
