"""`edgernn info` says how a network is wired."""

from __future__ import annotations

import dataclasses
import json

import pytest

from edgernn.cli import main
from edgernn.model.interface import Port
from edgernn.model.storage import Storage
from tests.support.models.integer import random_model
from tests.support.models.networks import networks, residual_network, two_input_network
from tests.support.models.stored import stored
from tests.support.models.writers_of_text import translator, writer_of_text

pytestmark = pytest.mark.device


@pytest.fixture
def described(tmp_path, capsys):
    def describe(model, *arguments):
        assert main(["info", str(model.save(tmp_path / "m.edgernn")), *arguments]) == 0
        return capsys.readouterr().out

    return describe


def section(text, first, behind):
    lines = text.splitlines()
    return lines[lines.index(first) : lines.index(behind)]


def test_the_wiring_of_two_inputs_and_outputs(described):
    lines = [line.split(maxsplit=2) for line in described(two_input_network()).splitlines()]
    start = lines.index(["wiring", "kind", "reads"])
    del lines[start + 1]
    assert lines[start : start + 7] == [
        ["wiring", "kind", "reads"],
        ["of_a", "lstm", "input a"],
        ["of_b", "gru_before", "input b"],
        ["head", "dense", "of_a, of_b"],
        ["output", "head", "head"],
        ["output", "hidden", "of_b[1:4]"],
        [],
    ]


def test_the_wiring_of_a_merge(described):
    text = described(residual_network())
    assert section(text, "a       gru_after  input", "inputs")[1:4] == [
        "b       gru_after  a",
        "add     sum        a, b",
        "out     dense      add",
    ]
    assert "output             out\n" in text


def test_channels_stand_under_their_inputs_and_outputs(described):
    model = two_input_network()
    ports = (Port(name="head", width=2, softmax=True), Port(name="hidden", width=3))
    output = dataclasses.replace(model.output, ports=ports, softmax=True)
    text = described(dataclasses.replace(model, output=output))
    names = [line.split("  0.")[0] for line in section(text, "outputs", "stream  endless: one "
             "output per reading; the state is kept from reading to reading")]  # fmt: skip
    assert names == [
        "outputs", "  head (logits; softmax on request)", "    y0", "    y1", "  hidden",
        "    y2", "    y3", "    y4", "",
    ]  # fmt: skip
    assert "\ninputs\n  a\n    x0  -5 to 2.96875, " in text


def test_an_input_that_is_read_across_its_ports(described):
    model = two_input_network()
    ports = (Port(name="p", width=1), Port(name="q", width=1), Port(name="r", width=3))
    text = described(
        dataclasses.replace(model, input=dataclasses.replace(model.input, ports=ports))
    )
    assert "lstm        input p, input q, input r[0:1]\n" in text
    assert "gru_before  input r[1:3]\n" in text


def test_a_chain_has_no_wiring(described):
    text = described(random_model("lstm"))
    assert "wiring" not in text
    assert "\ninputs\n  x0  " in text


def test_json_says_what_is_read(described):
    record = json.loads(described(two_input_network(), "--json"))
    assert not record["chain"]
    assert record["input_ports"] == [{"name": "a", "width": 3}, {"name": "b", "width": 2}]
    assert record["output_ports"][1] == {"name": "hidden", "width": 3, "softmax": False}
    assert [layer["reads"] for layer in record["layers"]] == [
        [{"source": None, "start": 0, "width": 3}],
        [{"source": None, "start": 3, "width": 2}],
        [{"source": "of_a", "start": 0, "width": 6}, {"source": "of_b", "start": 0, "width": 7}],
    ]
    assert record["output_reads"][1] == {"source": "of_b", "start": 1, "width": 3}
    chain = json.loads(described(random_model("lstm"), "--json"))
    assert chain["chain"]
    assert chain["input_ports"] == chain["output_ports"] == []
    assert chain["output_reads"] == [{"source": "out", "start": 0, "width": 2}]


def test_constants_of_a_merge_are_counted(described):
    model = residual_network(units=8)
    record = json.loads(described(model, "--json"))
    merge = record["layers"][2]
    # Two vectors of 8 multipliers and 8 offsets, 2 bytes each.
    assert (merge["constants_bytes"], merge["weights_bytes"]) == (64, 0)
    assert (merge["macs"], merge["storages"]) == (0, [])
    # A device keeps offsets only where there are some.
    held = 32 + 16 * sum(term.has_bias for term in model.layers[2].terms)
    assert merge["memory"]["scale_bytes"] == merge["memory"]["total_bytes"] == held
    assert record["constants_bytes"] == sum(x["constants_bytes"] for x in record["layers"])


def test_weights_on_a_device_beside_a_merge(described):
    text = described(stored(residual_network(), Storage.SPARSE8))
    lines = [line.split() for line in text.splitlines()]
    assert ["add", "0", "0", "0", "-"] in lines


@pytest.mark.parametrize("name", networks())
def test_every_network_is_described(described, name):
    model = networks()[name]
    text = described(model)
    for layer in model.layers:
        assert f"\n{layer.name} " in text


def test_what_decodes_is_told(described):
    """Of a model, of a program, and of nothing that scores no tokens."""
    model, pair = writer_of_text(tokens=13), translator()
    told = "decoding  scores the next of 13 tokens: edgernn generate, or edgernn.decoding\n"
    assert told in described(model)
    assert json.loads(described(model, "--json"))["decoding"] == {"tokens": 13}
    text = described(pair)
    assert (
        "decoding  decode scores the next of 9 tokens: edgernn.decoding with program='decode'\n"
        in text
    )
    assert "scores the next of 9 tokens: edgernn generate" in described(pair, "--program", "decode")
    plain = random_model("lstm")
    assert "decoding" not in json.loads(described(plain, "--json"))
    assert "decoding" not in described(plain)
