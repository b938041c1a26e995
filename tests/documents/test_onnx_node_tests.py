"""docs/reference/onnx-node-tests.md shows how edgernn reads the tests that ONNX has."""

import pytest

pytest.importorskip("onnxruntime")

from tests.documents.onnx_node_tests import BOUND, COMMAND, PAGE, page, read_case
from tests.support.models.onnx_node_cases import node_cases


@pytest.mark.parametrize("case", node_cases(), ids=lambda case: case.name)
def test_a_test_of_onnx_is_matched_or_refused_by_name(case):
    found = read_case(case)
    if not found.errors:
        assert found.read_as.startswith("node ")
    assert all(error <= BOUND for error in found.errors.values())


def test_the_page_is_what_the_code_says():
    told = PAGE.read_text(encoding="utf-8")
    assert "DIFFERENT" not in told
    assert told == page(), f"stale; run {COMMAND}"
