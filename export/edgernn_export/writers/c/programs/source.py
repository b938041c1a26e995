"""Programs that share states as C99: one state struct, and begin and step of each program."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from edgernn import __version__
from edgernn.errors import EdgeRnnError
from edgernn.model.interface import Golden
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.writers.c.border import channel_records, quantize_sentence, softmax_sentence
from edgernn_export.writers.c.constants import check_function, comment_text
from edgernn_export.writers.c.kernels.files import storage_checks
from edgernn_export.writers.c.preparation.front import CFront, included
from edgernn_export.writers.c.preparation.token_scoring import with_decoding
from edgernn_export.writers.c.programs.chunk import PASSES_HEADER, PASSES_SOURCE, CChunk
from edgernn_export.writers.c.programs.layout import (
    CProgram,
    begin_statements,
    c_programs,
    own_layers,
)
from edgernn_export.writers.c.programs.self_test import self_test_files
from edgernn_export.writers.c.source import (
    SHARED_SOURCES,
    channel_bits,
    checked_prefix,
    indented,
    joined_files,
    port_macros,
)

_HANDOVER: Final = "edgernn_programs"


def write_c_programs(
    programs: ProgramSet,
    goldens: Sequence[Golden],
    *,
    prefix: str = "model",
    core: str | None = None,
    amalgamate: bool = False,
) -> dict[str, bytes]:
    """Write programs that share states as C99 sources with the kernels they need.

    A state that programs share is one vector of the state struct, and the constants of equal layers
    are stored once.

    Args:
        programs: the set.
        goldens: what the self-test reads, by program.
        prefix: as in `write_c`; functions of a program begin with it and the program's name.
        core: as in `write_c`.
        amalgamate: as in `write_c`.

    Returns:
        Contents by path in a folder; same set, same bytes.

    Raises:
        EdgeRnnError: as `write_c`, or macros of two programs would have one name.
    """
    prefix = checked_prefix(prefix)
    made = c_programs(programs, prefix)
    scored: list[CFront] = []
    if not amalgamate:  # a program cannot call kernels inside the set's source
        scored = [with_decoding(CFront(), one.model, one.prefix) for one in made]
    head = _provenance(programs)
    layers = own_layers(made)
    texts = {
        f"{prefix}.h": head + _header(programs, made, prefix, scored),
        f"{prefix}.c": head + _source(programs, made, prefix, scored),
        **{n: head + t for n, t in self_test_files(programs, goldens, made, prefix).items()},
    }
    _check_macros(texts[f"{prefix}.h"])
    between = f"{_HANDOVER}.c" if programs.chunk is None else PASSES_SOURCE
    sources = {*SHARED_SOURCES, between, *(file for cl in layers for file in cl.files)}
    sources |= {source for one in scored for source in one.sources}
    storages = frozenset().union(*(model.storages for model in programs.programs))
    return joined_files(texts, sorted(sources), storages, prefix, core=core, amalgamate=amalgamate)


def _check_macros(header: str) -> None:
    counts = Counter(re.findall(r"^#define (\w+)", header, re.M))
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise EdgeRnnError(
            "export to c: expected names of programs that differ in capitals, too, got several "
            f"that make {twice[0]}. Rename one of them."
        )


def _provenance(programs: ProgramSet) -> str:
    models = "".join(
        f" *   {comment_text(model.name)}, {model.precision_label}: {comment_text(model.sha256)}\n"
        for model in programs.programs
    )
    what = "programs that share states" if programs.chunk is None else "passes over a chunk"
    return (
        f"/* {comment_text(programs.name)}, {what}: written by edgernn "
        f"{__version__}; do not edit.\n"
        f" * model sha256       {comment_text(programs.sha256)}\n"
        f" * programs:\n{models} */\n"
    )


def _header(
    programs: ProgramSet, made: Sequence[CProgram], prefix: str, scored: Sequence[CFront]
) -> str:
    upper = prefix.upper()
    parts = "\n".join(_declarations(programs, program, prefix) for program in made)
    types = included(sorted({header for one in scored for header in one.types}))
    scorings = "".join(one.declarations for one in scored)
    chunk = None if programs.chunk is None else CChunk(programs, made, prefix)
    lengths = "" if chunk is None else chunk.lengths
    if chunk is not None:
        parts += "\n" + chunk.declaration
    return f"""#ifndef {upper}_H
#define {upper}_H

