"""A head that learns in C: the bits of Python, in every step of learning."""

from __future__ import annotations

import dataclasses
import subprocess

import numpy as np
import pytest

import edgernn
from edgernn.adapt.adaptation import Adaptation
from edgernn.adapt.integer_head import IntegerHead
from edgernn.model.formats import Precision
from edgernn.model.interface import Rate
from edgernn_export.verification.compiled_c import c_sources, run_self_test
from edgernn_export.writers.c.preparation.adaptation import adaptation_front, golden_steps
from edgernn_export.writers.exporter import export
from tests.edgernn.adapt.test_integer_head import SETTINGS, hostile
from tests.support.device_layers import run_layer
from tests.support.models.integer import random_model
from tests.support.models.rates import strided_chain
from tests.support.native.compilers import compile_c, require

MAIN = """\
int main(void)
{
    static model_adaptation_t head;
    static struct { int16_t h[{features}]; int16_t y[MODEL_OUTPUTS]; int32_t t[MODEL_OUTPUTS];
        uint8_t missing[8]; } row;
    int32_t found[2 * MODEL_OUTPUTS];
    if (model_adaptation_self_test(&head) != 0) {
        return 2;
    }
    while (fread(row.h, sizeof row.h, 1, stdin) == 1) {
        if (fread(row.y, sizeof row.y, 1, stdin) + fread(row.t, sizeof row.t, 1, stdin) +
            fread(row.missing, sizeof row.missing, 1, stdin) != 3) {
            return 3;
        }
        model_adapt_values(&head, row.h, row.y, found);
        model_learn(&head, row.t, row.missing, found + MODEL_OUTPUTS);
        fwrite(found, sizeof found, 1, stdout);
    }
    return 0;
}
"""
WHOLE = """\
#include <stdio.h>

#include "model.h"

int main(void)
{
    static model_state_t state;
    static model_adaptation_t head;
    struct { model_input_t x[MODEL_INPUTS]; } reading;
    int32_t target[MODEL_OUTPUTS];
    model_init(&state);
    model_adaptation_init(&head);
    while (fread(&reading, sizeof reading, 1, stdin) == 1) {
        int16_t y[MODEL_OUTPUTS];
        int32_t corrected[MODEL_OUTPUTS];
        int32_t error[MODEL_OUTPUTS];
        if (fread(target, sizeof target, 1, stdin) != 1) {
            return 3;
        }
        model_quantize_target(target, target);
        model_step(&state, reading.x, y);
        model_adapt(&head, &state, y, corrected);
        model_learn(&head, target, 0, error);
        fwrite(corrected, sizeof corrected, 1, stdout);
        fwrite(error, sizeof error, 1, stdout);
        model_dequantize_corrected(corrected, corrected);
        fwrite(corrected, sizeof corrected, 1, stdout);
    }
    return model_check();
}
"""


def layer_model(of, outputs=2):
    """A model of one GRU with 8 units whose head learns."""
    model = random_model("gru_after", Precision.W8A8, outputs=outputs)
    return dataclasses.replace(model, adaptation=of.bound(model))


@pytest.mark.parametrize("name", SETTINGS)
def test_the_c_learns_as_python_does(name, tmp_path):
    model = layer_model(SETTINGS[name])
    of, steps, rng = model.adaptation, 20_000, np.random.default_rng(2)
    states, answers = hostile(rng, (steps, 8)), hostile(rng, (steps, 2))
    targets = np.rint(answers * 1.6 + rng.normal(4000, 9000, answers.shape)).astype("<i4")
    targets[::7] = rng.choice([-(2**18), 2**18])
    missing = rng.random((steps, 2)) < 0.1
    rows = np.concatenate(
        [
            states.astype("<i2").view(np.uint8), answers.astype("<i2").view(np.uint8),
            targets.view(np.uint8), np.pad(missing.astype(np.uint8), ((0, 0), (0, 6))),
        ],
        axis=1,
    )  # fmt: skip
    # The stub of a state that a layer alone has none of.
    front = adaptation_front(model, of, "model")
    functions = front.functions.replace("state->layer0_gru_after_0_h", "(const int16_t *)state")
    front = dataclasses.replace(front, functions=functions)
    main = MAIN.replace("{features}", "8")
    written = run_layer(model, front, main, tmp_path, rows.tobytes())
    got = np.frombuffer(written, "<i4").reshape(steps, 2, 2)
    head = IntegerHead(of, 8, 2)
    checked = 2500
    for t in range(checked):
        wanted = head.step(states[t], answers[t]).tolist()
        errors = head.learn(targets[t].astype(np.int64), ~missing[t])
        errors = [0, 0] if errors is None else np.where(missing[t], 0, errors).tolist()
        assert got[t].tolist() == [wanted, errors], t


