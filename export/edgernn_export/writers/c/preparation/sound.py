"""The optional layer in front of a model that makes its input codes of sound (NUMERICS.md 11)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import UnsupportedModelError
from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.prepare.audio.codes import codes_of_levels, level_codes
from edgernn.prepare.audio.front_end import FrontEnd
from edgernn.prepare.audio.log_mel import LogMel
from edgernn.prepare.audio.tables import make_tables
from edgernn_export.writers.c.constants import (
    Check,
    array,
    check_array,
    check_member,
    check_no_array,
    record,
)
from edgernn_export.writers.c.preparation.front import CFront

#: Frames of the self-test.
_FRAMES: Final = 3


def sound_front(model: IntegerModel, of: LogMel, prefix: str) -> CFront:
    """The layer that makes input codes of samples.

    Args:
        model: that reads the features.
        of: the front end.
        prefix: of files and symbols.

    Raises:
        UnsupportedModelError: the model has other inputs, or tokens; names all reasons.
        DeclarationError: the codes of a channel are too fine.
    """
    reasons = []
    if model.input.width != of.width:
        reasons.append(
            f"export to c: expected a model with {of.width} inputs, one for each feature of the "
            f"log-mel front end, got {model.input.width}."
        )
    preparation = model.preparation
    if preparation is not None and preparation.channels != of.outputs:
        reasons.append(
            "export to c: expected a model that reads all features of its log-mel front end in "
            f"their order, got {', '.join(preparation.channels)!r:.80}."
        )
    if model.input.vocabulary:
        reasons.append(
            "export to c: expected inputs without tokens behind a log-mel front end, got tokens."
        )
    if reasons:
        raise UnsupportedModelError(reasons)
    functions, checks = _functions(model, of, prefix)
    return CFront(
        types=("edgernn_sound.h",),
        declarations=_declarations(model, of, prefix),
        headers=("edgernn_log_mel.h",),
        sources=("edgernn_log_mel.c",),
        functions=functions,
        checks=tuple(checks),
        tests={"audio": _self_test(model, of, prefix)},
    )


def _declarations(model: IntegerModel, of: LogMel, prefix: str) -> str:
    """Macros, state and prototypes."""
    upper = prefix.upper()
    answered = (
        "how many frames were complete"
        if model.window is None and model.rate is None
        else "how many answers there were"
    )
    return f"""
/* Sound in front of the network: {of.bands} mel bands of a frame every {of.step_ms:g} ms. */
#define {upper}_SAMPLE_RATE_HZ {of.rate_hz}
#define {upper}_FRAME {of.frame}
#define {upper}_HOP {of.hop} /* samples between frames */

/* The caller owns it; one per stream of samples. */
typedef struct {{
    edgernn_sound sound;
    int16_t ring[{upper}_FRAME];
    /* Scratch, worth nothing between calls. */
    int16_t z[{of.transform}];
    int32_t levels[{of.bands}];
}} {prefix}_audio_t;

/* The beginning of a stream of samples. */
void {prefix}_audio_init({prefix}_audio_t *audio);

/* One sample; short enough for an interrupt. 1: a frame is complete. Call {prefix}_audio_codes
 * before the next sample. */
int32_t {prefix}_push_sample({prefix}_audio_t *audio, int16_t sample);

/* Input codes of the complete frame. */
void {prefix}_audio_codes({prefix}_audio_t *audio, {prefix}_input_t *q_x);

/* Samples through the front end and the network. Returns {answered}; y is the last one. */
int32_t {prefix}_push_samples({prefix}_state_t *state, {prefix}_audio_t *audio,
    const int16_t *samples, int32_t count, int16_t *y);

/* Defined in {prefix}_audio_self_test.c: how many codes of test samples this build computes
 * differently; 0 is right. Leaves the beginning of a stream. */
int32_t {prefix}_audio_self_test({prefix}_audio_t *audio);
"""


def _functions(model: IntegerModel, of: LogMel, prefix: str) -> tuple[str, list[Check]]:
    """Constants and functions, and the checks of the constants."""
    upper = prefix.upper()
    constants, checks = _constants(model, of)
    width = "8" if model.precision is Precision.W8A8 else "16"
    answers = model.window is not None or model.rate is not None
    step = f"{prefix}_step(state, x, y)"
    return (
        f"""{constants}
void {prefix}_audio_init({prefix}_audio_t *audio)
{{
    edgernn_begin_sound(&front_end, &audio->sound);
}}

int32_t {prefix}_push_sample({prefix}_audio_t *audio, int16_t sample)
{{
    return edgernn_push_sample(&front_end, &audio->sound, audio->ring, sample);
}}

void {prefix}_audio_codes({prefix}_audio_t *audio, {prefix}_input_t *q_x)
{{
    edgernn_levels(&front_end, &audio->sound, audio->ring, audio->z, audio->levels);
    edgernn_level_codes{width}(&front_end, audio->levels, q_x);
}}

