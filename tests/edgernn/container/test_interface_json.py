"""The interface as JSON: every bit survives, every hostile text is refused."""

from __future__ import annotations

import dataclasses
import json
import random

import numpy as np
import pytest

from edgernn.container.interface_json import dumps, loads
from edgernn.errors import FormatError
from edgernn.model.formats import Precision
from edgernn.model.interface import Golden, Interface, Port, Window
from tests.support.container.mutations import mutate_json
from tests.support.container.surgery import put
from tests.support.models.integer import CELLS, random_codes, random_model

pytestmark = pytest.mark.device


def interface_of(cell="lstm", precision=Precision.W8A8, golden=True) -> Interface:
    model = random_model(cell, precision, stack=2)
    q_y = np.arange(-32_768, -32_760, dtype=np.int16).reshape(4, 2)
    vector = Golden(q_x=random_codes(model, 4), q_y=q_y)
    return dataclasses.replace(model.interface(), golden=vector if golden else None)


TEXT = dumps(interface_of())


@pytest.mark.parametrize("golden", [True, False])
@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("cell", CELLS)
def test_round_trip(cell, precision, golden):
    interface = interface_of(cell, precision, golden)
    assert loads(dumps(interface)) == interface
    assert loads(dumps(interface).encode()) == interface
    assert dumps(loads(dumps(interface))) == dumps(interface)


def test_round_trip_of_a_window():
    interface = dataclasses.replace(interface_of(), window=Window(steps=60, hop=5))
    text = dumps(interface)
    assert json.loads(text)["edgernn_interface"] == 2
    assert json.loads(text)["window"] == {"steps": 60, "hop": 5}
    assert loads(text) == interface


def ported(window=None) -> Interface:
    """Inputs of 2 and 1 channels; one output."""
    base = interface_of()
    ports = (Port(name="wind", width=2), Port(name="x2", width=1))
    return dataclasses.replace(
        base, input=dataclasses.replace(base.input, ports=ports), window=window
    )


@pytest.mark.parametrize("window", [None, Window(steps=60, hop=5)])
def test_round_trip_of_ports(window):
    interface = ported(window)
    record = json.loads(dumps(interface))
    assert record["edgernn_interface"] == 3
    assert record["window"] == (window and {"steps": 60, "hop": 5})
    assert record["input"]["ports"] == [{"name": "wind", "width": 2}, {"name": "x2", "width": 1}]
    assert record["output"]["ports"] == []
    assert loads(dumps(interface)) == interface


def test_round_trip_of_output_ports():
    base = interface_of()
    ports = (Port(name="class", width=1, softmax=True), Port(name="level", width=1))
    output = dataclasses.replace(base.output, ports=ports, softmax=True)
    interface = dataclasses.replace(base, output=output)
    record = json.loads(dumps(interface))
    assert record["output"]["ports"][0] == {"name": "class", "width": 1, "softmax": True}
    assert loads(dumps(interface)) == interface
    record["output"]["ports"][0]["softmax"] = False
    with pytest.raises(
        FormatError, match=r"^interface: output\.softmax: expected the same value as in its"
    ):
        loads(json.dumps(record))


def test_members_without_ports_are_those_of_versions_1_and_2():
    members = {
        "edgernn_interface", "name", "precision", "input", "output", "states", "model_sha256",
        "golden",
    }  # fmt: skip
    record = json.loads(TEXT)
    assert record.keys() == members
    assert record["edgernn_interface"] == 1
    channels = {"names", "units", "scale", "scale_decimal"}
    assert record["output"].keys() == {*channels, "softmax"}
    codes = {"code_min", "code_max", "code_step"}
    assert record["input"].keys() == {*channels, *codes, "offset", "offset_decimal"}
    windowed = json.loads(dumps(dataclasses.replace(interface_of(), window=Window(steps=2))))
    assert windowed.keys() == {*members, "window"}


HOSTILE_PORTS = {
    "none": (put("input", "ports", []), "several ports of the input or output"),
    "one": (put("input", "ports", [{"name": "a", "width": 3}]), "no ports or at least two"),
    "twice": (put("input", "ports", 0, "name", "x2"), "distinct names"),
    "two lines": (put("input", "ports", 0, "name", "a\nb"), "names without control characters"),
    "nameless": (put("input", "ports", 0, "name", ""), "at most 256 with names"),
    "of a channel": (put("input", "ports", 0, "name", "x1"), "has one channel, got 'x1'"),
    "width": (put("input", "ports", 0, "width", 0), r"width: expected an integer in \[1, 65536"),
    "sum": (put("input", "ports", 0, "width", 3), "widths that add up to 3"),
    "softmax": (put("input", "ports", 0, "softmax", True), "exactly the members name, width"),
    "many": (put("input", "ports", [{"name": "a", "width": 1}] * 257), "at most 256 elements"),
    "window": (put("window", 0), "window: expected an object"),
    "version": (put("edgernn_interface", 2), "exactly the members"),
}