@pytest.mark.slow
@pytest.mark.parametrize("amalgamate", [False, True])
def test_an_exported_model_learns_as_its_session(amalgamate, tmp_path):
    require("gcc")
    precision = Precision.W8A16 if amalgamate else Precision.W8A8
    model = random_model("lstm", precision, stack=2)
    model = dataclasses.replace(model, adaptation=Adaptation(rate=0.25, delay=1).bound(model))
    folder = export(model, tmp_path, ["c"], amalgamate=amalgamate)["c"]
    run_whole(model, folder)
    verified = run_self_test(c_sources(folder))
    assert (verified.message, verified.differing) == ("", 0)
    bare = export(model, tmp_path / "bare", ["c"], network_only=True)["c"]
    assert not list(bare.glob("*adapt*"))


def run_whole(model, folder):
    """Compile an exported model, run it, and compare it with an `AdaptiveHead`."""
    (folder / "harness.c").write_text(WHOLE)
    sources = [p.name for p in folder.glob("*.c") if p.name not in ("main.c", "selftest_host.c")]
    compile_c(["gcc", "-O1", "-std=c99", "-o", "run"], sources, folder)
    (folder / "harness.c").unlink()
    rng, steps, outputs = np.random.default_rng(5), 200, model.output.width
    bits = [
        int(line.split("(")[1].split(")")[0])
        for line in (folder / "model.h").read_text().splitlines()
        if "_TARGET_" in line and "FRAC_BITS (" in line
    ]
    xs = rng.normal(0, 1, (steps, 3)).clip(-2, 2)
    codes = model.interface().quantize(xs)
    # Off the middle between codes, where the border may round either way.
    targets = (np.rint(rng.normal(4000, 5000, (steps, outputs))) + 0.25) * model.output.scale
    fixed = np.rint(targets * 2.0 ** np.array(bits)).astype("<i4")
    content = b"".join(
        code.astype(code.dtype.newbyteorder("<")).tobytes() + row.tobytes()
        for code, row in zip(codes, fixed, strict=True)
    )
    done = subprocess.run([str(folder / "run")], input=content, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    got = np.frombuffer(done.stdout, "<i4").reshape(steps, 3, outputs)
    scale = model.output.scale
    with edgernn.load(model, "reference") as session:
        head = edgernn.AdaptiveHead(session)
        for t in range(steps):
            y = head.step(xs[t])
            error = np.nan_to_num(head.learn(targets[t]))
            assert got[t, 0].tolist() == np.rint(y / scale).tolist(), t
            assert np.abs(got[t, 1] - np.rint(error / scale)).max() == 0, t
            np.testing.assert_allclose(
                got[t, 2] * 2.0 ** -np.array(bits), y, atol=1.1 * 2.0 ** -min(bits)
            )


def test_a_model_that_answers_every_third_reading(tmp_path):
    require("gcc")
    model = strided_chain(Precision.W8A8, Rate(readings=3, first=5))
    model = dataclasses.replace(model, adaptation=Adaptation().bound(model))
    folder = export(model, tmp_path, ["c"])["c"]
    verified = run_self_test(c_sources(folder))
    assert (verified.message, verified.differing) == ("", 0)


def test_golden_steps_reach_the_limits():
    states, answers, targets = golden_steps(8, 2, 400)
    assert (states.shape, answers.shape) == ((400, 8), (400, 2))
    assert np.abs(targets).max() == 2**17
