"""`python -m edgernn` is the command `edgernn`."""

from __future__ import annotations

import sys

from edgernn.cli import main

if __name__ == "__main__":
    sys.exit(main())
