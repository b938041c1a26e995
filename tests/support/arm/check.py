"""Runs on an emulated processor: the native backend over recorded streams. Prints what differs.

arm_check.py FOLDER: for every FOLDER/*.edgernn the streams of the .npz beside it.
"""

import sys
import warnings
from pathlib import Path

import numpy as np

import edgernn
from edgernn.backends.native import isas


def main(folder: Path) -> None:
    """Compare outputs, states and physical outputs on every instruction set."""
    warnings.simplefilter("ignore", edgernn.ClippedReadingsWarning)  # streams leave their ranges
    assert "on native" in repr(edgernn.load(next(folder.glob("*.edgernn"))))
    compared = 0
    for path in sorted(folder.glob("*.edgernn")):
        recorded = np.load(path.with_suffix(".npz"))
        for isa in isas():
            session = edgernn.load(path, "native", isa=isa)
            got = {"q_ys": session.run_codes(recorded["q_xs"]), **session.state}
            session.reset()
            got["ys"] = session.run(recorded["xs"])
            session.reset()
            got["steps"] = np.array([session.step(x) for x in recorded["xs"][:100]])
            for name, values in got.items():
                compared += values.size
                if not np.array_equal(values, recorded[name]):
                    print("differs:", path.stem, isa, name)
    print(compared, *isas())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
