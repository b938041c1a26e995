"""Defects of sparse and 4-bit weights in files: the name, the message (FORMAT.md 5.3 to 5.6)."""

from __future__ import annotations

import pytest

from edgernn.container.defects import FormatDefect as D
from edgernn.container.file import to_bytes
from edgernn.errors import FormatError
from edgernn.model.storage import Storage
from tests.edgernn.container.test_container_fuzz import peak_bytes
from tests.support.container.surgery import (
    edit_header,
    edit_record,
    edit_tensor,
    put,
    refused,
    resized,
    tensor,
)
from tests.support.models.integer import random_model
from tests.support.models.stored import stored

pytestmark = pytest.mark.device

SPARSE = stored(random_model("lstm", inputs=6, units=10), Storage.SPARSE8, seed=3)
FOUR = stored(random_model("lstm", inputs=6, units=9), Storage.DENSE4)
SPARSE_DATA, FOUR_DATA = to_bytes(SPARSE), to_bytes(FOUR)
TERM = "lstm_0/gates/0"
GATES = ("layers", 0, "affines", "gates")


def edited_index(edit) -> bytes:
    return edit_tensor(SPARSE_DATA, f"{TERM}/tiles", edit)


def set_byte(at: int, value: int):
    def edit(content: bytearray) -> None:
        content[at] = value

    return edit


def test_bad_tiles():
    index = tensor(SPARSE_DATA, f"{TERM}/tiles")
    first = index[0] + 1
    assert first >= 2, "the tests below need two tiles in the first group"
    places = list(index[1 : 1 + first])
    name = f"^tensor '{TERM}/tiles': expected"
    last = len(index) - 1
    beyond = edited_index(set_byte(last, 5))
    refused(beyond, D.BAD_TILES, rf"{name} tiles 0\.\.4, got 5\. Save the model again")
    refused(edited_index(set_byte(last, 255)), D.BAD_TILES, rf"{name} tiles 0\.\.4, got 255")
    twice = edited_index(set_byte(2, places[0]))
    refused(twice, D.BAD_TILES, f"{name} tiles in ascending order, got .* in group 0")
    longer = edited_index(set_byte(0, 255))
    refused(longer, D.BAD_TILES, f"{name} 10 groups, got the end in group 1")
    name_of = f"{TERM}/tiles"
    cut = resized(SPARSE_DATA, name_of, index[:-1], [len(index) - 1])
    refused(cut, D.BAD_TILES, f"{name} {len(index)} bytes for its groups, got {len(index) - 1}")
    more = resized(SPARSE_DATA, name_of, index + b"\0", [len(index) + 1])
    refused(more, D.BAD_TILES, f"{name} {len(index)} bytes for its groups, got {len(index) + 1}")


def test_other_defects_of_sparse_weights():
    kept = len(tensor(SPARSE_DATA, f"{TERM}/weights")) // 16
    fewer = resized(SPARSE_DATA, f"{TERM}/weights", bytes(16), [1, 16])
    refused(fewer, D.SHAPE_MISMATCH, rf"expected shape \({kept}, 16\), got \(1, 16\)")
    two_axes = edit_header(SPARSE_DATA, lambda h: h[f"{TERM}/tiles"]["shape"].append(1))
    refused(two_axes, D.SHAPE_MISMATCH, r"expected shape \(any,\), got \(\d+, 1\)")
    signed = edit_header(SPARSE_DATA, put(f"{TERM}/tiles", "dtype", "I8"))
    refused(signed, D.WRONG_DTYPE, "expected uint8, got int8")
    gone = edit_record(SPARSE_DATA, put(*GATES, "storages", ["dense4"]))
    refused(gone, D.WRONG_DTYPE, f"^tensor '{TERM}/weights': expected uint8, got int8")
    lowest = edit_tensor(SPARSE_DATA, f"{TERM}/weights", set_byte(0, 128))
    refused(lowest, D.INVALID_MODEL, r"term xh.weights: expected values in \[-127, 127\]")


def zero_tile(content: bytearray) -> None:
    content[:16] = bytes(16)


