"""Small .tflite files and what they compute, for tests where the writer is not installed.

Rebuild with `python -m tests.golden.tflite_files`; a test fails while the files differ from what
the writer gives today.
"""

from __future__ import annotations

import json
from pathlib import Path

from edgernn.model.formats import Precision
from edgernn.model.interface import Golden
from edgernn_export.writers.tflite.writer import write_tflite
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.integer import random_codes, random_model

FOLDER = Path(__file__).parent / "tflite"
COMMAND = "python -m tests.golden.tflite_files"
SEED = 5
STEPS, GOLDEN_STEPS = 40, 12
#: cell, precision of every file.
FILES = (
    ("lstm", Precision.W8A8),
    ("gru_after", Precision.W8A16),
    ("gru_before", Precision.W8A8),
    ("simple_rnn", Precision.W8A16),
)


def build() -> dict[str, bytes]:
    """Content by file name; the streams come from the NumPy reference."""
    files: dict[str, bytes] = {}
    streams = {}
    for cell, precision in FILES:
        model = random_model(cell, precision, units=4, kind="hostile", seed=SEED)
        q_xs = random_codes(model, STEPS)
        reference = Reference(model)
        q_ys, state = reference.run(q_xs, reference.initial_state())
        golden = Golden(q_x=q_xs[:GOLDEN_STEPS], q_y=q_ys[:GOLDEN_STEPS])
        name = f"{cell}-{precision.value}.tflite"
        files[name] = write_tflite(model, golden)
        streams[name] = {
            "q_xs": q_xs.tolist(), "q_ys": q_ys.tolist(), "state": [v.tolist() for v in state]
        }  # fmt: skip
    record = {
        "provenance": {
            "command": COMMAND,
            "generator": "edgernn_firmware_sim.reference on random_model of tests/support/models",
            "seed": SEED,
            "clauses": "NUMERICS.md sections 4 to 8",
        },
        "streams": streams,
    }
    text = json.dumps(record, sort_keys=True, indent=None, separators=(",", ":"))
    files["streams.json"] = text.replace('},"', '},\n"').encode() + b"\n"
    return files


def main() -> None:
    """Write all files."""
    FOLDER.mkdir(exist_ok=True)
    for name, content in build().items():
        (FOLDER / name).write_bytes(content)


if __name__ == "__main__":
    main()
