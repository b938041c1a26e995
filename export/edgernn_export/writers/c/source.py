"""An integer model as C99: constants, and a step that reads like the network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from edgernn import __version__
from edgernn.errors import EdgeRnnError
from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Golden
from edgernn.model.storage import Storage
from edgernn_export.writers.c import rate as rates
from edgernn_export.writers.c.border import (
    channel_records,
    input_channels,
    output_channels,
    port_names,
    quantize_sentence,
    softmax_sentence,
)
from edgernn_export.writers.c.constants import check_function, comment_text, identifier
from edgernn_export.writers.c.kernels.amalgamation import Amalgamation
from edgernn_export.writers.c.kernels.files import (
    STORAGE_HEADER,
    Kernels,
    checked_core,
    native_text,
    storage_checks,
    storage_header,
    storage_macros,
)
from edgernn_export.writers.c.masking.masked_steps import CMask, c_mask
from edgernn_export.writers.c.preparation.front import CFront, included
from edgernn_export.writers.c.preparation.layers import model_layers
from edgernn_export.writers.c.preparation.token_scoring import with_decoding
from edgernn_export.writers.c.self_test import self_test_files
from edgernn_export.writers.c.step import CStep, c_step
from edgernn_export.writers.c.window import (
    last_reading,
    network_of_a_window,
    steps_of_a_window,
    window_functions,
    window_header,
    window_prototypes,
    window_state,
)

#: Sources every model needs; their headers are for every core, `edgernn_config.h` chooses.
SHARED_SOURCES: Final = (
    "edgernn_affine.c", "edgernn_border.c", "edgernn_check.c", "edgernn_tables.c",
)  # fmt: skip


def write_c(
    model: IntegerModel,
    golden: Golden,
    *,
    prefix: str = "model",
    core: str | None = None,
    amalgamate: bool = False,
    network_only: bool = False,
) -> dict[str, bytes]:
    """Write an integer model as C99 sources with the kernels they need.

    Args:
        model: the integer model.
        golden: the stream of the self-test.
        prefix: what every emitted symbol and file name begins with; characters that no C
            identifier has become '_'.
        core: of `edgernn targets`, whose kernels alone are written; "host" or None for those of
            every core.
        amalgamate: the kernels are in the model's own source and header. The folder also contains
            its self-test, with the golden stream in it, and the programs that call it.
        network_only: leave out the layers of the model's preparation and decisions.

    Returns:
        Contents by path in a folder; same model, same bytes.

    Raises:
        EdgeRnnError: the prefix or the core is none, or int32 readings cannot resolve the codes
            of an input.
        UnsupportedModelError: a device cannot do all of the model's preparation and decisions;
            names all reasons.
    """
    prefix = checked_prefix(prefix)
    step = c_step(model)
    front = CFront() if network_only else model_layers(model, prefix)
    if not amalgamate:  # a program cannot call kernels inside the model's source
        front = with_decoding(front, model, prefix)
    mask = c_mask(model, prefix)
    head = _provenance(model)
    texts: dict[str, str] = {
        f"{prefix}.h": head + _header(model, step, prefix, front, mask),
        f"{prefix}.c": head + _source(model, step, prefix, front, mask),
        **{
            n: head + t
            for n, t in self_test_files(model, golden, step.layers, prefix, front).items()
        },
    }
    of_layers = {file for layer in step.layers for file in layer.files}
    sources = sorted({
        *SHARED_SOURCES, *of_layers, *rates.start_files(model)[0], *front.sources,
    })  # fmt: skip
    return joined_files(texts, sources, model.storages, prefix, core=core, amalgamate=amalgamate)


def joined_files(
    texts: dict[str, str],
    sources: list[str],
    storages: frozenset[Storage],
    prefix: str,
    *,
    core: str | None,
    amalgamate: bool,
) -> dict[str, bytes]:
    """The files of a model, or of programs, with their kernels.

    Args:
        texts: header, source, self-test and its vectors, and what calls it, by name.
        sources: of the kernels.
        storages: that weights have.
        prefix: of the names.
        core: as in `write_c`.
        amalgamate: as in `write_c`.

    Raises:
        EdgeRnnError: there is no such core.
    """
    kernels = Kernels(checked_core(core))
    header = storage_header(native_text(STORAGE_HEADER), storages)
    if amalgamate:
        texts[STORAGE_HEADER] = header
        joined = Amalgamation(kernels, texts, storage_macros(storages))
        texts = joined.files(prefix, sources)
        return {name: text.encode("ascii") for name, text in texts.items()}
    files = kernels.files(["edgernn_kernels.h", *sources])
    files[STORAGE_HEADER] = header.encode("ascii")
    return {**{name: text.encode("ascii") for name, text in texts.items()}, **files}


def checked_prefix(prefix: str) -> str:
    """A prefix as a C identifier.

    Raises:
        EdgeRnnError: it is none.
    """
    name = identifier(prefix)
    if not re.match(r"[A-Za-z]", name) or name.lower().startswith("edgernn"):
        raise EdgeRnnError(
            "export to c: expected a prefix that starts with a letter and not with 'edgernn', "
            f"which the kernels use, got {prefix!r:.60}. Choose another prefix."
        )
    return name


def _provenance(model: IntegerModel) -> str:
    origin = model.provenance
    versions = "".join(
        f" *   {comment_text(package)} {comment_text(version)}\n"
        for package, version in origin.versions
    )
    return (
        f"/* {comment_text(model.name)}, {model.precision_label}: written by edgernn "
        f"{__version__}; do not edit.\n"
        f" * model sha256       {comment_text(model.sha256)}\n"
        f" * float model sha256 {comment_text(origin.float_model_sha256)}\n"
        f" * calibration sha256 {comment_text(origin.calibration_sha256)}\n"
        f"{versions} */\n"
    )


def _header(model: IntegerModel, step: CStep, prefix: str, front: CFront, mask: CMask) -> str:
    upper = prefix.upper()
    code = f"{model.code_dtype.name}_t"
    softmax = f"\n * {softmax_sentence(model.output, 'y')}" if model.output.softmax else ""
    types = included(front.types)
    return f"""#ifndef {upper}_H
