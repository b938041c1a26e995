"""A head that learns as firmware: 0 codes differ on any emulated core."""

import dataclasses

import numpy as np
import pytest

from edgernn.adapt.adaptation import Adaptation
from edgernn.errors import ShapeError
from edgernn.model.formats import Precision
from edgernn_export.simulation.layer_cost import emulate_head
from tests.edgernn.adapt.test_integer_head import hostile
from tests.support.models.hand_made import CORES, EACH_CODE, core_named
from tests.support.models.integer import random_model

MODEL = random_model("gru_after", Precision.W8A8, units=16, outputs=2)
ADAPTING = dataclasses.replace(MODEL, adaptation=Adaptation(rate=0.5, leak=2.0**-8).bound(MODEL))


@pytest.mark.slow
@pytest.mark.parametrize("core", EACH_CODE)
def test_every_core_learns_as_python_does(core, tmp_path):
    rows = hostile(np.random.default_rng(6), (150, 16 + 2 * 2))
    run = emulate_head(ADAPTING, core_named(core), rows, tmp_path, learns=True)
    assert (run.compared, run.differing) == (150 * 8, 0)
    least, median, most = run.instructions
    assert 500 < least <= median <= most < 10_000
    assert 0 < run.firmware.stack_bytes <= run.firmware.static_stack_bytes < 1024


def test_a_model_without_a_head(tmp_path):
    with pytest.raises(ShapeError, match="expected a model with an adaptation"):
        emulate_head(
            MODEL, core_named(CORES[0]), np.zeros((1, 20), np.int16), tmp_path, learns=True
        )
