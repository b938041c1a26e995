"""The example projects run as their pages say, and give the bits of the reference."""

import csv
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
from contextlib import ExitStack

import numpy as np
import pytest

from edgernn.model.integer_model import IntegerModel
from edgernn_export import prepare
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.documents import ROOT, commands, run_command
from tests.support.native.compilers import SANITIZERS, WARNINGS, compile_c, require, symbols
from tests.support.native.package_folders import STAND_INS, run
from tests.support.services import Command

EXAMPLES = ROOT / "docs" / "examples"
#: Run here with less data and training.
SHORTENED = {
    "python make_data.py": {"vibration-monitor": "python make_data.py --seconds 30"},
    "python train.py": dict.fromkeys(
        ("vibration-monitor", "soil-moisture"), "python train.py --epochs 2"
    ),
}
#: Does not end by itself.
SERVICE = "edgernn serve serve.toml"
pytestmark = [pytest.mark.slow, pytest.mark.tf]


def prepared(name, tmp_path_factory):
    """A copy of an example in which every command of its page was run."""
    folder = tmp_path_factory.mktemp("example") / name
    shutil.copytree(EXAMPLES / name, folder)
    with ExitStack() as services:
        for command in commands(f"docs/examples/{name}/README.md"):
            if command == SERVICE:  # it runs beside the commands that follow
                started(folder, services)
                continue
            done = run_command(SHORTENED.get(command, {}).get(name, command), folder)
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            with (folder / "printed.txt").open("a", encoding="utf-8") as file:
                file.write(f"$ {command}\n{done.stdout}")
    return folder


def started(folder, services):
    """Start the service of an example at a free port, and wait until it read everything."""
    service = Command(folder, "serve.toml")
    config = folder / "serve.toml"
    config.write_text(config.read_text().replace(":8765", f":{service.port}"))
    services.enter_context(service)
    expected = len((folder / "test_prepared.csv").read_text().splitlines()) - 1
    service.wait_for(lambda state: state["results"] == expected)


@pytest.fixture(scope="module")
def vibration(tmp_path_factory):
    return prepared("vibration-monitor", tmp_path_factory)


@pytest.fixture(scope="module")
def soil(tmp_path_factory):
    pytest.importorskip("rich")
    return prepared("soil-moisture", tmp_path_factory)


def build_sketch(folder, simulated):
    """Compile the library as C and the sketch as C++ with stand-ins for board and sensor."""
    require("gcc", "g++")
    sources = sorted((folder / "build" / "vibration_edgernn").rglob("src/**/*.c"))
    compile_c(["gcc", "-c", "-std=c99", *SANITIZERS], sources, folder)
    board, program = STAND_INS / "mpu6050", folder / f"sketch_{simulated}"
    sketch = folder / "VibrationMonitor" / "VibrationMonitor.ino"
    command = [
        "g++", "-std=c++11", *SANITIZERS, *WARNINGS, f"-DSIMULATED={simulated}", "-I", str(board),
        "-I", "build/vibration_edgernn/src", "-include", "Arduino.h", "-x", "c++", str(sketch),
        str(board / "board.cpp"), "-x", "none", *map(str, folder.glob("*.o")), "-o", str(program),
    ]  # fmt: skip
    run(command, folder)
    return program


def codes(text, model):
    """The conditions and the output codes that a sketch printed."""
    rows = [dict(cell.split(":") for cell in line.split(",")) for line in text.splitlines()]
    assert all(list(row) == ["condition", *model.output.names] for row in rows)
    values = np.array([[float(row[name]) for name in model.output.names] for row in rows])
    # Scores are rounded to 15 bits and then to five decimals: that must distinguish all codes.
    assert model.output.scale.min() / 2 > 2.0**-16 + 0.5e-5
    return [int(row["condition"]) for row in rows], np.round(values / model.output.scale)


def test_the_sketch_gives_the_bits_of_the_reference_from_serial_port_and_sensor(vibration):
    model = IntegerModel.load(vibration / "vibration.edgernn")
    recording = (vibration / "test.csv").read_text().splitlines()[:1501]
    counts = np.array([line.split(",")[:3] for line in recording[1:]], dtype=float)
    wanted, _ = Reference(model).run(np.stack([model.interface().quantize(c) for c in counts]))
    text = "\n".join([*recording, ""])
    conditions, answered = codes(
        run([str(build_sketch(vibration, 1))], vibration, text=text), model
    )
    assert np.array_equal(answered, wanted)
    assert conditions == [int(np.argmax(row)) for row in wanted * model.output.scale]
    assert len(set(conditions)) > 1
    # The sensor's loop prints every 20th answer.
    sensed = run([str(build_sketch(vibration, 0))], vibration, text=text)
    assert np.array_equal(codes(sensed, model)[1], wanted[19::20])


