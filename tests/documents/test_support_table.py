"""docs/reference/support.md shows the tables of the code, and every gap is declared."""

import pytest

from tests.documents.support_table import COMMAND, KERAS, LAYERS, MISSING, PAGE, holes, page

pytestmark = pytest.mark.tf


def test_every_hole_is_declared():
    assert holes() == MISSING


def test_the_page_is_what_the_code_says():
    assert set(KERAS) == set(LAYERS)
    assert PAGE.read_text(encoding="utf-8") == page(), f"stale; run {COMMAND}"
