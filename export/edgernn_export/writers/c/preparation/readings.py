"""The optional layer that makes a model's input codes of readings (NUMERICS.md 12.1 to 12.4)."""

from __future__ import annotations

import numpy as np

from edgernn.model.integer_model import IntegerModel
from edgernn.prepare.preparation import Preparation
from edgernn_export.writers.c.constants import (
    Check,
    array,
    check_array,
    check_channels,
    check_member,
    comment_text,
    record,
)
from edgernn_export.writers.c.preparation.compiled import device_preparation
from edgernn_export.writers.c.preparation.front import CFront
from edgernn_firmware_sim.reference.readings import (
    DeviceFeature,
    DevicePreparation,
    DeviceReadings,
    FeatureKind,
)

#: Readings of the self-test.
_READINGS = 24


def readings_front(model: IntegerModel, of: Preparation, prefix: str) -> CFront:
    """The layer that makes input codes of readings.

    Args:
        model: that reads the prepared readings.
        of: the preparation.
        prefix: of files and symbols.

    Raises:
        UnsupportedModelError: the preparation needs more than a device can do; names all reasons.
    """
    device = device_preparation(of, model.input, model.precision)
    functions, checks = _functions(device, prefix)
    return CFront(
        types=("edgernn_device.h",),
        declarations=_declarations(device, prefix),
        headers=("edgernn_readings.h",),
        sources=("edgernn_readings.c",),
        functions=functions,
        checks=tuple(checks),
        tests={"readings": _self_test(device, prefix)},
    )


def ring_values(of: DeviceFeature) -> int:
    """Values that a feature keeps."""
    return 0 if of.kind is FeatureKind.VALUE else of.readings + of.kind.looks_back


def _declarations(of: DevicePreparation, prefix: str) -> str:
    upper = prefix.upper()
    bits = "".join(
        f"#define {upper}_RAW_{index}_FRAC_BITS ({channel.frac_bits}) "
        f"/* {comment_text(channel.name)} */\n"
        for index, channel in enumerate(of.channels)
    )
    return f"""
/* Readings before the preparation: x[i] = reading * 2^{upper}_RAW_<i>_FRAC_BITS rounded to int32_t,
 * once per period of the model. */
#define {upper}_RAW_INPUTS {len(of.channels)}
{bits}
/* The caller owns it; one per stream. */
typedef struct {{
    edgernn_window windows[{upper}_INPUTS];
    int16_t values[{upper}_RAW_INPUTS];
    int16_t rings[{max(1, sum(map(ring_values, of.features)))}];
}} {prefix}_readings_t;

/* The beginning of a stream. */
void {prefix}_readings_init({prefix}_readings_t *readings);

/* Input codes of one reading x[{upper}_RAW_INPUTS]. missing[i] other than 0: the reading of channel
 * i is missing, and the one before is held; missing may be 0. */
void {prefix}_prepare({prefix}_readings_t *readings, const int32_t *x, const uint8_t *missing,
                      {prefix}_input_t *q_x);

/* Defined in {prefix}_readings_self_test.c: how many codes of test readings this build computes
 * differently; 0 is right. Leaves the beginning of a stream. */
int32_t {prefix}_readings_self_test({prefix}_readings_t *readings);
"""


def feature_members(of: DeviceFeature) -> list[int]:
    """Constants in the order of edgernn_readings.h."""
    return [
        of.channel, of.kind, ring_values(of), of.least, of.greatest, of.fraction, of.multiplier,
        of.bias, of.shift, of.low, of.high,
    ]  # fmt: skip


def _functions(of: DevicePreparation, prefix: str) -> tuple[str, list[Check]]:
    upper = prefix.upper()
    channels = [(c.center, c.reach, c.multiplier, c.shift) for c in of.channels]
    features = np.array([feature_members(feature) for feature in of.features])
    text = (
        record(
            "edgernn_input_channel",
            f"raw_input_channels[{len(channels)}]",
            [f"{{{center}, {reach}, {m}u, {shift}}}" for center, reach, m, shift in channels],
        )
        + "\n"
        + array("int32_t", "preparation_features", features)
        + "\n"
        + record(
            "edgernn_preparation",
            "preparation",
            [str(len(channels)), str(len(features)), "preparation_features"],
        )
    )
    checks = [
        check_channels("input", channels, "raw_"),
        check_member("preparation.channels", len(channels)),
        check_member("preparation.features", len(features)),
        check_array("int32_t", "preparation.of_features", "preparation_features", features),
    ]
    factor = f"{of.step} * " if of.step > 1 else ""
    return (
        f"""{text}
void {prefix}_readings_init({prefix}_readings_t *readings)
{{
    edgernn_begin_readings(&preparation, readings->values, readings->windows);
}}

void {prefix}_prepare({prefix}_readings_t *readings, const int32_t *x, const uint8_t *missing,
                      {prefix}_input_t *q_x)
{{
    int16_t codes[{upper}_INPUTS];
    int32_t i;
    edgernn_prepare(&preparation, raw_input_channels, x, missing, readings->values,
                    readings->windows, readings->rings, codes);
    for (i = 0; i < {upper}_INPUTS; ++i) {{
        q_x[i] = ({prefix}_input_t)({factor}codes[i]);
    }}
}}

""",
        checks,
    )


def golden_readings(of: DevicePreparation, count: int, seed: int = 12) -> list[list[int | None]]:
    """Readings of a device that reach beyond the range of every channel; some are missing."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(0, 0.35, (count, len(of.channels))), axis=0)
    rows: list[list[int | None]] = []
    for row, spike, lost in zip(
        walk, rng.random(walk.shape) < 0.05, rng.random(walk.shape) < 0.1, strict=True
    ):
        reading: list[int | None] = []
        for c, w, high, gone in zip(
            of.channels, row.tolist(), spike.tolist(), lost.tolist(), strict=True
        ):
            x = c.center + int(c.reach * (1.5 if high else max(-1.2, min(w, 1.2))))
            reading.append(None if gone else max(-(1 << 31), min(x, (1 << 31) - 1)))
        rows.append(reading)
    return rows


def _self_test(of: DevicePreparation, prefix: str) -> str:
    upper = prefix.upper()
    readings = golden_readings(of, _READINGS)
    stream = DeviceReadings(of)
    codes = [stream.push(reading) for reading in readings]
    xs = [0 if x is None else x for reading in readings for x in reading]
    missing = [int(x is None) for reading in readings for x in reading]
    return f"""\
#include "{prefix}.h"

/* Readings, which of them are missing, and the input codes. */
{array("int32_t", "golden_readings", xs)}
{array("uint8_t", "golden_missing", missing)}
{array(f"{prefix}_input_t", "golden_codes", np.array(codes))}
int32_t {prefix}_readings_self_test({prefix}_readings_t *readings)
{{
    {prefix}_input_t q_x[{upper}_INPUTS];
    int32_t differing = 0;
    int32_t t;
    {prefix}_readings_init(readings);
    for (t = 0; t < {len(readings)}; ++t) {{
        const int32_t at = t * {upper}_RAW_INPUTS;
        int32_t i;
        {prefix}_prepare(readings, golden_readings + at, golden_missing + at, q_x);
        for (i = 0; i < {upper}_INPUTS; ++i) {{
            differing += q_x[i] != golden_codes[t * {upper}_INPUTS + i] ? 1 : 0;
        }}
    }}
    {prefix}_readings_init(readings);
    return differing;
}}
"""
