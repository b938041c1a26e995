"""The optional layer that corrects a model's outputs and learns (NUMERICS.md section 14)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.adapt.adaptation import Adaptation
from edgernn.adapt.integer_head import MAX_TARGET, OWN_FEATURES, IntegerHead
from edgernn.model.integer_model import IntegerModel
from edgernn_export.writers.c.border import InputChannel, channel_constants
from edgernn_export.writers.c.constants import (
    Check,
    array,
    check_array,
    check_channels,
    comment_text,
    record,
)
from edgernn_export.writers.c.layers import CLayer
from edgernn_export.writers.c.preparation.front import CFront

#: Steps that the self-test compares, behind those of the delay.
_ROWS: Final = 12


def constants_of(of: Adaptation, features: int, outputs: int) -> npt.NDArray[np.int64]:
    """Constants in the order of edgernn_adapt.h.

    Args:
        of: the settings.
        features: elements of the state.
        outputs: of the model.
    """
    members = [
        features, outputs, of.rate_code, of.leak_shift, of.limit_code, of.error_code, of.delay + 1,
    ]  # fmt: skip
    return np.array(members, np.int64)


def adaptation_front(model: IntegerModel, of: Adaptation, prefix: str) -> CFront:
    """The layer that learns.

    Args:
        model: the integer model.
        of: how its head learns, with the name of the state.
        prefix: of files and symbols.
    """
    features = next(spec.units for spec in model.states if spec.name == of.state)
    functions, checks = _functions(model, of, features, prefix)
    return CFront(
        types=("edgernn_device.h",),
        declarations=_declarations(model, of, features, prefix),
        headers=("edgernn_adapt.h",),
        sources=("edgernn_adapt.c",),
        functions=functions,
        checks=tuple(checks),
        tests={"adaptation": _self_test(of, features, model.output.width, prefix)},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """Constants of the border of an output that is corrected (clause 14.7).

    Attributes:
        channel: of true values, whose fractional bits corrected outputs have, too.
        multiplier: y = code * multiplier / 2^20; uint32.
    """

    channel: InputChannel
    multiplier: int


def _targets(model: IntegerModel) -> list[_Target]:
    """One for every output."""
    found = []
    for scale in model.output.scale:
        step = Fraction(float(scale))
        channel = channel_constants(step, Fraction(0), MAX_TARGET)
        assert channel is not None  # the reach of 2^18 steps leaves 11 bits below a code
        units = step * Fraction(2) ** (channel.frac_bits + 20)
        found.append(_Target(channel=channel, multiplier=min(round(units), 2**32 - 1)))
    return found


def state_vector(model: IntegerModel, name: str) -> str:
    """The member of the state struct that holds a state.

    Args:
        model: the integer model.
        name: of one of its states.
    """
    for index, layer in enumerate(model.layers):
        made = CLayer(index=index, layer=layer, precision=model.precision)
        for vector, spec in zip(made.vectors, layer.states, strict=True):
            if spec.name == name:
                return vector
    raise AssertionError(name)  # the model was checked


def _declarations(model: IntegerModel, of: Adaptation, features: int, prefix: str) -> str:
    upper, sink = prefix.upper(), model.output
    bits = "".join(
        f"#define {upper}_TARGET_{index}_FRAC_BITS ({target.channel.frac_bits}) /* "
        f"{comment_text(sink.names[index])} [{comment_text(sink.units[index])}] */\n"
        for index, target in enumerate(_targets(model))
    )
    width = features + OWN_FEATURES
    return f"""
/* A head that corrects the outputs, and learns from their true values. */
{bits}#define {upper}_ADAPTATION_DELAY {of.delay} /* steps that true values are late */

/* The caller owns it; one per stream. Save it to keep what was learned. */
typedef struct {{
    int32_t weights[{sink.width * width}];
    edgernn_steps kept;
    int16_t answers[{(of.delay + 1) * sink.width}];
    int8_t operands[{(of.delay + 1) * features}];
}} {prefix}_adaptation_t;

