"""Runs .tflite files of one operation over rows: `normalization_worker.py FOLDER RUNTIME`.

A runtime needs a process of its own. For every FOLDER/NAME.tflite and NAME.npy it writes
NAME.RUNTIME.RESOLVER.npy, what came out for every row.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np

from edgernn.backends.tflite import RESOLVERS
from edgernn.backends.tflite import RUNTIMES as MODULES


def _main(folder: Path, runtime: str) -> None:
    module = importlib.import_module(MODULES[runtime])
    for path in sorted(folder.glob("*.tflite")):
        rows = np.load(path.with_suffix(".npy"))
        for name, resolver in RESOLVERS.items():
            interpreter = module.Interpreter(
                model_path=str(path),
                num_threads=1,
                experimental_op_resolver_type=getattr(module.OpResolverType, resolver),
            )
            interpreter.allocate_tensors()
            (x,), (y,) = interpreter.get_input_details(), interpreter.get_output_details()
            results = np.empty_like(rows)
            for row, result in zip(rows, results, strict=True):
                interpreter.set_tensor(x["index"], row[None])
                interpreter.invoke()
                result[:] = interpreter.get_tensor(y["index"])[0]
            np.save(folder / f"{path.stem}.{runtime}.{name}.npy", results)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2])