#define {upper}_H

#include <stdint.h>

#include "edgernn_kernels.h"
{types}
#ifdef __cplusplus
extern "C" {{
#endif

#define {upper}_INPUTS {model.input.width}
#define {upper}_OUTPUTS {model.output.width}
{port_macros(model, upper)}\
{_stream_macros(model, upper)}\
#define {upper}_STATE_BYTES {carried_bytes(model)} /* the state that {prefix}_step keeps */
#define {upper}_RAM_BYTES ((int32_t)sizeof({prefix}_state_t)) /* that and scratch */

{channel_bits(model, upper)}
typedef {code} {prefix}_input_t; /* an input code: NUMERICS.md clause 2.3 */

/* The caller owns it; one per stream. Its first {upper}_STATE_BYTES bytes are the state: save and
 * restore them to continue with a stream. */
typedef struct {{
{_state_members(model, step, prefix)}
}} {prefix}_state_t;

{_prototypes(model, prefix, softmax)}
{mask.declarations}
/* Codes of readings, x[i] = reading * 2^{upper}_INPUT_<i>_FRAC_BITS rounded to int32_t.\
{quantize_sentence(model.input)} */
void {prefix}_quantize_input(const int32_t *x, {prefix}_input_t *q_x);

/* Optional: adds 1 to counts[i] where the reading x[i] lies beyond the calibrated range and was
 * clipped. A count that grows says that the network answers what it was not made for. */
void {prefix}_count_clipped(const int32_t *x, uint32_t *counts);

/* Outputs y[i] = output * 2^{upper}_OUTPUT_<i>_FRAC_BITS of output codes, within 0.75. */
void {prefix}_dequantize_output(const int16_t *q_y, int32_t *y);

/* Defined in {prefix}_self_test.c: how many values of the golden stream this build computes
 * differently; 0 is right. Leaves the zero state. */
int32_t {prefix}_self_test({prefix}_state_t *state);

/* 0: the network's constants in this program are those that were exported. 1: they are not. */
int32_t {prefix}_check(void);
{front.declarations}
#ifdef __cplusplus
}}
#endif