#include <stdint.h>

#include "edgernn_kernels.h"
{types}
#ifdef __cplusplus
extern "C" {{
#endif

#define {upper}_PROGRAMS {len(made)}
{lengths}\
#define {upper}_STATE_BYTES {carried_bytes(programs, made)} /* the state that a stream keeps */
#define {upper}_RAM_BYTES ((int32_t)sizeof({prefix}_state_t)) /* that and scratch */

/* The caller owns it; one per stream. Its first {upper}_STATE_BYTES bytes are the state: save and
 * restore them to continue with a stream. A vector that programs share exists once. */
typedef struct {{
{_members(made, chunk)}
}} {prefix}_state_t;

/* A new stream: the initial values of all programs. Those that begin with what others left have to
 * begin before their first step. */
void {prefix}_init({prefix}_state_t *state);

{parts}
/* Defined in {prefix}_self_test.c: how many values of a golden walk through all programs this build
 * computes differently; 0 is right. Leaves a new stream. */
int32_t {prefix}_self_test({prefix}_state_t *state);

/* 0: the constants of all programs are those that were exported. 1: they are not. */
int32_t {prefix}_check(void);
{scorings}
#ifdef __cplusplus
}}
#endif

#endif
"""


def _declarations(programs: ProgramSet, program: CProgram, prefix: str) -> str:
    """What a program offers."""
    model, name = program.model, program.prefix
    upper = name.upper()
    softmax = f"\n * {softmax_sentence(model.output, 'y')}" if model.output.softmax else ""
    return f"""\
/* -------- {comment_text(model.name)} */

#define {upper}_INPUTS {model.input.width}
#define {upper}_OUTPUTS {model.output.width}
{port_macros(model, upper)}
{channel_bits(model, upper)}
typedef {model.code_dtype.name}_t {name}_input_t; /* an input code: NUMERICS.md clause 2.3 */

/* {_begin_sentence(programs, program)} */
void {name}_begin({prefix}_state_t *state);

/* One reading: x[{upper}_INPUTS] codes in, y[{upper}_OUTPUTS] codes out.{softmax} */
void {name}_step({prefix}_state_t *state, const {name}_input_t *x, int16_t *y);

/* Codes of readings, x[i] = reading * 2^{upper}_INPUT_<i>_FRAC_BITS
 * rounded to int32_t.{quantize_sentence(model.input)} */
void {name}_quantize_input(const int32_t *x, {name}_input_t *q_x);

/* Optional: adds 1 to counts[i] where the reading x[i] lies beyond the calibrated range. */
void {name}_count_clipped(const int32_t *x, uint32_t *counts);

/* Outputs y[i] = output * 2^{upper}_OUTPUT_<i>_FRAC_BITS of output codes,
 * within 0.75. */