/* Nothing learned: outputs are those of the model. */
void {prefix}_adaptation_init({prefix}_adaptation_t *adaptation);

/* Corrects the outputs y[{upper}_OUTPUTS] of the step after which the state is `state`:
 * corrected[{upper}_OUTPUTS], codes of the same scale beyond int16 too. Call it once per step. */
void {prefix}_adapt({prefix}_adaptation_t *adaptation, const {prefix}_state_t *state,
                    const int16_t *y, int32_t *corrected);

/* The same of the elements h[{features}] of the state that the head reads. */
void {prefix}_adapt_values({prefix}_adaptation_t *adaptation, const int16_t *h, const int16_t *y,
                           int32_t *corrected);

/* Learns from the true values target[{upper}_OUTPUTS] of the step {of.delay} steps before the last
 * one. missing[i] other than 0: output i has none; missing 0: all have one. error: true values less
 * corrected outputs, before learning. 0: too few steps, nothing changed. */
int32_t {prefix}_learn({prefix}_adaptation_t *adaptation, const int32_t *target,
                       const uint8_t *missing, int32_t *error);

/* Codes of true values, x[i] = value * 2^{upper}_TARGET_<i>_FRAC_BITS rounded to int32_t; and
 * y[i] = output * 2^{upper}_TARGET_<i>_FRAC_BITS of corrected outputs. */
void {prefix}_quantize_target(const int32_t *x, int32_t *target);
void {prefix}_dequantize_corrected(const int32_t *corrected, int32_t *y);

/* Defined in {prefix}_adaptation_self_test.c: how many values this build computes differently; 0 is
 * right. Leaves a head that learned nothing. */
int32_t {prefix}_adaptation_self_test({prefix}_adaptation_t *adaptation);
"""


def _functions(
    model: IntegerModel, of: Adaptation, features: int, prefix: str
) -> tuple[str, list[Check]]:
    constants = constants_of(of, features, model.output.width)
    targets = _targets(model)
    inputs = [
        (t.channel.center, t.channel.reach, t.channel.multiplier, t.channel.shift) for t in targets
    ]
    outputs = [(t.multiplier,) for t in targets]
    count = len(targets)
    channels = record(
        "edgernn_input_channel",
        f"target_input_channels[{count}]",
        [f"{{{center}, {reach}, {m}u, {shift}}}" for center, reach, m, shift in inputs],
    ) + record(
        "edgernn_output_channel",
        f"target_output_channels[{count}]",
        [f"{{{m}u}}" for (m,) in outputs],
    )
    text = f"""\
{array("int32_t", "constants_of_head", constants)}
static const int32_t *const head_constants = constants_of_head;
{channels}
void {prefix}_adaptation_init({prefix}_adaptation_t *adaptation)
{{
    edgernn_head_begin(head_constants, adaptation->weights, &adaptation->kept);
}}

void {prefix}_adapt_values({prefix}_adaptation_t *adaptation, const int16_t *h, const int16_t *y,
                           int32_t *corrected)
{{
    edgernn_head_step(head_constants, adaptation->weights, &adaptation->kept,
                      adaptation->operands, adaptation->answers, h, y, corrected);
}}

void {prefix}_adapt({prefix}_adaptation_t *adaptation, const {prefix}_state_t *state,
                    const int16_t *y, int32_t *corrected)
{{
    {prefix}_adapt_values(adaptation, state->{state_vector(model, of.state)}, y, corrected);
}}

int32_t {prefix}_learn({prefix}_adaptation_t *adaptation, const int32_t *target,
                       const uint8_t *missing, int32_t *error)
{{
    return edgernn_head_learn(head_constants, adaptation->weights, &adaptation->kept,
                              adaptation->operands, adaptation->answers, target, missing, error);
}}

