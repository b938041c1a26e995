"""Storage changes no result (clause 4.5): the reference against itself and against the twin."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn.model.formats import Precision
from edgernn.model.storage import Storage
from edgernn_firmware_sim.reference.reference import Reference
from tests.exactness.twin.cells import Twin
from tests.support.models.integer import CELLS, random_codes, random_model
from tests.support.models.stored import densified, stored

STEPS = 12


@pytest.mark.parametrize("storages", [(Storage.SPARSE8,), (Storage.DENSE4, Storage.SPARSE8)])
@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("cell", CELLS)
def test_stored_weights_give_the_results_of_dense_ones(cell, precision, storages):
    model = stored(random_model(cell, precision, inputs=3, units=5), *storages)
    dense = densified(model)
    assert model.storages != dense.storages == {Storage.DENSE8}
    codes = random_codes(model, STEPS)
    outputs, state = Reference(model).run(codes)
    wanted, wanted_state = Reference(dense).run(codes)
    np.testing.assert_array_equal(outputs, wanted)
    for ours, theirs in zip(state, wanted_state, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert outputs.any()


@pytest.mark.parametrize("storage", [Storage.SPARSE8, Storage.DENSE4])
def test_the_scalar_twin_agrees(storage):
    model = stored(random_model("gru_after", inputs=3, units=5), storage)
    codes = random_codes(model, 4)
    outputs, _ = Reference(model).run(codes)
    wanted, _ = Twin(model).run(codes.tolist())
    assert outputs.tolist() == [list(row) for row in wanted]
