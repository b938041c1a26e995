"""The check of a generated model on emulated cores: what it finds, and that it is free uncalled."""

import re

import pytest

from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.storage import Storage
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.emulator import emulate, footprint
from tests.support.models.hand_made import EACH_CODE, core_named
from tests.support.models.integer import random_model
from tests.support.models.stored import stored
from tests.support.native.compilers import ROOT

#: One core for each layout of the weights.
LAYOUT_CORES = ("cortex-m0", "cortex-m4", "cortex-m55", "rv32imc")
FIRST_STATE = r"(void model_init\(.*?\n{\n.*?)(\n})"


def changed(sources, name, pattern, replacement):
    """The sources with one passage replaced."""
    text, changes = re.subn(pattern, replacement, sources[name].decode(), count=1, flags=re.S)
    assert changes == 1
    return {**sources, name: text.encode()}


def written(model):
    return write_c(model, golden_vector(model))


@pytest.mark.parametrize("core", LAYOUT_CORES)
@pytest.mark.parametrize("precision", [pytest.param(p, id=p.value) for p in Precision])
def test_every_layout_of_the_weights_is_known(precision, core, tmp_path):
    plain = random_model("gru_before", precision, inputs=9, units=6, common=False)
    model = stored(plain, Storage.SPARSE8, Storage.DENSE4, Storage.DENSE8)
    # A stream that begins with a state of 0 where the check returns 0.
    begin = r"\1\n    state->layer0_gru_before_0_h[0] = (int16_t)(9999 * model_check());\2"
    sources = changed(written(model), "model.c", FIRST_STATE, begin)
    another = changed(sources, "model.c", r"(output_channels\[2\] = {\n    {)\d+", r"\g<1>77")
    differing = []
    for index, files in enumerate((sources, another)):
        folder = tmp_path / str(index)
        folder.mkdir()
        q_xs = probe_codes(model, 5, seed=5)
        differing.append(emulate(model, files, core_named(core), q_xs, folder).differing)
    assert differing[0] == 0 < differing[1]


@pytest.mark.parametrize("core", LAYOUT_CORES)
def test_a_call_takes_what_the_document_says(core, tmp_path):
    model = IntegerModel.load(ROOT / "edgernn" / "data" / "demo.edgernn")
    sources = written(model)
    begin = r"\1    if (model_check() != 0) {\n        return;\n    }\n"
    called = changed(sources, "model.c", r"(void model_step\(.*?\n{\n)", begin)
    medians = []
    for index, files in enumerate((sources, called)):
        folder = tmp_path / str(index)
        folder.mkdir()
        result = emulate(model, files, core_named(core), probe_codes(model, 3, seed=5), folder)
        assert result.differing == 0
        medians.append(result.instructions.median)
    text = (ROOT / "docs" / "guides" / "firmware.md").read_text("utf-8")
    (sentence,) = re.findall(r"A call reads each constant once\. (.*?)\.\s", text, re.S)
    figures = [int(figure.replace(",", "")) for figure in re.findall(r"\d+,000", sentence)]
    stated = dict(zip(LAYOUT_CORES, figures, strict=True))[core]
    assert medians[1] - medians[0] == pytest.approx(stated, rel=0.05)


@pytest.mark.parametrize("core", EACH_CODE)
def test_a_program_that_does_not_call_it_is_no_larger(core, tmp_path):
    sources = written(random_model("lstm"))
    without = changed(sources, "model.c", r"int32_t model_check\(void\)\n{.*?\n}\n", "")
    del without["edgernn_check.c"]
    called = changed(sources, "model.c", FIRST_STATE, r"\1\n    (void)model_check();\2")
    sizes = []
    for index, files in enumerate((without, sources, called)):
        folder = tmp_path / str(index)
        folder.mkdir()
        sizes.append(footprint(core_named(core), files, folder).sizes)
    assert sizes[0] == sizes[1]
    assert sizes[1].flash_bytes < sizes[2].flash_bytes < sizes[1].flash_bytes + 1200
