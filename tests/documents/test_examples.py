"""The example projects run as their pages say, and their loops give the bits of the reference."""

import csv
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from edgernn.model.integer_model import IntegerModel
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.documents import ROOT, commands, run_command
from tests.support.native.compilers import SANITIZERS, WARNINGS, compile_c, require, symbols
from tests.support.native.package_folders import STAND_INS, run

EXAMPLES = ROOT / "docs" / "examples"
#: Run here with less data and training.
SHORTENED = {
    "python make_data.py": {"vibration-monitor": "python make_data.py --seconds 30"},
    "python train.py": dict.fromkeys(
        ("vibration-monitor", "soil-moisture"), "python train.py --epochs 2"
    ),
}
pytestmark = [pytest.mark.slow, pytest.mark.tf]


def prepared(name, tmp_path_factory):
    """A copy of an example in which every command of its page was run."""
    folder = tmp_path_factory.mktemp("example") / name
    shutil.copytree(EXAMPLES / name, folder)
    for command in commands(f"docs/examples/{name}/README.md"):
        done = run_command(SHORTENED.get(command, {}).get(name, command), folder)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return folder


@pytest.fixture(scope="module")
def vibration(tmp_path_factory):
    return prepared("vibration-monitor", tmp_path_factory)


@pytest.fixture(scope="module")
def soil(tmp_path_factory):
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


def replay(folder, lines):
    """What stream.py answers to a recording of these lines, as rows of numbers."""
    (folder / "part.csv").write_text("\n".join(["time,probe,moisture", *lines, ""]))
    command = [sys.executable, "stream.py", "--replay", "part.csv"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [row.split(",") for row in done.stdout.splitlines()]


def test_the_loop_of_the_probes_survives_a_restart_and_gives_the_bits_of_the_reference(soil):
    with (soil / "test.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["probe"] in ("probe_1", "probe_2")][:200]
    lines = [f"{row['time']},{row['probe']},{row['moisture']}" for row in rows]
    (soil / "state.npz").unlink()
    answers = replay(soil, lines[:90]) + replay(soil, lines[90:])
    assert [row[0] for row in answers] == [row["probe"] for row in rows]
    model = IntegerModel.load(soil / "soil.edgernn")
    for probe in ("probe_1", "probe_2"):
        readings = [[float(row["moisture"])] for row in rows if row["probe"] == probe]
        q_x = np.stack([model.interface().quantize(np.array(x)) for x in readings])
        wanted = Reference(model).run(q_x)[0] * model.output.scale
        printed = np.array([float(row[2]) for row in answers if row[0] == probe])
        assert printed == pytest.approx(wanted[:, 0], abs=0.0051)
    assert all(row[3] == str(int(float(row[2]) < 22.0)) for row in answers if row[2] != "22.00")


def test_the_loop_holds_the_last_value_of_a_probe(soil):
    (soil / "state.npz").unlink(missing_ok=True)
    lines = ["0,probe_1,25.0", "1,probe_1,broken", "2,other,30.0", "3,probe_1,25.0"]
    answers = replay(soil, lines)
    (soil / "state.npz").unlink()
    held = replay(soil, ["0,probe_1,25.0", "1,probe_1,25.0", "3,probe_1,25.0"])
    assert [row[2] for row in answers] == [row[2] for row in held]
    assert [row[1] for row in answers] == ["25.00", "nan", "25.00"]
