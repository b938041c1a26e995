"""Runs a layer around a model as firmware: its codes compared, its instructions counted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.adapt.integer_head import IntegerHead
from edgernn.errors import ShapeError
from edgernn.model.integer_model import IntegerModel
from edgernn.prepare.audio.log_mel import LogMel
from edgernn.prepare.preparation import Preparation
from edgernn_export.writers.c.kernels.files import Kernels
from edgernn_export.writers.c.preparation.adaptation import adaptation_front, state_vector
from edgernn_export.writers.c.preparation.compiled import device_preparation
from edgernn_export.writers.c.preparation.front import CFront, included
from edgernn_export.writers.c.preparation.readings import readings_front
from edgernn_export.writers.c.preparation.sound import codes_of_sound, sound_front
from edgernn_firmware_sim.emulator import FirmwareRun, run_firmware
from edgernn_firmware_sim.reference.readings import DeviceReadings
from edgernn_firmware_sim.targets import Core

#: What the harness calls: a step takes what one row of codes needs, and writes the codes.
_HEADER: Final = """\
#ifndef MODEL_H
#define MODEL_H
#include <stdint.h>
#include "edgernn_config.h"
{types}
#define MODEL_INPUTS {taken}
#define MODEL_OUTPUTS {codes}
#define MODEL_STATE_BYTES 0
typedef {taken_type} model_input_t;
#define LAYER_INPUTS {codes}
typedef {code} layer_input_t;
typedef {state} layer_state_t;
static inline void layer_step(layer_state_t *state, const layer_input_t *x, int16_t *y)
{{
    (void)state, (void)x, (void)y;
}}
{declarations}
typedef {layer} model_state_t;
void model_init(model_state_t *state);
void model_step(model_state_t *state, const model_input_t *x, int16_t *y);
#endif
"""
_SOUND: Final = """\
void model_init(model_state_t *state)
{
    layer_audio_init(state);
}

static void take(model_state_t *state, const model_input_t *x, layer_input_t *q_x)
{
    int32_t i;
    for (i = 0; i < MODEL_INPUTS; ++i) {
        if (layer_push_sample(state, x[i]) != 0) {
            layer_audio_codes(state, q_x);
        }
    }
}
"""
_READINGS: Final = """\
void model_init(model_state_t *state)
{
    layer_readings_init(state);
}

static void take(model_state_t *state, const model_input_t *x, layer_input_t *q_x)
{
    layer_prepare(state, x, 0, q_x);
}
"""
_STEP: Final = """\

void model_step(model_state_t *state, const model_input_t *x, int16_t *y)
{
    layer_input_t q_x[MODEL_OUTPUTS] = {0};
    int32_t i;
    take(state, x, q_x);
    for (i = 0; i < MODEL_OUTPUTS; ++i) {
        y[i] = q_x[i];
    }
}
"""
#: Rows of a head: the state, the outputs, the true values; each result in two halves of 16 bits.
_HEAD: Final = """\
void model_init(model_state_t *state)
{{
    layer_adaptation_init(state);
}}

