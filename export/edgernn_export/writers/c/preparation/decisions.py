"""The optional layer that decides about a model's answers (NUMERICS.md 12.6 and 12.7)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edgernn.decide.class_smoothing import ClassSmoothing
from edgernn.decide.decisions import Decisions
from edgernn.decide.threshold import Threshold
from edgernn.errors import UnsupportedModelError
from edgernn.model.interface import OutputSpec
from edgernn_export.writers.c.constants import (
    Check,
    array,
    check_array,
    comment_text,
)
from edgernn_export.writers.c.preparation.front import CFront
from edgernn_firmware_sim.reference.readings import (
    DeviceDecisions,
    DeviceMajority,
    DeviceThreshold,
)

#: Answers of the self-test.
_ANSWERS = 24
_Decision = DeviceThreshold | DeviceMajority


def device_decisions(of: Decisions, sink: OutputSpec) -> tuple[_Decision, ...]:
    """The constants of decisions on a device.

    Args:
        of: the decisions.
        sink: the output of the model.

    Raises:
        UnsupportedModelError: a decision needs time stamps or floating point; names all reasons.
    """
    reasons: list[str] = []
    found: list[_Decision] = []
    for decision in of.decisions:
        place = f"export to c: decision {decision.name!r:.60}"
        if isinstance(decision, Threshold):
            before = len(reasons)
            reasons += [f"{place}: {reason}" for reason in _timed(decision, of, sink)]
            if len(reasons) == before:
                found.append(_threshold(decision, sink))
        elif isinstance(decision, ClassSmoothing):
            outputs = tuple(sink.names.index(name) for name in decision.classes or sink.names)
            same = len({float(sink.scale[output]) for output in outputs}) == 1
            if decision.method != "majority" or not same:
                reasons.append(
                    f'{place}: expected method = "majority" of outputs with one scale, got '
                    f'"{decision.method}"{"" if same else " of outputs with several"}. A device '
                    "compares output codes."
                )
                continue
            found.append(
                DeviceMajority(name=decision.name, outputs=outputs, readings=decision.readings)
            )
        else:
            reasons.append(
                f"{place}: expected a threshold or a majority of classes, got kind = "
                f'"{decision.kind}", which needs floating point. Decide on a host, or leave it out.'
            )
    if reasons:
        raise UnsupportedModelError(reasons)
    return tuple(found)


def _timed(of: Threshold, decisions: Decisions, sink: OutputSpec) -> list[str]:
    """What a device cannot do of a threshold."""
    reasons = []
    if of.of not in sink.names:
        reasons.append(f"expected an output of the model, got {of.of!r:.60}, another decision.")
    elif decisions.softmax and sink.names.index(of.of) in _probabilities(sink):
        reasons.append(
            f"expected a real output, got {of.of!r:.60} after a softmax. A device has its logit; "
            "set the threshold for that, without softmax."
        )
    if of.on_s or of.off_s:
        reasons.append(
            f"expected no seconds, got on_s = {of.on_s:g}, off_s = {of.off_s:g}. Use on_readings "
            "and off_readings."
        )
    return reasons


def _probabilities(sink: OutputSpec) -> set[int]:
    return {index for own in sink.softmax_slices for index in range(sink.width)[own]}


def _threshold(of: Threshold, sink: OutputSpec) -> DeviceThreshold:
    output = sink.names.index(of.of)
    scale = float(sink.scale[output])
    code = _greatest_within if of.below else _least_beyond
    return DeviceThreshold(
        name=of.name,
        output=output,
        on=code(of.on, scale),
        off=code(of.off_value, scale),
        below=of.below,
        on_readings=of.on_readings,
        off_readings=of.off_readings,
    )


def _least_beyond(value: float, scale: float) -> int:
    """The least code whose real value (9.2) is at least a value; 32768 where there is none."""
    return _bisected(lambda code: code * scale >= value)


def _greatest_within(value: float, scale: float) -> int:
    """The greatest code whose real value is at most a value; -32769 where there is none."""
    return _bisected(lambda code: code * scale > value) - 1


def _bisected(holds: Callable[[int], bool]) -> int:
    """The least code from -32768 on for which a condition holds that then goes on to hold."""
    low, high = -32768, 32768
    while low < high:
        middle = math.floor((low + high) / 2)
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def decisions_front(decisions: tuple[_Decision, ...], outputs: int, prefix: str) -> CFront:
    """The layer that decides.

    Args:
        decisions: of `device_decisions`, at least one.
        outputs: of the model.
        prefix: of files and symbols.
    """
    functions, checks = _functions(decisions, prefix)
    return CFront(
        types=("edgernn_device.h",),
        declarations=_declarations(decisions, prefix),
        headers=("edgernn_readings.h",),
        sources=("edgernn_readings.c",),
        functions=functions,
        checks=tuple(checks),
        tests={"decisions": _self_test(decisions, outputs, prefix)},
    )


def _state(of: _Decision, index: int) -> str:
    if isinstance(of, DeviceThreshold):
        return f"    edgernn_switch decision_{index};\n"
    return (
        f"    edgernn_window decision_{index};\n"
        f"    int16_t ring_{index}[{of.readings}];\n"
        f"    int16_t votes_{index}[{len(of.outputs)}];\n"
    )


def _declarations(of: tuple[_Decision, ...], prefix: str) -> str:
    upper = prefix.upper()
    names = "".join(
        f"#define {upper}_DECISION_{index} {index} /* {comment_text(own.name)}: "
        f"{'1 on, 0 off' if isinstance(own, DeviceThreshold) else 'number of the class'} */\n"
        for index, own in enumerate(of)
    )
    return f"""
