"""C of a model with the layers of its preparation and its decisions, as export writes it."""

import dataclasses
import subprocess

import numpy as np
import pytest

import edgernn
from edgernn.errors import UnsupportedModelError
from edgernn.model.formats import Precision
from edgernn.prepare.preparation import Preparation
from edgernn_export.verification.compiled_c import c_sources, run_self_test
from edgernn_export.writers.c.preparation.compiled import device_preparation
from edgernn_export.writers.c.preparation.decisions import device_decisions
from edgernn_export.writers.c.preparation.readings import golden_readings
from edgernn_export.writers.exporter import export
from edgernn_firmware_sim.reference.readings import DeviceDecisions, DeviceReadings
from tests.support.device_layers import PREPARATION, bound_decisions, preparing_model
from tests.support.native.compilers import compile_c, require

HARNESS = """\
#include <stdio.h>

#include "model.h"

int main(void)
{
    static model_state_t state;
    static model_readings_t readings;
    static model_decisions_t decisions;
    int32_t x[MODEL_RAW_INPUTS];
    int32_t decided[MODEL_DECISIONS];
    model_init(&state);
    model_readings_init(&readings);
    model_decisions_init(&decisions);
    while (fread(x, sizeof x, 1, stdin) == 1) {
        model_input_t q_x[MODEL_INPUTS];
        int16_t q_y[MODEL_OUTPUTS];
        model_prepare(&readings, x, 0, q_x);
        model_step(&state, q_x, q_y);
        model_decide(&decisions, q_y, decided);
        fwrite(decided, sizeof decided, 1, stdout);
    }
    return model_check();
}
"""


def whole_model(precision):
    model = dataclasses.replace(preparing_model(precision), preparation=PREPARATION)
    decisions, sink = bound_decisions(model)
    table = decisions.to_table()
    table["decisions"][0] |= {"on": 0.02, "off": -0.02}
    table["decisions"][1] |= {"on": -0.01, "off": 0.01}
    decisions = type(decisions).from_table(table)
    return dataclasses.replace(model, output=sink, decisions=decisions)


@pytest.mark.parametrize("amalgamate", [False, True])
def test_readings_become_decisions(amalgamate, tmp_path):
    require("gcc")
    precision = Precision.W8A16 if amalgamate else Precision.W8A8
    model = whole_model(precision)
    folder = export(model, tmp_path, ["c"], amalgamate=amalgamate)["c"]
    (folder / "harness.c").write_text(HARNESS)
    sources = [p.name for p in folder.glob("*.c") if p.name not in ("main.c", "selftest_host.c")]
    compile_c(["gcc", "-O1", "-std=c99", "-o", "run"], sources, folder)
    device = device_preparation(PREPARATION, model.input, precision)
    rows = [[0 if x is None else x for x in row] for row in golden_readings(device, 200)]
    done = subprocess.run(
        [str(folder / "run")],
        input=np.array(rows, "<i4").tobytes(),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    stream = DeviceReadings(device)
    codes = np.array([stream.push(row) for row in rows]).astype(model.code_dtype)
    with edgernn.load(model, "reference") as session:
        q_ys = session.run_codes(codes)
    decider = DeviceDecisions(device_decisions(model.decisions, model.output))
    wanted = [decider.push(row) for row in q_ys.tolist()]
    assert np.frombuffer(done.stdout, "<i4").reshape(200, -1).tolist() == wanted
    assert len({tuple(row) for row in wanted}) > 3
    (folder / "harness.c").unlink()
    verified = run_self_test(c_sources(folder))
    assert (verified.message, verified.differing) == ("", 0)


def test_what_a_device_cannot_do_is_told_with_the_cure(tmp_path):
    table = PREPARATION.to_table()
    table["steps"].append({"kind": "log", "channels": ["temp"]})
    preparation = Preparation.from_table(table)
    model = dataclasses.replace(whole_model(Precision.W8A8), preparation=preparation)
    smooth = {"decisions": [{"kind": "smooth", "name": "class"}]}
    decisions, _ = bound_decisions(model, smooth)
    model = dataclasses.replace(model, decisions=decisions)
    with pytest.raises(UnsupportedModelError) as caught:
        export(model, tmp_path, ["c"])
    assert len(caught.value.reasons) == 3
    assert "--network-only" in caught.value.reasons[-1]
    folder = export(model, tmp_path, ["c"], network_only=True)["c"]
    assert not list(folder.glob("*readings*"))
