"""Quantization-aware training on JAX and Torch gives the codes of the reference: 0 LSB."""

from __future__ import annotations

import json

import pytest

from tests.support.runtimes import require, run_python

pytestmark = [pytest.mark.tf, pytest.mark.slow]
#: Every table and sum, and one network; the others compile for minutes.
FEW = (
    "tables_at_every_code", "input_codes_with_ties_and_ends", "sums_that_float32_cannot_hold",
    "biases_in_any_order", "gru_after/w8a8",
)  # fmt: skip


@pytest.mark.parametrize(
    "cases", [FEW, pytest.param((), marks=pytest.mark.long)], ids=["few", "all"]
)
@pytest.mark.parametrize("back_end", [pytest.param("jax", marks=pytest.mark.long), "torch"])
def test_a_back_end_trains_the_integers_of_the_reference(back_end, cases, monkeypatch):
    """Every clause, moved weights, and weights that were fitted on the float network's answers."""
    require(back_end)
    monkeypatch.setenv("KERAS_BACKEND", back_end)
    results = json.loads(run_python("-m", "tests.exactness.qat_worker", *cases).splitlines()[-1])
    assert len(results) == len(cases) or (not cases and len(results) > 12)
    failed = {name: message for name, message in results.items() if message}
    assert not failed, "\n".join(f"{name}:\n{message}" for name, message in failed.items())
