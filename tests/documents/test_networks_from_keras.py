"""The network of networks.md goes from Keras to a session and to C on an emulated core."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from edgernn.cli import main
from edgernn.model.integer_model import IntegerModel
from edgernn.model.merges import Merge
from edgernn_export.keras_reader import read_keras
from edgernn_export.quantizer.report import quantization_report
from tests.support.documents import blocks, commands

pytestmark = pytest.mark.tf

DOCUMENT = "docs/guides/networks.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("mill")


@pytest.fixture(scope="module")
def names(folder):
    program = next(block for block in blocks(DOCUMENT) if block.language == "python")
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(compile(program.text, DOCUMENT, "exec"), names)
    return names


def test_the_network_becomes_one_of_layers_and_ports(names):
    model = names["model"]
    assert isinstance(model, IntegerModel)
    assert sum(isinstance(layer, Merge) for layer in model.layers) == 2
    assert [(port.name, port.width) for port in model.input.ports] == [("wind", 3), ("grid", 2)]
    assert [(p.name, p.softmax) for p in model.output.ports] == [("power", False), ("alarm", True)]
    assert model.input.names[:2] == ("wind_0", "wind_1")


def test_a_session_answers_as_keras_does(names):
    x = names["x"]
    power, alarm = names["network"].predict([x["wind"][:1], x["grid"][:1]], verbose=0)
    session = names["session"]
    session.reset()
    ys = session.outputs(session.run({"wind": x["wind"][0], "grid": x["grid"][0]}, softmax=True))
    assert np.abs(ys["alarm"] - alarm[0]).max() < 0.05
    assert np.sqrt(np.mean(np.square(ys["power"] - power[0]))) < 0.1 * power.std()


def test_the_report_has_20_db_and_more(names, folder):
    read = read_keras(folder / "mill.keras")
    report = quantization_report(read, names["model"], names["x"])
    assert min(tensor.sqnr_db for tensor in report.tensors) > 20


def test_the_commands_build_and_run_c_on_an_emulated_core(names, folder, monkeypatch, capsys):
    assert names["model"].sha256
    monkeypatch.chdir(folder)
    asked = [line for line in commands(DOCUMENT) if "mill" in line]
    assert len(asked) == 2
    assert main(asked[0].split()[1:]) == 0
    assert (folder / "build" / "mill_c" / "model.c").exists()
    capsys.readouterr()
    assert main([*asked[1].split()[1:], "--json"]) == 0
    emulation = json.loads(capsys.readouterr().out)["emulation"]
    assert (emulation["core"], emulation["differing"]) == ("cortex-m4", 0)
    # Of every step four outputs and two states of 16.
    assert emulation["compared"] == emulation["steps"] * (4 + 2 * 16)
