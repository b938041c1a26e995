"""mypy finds names that are no options, as a user's checker would."""

import re
import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GOOD = """\
import edgernn
from edgernn_export import quantize

model = quantize("m.keras", [[0.0]], "w4a8", range_method="percentile")
one = edgernn.load(model, "native", "hold", warm_up="pad", isa="avx2")
two = edgernn.load("m.tflite", on_bad_reading={"temperature": "hold", "pressure": 1013.0})
three = edgernn.load("m.onnx", backend="onnx", on_bad_reading=0.0)
y = one.step({"temperature": 21.3, "pressure": None})
ys = one.run([{"temperature": 21.3}, [1.0, 2.0]])
counts: tuple[int, ...] = one.clipped_readings
"""
#: Lines that mypy must refuse, and the argument it names.
BAD = {
    'quantize("m.keras", [[0.0]], "int8")': 3,
    'quantize("m.keras", [[0.0]], range_method="min-max")': "range_method",
    'edgernn.load("m.edgernn", "tpu")': 2,
    'edgernn.load("m.edgernn", on_bad_reading="ignore")': "on_bad_reading",
    'edgernn.load("m.edgernn", on_bad_reading={"x": "ignore"})': 0,
    'edgernn.load("m.edgernn", warm_up="zeros")': "warm_up",
}


def test_mypy_tells_options_from_other_names(tmp_path):
    if util.find_spec("mypy") is None:
        pytest.skip("needs mypy: pip install mypy")
    source = tmp_path / "snippet.py"
    source.write_text(GOOD + "\n".join(BAD) + "\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml",
         "--cache-dir", tmp_path / "cache", source],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    errors = re.findall(r"snippet\.py:(\d+): error: (.*)", done.stdout)
    first = GOOD.count("\n") + 1
    assert [int(line) for line, _ in errors] == [*range(first, first + len(BAD))], done.stdout
    for (_, text), argument in zip(errors, BAD.values(), strict=True):
        named = f'"{argument}"' if isinstance(argument, str) else str(argument)
        assert "expected" in text
        assert named in text, text
