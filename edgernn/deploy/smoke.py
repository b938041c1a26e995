"""Smoke test: compare this device with the test vectors of a model, bit for bit.

A bundle holds a copy of this file as smoke_test.py. Exit code: 0 if all numbers are equal, 1 if
some differ, 2 if the test could not run.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

import edgernn
from edgernn.backends import BackendName
from edgernn.backends.native import is_available, isas
from edgernn.deploy.vectors import answers, differences, load_model, read_vectors
from edgernn.errors import DeployError, EdgeRnnError

_SAME: Final = 0
_DIFFERS: Final = 1
_FAILED: Final = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the test and print what it found.

    Args:
        argv: the model and its vectors; by default those next to the program.
    """
    here = Path(sys.argv[0]).resolve().parent
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", nargs="?", type=Path, default=here / "model" / "model.edgernn")
    parser.add_argument("vectors", nargs="?", type=Path, default=here / "model" / "vectors.npz")
    args = parser.parse_args(argv)
    try:
        return _compare(args.model, args.vectors)
    except (EdgeRnnError, OSError) as error:
        print(f"smoke test: {error}", file=sys.stderr)
        return _FAILED


def _compare(path: Path, vectors: Path) -> int:
    model, expected = load_model(path), read_vectors(vectors)
    if str(expected.get("model_sha256")) != model.sha256:
        raise DeployError(
            f"vectors: expected vectors of model {model.sha256[:12]}, got vectors of "
            f"{str(expected.get('model_sha256'))[:12]}. Copy both files from one bundle."
        )
    print(
        f"edgernn {edgernn.__version__}, Python {platform.python_version()}, "
        f"NumPy {np.__version__}, {platform.machine()}"
    )
    names: list[BackendName] = ["native", "reference"]
    if not is_available():
        names.remove("native")
        print("native: not in this wheel, the reference runs instead")
    failed = False
    for name in names:
        got = answers(path, expected, name)
        sentences = differences(expected, got)
        count = sum(values.size for values in got.values())
        shown = f"{name} ({isas()[0]})" if name == "native" else name
        print(f"{shown}: {count} numbers, {'they differ' if sentences else 'all equal'}")
        for sentence in sentences:
            print(f"  {sentence}")
        failed |= bool(sentences)
    print("FAILED" if failed else "passed")
    return _DIFFERS if failed else _SAME


if __name__ == "__main__":
    sys.exit(main())