@pytest.mark.parametrize("name", HOSTILE_PORTS)
def test_hostile_ports(name):
    edit, match = HOSTILE_PORTS[name]
    record = json.loads(dumps(ported()))
    edit(record)
    with pytest.raises(FormatError, match=f"^interface.*{match}"):
        loads(json.dumps(record))


@pytest.mark.parametrize("steps", [0, -1, 32_768, 1.5, True, "60", None])
@pytest.mark.parametrize("member", ["steps", "hop"])
def test_hostile_windows(member, steps):
    record = json.loads(dumps(dataclasses.replace(interface_of(), window=Window(steps=60))))
    record["window"][member] = steps
    with pytest.raises(FormatError, match=f"window.{member}: expected an integer in"):
        loads(json.dumps(record))


def test_not_one_bit_of_a_scale_is_lost():
    base = interface_of()
    scale = np.array([1 / 3, 5e-324, 1.7976931348623157e308])
    changed = dataclasses.replace(base, input=dataclasses.replace(base.input, scale=scale))
    assert loads(dumps(changed)).input.scale.tobytes() == scale.tobytes()


HOSTILE_VALUES = {
    "version": (
        put("edgernn_interface", 8),
        "expected version 1, 2, 3, 4, 5, 6 or 7, got 8.*Export the model",
    ),
    "no window": (put("edgernn_interface", 2), "exactly the members .*window"),
    "window of version 1": (put("window", {"steps": 2, "hop": 1}), "exactly the members"),
    "precision": (put("precision", "w4a8"), "w4a8"),
    "scale is zero": (
        put("input", "scale", 0, "0x0p+0"),
        "input.scale: expected finite values > 0",
    ),
    "scale is nan": (put("output", "scale", 0, "nan"), "output.scale"),
    "scale is huge": (put("input", "scale", 0, "0x1p99999"), "0x1p99999"),
    "offset is inf": (put("input", "offset", 0, "inf"), "input.offset"),
    "scale is decimal": (put("input", "scale", 0, 0.5), r"0\.5"),
    "widths differ": (put("input", "names", ["a"]), "input.names: expected 3 strings"),
    "name": (put("name", None), "name"),
    "channel name": (put("input", "names", 0, 1), "names"),
    "softmax": (put("output", "softmax", "no"), "softmax"),
    "states": (put("states", []), "states"),
    "state name": (put("states", 0, "name", ["h"]), "name"),
    "state width": (put("states", 0, "units", -1), "units"),
    "state width zero": (put("states", 0, "units", 0), "units"),
    "state width huge": (put("states", 0, "units", 10**15), "units"),
    "state width flag": (put("states", 0, "units", True), "units"),
    "frac_bits": (put("states", 0, "frac_bits", 31), "frac_bits"),
    "hash": (put("model_sha256", 5), "model_sha256"),
    "golden code": (put("golden", "q_x", 0, 0, 128), "q_x"),
    "golden code real": (put("golden", "q_x", 0, 0, 1.5), "q_x"),
    "golden output": (put("golden", "q_y", 0, 0, 2**40), "q_y"),
    "golden ragged": (put("golden", "q_y", 0, [1]), "q_y"),
    "golden width": (put("golden", "q_x", [[1]] * 4), "q_x"),
    "golden length": (put("golden", "q_x", [[1, 2, 3]]), "golden"),
    "golden empty": (put("golden", {"q_x": [], "q_y": []}), "q_x"),
    "golden type": (put("golden", "0"), "golden"),
}


@pytest.mark.parametrize("name", HOSTILE_VALUES)
def test_hostile_value(name):
    edit, match = HOSTILE_VALUES[name]
    record = json.loads(TEXT)
    edit(record)
    with pytest.raises(FormatError, match=f"^interface.*{match}"):
        loads(json.dumps(record))


@pytest.mark.parametrize("key", json.loads(TEXT))
def test_missing_member(key):
    record = json.loads(TEXT)
    del record[key]
    with pytest.raises(FormatError, match=f"^interface.*{key}"):
        loads(json.dumps(record))


HOSTILE_TEXTS = [
    "", "{", "null", "[]", "1", '"a"', b"\xff", "[" * 200_000, '{"a":' * 200_000, "9" * 10_000,
    TEXT[:-1], TEXT.replace(":", ":NaN,", 1), TEXT.replace('"name"', '"name":"b","name"', 1),
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=lambda text: repr(text[:12]))
def test_hostile_text(text):
    with pytest.raises(FormatError, match=r"^interface"):
        loads(text)


@pytest.mark.parametrize("text", [TEXT, dumps(ported(Window(steps=3)))], ids=["plain", "ports"])
def test_mutations_end_in_an_interface_or_a_format_error(text):
    rng = random.Random(3)
    accepted = refused = 0
    for _ in range(5_000):
        record = json.loads(text)
        mutate_json(rng, record)
        try:
            interface = loads(json.dumps(record))
        except FormatError as error:
            refused += 1
            assert len(str(error)) < 500
        else:
            accepted += 1
            assert loads(dumps(interface)) == interface
            assert sum(spec.units for spec in interface.states) < 10 * 65_536
    assert accepted > 50
    assert refused > 2_000