void model_step(model_state_t *state, const model_input_t *x, int16_t *y)
{{
    int32_t found[2 * {outputs}] = {{0}};
    int32_t i;
    layer_adapt_values(state, x, x + {features}, found);
    if ({learns}) {{
        int32_t target[{outputs}];
        for (i = 0; i < {outputs}; ++i) {{
            target[i] = x[{features} + {outputs} + i];
        }}
        layer_learn(state, target, 0, found + {outputs});
    }}
    for (i = 0; i < 2 * {outputs}; ++i) {{
        y[2 * i] = (int16_t)(found[i] & 0x7FFF);
        y[2 * i + 1] = (int16_t)(found[i] >> 15);
    }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRun:
    """One stream through a layer on one core.

    Attributes:
        core: name of the core profile.
        compared: codes of all rows.
        differing: how many of them differ from the reference.
        instructions: of a row of codes, all that comes in for it included: least, median, most.
        firmware: everything that was measured.
    """

    core: str
    compared: int
    differing: int
    instructions: tuple[int, int, int]
    firmware: FirmwareRun


def emulate_sound(
    model: IntegerModel, of: LogMel, core: Core, samples: npt.NDArray[np.int16], folder: Path
) -> LayerRun:
    """Stream samples through the log-mel layer of a model under QEMU.

    Args:
        model: reads the features.
        of: the front end; its frame is a multiple of its hop.
        core: the emulated core.
        samples: int16 [N], at least one frame.
        folder: an empty folder for everything that is built and written.

    Raises:
        BackendUnavailable: a compiler or QEMU is missing; names the packages.
        ShapeError: no whole frame, or frames that do not consist of hops.
        EmulationError: the firmware cannot be built, faults, or links what it must not.
    """
    steps = len(samples) // of.hop
    if of.frame % of.hop or steps * of.hop < of.frame:
        raise ShapeError(
            f"emulate: expected at least a frame ({of.frame} samples), a multiple of the hop "
            f"({of.hop}), got {len(samples)} samples."
        )
    used = samples[: steps * of.hop].astype("<i2").reshape(steps, of.hop)
    front = sound_front(model, of, "layer")
    files = _sources(front, model, used, "layer_audio_t", _SOUND)
    wanted = codes_of_sound(model, of, samples[: steps * of.hop])
    return _compared(files, core, used, wanted, folder)


def emulate_readings(
    model: IntegerModel, of: Preparation, core: Core, xs: npt.NDArray[np.int32], folder: Path
) -> LayerRun:
    """Stream readings through the preparation of a model under QEMU.

    Args:
        model: reads the prepared readings.
        of: its preparation.
        core: the emulated core.
        xs: int32 [T, R], readings with the fractional bits of the device, none of them missing.
        folder: an empty folder for everything that is built and written.

    Raises:
        BackendUnavailable: a compiler or QEMU is missing; names the packages.
        UnsupportedModelError: a device cannot do all of the preparation.
        EmulationError: the firmware cannot be built, faults, or links what it must not.
    """
    front = readings_front(model, of, "layer")
    files = _sources(front, model, xs, "layer_readings_t", _READINGS)
    stream = DeviceReadings(device_preparation(of, model.input, model.precision))
    wanted = np.array([stream.push(row) for row in xs.tolist()], np.int16)
    return _compared(files, core, xs, wanted, folder)


def emulate_head(
    model: IntegerModel, core: Core, rows: npt.NDArray[np.int16], folder: Path, *, learns: bool
) -> LayerRun:
    """Stream states, outputs and true values through the head of a model under QEMU.

    Args:
        model: has an adaptation.
        core: the emulated core.
        rows: int16 [T, N + 2 O]: elements of the state that the head reads, output codes, and true
            values in the same units.
        folder: an empty folder for everything that is built and written.
        learns: whether every step is followed by learning from the true values.

    Returns:
        The run; its codes are corrected outputs and errors, in halves.

    Raises:
        BackendUnavailable: a compiler or QEMU is missing; names the packages.
        EmulationError: the firmware cannot be built, faults, or links what it must not.
    """
    of, outputs = model.adaptation, model.output.width
    if of is None:
        raise ShapeError("emulate: expected a model with an adaptation, got one without.")
    features = rows.shape[1] - 2 * outputs
    front = adaptation_front(model, of, "layer")
    calls = _HEAD.format(features=features, outputs=outputs, learns=int(learns))
    state = f"struct {{ int16_t {state_vector(model, of.state)}[{features}]; }}"
    files = _sources(front, model, rows, "layer_adaptation_t", calls, 4 * outputs, state)
    head = IntegerHead(of, features, outputs)
    found = np.zeros((len(rows), 2, outputs), np.int64)
    for row, (codes, result) in enumerate(zip(rows, found, strict=True)):
        h, q_y, target = np.split(codes, [features, features + outputs])
        result[0] = head.step(h, q_y)
        if learns and row >= of.delay:
            result[1] = head.learn(target.astype(np.int64), np.ones(outputs, np.bool_))
    halves = np.stack([found & 0x7FFF, found >> 15], axis=-1)
    return _compared(files, core, rows, halves.reshape(len(rows), -1).astype(np.int16), folder)


def _sources(
    front: CFront,
    model: IntegerModel,
    taken: npt.NDArray[Any],
    layer: str,
    calls: str,
    codes: int = 0,
    state: str = "int",
) -> dict[str, bytes]:
    """The firmware of a layer alone; with a number of codes, ``calls`` define the whole step."""
    header = _HEADER.format(
        types=included(front.types),
        taken=taken.shape[1],
        taken_type=f"{taken.dtype.name}_t",
        codes=codes or model.input.width,
        state=state,
        code=f"{model.code_dtype.name}_t",
        declarations=front.declarations,
        layer=layer,
    )
    source = '#include "model.h"\n' + included(front.headers) + front.functions + calls
    source += "" if codes else _STEP
    kernels = Kernels(None).files({*front.sources, "edgernn_border.c"})
    return {**kernels, "model.h": header.encode(), "model.c": source.encode()}


def _compared(
    files: dict[str, bytes],
    core: Core,
    taken: npt.NDArray[Any],
    wanted: npt.NDArray[np.int16],
    folder: Path,
) -> LayerRun:
    """Run the layer; rows before the first one that is wanted are not counted."""
    content = taken.astype(taken.dtype.newbyteorder("<")).tobytes()
    run = run_firmware(files, core, content, len(taken), folder, lambda _: None)
    before = len(taken) - len(wanted)
    got = np.frombuffer(run.output, "<i2").reshape(len(taken), -1)[before:]
    counts = (folder / "calls.txt").read_text("ascii").split()
    calls = sorted(int(count) for count in counts[before:])
    return LayerRun(
        core=core.name,
        compared=wanted.size,
        differing=int(np.count_nonzero(got != wanted)),
        instructions=(calls[0], calls[(len(calls) - 1) // 2], calls[-1]),
        firmware=run,
    )