void {prefix}_quantize_target(const int32_t *x, int32_t *target)
{{
    int32_t i;
    for (i = 0; i < {count}; ++i) {{
        target[i] = edgernn_channel_code(&target_input_channels[i], x[i]);
    }}
}}

void {prefix}_dequantize_corrected(const int32_t *corrected, int32_t *y)
{{
    int32_t i;
    for (i = 0; i < {count}; ++i) {{
        y[i] = edgernn_wide_value(target_output_channels[i].multiplier, corrected[i]);
    }}
}}

"""
    return text, [
        check_array("int32_t", "head_constants", "constants_of_head", constants),
        check_channels("input", inputs, "target_"),
        check_channels("output", outputs, "target_"),
    ]


def golden_steps(
    features: int, outputs: int, count: int
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16], npt.NDArray[np.int64]]:
    """States [T, N], output codes [T, O] and true values [T, O] of a test.

    Args:
        features: elements of the state.
        outputs: of the model.
        count: of steps.
    """
    rng = np.random.default_rng(14)
    states = rng.integers(-32768, 32768, (count, features))
    answers = np.clip(np.rint(rng.normal(0, 9000, (count, outputs))), -32768, 32767)
    targets = np.rint(answers * 1.5 + 5000 + rng.normal(0, 3000, answers.shape))
    targets[rng.random(answers.shape) < 0.05] = 2**17
    return states.astype(np.int16), answers.astype(np.int16), targets.astype(np.int64)


def _self_test(of: Adaptation, features: int, outputs: int, prefix: str) -> str:
    upper = prefix.upper()
    states, answers, targets = golden_steps(features, outputs, _ROWS)
    head = IntegerHead(of, features, outputs)
    corrected, errors = [], []
    for t in range(of.delay + _ROWS):
        row = t % _ROWS
        corrected.append(head.step(states[row], answers[row]))
        known = np.array([(t + i) % 5 != 4 for i in range(outputs)])
        found = head.learn(targets[row], known)
        errors.append(np.zeros(outputs, np.int64) if found is None else np.where(known, found, 0))
    return f"""\
#include "{prefix}.h"

/* States and outputs, which repeat, true values, corrected outputs and errors. */
{array("int16_t", "golden_states", states)}
{array("int16_t", "golden_answers", answers)}
{array("int32_t", "golden_targets", targets)}
{array("int32_t", "golden_corrected", np.array(corrected[-_ROWS:]))}
{array("int32_t", "golden_errors", np.array(errors[-_ROWS:]))}
int32_t {prefix}_adaptation_self_test({prefix}_adaptation_t *adaptation)
{{
    int32_t corrected[{upper}_OUTPUTS];
    int32_t error[{upper}_OUTPUTS];
    uint8_t missing[{upper}_OUTPUTS];
    int32_t differing = 0;
    int32_t t;
    {prefix}_adaptation_init(adaptation);
    for (t = 0; t < {of.delay + _ROWS}; ++t) {{
        const int32_t row = t % {_ROWS};
        int32_t i;
        {prefix}_adapt_values(adaptation, golden_states + row * {features},
                              golden_answers + row * {upper}_OUTPUTS, corrected);
        for (i = 0; i < {upper}_OUTPUTS; ++i) {{
            missing[i] = (uint8_t)((t + i) % 5 == 4 ? 1 : 0);
        }}
        {prefix}_learn(adaptation, golden_targets + row * {upper}_OUTPUTS, missing, error);
        for (i = 0; i < {upper}_OUTPUTS && t >= {of.delay}; ++i) {{
            const int32_t at = (t - {of.delay}) * {upper}_OUTPUTS + i;
            differing += corrected[i] != golden_corrected[at] ? 1 : 0;
            differing += error[i] != golden_errors[at] ? 1 : 0;
        }}
    }}
    {prefix}_adaptation_init(adaptation);
    return differing;
}}
"""