/* Decisions about the answers, in the order of this list. */
#define {upper}_DECISIONS {len(of)}
{names}
/* The caller owns it; one per stream. */
typedef struct {{
{"".join(_state(own, index) for index, own in enumerate(of)).rstrip()}
}} {prefix}_decisions_t;

/* The beginning of a stream. */
void {prefix}_decisions_init({prefix}_decisions_t *decisions);

/* What is decided of an answer y[{upper}_OUTPUTS]: decided[{upper}_DECISIONS]. */
void {prefix}_decide({prefix}_decisions_t *decisions, const int16_t *y, int32_t *decided);

/* Defined in {prefix}_decisions_self_test.c: how many decisions about test answers this build makes
 * differently; 0 is right. Leaves the beginning of a stream. */
int32_t {prefix}_decisions_self_test({prefix}_decisions_t *decisions);
"""


def _constants(of: _Decision, index: int) -> tuple[str, str, npt.NDArray[np.int64]]:
    """C type, name and values."""
    if isinstance(of, DeviceThreshold):
        members = [of.output, of.on, of.off, of.below, of.on_readings, of.off_readings]
        return "int32_t", f"threshold_{index}", np.array(members, np.int64)
    return "int16_t", f"majority_{index}", np.array(of.outputs, np.int64)


def _functions(of: tuple[_Decision, ...], prefix: str) -> tuple[str, list[Check]]:
    text, checks, pointers, begins, calls = "", [], [], [], []
    for index, own in enumerate(of):
        ctype, name, values = _constants(own, index)
        text += array(ctype, name, values) + "\n"
        pointers.append(f"static const {ctype} *const decision_{name} = {name};\n")
        checks.append(check_array(ctype, f"decision_{name}", name, values))
        state = f"decisions->decision_{index}"
        if isinstance(own, DeviceThreshold):
            begins += [f"{state}.count = 0;", f"{state}.is_on = 0;"]
            calls.append(
                f"decided[{index}] = edgernn_decide_threshold(decision_{name}, y, &{state});"
            )
            continue
        begins += [f"{state}.{member} = 0;" for member in ("sum", "place", "count")]
        begins.append(
            f"for (i = 0; i < {len(own.outputs)}; ++i) {{\n        "
            f"decisions->votes_{index}[i] = 0;\n    }}"
        )
        calls.append(
            f"decided[{index}] =\n        edgernn_decide_majority(decision_{name}, "
            f"{len(own.outputs)}, {own.readings}, y, &{state},\n"
            f"                                decisions->ring_{index}, decisions->votes_{index});"
        )
    counter = "    int32_t i;\n" if any(isinstance(own, DeviceMajority) for own in of) else ""
    return (
        f"""{text}{"".join(pointers)}
void {prefix}_decisions_init({prefix}_decisions_t *decisions)
{{
{counter}    {(chr(10) + "    ").join(begins)}
}}

void {prefix}_decide({prefix}_decisions_t *decisions, const int16_t *y, int32_t *decided)
{{
    {(chr(10) + "    ").join(calls)}
}}

""",
        checks,
    )


def golden_answers(of: tuple[_Decision, ...], outputs: int, count: int) -> list[list[int]]:
    """Output codes that pass every threshold, and a bit of everything."""
    rng = np.random.default_rng(13)
    answers = np.rint(rng.normal(0, 9000, (count, outputs)))
    for own in of:
        if isinstance(own, DeviceThreshold):
            near = rng.choice([own.on - 1, own.on, own.off - 1, own.off, own.off + 1], count)
            near = np.repeat(near[: -(-count // 3)], 3)[:count]
            answers[:, own.output] = np.where(rng.random(count) < 0.9, near, answers[:, own.output])
    clipped: list[list[int]] = np.clip(answers, -32768, 32767).astype(int).tolist()
    return clipped


def _self_test(of: tuple[_Decision, ...], outputs: int, prefix: str) -> str:
    upper = prefix.upper()
    answers = golden_answers(of, outputs, _ANSWERS)
    stream = DeviceDecisions(of)
    decided = [stream.push(answer) for answer in answers]
    return f"""\
#include "{prefix}.h"

/* Answers, and what is decided about them. */
{array("int16_t", "golden_answers", np.array(answers))}
{array("int32_t", "golden_decided", np.array(decided))}
int32_t {prefix}_decisions_self_test({prefix}_decisions_t *decisions)
{{
    int32_t decided[{upper}_DECISIONS];
    int32_t differing = 0;
    int32_t t;
    {prefix}_decisions_init(decisions);
    for (t = 0; t < {len(answers)}; ++t) {{
        int32_t i;
        {prefix}_decide(decisions, golden_answers + t * {upper}_OUTPUTS, decided);
        for (i = 0; i < {upper}_DECISIONS; ++i) {{
            differing += decided[i] != golden_decided[t * {upper}_DECISIONS + i] ? 1 : 0;
        }}
    }}
    {prefix}_decisions_init(decisions);
    return differing;
}}
"""