def test_spellings_of_sparse_weights_that_are_not_canonical():
    refused(
        edit_tensor(SPARSE_DATA, f"{TERM}/weights", zero_tile), D.NOT_CANONICAL, "another encoding"
    )
    # Columns 6 and 7 of the first part only fill up its second tile, with place 1.
    index = tensor(SPARSE_DATA, f"{TERM}/tiles")
    listed = [i for start in starts(index) for i in range(start + 1, start + 2 + index[start])]
    tile = next(k for k, at in enumerate(listed) if index[at] == 1)
    padding = edit_tensor(SPARSE_DATA, f"{TERM}/weights", set_byte(16 * tile + 2, 1))
    refused(padding, D.NOT_CANONICAL, "another encoding")


def starts(index: bytes) -> list[int]:
    found, at = [], 0
    while at < len(index):
        found.append(at)
        at += index[at] + 2
    return found


def test_four_bit_weights_that_are_no_weights():
    minus_8 = edit_tensor(FOUR_DATA, f"{TERM}/weights", set_byte(0, 0x08))
    refused(minus_8, D.INVALID_MODEL, r"term xh.weights: expected values in \[-7, 7\], got \[-8, 7")
    # 15 columns: the high half of the eighth byte of a row is padding.
    padding = edit_tensor(FOUR_DATA, f"{TERM}/weights", lambda c: set_byte(7, c[7] | 0x10)(c))
    refused(padding, D.NOT_CANONICAL, "another encoding")
    dense = edit_record(FOUR_DATA, put(*GATES, "storages", ["dense8"]))
    refused(dense, D.WRONG_DTYPE, "expected int8, got uint8")


def storages_of_dense(data: bytes) -> bytes:
    def edit(record):
        for layer in record["layers"]:
            for affine in layer["affines"].values():
                affine["storages"] = ["dense8"] * len(affine["sources"])

    return edit_record(data, edit)


def test_versions_and_storages_go_together():
    dense = to_bytes(random_model("lstm"), "1")
    second = put("__metadata__", "edgernn_schema", "2")
    first = put("__metadata__", "edgernn_schema", "1")
    refused(edit_header(dense, second), D.BAD_RECORD, "members shift, sources, storages")
    old = to_bytes(SPARSE, "2")
    refused(edit_header(old, first), D.BAD_RECORD, "members shift, sources")
    plain = edit_header(storages_of_dense(dense), second)
    refused(plain, D.NOT_CANONICAL, "another encoding")
    for value, match in [
        ([], "at least 1 elements"),
        (["sparse8"] * 2, "at most 1 elements"),
        (["sparse4"], "one of dense8, sparse8, dense4"),
        ([1], "one of dense8, sparse8, dense4"),
        ("sparse8", "an array"),
    ]:
        refused(edit_record(SPARSE_DATA, put(*GATES, "storages", value)), D.BAD_RECORD, match)


def too_sparse(units: int, inputs: int) -> bytes:
    """The record of a large layer over the tensors of a small one."""

    def edit(record):
        record["layers"][0] |= {"units": units, "inputs": inputs}

    return edit_record(SPARSE_DATA, edit)


def test_a_small_file_cannot_become_a_large_model():
    many = too_sparse(65_536, 6)
    refused(many, D.BAD_RECORD, "at most 256 tiles of columns in a sparse product, got 16386")
    model = random_model("simple_rnn", units=8, inputs=8, outputs=64, common=False)
    data = to_bytes(stored(model, Storage.SPARSE8))
    dense = put("layers", 1, "units", 65_536)
    wide = edit_record(edit_record(data, dense), put("layers", 1, "inputs", 1024))
    layer = ("layers", 1)
    assert edit_record(data, put(*layer, "name", "out")) == data
    refused(wide, D.FILE_TOO_LARGE, "^out/out/0: expected at most 4194304 tiles in all sparse")
    assert peak_bytes(wide) < 2**20


def test_a_model_too_sparse_for_a_file_is_not_written(monkeypatch):
    monkeypatch.setattr("edgernn.container.stored.tensors.MAX_SPARSE_FILE_TILES", 50)
    with pytest.raises(
        FormatError, match=r"out/out/0: expected at most 50 tiles.*got 53"
    ) as caught:
        to_bytes(SPARSE)
    assert caught.value.defect == D.FILE_TOO_LARGE
