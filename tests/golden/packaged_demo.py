"""What the packaged demo model computes on the packaged readings, as text.

Rebuild with `python -m tests.golden.packaged_demo` after the packaged model was replaced.
The codes come from the scalar twin, not from the reference the test runs.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import edgernn
from edgernn.model.integer_model import IntegerModel
from tests.exactness.twin.cells import Twin

DATA = Path(edgernn.__file__).parent / "data"
PATH = Path(__file__).with_name("packaged_demo.json")
COMMAND = "python -m tests.golden.packaged_demo"


def readings() -> list[float]:
    """The packaged weekly changes in ppm."""
    with (DATA / "demo_readings.csv").open(encoding="utf-8", newline="") as file:
        return [float(row["co2_change"]) for row in csv.DictReader(file)]


def build() -> str:
    """Content of the golden file."""
    model = IntegerModel.load(DATA / "demo.edgernn")
    # Clause 9.1 in plain Python: round() takes ties to even, as it asks.
    scale, offset = float(model.input.scale[0]), float(model.input.offset[0])
    q_xs = [[min(max(round((x - offset) / scale), -128), 127)] for x in readings()]
    q_ys, states = Twin(model).run(q_xs)
    record = {
        "provenance": {
            "command": COMMAND,
            "generator": "tests.twin on edgernn/data/demo.edgernn and demo_readings.csv",
            "clauses": "NUMERICS.md sections 1 to 6 and clause 9.1",
        },
        "model_sha256": model.sha256,
        "q_xs": [q_x[0] for q_x in q_xs],
        "q_ys": [q_y[0] for q_y in q_ys],
        "final_state": states[-1][0],
    }
    lines = [f'"{key}": {json.dumps(value)}' for key, value in record.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> None:
    """Write the file."""
    PATH.write_text(build(), encoding="utf-8")


if __name__ == "__main__":
    main()
