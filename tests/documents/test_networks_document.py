"""The program and the commands of sessions in networks.md run on a model as they mean it."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from edgernn.cli import main
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Port
from tests.support.documents import blocks, commands
from tests.support.models.networks import two_input_network

pytestmark = pytest.mark.device

DOCUMENT = "docs/guides/networks.md"
CHANNELS = ("speed", "gust", "yaw", "voltage", "load")
ANSWERS = ("now", "next", "blade", "gear", "tower")


def turbine() -> IntegerModel:
    base = two_input_network()
    first, second, head = base.layers
    inputs = (Port(name="wind", width=3), Port(name="grid", width=2))
    outputs = (Port(name="power", width=2), Port(name="wear", width=3))
    return dataclasses.replace(
        base,
        name="turbine",
        layers=(
            dataclasses.replace(first, name="of_wind"),
            dataclasses.replace(second, name="of_grid"),
            head,
        ),
        input=dataclasses.replace(
            base.input, names=CHANNELS, scale=np.full(5, 0.125), offset=np.zeros(5), ports=inputs
        ),
        output=dataclasses.replace(base.output, names=ANSWERS, ports=outputs),
    )


def test_the_program_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    turbine().save(tmp_path / "turbine.edgernn")
    program = [block for block in blocks(DOCUMENT) if block.language == "python"][1]
    names: dict[str, object] = {}
    exec(compile(program.text, DOCUMENT, "exec"), names)
    first, power, shape = capsys.readouterr().out.splitlines()
    assert first.startswith("<Session 'turbine' w8a8 on ")
    assert "wind 3 + grid 2 -> power 2 + wear 3," in first
    assert len(power.split()) >= 2
    assert shape == "(60, 3)"
    assert np.isfinite(names["y"]).all()  # type: ignore[call-overload]
    assert names["session"].bad_readings == 1  # type: ignore[attr-defined]


def test_the_commands_run_and_say_what_the_page_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    turbine().save(tmp_path / "turbine.edgernn")
    rows = [[7.2, 9.1, 0.3, 0.98, 1.4], [7.0, 9.0, 0.2, 0.99, 1.3]]
    header = "wind.gust,speed,yaw,grid.voltage,load"
    lines = [",".join(str(x[i]) for i in (1, 0, 2, 3, 4)) for x in rows]
    (tmp_path / "readings.csv").write_text("\n".join([header, *lines]) + "\n")
    objects = [json.dumps({"wind": x[:3], "grid": x[3:]}) for x in rows]
    (tmp_path / "readings.jsonl").write_text("\n".join(objects) + "\n")
    for command in (line for line in commands(DOCUMENT) if "turbine" in line):
        assert main(command.split()[1:]) == 0, command
    (wiring,) = [block.text for block in blocks(DOCUMENT) if block.language == "text"]
    assert wiring in capsys.readouterr().out
    table = (tmp_path / "answers.csv").read_text().splitlines()
    assert table[0] == "power.now,power.next,wear.blade,wear.gear,wear.tower"
    answers = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    cells = [[float(cell) for cell in line.split(",")] for line in table[1:]]
    assert [answer["power"] + answer["wear"] for answer in answers] == cells
