"""Layers around models on a device: preparations, decisions, and programs of the layers alone."""

import dataclasses
import subprocess
import warnings

import numpy as np

from edgernn.decide.decisions import Decisions
from edgernn.errors import ClippedReadingsWarning
from edgernn.model.formats import Precision
from edgernn.prepare.preparation import Preparation
from edgernn_export.writers.c.preparation.front import included
from tests.support.models.integer import random_model
from tests.support.native.compilers import NATIVE, SANITIZERS, compile_c, require

PREPARATION = Preparation.from_table({
    "inputs": ["temp", "hum"],
    "steps": [
        {"kind": "resample", "period_s": 60.0},
        {"kind": "convert", "channels": ["temp"], "source": "degF", "target": "degC"},
        {"kind": "clip", "channels": ["hum"], "low": 0.0, "high": 100.0},
        {"kind": "window", "channel": "temp", "readings": 30,
         "features": ["mean", "deviation", "min", "max"]},
        {"kind": "difference", "channel": "hum", "readings": 5},
        {"kind": "gain", "channels": ["hum"], "gain": -0.01, "offset": 1.0},
        {"kind": "lag", "channel": "hum", "readings": 3},
        {"kind": "window", "channel": "hum", "readings": 7, "features": ["min", "max"]},
        {"kind": "gain", "channels": ["temp_mean_30"], "gain": 2.0, "offset": -3.0},
        {"kind": "clip", "channels": ["temp_mean_30"], "low": 20.0, "high": 60.0},
    ],
})  # fmt: skip
DECISIONS = {
    "decisions": [
        {"kind": "threshold", "name": "hot", "of": "y0", "on": 0.3, "off": 0.1, "on_readings": 3,
         "off_readings": 2},
        {"kind": "threshold", "name": "cold", "of": "y1", "on": -0.25, "off": -0.1, "below": True},
        {"kind": "smooth", "name": "class", "readings": 5, "method": "majority"},
    ],
}  # fmt: skip
#: What a device runs of a layer alone.
STUB = """\
#include <stdint.h>
{types}
#define MODEL_INPUTS {inputs}
#define MODEL_OUTPUTS {outputs}
typedef {code} model_input_t;
typedef int model_state_t;
static inline void model_step(model_state_t *state, const model_input_t *x, int16_t *y)
{{
    (void)state, (void)x, (void)y;
}}
{declarations}
"""


def weather(count, seed=0):
    """Temperatures in °F and humidities in %, float64 [T, 2]: walks, jumps and noise."""
    rng = np.random.default_rng(seed)
    temp = 70 + np.cumsum(rng.normal(0, 0.8, count)) + 3 * np.sin(np.arange(count) / 9)
    hum = 55 + np.cumsum(rng.normal(0, 1.5, count)) + 50 * (rng.random(count) < 0.03)
    return np.stack([temp, hum], axis=1)


def prepared(preparation, raw):
    """What a preparation makes of raw readings [T, R], one a minute: float64 [T, I]."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClippedReadingsWarning)
        return preparation.apply(np.arange(len(raw)) * 60.0, raw)[1]


def preparing_model(precision, preparation=PREPARATION, readings=None, outputs=3):
    """A random model that is calibrated on prepared readings."""
    raw = weather(400, seed=5) if readings is None else readings
    seen = prepared(preparation, raw)
    model = random_model("gru_after", precision, inputs=seen.shape[1], units=6, outputs=outputs)
    low, high = seen.min(axis=0), seen.max(axis=0)
    codes = 255 if precision is Precision.W8A8 else 65528
    source = dataclasses.replace(
        model.input,
        names=preparation.channels,
        scale=np.maximum(high - low, 1e-3) / codes,
        offset=(low + high) / 2,
    )
    return dataclasses.replace(model, input=source)


def bound_decisions(model, table=DECISIONS):
    """Decisions about the outputs of a model, named y0, y1 and so on."""
    sink = dataclasses.replace(
        model.output,
        names=tuple(f"y{index}" for index in range(model.output.width)),
        scale=np.full(model.output.width, 1.0 / 32768),
    )
    return Decisions.from_table(table).bound(model.input.names, sink.names), sink


def run_layer(model, front, main, folder, content):
    """Compile a layer alone with a main function; return what it writes for these bytes."""
    require("gcc")
    folder.mkdir(parents=True, exist_ok=True)
    stub = STUB.format(
        types=included(front.types),
        inputs=model.input.width,
        outputs=model.output.width,
        code=f"{model.code_dtype.name}_t",
        declarations=front.declarations,
    )
    (folder / "model.h").write_text(stub)
    (folder / "layer.c").write_text(
        '#include <stdio.h>\n#include "model.h"\n'
        + included(front.headers)
        + front.functions
        + main
    )
    tests = []
    for name, text in front.test_files("model").items():
        (folder / name).write_text(text)
        tests.append(folder / name)
    sources = [folder / "layer.c", *tests, *(NATIVE / name for name in front.sources)]
    if {"edgernn_readings.c", "edgernn_adapt.c"} & {*front.sources}:
        sources.append(NATIVE / "edgernn_border.c")
    command = ["gcc", "-O1", "-std=c99", *SANITIZERS, f"-I{NATIVE}", f"-I{folder}", "-o", "run"]
    compile_c(command, sources, folder)
    done = subprocess.run([str(folder / "run")], input=content, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout
