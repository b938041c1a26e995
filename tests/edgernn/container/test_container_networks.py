"""Files of networks: round trips, identity, every defect of routes, ports and constants."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import time
from typing import ClassVar

import numpy as np
import pytest

from edgernn.container import interface_json
from edgernn.container.defects import FormatDefect as D
from edgernn.container.file import from_bytes, to_bytes
from edgernn.errors import FormatError, ModelError
from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Port, Window
from edgernn.model.layers import LAYERS, LSTM
from edgernn.model.merges import MergeOperation
from edgernn.model.routes import MAX_PARTS, MODEL_INPUT, RoutePart
from edgernn.model.scales import ScaleVector
from tests.support.container.surgery import (
    canonical,
    drop,
    edit_record,
    edit_tensor,
    join,
    put,
    refused,
    resealed,
    split,
)
from tests.support.models.convolutions import convolution_chain, convolutions
from tests.support.models.integer import random_layer, random_model
from tests.support.models.networks import (
    Wiring,
    networks,
    random_merge,
    random_scale,
    residual_network,
    two_input_network,
    wired_model,
)

pytestmark = pytest.mark.device

NETWORKS = {**networks(), **convolutions()}
RESIDUAL = residual_network()
TWO = two_input_network()
DATA, TWO_DATA = to_bytes(RESIDUAL), to_bytes(TWO)


def record_of(data: bytes) -> dict:
    return json.loads(split(data)[0]["__metadata__"]["model"])


@pytest.mark.parametrize("name", NETWORKS)
def test_round_trip(name):
    model = NETWORKS[name]
    data = to_bytes(model)
    assert split(data)[0]["__metadata__"]["edgernn_schema"] == "4"
    loaded = from_bytes(data)
    assert loaded == model
    assert loaded.routes == model.routes
    assert to_bytes(loaded) == data


def test_the_identity_is_the_hash_of_the_file():
    assert TWO.sha256 == hashlib.sha256(TWO_DATA).hexdigest()
    assert from_bytes(TWO_DATA).sha256 == TWO.sha256
    rewired = dataclasses.replace(TWO, routes=(*TWO.routes[:-1], TWO.routes[-1][::-1]))
    renamed = dataclasses.replace(
        TWO,
        input=dataclasses.replace(TWO.input, ports=(Port(name="c", width=3), TWO.input.ports[1])),
    )
    assert len({TWO.sha256, rewired.sha256, renamed.sha256}) == 3


def test_a_window_and_a_softmax_of_one_port_are_stored():
    ports = (Port(name="head", width=2, softmax=True), Port(name="hidden", width=3))
    output = dataclasses.replace(TWO.output, ports=ports, softmax=True)
    model = dataclasses.replace(TWO, output=output, window=Window(steps=9, hop=2))
    loaded = from_bytes(to_bytes(model))
    assert loaded == model
    assert loaded.output.ports[0].softmax
    assert not loaded.output.ports[1].softmax


def test_what_the_record_says():
    record = record_of(TWO_DATA)
    assert [layer["reads"] for layer in record["layers"]] == [
        [[-1, 0, 3]], [[-1, 3, 2]], [[0, 0, 6], [1, 0, 7]],
    ]  # fmt: skip
    assert record["output"]["reads"] == [[2, 0, 2], [1, 1, 3]]
    assert record["input"]["ports"] == [{"name": "a", "width": 3}, {"name": "b", "width": 2}]
    added = record_of(DATA)["layers"][2]
    terms = RESIDUAL.layers[2].terms
    assert added["operation"] == "sum"
    assert added["scales"] == {f"term{i}": {"shift": terms[i].shift} for i in range(2)}


def test_safetensors_reads_the_same_constants():
    safetensors_numpy = pytest.importorskip("safetensors.numpy", reason="device environment")
    tensors = safetensors_numpy.load(DATA)
    for index, term in enumerate(RESIDUAL.layers[2].terms):
        for field in ("multiplier", "bias"):
            stored = tensors[f"add/term{index}/{field}"]
            assert stored.dtype == np.int16
            np.testing.assert_array_equal(stored, getattr(term, field))


def merges_in_a_row() -> IntegerModel:
    """Every layer reads all of the one before it; one of them joins two halves."""
    rng, w = np.random.default_rng(3), Wiring(3)
    cell = w.add(random_layer(rng, "lstm", "cell", 3, 8, Precision.W8A8), w.part(MODEL_INPUT))
    w.add(random_merge(rng, "halves", MergeOperation.PRODUCT, 2, 4), w.part(cell))
    return wired_model(w, Precision.W8A8, (w.part(1),), "halves", (), ())


def test_a_chain_with_a_merge_or_with_ports_is_a_network_too():
    merged = merges_in_a_row()
    assert merged.routes == ()
    ports = (Port(name="wind", width=2), Port(name="x2", width=1))
    base = random_model("lstm")
    ported = dataclasses.replace(base, input=dataclasses.replace(base.input, ports=ports))
    for model in (merged, ported):
        data = to_bytes(model)
        assert split(data)[0]["__metadata__"]["edgernn_schema"] == "4"
        assert from_bytes(data) == model


@pytest.mark.parametrize("version", ["1", "2", "3"])
def test_older_versions_hold_no_network(version):
    with pytest.raises(
        FormatError, match=r"a chain of layers for version .*needs version '4'"
    ) as caught:
        to_bytes(TWO, version)
    assert caught.value.defect == D.BAD_RECORD


def test_version_4_holds_no_chain():
    header, section = split(to_bytes(random_model("lstm")))
    record = json.loads(header["__metadata__"]["model"])
    widths = [record["layers"][0]["inputs"], *(layer["units"] for layer in record["layers"])]
    for source, (reader, width) in enumerate(
        zip((*record["layers"], record["output"]), widths, strict=True), MODEL_INPUT
    ):
        reader["reads"] = [[source, 0, width]]
    for layer in record["layers"]:
        layer["scales"] = {}
    record["input"]["ports"] = record["output"]["ports"] = []
    header["__metadata__"] |= {"edgernn_schema": "4", "model": canonical(record)}
    refused(
        join(header, section), D.NOT_CANONICAL, "expected exactly the bytes that edgernn writes"
    )


def test_version_3_holds_no_merge():
    data = to_bytes(random_model("lstm"))
    refused(
        edit_record(data, put("layers", 0, "kind", "merge")), D.BAD_RECORD, "gru_after, dense, got"
    )


ADD = ("layers", 2)
BAD_RECORDS = {
    "no reads": (drop("layers", 0, "reads"), "exactly the members affines, .*reads, scales"),
    "no scales": (drop("layers", 0, "scales"), "exactly the members affines, .*reads, scales"),
    "output reads": (drop("output", "reads"), "exactly the members names, ports, reads"),
    "input ports": (drop("input", "ports"), "exactly the members names, ports, units"),
    "nothing read": (put(*ADD, "reads", []), r"layers\[2\]\.reads: expected an array of at least"),
    "route": (put(*ADD, "reads", 0, [0, 8]), r"reads\[0\]: expected an array of at least 3"),
    "route of four": (put(*ADD, "reads", 0, [0, 0, 8, 1]), r"reads\[0\]: expected .* at most 3"),
    "source": (put(*ADD, "reads", 0, 0, -2), r"reads\[0\]\[0\]: expected an integer in \[-1"),
    "source name": (put(*ADD, "reads", 0, 0, "a"), r"reads\[0\]\[0\]: expected an integer"),
    "start": (put(*ADD, "reads", 0, 1, -1), r"reads\[0\]\[1\]: expected an integer in \[0"),
    "width": (put(*ADD, "reads", 0, 2, 0), r"reads\[0\]\[2\]: expected an integer in \[1"),
    "parts": (put(*ADD, "reads", [[0, 0, 1]] * 1025), "reads: expected an array of at most 1024"),
    "operation": (put(*ADD, "operation", "mean"), "expected one of sum, product, maximum, min"),
    "scale": (drop(*ADD, "scales", "term1"), "scales: expected an object with 2 members"),
    "scale name": (
        put(*ADD, "scales", {"term0": {"shift": 14}, "term2": {"shift": 14}}),
        "scales: expected a member 'term1'",
    ),
    "scale of a cell": (put("layers", 0, "scales", {"a": {"shift": 1}}), "object with 0 members"),
    "scale shift": (put(*ADD, "scales", "term0", {}), "exactly the members shift"),
    "port list": (put("input", "ports", {}), "ports: expected an array"),
    "one port": (put("output", "ports", [{}]), "no ports or at least two"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_RECORDS)
def test_bad_record(name):
    edit, match = BAD_RECORDS[name]
    refused(edit_record(DATA, edit), D.BAD_RECORD, match)


INVALID = {
    "later layer": (put("layers", 0, "reads", [[1, 0, 3]]), "of_a to read an earlier layer"),
    "itself": (put("layers", 0, "reads", [[0, 0, 3]]), "of_a to read an earlier layer"),
    "outside": (put("layers", 0, "reads", [[-1, 3, 3]]), "read elements 0 to 5 .*got 3 to 6"),
    "output reads input": (put("output", "reads", [[-1, 0, 5]]), "output to read an earlier layer"),
    "widths": (put("layers", 2, "reads", [[0, 0, 6], [1, 0, 6]]), r"head\.inputs: expected 12"),
    "output widths": (put("output", "reads", [[2, 0, 2], [1, 1, 2]]), "expected 4 channels, got 5"),
    "unread": (put("output", "reads", [[1, 0, 5]]), r"got \['head'\] unread"),
    "ports": (put("input", "ports", 0, "width", 2), "input.ports: expected widths that add up"),
    "port names": (put("input", "ports", 0, "name", "b"), "input.ports: expected distinct"),
    "two lines": (put("input", "names", 0, "x\n0"), "input.names: expected names without control"),
    "port of a channel": (put("output", "ports", 0, "name", "y4"), "which is a channel too"),
    "softmax": (
        put("output", "ports", 0, "softmax", True),
        "output.softmax: expected the same value as in",
    ),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_network(name):
    edit, match = INVALID[name]
    refused(edit_record(TWO_DATA, edit), D.INVALID_MODEL, f"^model: .*{match}")


def test_invalid_constants():
    refused(
        edit_record(DATA, put(*ADD, "scales", "term0", "shift", 31)),
        D.INVALID_MODEL,
        "shift of 1..30, got 8 elements and a shift of 31",
    )
    refused(edit_record(DATA, put(*ADD, "shift", 1)), D.INVALID_MODEL, "add.shift: expected 0")
    refused(
        edit_tensor(DATA, "add/term0/multiplier", lambda c: c.__setitem__(slice(2), b"\0\x80")),
        D.INVALID_MODEL,
        r"multiplier: expected values in \[-32767, 32767\]",
    )
    refused(
        edit_record(DATA, put(*ADD, "operation", "product")), D.INVALID_MODEL, "shift: expected 1"
    )


def test_tensors_of_constants():
    header, section = split(DATA)
    short = {**header, "add/term0/bias": {**header["add/term0/bias"], "shape": [2, 4]}}
    refused(join(short, section), D.SHAPE_MISMATCH, r"add/term0/bias': expected shape \(8,\)")
    header["add/term0/bia"] = header.pop("add/term0/bias")
    refused(join(header, section), D.MISSING_TENSOR, "'add/term0/bias'")
    header["add/term0/bias"] = header.pop("add/term0/bia") | {"dtype": "I8", "shape": [16]}
    refused(join(header, section), D.WRONG_DTYPE, "expected int16, got int8")


def wide_readers(count: int, wide: int) -> IntegerModel:
    """Layers of one unit that all read everything of a wide one."""
    rng, w = np.random.default_rng(1), Wiring(1)
    cell = random_layer(rng, "simple_rnn", "cell", 1, 4, Precision.W8A8)
    w.add(cell, w.part(MODEL_INPUT))
    w.add(random_layer(rng, "dense", "wide", 4, wide, Precision.W8A8, first=False), w.part(0))
    head = random_layer(rng, "dense", "head", wide, 1, Precision.W8A8, first=False)
    heads = [
        w.add(dataclasses.replace(head, name=f"head{index}"), w.part(1)) for index in range(count)
    ]
    return wired_model(w, Precision.W8A8, tuple(map(w.part, heads)), "wide", (), ())


def test_the_work_of_a_reader_is_bounded():
    most = to_bytes(wide_readers(15, 65_536))
    start = time.process_time()
    from_bytes(most)
    assert time.process_time() - start < 20.0  # no hang: it takes 0.3 s
    with pytest.raises(
        FormatError, match="at most 1048576 inputs in total over all layers"
    ) as caught:
        to_bytes(wide_readers(16, 65_536))
    assert caught.value.defect == D.BAD_RECORD


def test_a_reader_refuses_more_inputs_than_a_network_may_have(monkeypatch):
    monkeypatch.setattr("edgernn.container.stored.record.MAX_NETWORK_INPUTS", 17)
    refused(TWO_DATA, D.BAD_RECORD, "at most 17 inputs in total over all layers .*got 18")


def test_a_route_has_a_bounded_number_of_parts():
    part = RoutePart(source=0, start=0, width=1)
    with pytest.raises(ModelError, match=f"output to read 1 to {MAX_PARTS} parts, got 1025"):
        dataclasses.replace(RESIDUAL, routes=(*RESIDUAL.routes[:-1], (part,) * (MAX_PARTS + 1)))


def test_a_merge_of_many_terms_is_refused_at_its_first_missing_one():
    edit = put(*ADD, "inputs", 65_536)
    start = time.process_time()
    refused(edit_record(DATA, edit), D.BAD_RECORD, "scales: expected an object with 8192 members")
    assert time.process_time() - start < 20.0  # no hang: it takes milliseconds


def test_a_changed_constant_is_named_damage():
    at = DATA.index(RESIDUAL.layers[2].terms[0].multiplier.tobytes())
    changed = DATA[:at] + bytes([DATA[at] ^ 1]) + DATA[at + 1 :]
    with pytest.raises(FormatError) as caught:
        from_bytes(changed)
    assert caught.value.defect == D.BAD_CHECKSUM
    assert from_bytes(resealed(changed)) != RESIDUAL


class Tempo(enum.Enum):
    SLOW = "slow"
    FAST = "fast"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Geared(LSTM):
    """A layer the product does not know, with an option of every type and with constants."""

    kind: ClassVar[str] = "geared"
    scale_shape: ClassVar[dict[str, int]] = {"gear": 1, "clutch": 4}

    tempo: Tempo
    teeth: int
    slip: float
    locked: bool
    maker: str
    gear: ScaleVector
    clutch: ScaleVector


def geared_model(monkeypatch, **changes) -> IntegerModel:
    monkeypatch.setitem(LAYERS, Geared.kind, Geared)
    rng = np.random.default_rng(6)
    base = random_model("lstm", units=8)
    first = base.layers[0]
    own = {field.name: getattr(first, field.name) for field in dataclasses.fields(first)}
    options = {"tempo": Tempo.FAST, "teeth": -3, "slip": 1 / 3, "locked": True, "maker": "é\n"}
    scales = {"gear": random_scale(rng, 8), "clutch": random_scale(rng, 32)}
    layer = Geared(**{**own, **options, **scales, **changes})
    return dataclasses.replace(base, layers=(layer, *base.layers[1:]))


def test_a_layer_with_options_and_constants_of_its_own_needs_nothing_here(monkeypatch):
    model = geared_model(monkeypatch)
    data = to_bytes(model)
    assert from_bytes(data) == model
    header, _ = split(data)
    record = record_of(data)["layers"][0]
    assert (record["tempo"], record["teeth"], record["locked"]) == ("fast", -3, True)
    assert record["slip"] == (1 / 3).hex()
    assert record["scales"].keys() == {"gear", "clutch"}
    assert header["lstm_0/clutch/bias"]["shape"] == [32]
    refused(edit_record(data, put("layers", 0, "locked", 1)), D.BAD_RECORD, "true or false, got 1")
    refused(edit_record(data, put("layers", 0, "tempo", "x")), D.BAD_RECORD, "one of slow, fast")


def test_constants_have_the_declared_width(monkeypatch):
    short = random_scale(np.random.default_rng(1), 8)
    with pytest.raises(ModelError, match=r"lstm_0\.clutch: expected 32 elements, got 8"):
        geared_model(monkeypatch, clutch=short)


def test_interfaces_of_states_that_begin_with_codes():
    """What a session needs of a delay is in the metadata of .tflite and .onnx files."""
    for model in convolutions().values():
        interface = model.interface()
        text = interface_json.dumps(interface)
        assert interface_json.loads(text) == interface
        assert json.loads(text)["edgernn_interface"] == 3
    plain = json.loads(interface_json.dumps(RESIDUAL.interface()))["states"]
    assert all(state.keys() == {"name", "units", "frac_bits"} for state in plain)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": False, "start": []}, "expected codes that are not all 0"),
        ({"start": [0, 0]}, "expected codes that are not all 0"),
        ({"start": [1, 2, 3]}, "expected a start of int16 codes"),
        ({"start": [40_000, 1]}, "expected an integer"),
    ],
)
def test_states_of_an_interface_that_contradict_themselves(change, message):
    record = json.loads(interface_json.dumps(convolution_chain(Precision.W8A8).interface()))
    record["states"][0] |= change
    with pytest.raises(FormatError, match=message):
        interface_json.loads(json.dumps(record))


def delay_refused(change, message):
    model = convolution_chain(Precision.W8A16)
    delay, *others = model.layers
    with pytest.raises(ModelError, match=message):
        dataclasses.replace(model, layers=(change(delay), *others))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": False}, "expected to read layers that are not delays, got sources"),
        ({"start": np.array([1, 4], np.int16)}, "expected input codes"),
        ({"start": np.zeros(3, np.int16)}, r"start: expected shape \(2,\)"),
        ({"units": 2}, "expected 2 or more rows"),
        ({"units": 5}, "expected 2 or more rows"),
    ],
)
def test_delays_that_contradict_themselves(change, message):
    delay_refused(lambda delay: dataclasses.replace(delay, **change), message)
