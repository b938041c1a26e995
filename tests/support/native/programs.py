"""What the tests of the native backend share."""

from __future__ import annotations

import pytest

from edgernn.backends.native import is_available, isas


def require_native() -> None:
    """Skip the test where the extension module was not built."""
    if not is_available():
        pytest.skip("needs edgernn._native: a C compiler, then pip install -e .")


def all_isas() -> list[str]:
    """Instruction sets to test; the name of one, to be skipped, where there is no extension."""
    return isas() if is_available() else ["portable"]