#endif
"""


def port_macros(model: IntegerModel, upper: str) -> str:
    """First channel and width of every input and output, where there are several."""
    lines = []
    for side, ports in (("INPUT", model.input.ports), ("OUTPUT", model.output.ports)):
        first = 0
        for name, port in zip(port_names(ports), ports, strict=True):
            lines.append(
                f"#define {upper}_{side}_{name}_FIRST {first} /* {comment_text(port.name)} */\n"
                f"#define {upper}_{side}_{name}_WIDTH {port.width}\n"
            )
            first += port.width
    return "".join(lines)


def channel_bits(model: IntegerModel, upper: str) -> str:
    """Fractional bits of every channel, with its name and its unit."""
    source, sink = model.input, model.output
    lines = []
    for i, channel in enumerate(input_channels(source, model.precision)):
        what = f"{comment_text(source.names[i])} [{comment_text(source.units[i])}]"
        if source.vocabulary and source.vocabulary[i]:
            lines.append(
                f"/* {what}: a token, 0 to {source.vocabulary[i] - 1}, which is its own code. */\n"
                f"#define {upper}_INPUT_{i}_FRAC_BITS (0)\n"
            )
            continue
        doubt = 1 - channel.shift + (2 if model.precision is Precision.W8A16 else 0)
        lines.append(
            f"/* {what}: the code is that of NUMERICS.md clause 9.1, or a neighboring one for\n"
            f" * readings within 2^{doubt} codes of a rounding boundary. */\n"
            f"#define {upper}_INPUT_{i}_FRAC_BITS ({channel.frac_bits})\n"
        )
    for i, sunk in enumerate(output_channels(sink)):
        what = f"{comment_text(sink.names[i])} [{comment_text(sink.units[i])}]"
        lines.append(f"/* {what} */\n#define {upper}_OUTPUT_{i}_FRAC_BITS ({sunk.frac_bits})\n")
    return "".join(lines)


def carried_bytes(model: IntegerModel) -> int:
    """The values that a stream keeps, as the first bytes of the state struct."""
    place_bytes = 0 if model.window is None and model.rate is None else 2  # of the next reading
    return model.interface().carried_bytes + place_bytes


def _stream_macros(model: IntegerModel, upper: str) -> str:
    of_window = "" if model.window is None else window_header(model.window, upper)
    return of_window + ("" if model.rate is None else rates.rate_header(model.rate, upper))


def _prototypes(model: IntegerModel, prefix: str, softmax: str) -> str:
    upper = prefix.upper()
    if model.window is not None:
        return window_prototypes(prefix, upper, softmax, rates.steps_of_an_answer(model))
    if model.rate is not None:
        return rates.rate_prototypes(model.rate, prefix, upper, softmax)
    return f"""\
/* The zero state, with which every stream begins. */
void {prefix}_init({prefix}_state_t *state);

