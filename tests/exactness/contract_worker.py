"""Runs the streaming contract for one runtime in a process of its own; prints JSON results.

python -m tests.exactness.contract_worker tflite ai_edge_litert
"""

import itertools
import json
import sys
import tempfile
import traceback
from pathlib import Path

import edgernn
from edgernn.model.formats import Precision
from tests.exactness.stream_contract import verify_stream_contract
from tests.support.models.integer import CELLS, random_model

#: Beside one layer: a stack, one channel (a scalar is a reading too), no Dense.
SHAPES = {
    "one layer": {},
    "three layers": {"stack": 3, "units": 5},
    "one channel": {"inputs": 1, "outputs": 1},
    "no dense": {"outputs": 0},
}
PRECISIONS = [precision.value for precision in Precision]
CASES = [
    *itertools.product(CELLS, PRECISIONS, ["one layer"], ["tame", "hostile"]),
    *itertools.product(["lstm", "gru_after"], PRECISIONS, [*SHAPES][1:], ["tame"]),
]


def verify_case(case, backend, options):
    """The contract for one case on one backend."""
    cell, precision, shape, kind = case
    model = random_model(cell, Precision(precision), kind=kind, **SHAPES[shape])
    with tempfile.TemporaryDirectory() as folder:
        if backend in ("native", "reference"):
            path = model.save(Path(folder) / "model.edgernn")
        else:
            from edgernn_export import export

            path = export(model, folder, [backend])[backend]
        verify_stream_contract(lambda policy: edgernn.load(path, backend, policy, **options), model)


def main(backend, runtime=None):
    """Print one message per case; empty where the contract holds."""
    options = {} if runtime is None else {"runtime": runtime}
    results = {}
    for case in CASES:
        try:
            verify_case(case, backend, options)
            results["/".join(case)] = ""
        except Exception:
            results["/".join(case)] = traceback.format_exc()
    print(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
