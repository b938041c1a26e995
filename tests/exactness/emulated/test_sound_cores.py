"""The log-mel layer as firmware: 0 codes of any frame differ on any emulated core."""

import pytest

from edgernn.errors import ShapeError
from edgernn.model.formats import Precision
from edgernn_export.simulation.layer_cost import emulate_sound
from tests.support.models.hand_made import CORES, core_named
from tests.support.sounds import FRONT_ENDS, LogMel, hearing_model, hostile_samples

SOME = {
    "digits": FRONT_ENDS["digits"],
    "mfcc": FRONT_ENDS["mfcc"],
    "480 in 512": LogMel(rate_hz=16000, frame=480, hop=160, bands=40, low_hz=125.0, high_hz=7500.0),
}


#: Every core, and the others where the arithmetic of cores differs.
CASES = [("digits", core) for core in CORES]
CASES += [("mfcc", "cortex-m0"), ("mfcc", "cortex-m55"), ("480 in 512", "rv32imc")]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "core"), CASES)
def test_every_core_makes_the_reference_s_codes(name, core, tmp_path):
    settings = SOME[name]
    precision = Precision.W8A16 if settings.coefficients else Precision.W8A8
    samples = hostile_samples(settings, frames=25)
    model = hearing_model(settings, precision)
    run = emulate_sound(model, settings, core_named(core), samples, tmp_path)
    assert (run.compared, run.differing) == (25 * settings.width, 0)
    least, median, most = run.instructions
    assert 10 * settings.transform < least <= median <= most
    assert 0 < run.firmware.stack_bytes <= run.firmware.static_stack_bytes < 1024


def test_frames_consist_of_hops(tmp_path):
    settings = FRONT_ENDS["tf.signal"]
    with pytest.raises(ShapeError, match="a multiple of the hop"):
        emulate_sound(
            hearing_model(settings, Precision.W8A8),
            settings,
            core_named(CORES[0]),
            hostile_samples(settings, 3),
            tmp_path,
        )