/* One reading: x[{upper}_INPUTS] codes in, y[{upper}_OUTPUTS] codes out.{softmax} */
void {prefix}_step({prefix}_state_t *state, const {prefix}_input_t *x, int16_t *y);"""


def _state_members(model: IntegerModel, step: CStep, prefix: str) -> str:
    """Members of the state struct: what is carried, then scratch that layers share."""
    vectors = [f"    int16_t {v}[{n}];" for cl in step.layers for v, n in cl.vector_widths.items()]
    scratch_comment = "    /* Scratch, worth nothing between steps. */"
    upper = prefix.upper()
    if model.window is not None:
        lines = [window_state(prefix, upper), scratch_comment, *vectors]
        if model.rate is not None:
            lines.append(rates.window_scratch(prefix, upper))
    elif model.rate is not None:
        lines = [rates.rate_state(prefix, upper, vectors), scratch_comment]
    else:
        lines = [*vectors, scratch_comment]
    scratch = max(cl.scratch for cl in step.layers)
    if scratch:
        lines.append(f"    int16_t z[{scratch}];")
    if step.values:
        lines.append(f"    int16_t value[{step.values}];")
    code = f"edgernn_code{step.layers[0].width}"
    lines.append(f"    {code} operands[{step.operands}] EDGERNN_ALIGNED;")
    return "\n".join(lines)


def _source(model: IntegerModel, step: CStep, prefix: str, front: CFront, mask: CMask) -> str:
    layers = step.layers
    width = layers[0].width
    resets = indented([line for cl in layers for line in cl.resets])
    definitions, checks = [], []
    for cl in layers:
        text, of_layer = cl.constants()
        definitions.append(text + "\n")
        checks += of_layer
    before, of_before = rates.start_constants(model)
    definitions.append(before)
    channels, of_channels = channel_records(model)
    of_layers = {header for cl in layers for header in cl.headers}
    headers = sorted({*of_layers, *rates.start_files(model)[1], *front.headers})
    operations = "".join(f'#include "{header}"\n' for header in headers)
    border = "_tokens" * bool(model.input.vocabulary) + width
    return f"""#include "{prefix}.h"

#include "edgernn_check.h"
{operations}
{storage_checks(model.storages, prefix)}{"".join(definitions)}
{channels}
{mask.definitions}{_functions(model, step, prefix, resets, mask)}

void {prefix}_quantize_input(const int32_t *x, {prefix}_input_t *q_x)
{{
    edgernn_quantize{border}(input_channels, {prefix.upper()}_INPUTS, x, q_x);
{mask.quantized}}}

void {prefix}_count_clipped(const int32_t *x, uint32_t *counts)
{{
{mask.counted}    edgernn_count_clipped{border}(input_channels, {prefix.upper()}_INPUTS, x, counts);
}}

void {prefix}_dequantize_output(const int16_t *q_y, int32_t *y)
{{
    edgernn_dequantize(output_channels, {prefix.upper()}_OUTPUTS, q_y, y);
}}

{front.functions}\
{check_function(prefix, [*checks, *of_before, *mask.checks, *of_channels, *front.checks])}"""


def _functions(model: IntegerModel, step: CStep, prefix: str, resets: str, mask: CMask) -> str:
    """What begins a stream, and what advances it."""
    upper = prefix.upper()
    if model.window is not None and model.rate is not None:
        network = rates.network_of_a_window(model, step, prefix)
        return window_functions(prefix, upper, network, ["network_run(state);"])
    if model.rate is not None:
        return rates.rate_functions(model, step, prefix)
    if model.window is None:
        return f"""\
void {prefix}_init({prefix}_state_t *state)
{{
{resets}
}}

void {prefix}_step({prefix}_state_t *state, const {prefix}_input_t *x, int16_t *y)
{{
{mask.guard}{indented([*step.before_head, *step.behind_head])}
}}"""
    calls = mask.skip + indented(step.before_head, 8)
    last = last_reading(prefix, upper) if step.head_reads_input else ""
    head = last + indented(step.behind_head)
    network = network_of_a_window(prefix, upper, resets, calls, head)
    return window_functions(prefix, upper, network, steps_of_a_window(upper), mask.whole)


def indented(lines: Sequence[str], indent: int = 4) -> str:
    """Lines of C as a text."""
    return "\n".join(" " * indent + line for line in lines)
