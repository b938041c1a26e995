"""Defects of file, JSON and header: the name, the message, the cure (FORMAT.md section 6)."""

from __future__ import annotations

import dataclasses
import json
import os
import struct
from pathlib import Path

import pytest

from edgernn.container import file as container
from edgernn.container import frame as container_frame
from edgernn.container.defects import FormatDefect as D
from edgernn.container.file import from_bytes, load, save, to_bytes
from edgernn.container.frame import MAX_FILE_BYTES, MAX_HEADER_BYTES
from edgernn.errors import FormatError
from edgernn.model.formats import Precision
from edgernn.model.integer_model import Provenance
from edgernn.model.program_sets.program_set import ProgramSet
from tests.support.container.surgery import (
    canonical,
    edit_header,
    frame,
    join,
    put,
    refused,
    split,
)
from tests.support.models.integer import random_model
from tests.support.models.programs import pair

pytestmark = pytest.mark.device

MODEL = random_model("lstm", common=False)
DATA = to_bytes(MODEL)
WIDE = to_bytes(random_model("lstm", Precision.W8A16))
HEADER, SECTION = split(DATA)
WEIGHTS = "lstm_0/gates/0/weights"


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
    refused(data, D.BAD_NUMBER, "^header: expected 64-bit integers, got")


def test_duplicate_key():
    text = canonical(HEADER)
    twice = text[:-1] + ',"input/scale":' + json.dumps(HEADER["input/scale"]) + "}"
    data = frame(twice.encode(), SECTION)
    refused(data, D.DUPLICATE_KEY, "^header: expected distinct keys, got 'input/scale' twice")


@pytest.mark.parametrize("metadata", [None, {}, {"format": "pt"}, "edgernn_schema", [1]])
def test_wrong_schema(metadata):
    data = edit_header(DATA, put("__metadata__", metadata))
    refused(data, D.WRONG_SCHEMA, "^header: expected the key 'edgernn_schema'.*an .edgernn file")


@pytest.mark.parametrize("version", ["8", "1.0", "", 1, 2, True, None, ["1"]])
def test_unknown_schema_version(version):
    data = edit_header(DATA, put("__metadata__", "edgernn_schema", version))
    refused(
        data,
        D.UNKNOWN_SCHEMA_VERSION,
        r"schema: expected '1', '2', '3', '4', '5', '6' or '7', got .*the version of edgernn",
    )


def test_wrong_kind(tmp_path):
    programs = pair()
    path = programs.save(tmp_path / "pair.edgernn")
    for read in (lambda: load(path), lambda: from_bytes(path.read_bytes())):
        with pytest.raises(
            FormatError, match="one integer model, got the programs encode, decode"
        ) as e:
            read()
        assert e.value.defect == D.WRONG_KIND
    with pytest.raises(
        FormatError, match=r"m\.edgernn: file: expected programs .*IntegerModel\.load"
    ) as e:
        ProgramSet.load(MODEL.save(tmp_path / "m.edgernn"))
    assert e.value.defect == D.WRONG_KIND


@pytest.mark.parametrize("at", [0, -1], ids=["first number", "last weight"])
def test_bad_checksum(at):
    changed = bytearray(SECTION)
    changed[at] ^= 1
    with pytest.raises(
        FormatError,
        match=r"the content that was saved, got other bytes .* the file is damaged.*Copy",
    ) as e:
        from_bytes(join(HEADER, bytes(changed)))
    assert e.value.defect == D.BAD_CHECKSUM


@pytest.mark.parametrize("dtype", ["BF16", "I64", "i8", "u8", "", "F64 "])
def test_unknown_dtype(dtype):
    data = edit_header(DATA, put(WEIGHTS, "dtype", dtype))
    refused(
        data, D.UNKNOWN_DTYPE, f"^tensor '{WEIGHTS}': expected F64, I32, I16, I8, U8, got '{dtype}'"
    )


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


def test_save_refuses_what_load_would_refuse(tmp_path):
    origin = Provenance(float_model_sha256="", calibration_sha256="", seeds=(("a", 1.5),))
    model = dataclasses.replace(MODEL, provenance=origin)
    with pytest.raises(FormatError, match=r"expected 64-bit integers, got 1\.5"):
        save(model, tmp_path / "model.edgernn")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("module", "limit", "value", "defect"),
    [
        (container, "MAX_WIDTH", 7, D.BAD_RECORD),
        (container_frame, "MAX_HEADER_BYTES", 1000, D.HEADER_TOO_LARGE),
        (container_frame, "MAX_FILE_BYTES", 2000, D.FILE_TOO_LARGE),
    ],
)
def test_to_bytes_keeps_the_limits_of_the_reader(module, limit, value, defect, monkeypatch):
    monkeypatch.setattr(module, limit, value)
    with pytest.raises(FormatError, match=r"expected .*<= 7|at most") as caught:
        to_bytes(MODEL)
    assert caught.value.defect == defect


def test_to_bytes_refuses_text_utf8_cannot_carry():
    with pytest.raises(FormatError, match="surrogates not allowed"):
        to_bytes(dataclasses.replace(MODEL, name="\ud800"))


def test_every_defect_has_a_test():
    files = Path(__file__).parent.glob("test_container_*defects.py")
    source = "".join(file.read_text(encoding="utf-8") for file in files)
    missing = [defect.name for defect in D if f"def test_{defect.value}" not in source]
    assert not missing
