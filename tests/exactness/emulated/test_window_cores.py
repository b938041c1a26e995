"""Window models as firmware: every answer and the ring of codes, on every emulated core."""

import dataclasses

import pytest

from edgernn.model.formats import Precision
from edgernn.model.interface import Window
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.emulator import emulate
from tests.support.models.hand_made import EACH_CODE, core_named
from tests.support.models.integer import random_model


def emulated(core, model, folder, readings):
    codes = probe_codes(model, readings, seed=5)
    sources = write_c(model, golden_vector(model))
    return emulate(model, sources, core_named(core), codes, folder)


@pytest.mark.parametrize("core", EACH_CODE)
@pytest.mark.parametrize(
    ("cell", "precision", "window"),
    [
        ("gru_after", Precision.W8A8, Window(steps=9)),
        ("lstm", Precision.W8A16, Window(steps=9)),
        ("simple_rnn_relu", Precision.W8A8, Window(steps=4, hop=3)),
        ("gru_before", Precision.W8A16, Window(steps=4, hop=3)),
    ],
    ids=str,
)
def test_every_core_answers_the_same(cell, precision, window, core, tmp_path):
    model = random_model(cell, precision, inputs=3, units=8, stack=2)
    model = dataclasses.replace(model, window=window)
    result = emulated(core, model, tmp_path, 40)
    assert (result.differing, result.first_difference) == (0, "")
    assert result.compared == 40 * (model.output.width + 2 + 3 * window.steps)
    assert result.macs == model.macs * window.steps
    assert result.struct_bytes >= model.state_bytes
    assert result.stack_bytes <= result.static_stack_bytes


def test_an_answer_takes_as_many_steps_as_its_window_has(tmp_path):
    most = {}
    for steps in (1, 11, 21):
        folder = tmp_path / str(steps)
        folder.mkdir()
        model = dataclasses.replace(random_model("gru_after"), window=Window(steps=steps, hop=2))
        result = emulated("cortex-m4", model, folder, 8)
        most[steps] = result.instructions.most
        assert result.instructions.least < 100  # a reading that only goes into the window
    per_step = (most[21] - most[11]) / 10
    # Within 5 %: instructions of a step depend on its values.
    assert most[11] - most[1] == pytest.approx(10 * per_step, rel=0.05)