void {name}_dequantize_output(const int16_t *q_y, int32_t *y);
"""


def _begin_sentence(programs: ProgramSet, program: CProgram) -> str:
    """What a program begins with."""
    handovers = programs.handovers_to(program.model.name)
    if not handovers:
        return "Gives its states their initial values."
    answers = [h.source for h in handovers if programs.output_slice(h) is not None]
    taken = "".join(
        f"\n *   {comment_text(h.state)} from {comment_text(f'{h.source}.{h.value}')}"
        for h in handovers
    )
    first = "".join(f"\n * {name} has to step first." for name in dict.fromkeys(answers))
    return f"Gives its states their initial values, or what others left:{taken}{first}"


def _carried(made: Sequence[CProgram]) -> dict[str, int]:
    """Members of the state struct that are carried, and how many values they hold."""
    members: dict[str, int] = {}
    for program in made:
        for cl in program.step.layers:
            members |= cl.vector_widths
    outputs = {p.output: p.model.output.width for p in made if p.output}
    return members | outputs


def carried_bytes(programs: ProgramSet, made: Sequence[CProgram]) -> int:
    """The values that a stream keeps: all states, and outputs that other programs begin with."""
    outputs = sum(p.model.output.width for p in made if p.output)
    return programs.state_bytes + 2 * outputs


def _members(made: Sequence[CProgram], chunk: CChunk | None) -> str:
    """Members of the state struct: what is carried, then scratch that all programs share."""
    lines = [f"    int16_t {member}[{count}];" for member, count in _carried(made).items()]
    lines.append("    /* Scratch, worth nothing between steps. */")
    scratch = max(cl.scratch for program in made for cl in program.step.layers)
    if scratch:
        lines.append(f"    int16_t z[{scratch}];")
    values = max(program.step.values for program in made)
    if values:
        lines.append(f"    int16_t value[{values}];")
    for member, width in {program.operands: program.width for program in made}.items():
        count = max(program.step.operands for program in made if program.width == width)
        lines.append(f"    edgernn_code{width} {member}[{count}] EDGERNN_ALIGNED;")
    lines += [] if chunk is None else chunk.members
    return "\n".join(lines)


def _source(
    programs: ProgramSet, made: Sequence[CProgram], prefix: str, scored: Sequence[CFront]
) -> str:
    layers = own_layers(made)
    definitions, checks = [], []
    for cl in layers:
        text, of_layer = cl.constants()
        definitions.append(text + "\n")
        checks += of_layer
    channels = []
    for program in made:
        text, of_channels = channel_records(program.model, program.channels)
        channels.append(text + "\n")
        checks += of_channels
    checks += [check for one in scored for check in one.checks]
    chunk = None if programs.chunk is None else CChunk(programs, made, prefix)
    between = f"{_HANDOVER}.h" if chunk is None else PASSES_HEADER
    headers = sorted({between, *(header for cl in layers for header in cl.headers)})
    includes = "".join(f'#include "{header}"\n' for header in headers)
    storages = frozenset().union(*(model.storages for model in programs.programs))
    functions = "\n".join(
        _functions(programs, made, program, prefix, chunk is not None and chunk.split)
        for program in made
    )
    if chunk is not None:
        functions += "\n" + chunk.definition
    resets: dict[str, str] = {}
    for program in made:
        for state, reset in program.resets.items():
            resets.setdefault(program.vectors[state], reset)
    begun = [
        *resets.values(),
        *(f"edgernn_zero16(state->{p.output}, {p.model.output.width});" for p in made if p.output),
    ]
    return f"""#include "{prefix}.h"

#include "edgernn_check.h"
{includes}
{storage_checks(storages, prefix)}{"".join(definitions)}
{"".join(channels)}
void {prefix}_init({prefix}_state_t *state)
{{
{indented(begun)}
}}

{functions}
{"".join(one.functions for one in scored)}\
{check_function(prefix, checks)}"""


def _step(program: CProgram, prefix: str, split: bool) -> str:
    """The step of a program; in two parts where a chunk runs the layers behind the last state once.

    Args:
        program: the program.
        prefix: of the set.
        split: whether there are two parts.
    """
    name = program.prefix
    head = f"void {name}_step({prefix}_state_t *state, const {name}_input_t *x, int16_t *y)"
    if not split:
        return f"{head}\n{{\n{indented(program.statements)}\n}}\n"
    reads = program.step.head_reads_input
    given = f", const {name}_input_t *x" if reads else ""
    return f"""\
static void {name}_layers({prefix}_state_t *state, const {name}_input_t *x)
{{
{indented(program.placed(program.step.before_head))}
}}

static void {name}_head({prefix}_state_t *state{given}, int16_t *y)
{{
{indented(program.placed(program.step.behind_head))}
}}

{head}
{{
    {name}_layers(state, x);
    {name}_head(state{", x" if reads else ""}, y);
}}
"""


def _functions(
    programs: ProgramSet,
    made: Sequence[CProgram],
    program: CProgram,
    prefix: str,
    split: str | bool,
) -> str:
    """Definitions of what a program offers; ``split`` names the one whose step has two parts."""
    name, of = program.prefix, program.channels
    upper = name.upper()
    border = "_tokens" * bool(program.model.input.vocabulary) + program.width
    return f"""\
void {name}_begin({prefix}_state_t *state)
{{
{indented(begin_statements(programs, made, program))}
}}

{_step(program, prefix, split == program.model.name)}
void {name}_quantize_input(const int32_t *x, {name}_input_t *q_x)
{{
    edgernn_quantize{border}({of}input_channels, {upper}_INPUTS, x, q_x);
}}

void {name}_count_clipped(const int32_t *x, uint32_t *counts)
{{
    edgernn_count_clipped{border}({of}input_channels, {upper}_INPUTS, x, counts);
}}

void {name}_dequantize_output(const int16_t *q_y, int32_t *y)
{{
    edgernn_dequantize({of}output_channels, {upper}_OUTPUTS, q_y, y);
}}
"""
