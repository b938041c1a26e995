"""The NumPy reference and the scalar twin agree on models that read tokens (6.8 and 8.3)."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn.errors import ReadingError
from edgernn.graph.lowering import lowered
from edgernn.model.formats import Precision
from edgernn_firmware_sim.reference.affine import operand
from edgernn_firmware_sim.reference.events import Quiet
from edgernn_firmware_sim.reference.interpreter import StepInterpreter
from edgernn_firmware_sim.reference.reference import Reference
from tests.exactness.twin_comparison import compare
from tests.support.models.integer import random_codes
from tests.support.models.tokens import random_embedding, token_chain, token_models


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.long] * name.startswith("large"))
        for name in token_models()
    ],
)
def test_reference_equals_twin(name):
    model = token_models()[name]
    compared, _ = compare(model, streams=4, steps=60, seed=11)
    assert compared == 4 * 60 * (model.output.width + sum(s.units for s in model.states))


@pytest.mark.parametrize("precision", Precision)
def test_every_row_of_the_largest_table_is_found(precision):
    layer = random_embedding(np.random.default_rng(3), "words", 32_768, 3, 2)
    step = StepInterpreter(lowered(precision, [layer]), Quiet())
    tokens = np.arange(32_768, dtype=np.int32)
    (found,) = step((np.stack([tokens, tokens[::-1]], axis=1),), [])
    wanted = np.concatenate([layer.table, layer.table[::-1]], axis=1).astype(np.int64)
    assert np.array_equal(found, 256 * wanted)


@pytest.mark.parametrize(("precision", "worth"), [(Precision.W8A8, 1), (Precision.W8A16, 128)])
def test_what_a_matrix_product_reads_of_a_row_is_its_codes(precision, worth):
    """Clauses 2.7 and 8.3: nothing is lost, and w8a16 adds nothing."""
    table = np.arange(-127, 128, dtype=np.int64)
    read = operand(precision, (256 * table).astype(np.int32), Quiet(), "operand")
    assert np.array_equal(read, worth * table)


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("token", [-1, 50, 32_767, -32_768])
def test_the_reference_refuses_what_is_no_token(precision, token):
    reference = Reference(token_chain(precision))
    q_xs = random_codes(reference.model, 3)
    q_xs[1] = token
    with pytest.raises(ReadingError, match=rf"codes in \[0, 49\] \(clause 2.3\), got {token}"):
        reference.run(q_xs)
