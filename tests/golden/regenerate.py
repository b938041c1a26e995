"""Rebuild every golden file that does not depend on training; `make golden` runs this.

The trained models have a command of their own, `python -m tests.golden.train_models`: training is
not bit-reproducible between machines.
"""

from __future__ import annotations

from tests.golden import packaged_demo, tflite_files


def main() -> None:
    """Write the files."""
    tflite_files.main()
    packaged_demo.main()


if __name__ == "__main__":
    main()
