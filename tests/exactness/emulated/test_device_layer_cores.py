"""Preparations as firmware: 0 codes of any reading differ on any emulated core."""

import numpy as np
import pytest

from edgernn.model.formats import Precision
from edgernn_export.simulation.layer_cost import emulate_readings
from edgernn_export.writers.c.preparation.compiled import device_preparation
from edgernn_export.writers.c.preparation.readings import golden_readings
from tests.support.device_layers import PREPARATION, preparing_model
from tests.support.models.hand_made import EACH_CODE, core_named


@pytest.mark.slow
@pytest.mark.parametrize("core", EACH_CODE)
def test_every_core_makes_the_reference_s_codes(core, tmp_path):
    precision = Precision.W8A16 if core in ("cortex-m0", "rv32imc") else Precision.W8A8
    model = preparing_model(precision)
    of = device_preparation(PREPARATION, model.input, precision)
    rows = [[0 if x is None else x for x in row] for row in golden_readings(of, 120)]
    run = emulate_readings(model, PREPARATION, core_named(core), np.array(rows, np.int32), tmp_path)
    assert (run.compared, run.differing) == (120 * model.input.width, 0)
    least, median, most = run.instructions
    assert 300 < least <= median <= most < 10_000
    assert 0 < run.firmware.stack_bytes <= run.firmware.static_stack_bytes < 1024