int32_t {prefix}_push_samples({prefix}_state_t *state, {prefix}_audio_t *audio,
    const int16_t *samples, int32_t count, int16_t *y)
{{
    int32_t answers = 0;
    int32_t i;
    for (i = 0; i < count; ++i) {{
        if ({prefix}_push_sample(audio, samples[i]) != 0) {{
            {prefix}_input_t x[{upper}_INPUTS];
            {prefix}_audio_codes(audio, x);
            {f"answers += {step};" if answers else f"{step};{chr(10)}            ++answers;"}
        }}
    }}
    return answers;
}}

""",
        checks,
    )


def _self_test(model: IntegerModel, of: LogMel, prefix: str) -> str:
    """A source that tests the layer: samples, the codes of their frames, and a comparison."""
    upper = prefix.upper()
    samples, codes = golden_sound(model, of)
    return f"""\
#include "{prefix}.h"

/* Samples, and the input codes of their frames. */
{array("int16_t", "golden_samples", samples)}
{array(f"{prefix}_input_t", "golden_codes", codes)}
int32_t {prefix}_audio_self_test({prefix}_audio_t *audio)
{{
    const {prefix}_input_t *wanted = golden_codes;
    {prefix}_input_t x[{upper}_INPUTS];
    int32_t differing = 0;
    int32_t i;
    {prefix}_audio_init(audio);
    for (i = 0; i < {len(samples)}; ++i) {{
        int32_t j;
        if ({prefix}_push_sample(audio, golden_samples[i]) == 0) {{
            continue;
        }}
        {prefix}_audio_codes(audio, x);
        for (j = 0; j < {upper}_INPUTS; ++j) {{
            differing += x[j] != *wanted ? 1 : 0;
            ++wanted;
        }}
    }}
    {prefix}_audio_init(audio);
    return differing;
}}
"""


def golden_sound(
    model: IntegerModel, of: LogMel
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    """Samples int16 [N] and their codes int16 [frames, I], which a device must reproduce."""
    rng = np.random.default_rng(11)
    count = of.frame + (_FRAMES - 1) * of.hop
    swell = np.geomspace(1.0, 12_000.0, count)
    samples = np.clip(np.rint(rng.standard_normal(count) * swell), -32768, 32767).astype(np.int16)
    return samples, codes_of_sound(model, of, samples)


def codes_of_sound(
    model: IntegerModel, of: LogMel, samples: npt.NDArray[np.int16]
) -> npt.NDArray[np.int16]:
    """What the layer makes of samples [N] from the beginning of a stream: int16 [frames, I]."""
    levels = FrontEnd(of).stream().push_levels(samples)
    return codes_of_levels(levels, _codes(model, of), wide=model.precision is Precision.W8A16)


def _codes(model: IntegerModel, of: LogMel) -> Any:
    source, wide = model.input, model.precision is Precision.W8A16
    return level_codes(of, source.scale, source.offset, wide=wide)


def _constants(model: IntegerModel, of: LogMel) -> tuple[str, list[Check]]:
    tables = make_tables(of)
    codes = np.array([(c.multiplier, c.bias, c.shift) for c in _codes(model, of)])
    arrays: dict[str, tuple[str, npt.NDArray[Any]]] = {
        "window": ("int16_t", tables.window),
        "twiddles": ("int16_t", tables.twiddles[1:]),
        "split": ("int16_t", tables.split),
        "rising": ("int16_t", tables.rising),
        "segments": ("int16_t", tables.segments),
        "floors": ("int32_t", tables.floors),
        "exponents": ("int32_t", tables.exponents),
        "cosines": ("int16_t", tables.cosines),
        "codes": ("int32_t", codes),
    }
    numbers = {
        "frame": of.frame, "hop": of.hop, "half": of.transform // 2, "bands": of.bands,
        "first_bin": tables.first_bin, "emphasis": tables.emphasis,
        "coefficients": of.coefficients,
    }  # fmt: skip
    order = (
        "frame", "hop", "half", "bands", "first_bin", "window", "twiddles", "split", "rising",
        "segments", "floors", "exponents", "emphasis", "coefficients", "cosines", "codes",
    )  # fmt: skip
    text, members, checks = "", [], []
    for name in order:
        member = f"front_end.{name}"
        if name in numbers:
            members.append(str(numbers[name]))
            checks.append(check_member(member, numbers[name]))
            continue
        ctype, values = arrays[name]
        if values.size == 0:
            members.append("0")
            checks.append(check_no_array(ctype, member))
            continue
        text += array(ctype, f"front_end_{name}", values) + "\n"
        members.append(f"front_end_{name}")
        checks.append(check_array(ctype, member, f"front_end_{name}", values))
    return text + record("edgernn_log_mel", "front_end", members), checks
