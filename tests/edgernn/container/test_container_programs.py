"""Files of sets of programs: round trips, identity, layers in common, every defect (4.14, 4.15)."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import numpy as np
import pytest

from edgernn.container.defects import FormatDefect as D
from edgernn.container.file import from_bytes, load_either, parsed, to_bytes
from edgernn.errors import FormatError, ModelError
from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.program_sets.program_set import MAX_PROGRAMS, ProgramSet
from tests.support.container.surgery import (
    canonical,
    drop,
    edit_record,
    join,
    put,
    refused,
    split,
)
from tests.support.models.integer import random_model, sparse_model
from tests.support.models.networks import two_input_network
from tests.support.models.programs import head_of, pair, program, random_programs, shared

pytestmark = pytest.mark.device

SHARED, PAIR = shared(), pair()
SHARED_DATA, DATA = to_bytes(SHARED), to_bytes(PAIR)


def record_of(data: bytes) -> dict:
    return json.loads(split(data)[0]["__metadata__"]["model"])


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("seed", range(4))
def test_round_trip(precision, seed):
    programs = random_programs(precision, seed)
    data = to_bytes(programs)
    assert split(data)[0]["__metadata__"]["edgernn_schema"] == "5"
    loaded = parsed(data)
    assert loaded == programs
    assert to_bytes(loaded) == data
    assert [model.sha256 for model in loaded.programs] == [m.sha256 for m in programs.programs]


def test_save_and_load(tmp_path):
    path = PAIR.save(tmp_path / "pair.edgernn")
    assert path.read_bytes() == DATA
    assert ProgramSet.load(path) == load_either(path) == PAIR


def test_the_identity_is_the_hash_of_the_file():
    assert PAIR.sha256 == hashlib.sha256(DATA).hexdigest() == PAIR.interfaces().sha256
    without = dataclasses.replace(PAIR, handovers=PAIR.handovers[1:])
    turned = dataclasses.replace(PAIR, programs=PAIR.programs[::-1])
    assert len({PAIR.sha256, without.sha256, turned.sha256}) == 3


def test_programs_may_be_networks_with_ports():
    model = dataclasses.replace(two_input_network(), name="two")
    programs = ProgramSet(name="mixed", programs=(model, *SHARED.programs))
    assert parsed(to_bytes(programs)) == programs


def test_a_layer_that_programs_have_in_common_is_stored_once():
    first, second = record_of(SHARED_DATA)["programs"]
    assert second["layers"][0] == {"name": "cell", "reads": [[-1, 0, 3]], "shared": "warm"}
    assert first["layers"][0]["kind"] == "gru_after"
    names = [name for name in split(SHARED_DATA)[0] if "/cell/" in name]
    assert names
    assert all(name.startswith("warm/") for name in names)
    warm, forecast = parsed(SHARED_DATA).programs
    assert warm.layers[0] is forecast.layers[0]


def test_it_is_the_first_program_with_this_very_layer_that_stores_it():
    other = program("other", "gru_after", Precision.W8A8, layer="cell", seed=9)
    heads = [
        head_of(m, f"head{i}", 4 + i) for i, m in enumerate((other, SHARED.programs[0], other))
    ]
    programs = ProgramSet(name="many", programs=(SHARED.programs[0], other, *heads))
    records = record_of(to_bytes(programs))["programs"]
    found = [record["layers"][0].get("shared") for record in records]
    assert found == [None, None, "other", "warm", "other"]
    assert parsed(to_bytes(programs)) == programs


def test_what_could_be_shared_is_not_stored_twice():
    header, section = split(SHARED_DATA)
    record = json.loads(header["__metadata__"]["model"])
    record["programs"][1]["layers"][0] = record["programs"][0]["layers"][0]
    for name in [name for name in header if name.startswith("warm/cell/")]:
        low, high = header[name]["data_offsets"]
        at = len(section)
        section += section[low:high]
        header[name.replace("warm", "forecast")] = header[name] | {
            "data_offsets": [at, at + high - low]
        }
    header["__metadata__"]["model"] = canonical(record)
    refused(
        join(header, section), D.NOT_CANONICAL, "expected exactly the bytes that edgernn writes"
    )


LAYER = ("programs", 1, "layers", 0)
BAD_RECORDS = {
    "no name": (drop("name"), "exactly the members handovers, name, programs"),
    "more": (put("window", None), "exactly the members handovers, name, programs"),
    "one program": (lambda r: r["programs"].pop(), "programs: expected an array of at least 2"),
    "too many": (
        lambda r: r["programs"].extend(r["programs"] * 8),
        f"programs: expected an array of at most {MAX_PROGRAMS}",
    ),
    "no window": (drop("programs", 0, "window"), r"programs\[0\]: expected an object with exactly"),
    "handover": (put("handovers", [{"program": "warm"}]), r"handovers\[0\]: expected an object wi"),
    "state": (
        put("handovers", [{"program": "a", "source": "b", "state": 1, "value": "c"}]),
        r"handovers\[0\]\.state: expected a string",
    ),
    "later": (put(*LAYER, "shared", "forecast"), r"shared: expected an earlier program \(warm\)"),
    "layer": (put(*LAYER, "name", "cel"), r"name: expected a layer of warm \(cell, out\), got"),
    "members": (put(*LAYER, "units", 6), "exactly the members name, reads, shared"),
    "reads": (drop(*LAYER, "reads"), "exactly the members name, reads, shared"),
    "first": (
        put("programs", 0, "layers", 0, {"name": "cell", "reads": [[-1, 0, 3]], "shared": "warm"}),
        r"shared: expected an earlier program \(none\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_RECORDS)
def test_bad_record(name):
    edit, match = BAD_RECORDS[name]
    refused(edit_record(SHARED_DATA, edit), D.BAD_RECORD, match)


def test_tensors_belong_to_a_program():
    header, section = split(SHARED_DATA)
    header["input/scale"] = header.pop("warm/input/scale")
    refused(join(header, section), D.MISSING_TENSOR, "'warm/input/scale'")
    header["warm/input/scale"] = header.pop("input/scale")
    header["forecast/cell/zr/bias"] = header.pop("forecast/head/out/bias")
    refused(join(header, section), D.MISSING_TENSOR, "'forecast/head/out/bias'")
    header["forecast/head/out/bias"] = header["forecast/cell/zr/bias"]
    entry = {"data_offsets": [len(section), len(section) + 1], "dtype": "I8", "shape": [1]}
    del header["forecast/cell/zr/bias"]
    header["forecast/cell/zr/more"] = entry
    refused(join(header, section + b"\0"), D.UNEXPECTED_TENSOR, "forecast/cell/zr/more")


INVALID = {
    "name": (put("programs", 0, "name", "1st"), "that start with a letter"),
    "window": (put("programs", 0, "window", {"hop": 1, "steps": 3}), "windows, a rate or a mask"),
    "no such state": (put("handovers", 0, "state", "dec.x"), "expected a state .*got 'dec.x'"),
    "no such output": (put("handovers", 0, "value", "y"), r"an output \(output\), got 'y'"),
    "no such program": (put("handovers", 0, "source", "x"), "expected one of encode, decode"),
    "itself": (
        lambda r: r["handovers"][0].update(source="decode", value="dec.c"),
        "expected a value of another program, got dec.c",
    ),
    "width": (put("handovers", 0, "value", "output"), "expected 6 values .*got 2 of encode"),
    "twice": (
        lambda r: r["handovers"].append(r["handovers"][0]), r"got several for decode\.dec\.h"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", INVALID)
def test_invalid_set(name):
    edit, match = INVALID[name]
    header, section = split(edit_record(DATA, edit))
    if name == "name":  # tensors are called after the program
        header = {tensor.replace("encode/", "1st/"): entry for tensor, entry in header.items()}
    refused(join(header, section), D.INVALID_MODEL, f"^model: .*{match}")


def test_programs_of_one_name():
    data = edit_record(DATA, put("programs", 1, "name", "encode"))
    refused(data, D.MISSING_TENSOR, "'encode/dec/gates/0/weights'")
    with pytest.raises(ModelError, match=r"with distinct names, got \['encode', 'encode'\]"):
        ProgramSet(name="x", programs=PAIR.programs[:1] * 2)


def test_shared_states_must_have_one_form():
    wide = dataclasses.replace(random_model("gru_after", units=9), name="wide")
    layers = (dataclasses.replace(wide.layers[0], name="cell"), wide.layers[1])
    other = dataclasses.replace(wide, layers=layers)
    with pytest.raises(ModelError, match=r"state cell\.h: expected one width, format and start in"):
        ProgramSet(name="x", programs=(SHARED.programs[0], other))


def test_the_work_of_a_reader_is_bounded(monkeypatch):
    total = sum(layer.inputs for model in SHARED.programs for layer in model.layers)
    monkeypatch.setattr("edgernn.container.stored.record.MAX_NETWORK_INPUTS", total)
    assert parsed(SHARED_DATA) == SHARED
    monkeypatch.setattr("edgernn.container.stored.record.MAX_NETWORK_INPUTS", total - 1)
    refused(
        SHARED_DATA,
        D.BAD_RECORD,
        f"at most {total - 1} inputs in total over all layers .*got {total}",
    )
    with pytest.raises(FormatError, match=f"at most {total - 1} inputs"):
        to_bytes(SHARED)


def test_all_programs_have_one_budget_of_sparse_tiles(monkeypatch):
    models = [
        dataclasses.replace(sparse_model(random_model("lstm", units=16, seed=i), 0.5), name=f"p{i}")
        for i in range(2)
    ]
    programs = ProgramSet(name="sparse", programs=tuple(models))
    data = to_bytes(programs)
    assert parsed(data) == programs
    single = len(models[0].layers)
    assert single
    tiles = 16 * 5 + 4
    monkeypatch.setattr("edgernn.container.stored.tensors.MAX_SPARSE_FILE_TILES", 2 * tiles - 1)
    refused(data, D.FILE_TOO_LARGE, f"at most {2 * tiles - 1} tiles")
    with pytest.raises(FormatError, match=f"at most {2 * tiles - 1} tiles"):
        to_bytes(programs)
    assert isinstance(from_bytes(to_bytes(models[0])), IntegerModel)


def test_a_set_is_no_larger_than_its_models():
    both = sum(len(to_bytes(model)) for model in SHARED.programs)
    assert len(SHARED_DATA) < 0.9 * both
    safetensors_numpy = pytest.importorskip("safetensors.numpy", reason="device environment")
    tensors = safetensors_numpy.load(SHARED_DATA)
    np.testing.assert_array_equal(
        tensors["forecast/head/out/0/weights"], SHARED.programs[1].layers[1].out.terms[0].weights
    )