def test_the_sketch_compiles_for_a_small_core_without_floating_point(vibration):
    require("arm-none-eabi-g++", "nm")
    command = [
        "arm-none-eabi-g++", "-mcpu=cortex-m0plus", "-mthumb", "-Os", "-ffreestanding", "-c",
        "-std=gnu++11", "-fno-exceptions", *WARNINGS, "-I", str(STAND_INS / "mpu6050"),
        "-I", "build/vibration_edgernn/src", "-include", "Arduino.h", "-x", "c++",
        "VibrationMonitor/VibrationMonitor.ino", "-o", "small.obj",
    ]  # fmt: skip
    run(command, vibration)
    missing, _, _ = symbols([vibration / "small.obj"])
    assert "vibration_step" in missing
    assert [name for name in missing if re.match(r"__aeabi_(?!u?idiv(mod)?$)", name)] == []


def test_the_sketch_reports_a_sensor_that_does_not_answer(vibration):
    program = build_sketch(vibration, 0)
    done = subprocess.run(
        [program], input="", env=os.environ | {"NO_SENSOR": "1"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stdout.startswith("FAIL: the MPU-6050 does not answer")


def test_a_log_of_the_sketch_is_plotted(vibration):
    scores = [f"normal:{0.1 * t:.4f},imbalance:-1.0,looseness:0.5,bearing:0" for t in range(50)]
    lines = [f"condition:{2 if t < 5 else 0},{line}" for t, line in enumerate(scores)]
    (vibration / "monitor.log").write_text("\n".join(["starting", *lines, "condition:0,norm"]))
    command = "python plot_serial.py --log monitor.log --save scores.png"
    assert command in (EXAMPLES / "vibration-monitor" / "README.md").read_text(encoding="utf-8")
    done = run_command(command, vibration)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == ["starting", "condition:0,norm"]
    assert (vibration / "scores.png").read_bytes().startswith(b"\x89PNG")


def results(folder):
    """What the service wrote, by probe in the order of the readings; repeats are left out."""
    found = {}
    for line in (folder / "forecasts.jsonl").read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):  # not while it is being written
            result = json.loads(line)
            found.setdefault(result["key"], {}).setdefault(result["sequence"], result)
    return {key: [one for _, one in sorted(rows.items())] for key, rows in found.items()}


def test_the_service_gives_the_bits_of_the_reference_on_prepared_readings(soil):
    model = IntegerModel.load(soil / "soil.edgernn")
    with (soil / "live.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    answered = results(soil)
    assert len(answered) == 8
    for probe, found in answered.items():
        raw = [row for row in rows if row["probe"] == probe]
        values = np.array([[float(row["moisture"] or "nan")] for row in raw])
        wanted = prepare(model, values, [row["time"] for row in raw])
        assert wanted.counts["gaps"] > 0
        assert wanted.counts["late"] > 0
        assert [one["sequence"] for one in found] == list(range(1, len(found) + 1))
        assert np.array_equal([[one[name] for name in wanted.names] for one in found], wanted.x)
        q_x = np.stack([model.interface().quantize(x) for x in wanted.x])
        forecasts = Reference(model).run(q_x)[0] * model.output.scale
        assert np.array_equal([[one["moisture_12h"]] for one in found], forecasts)


def test_the_alarms_find_the_probes_with_faults(soil):
    with sqlite3.connect(soil / "forecasts.sqlite") as base:
        stored = base.execute("SELECT key, time, decisions FROM results ORDER BY time_s").fetchall()
    alarms = {"dry": {}, "drift": {}}
    for key, time, decisions in stored:
        for name, first in alarms.items():
            if json.loads(decisions)[name]:
                first.setdefault(key, time[:10])
    assert set(alarms["dry"]) == {"probe_3", "probe_6"}
    assert "2025-06-18" <= alarms["dry"]["probe_3"] <= "2025-06-20"
    assert alarms["drift"]["probe_6"] == "2025-06-22"
    printed = (soil / "printed.txt").read_text(encoding="utf-8")
    assert re.search(r"^probe_3 .* dry", printed, re.MULTILINE)  # watch
    assert printed.count('"dry": true') >= 1
    assert "numbers, all equal" in printed  # the smoke test of the bundle


def test_a_killed_service_continues_with_the_same_forecasts(soil, tmp_path):
    header, *lines = (soil / "live.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    shutil.copy(soil / "soil.edgernn", tmp_path)
    shutil.copy(soil / "serve.toml", tmp_path)
    wanted = results(soil)
    readings = tmp_path / "live.csv"
    readings.write_text("".join([header, *lines[:4_000]]), encoding="utf-8")
    with Command(tmp_path, "serve.toml") as service:
        service.wait_for(lambda state: all(sink["written"] for sink in state["sinks"]))
        assert service.stop(signal.SIGKILL) == -signal.SIGKILL
    before = (tmp_path / "forecasts.jsonl").read_text(encoding="utf-8").count("\n")
    with readings.open("a", encoding="utf-8") as file:
        file.writelines(lines[4_000:])
    last = {key: rows[-1]["sequence"] for key, rows in wanted.items()}
    with Command(tmp_path, "serve.toml") as service:
        service.wait_for(
            lambda _: last == {k: rows[-1]["sequence"] for k, rows in results(tmp_path).items()}
        )
        assert service.stop() == 0
    assert 0 < before < sum(last.values())
    assert results(tmp_path) == wanted
