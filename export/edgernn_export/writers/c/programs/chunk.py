"""Passes over a chunk in C: buffers between passes, and one function that answers a chunk.

The buffers are members of the state struct, so that its size is all the memory of a chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edgernn.model.formats import Precision
from edgernn.model.program_sets.passes import (
    CHUNK_INPUT,
    ChunkPlan,
    Pass,
    PassDirection,
    output_slice,
)
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.writers.c.programs.layout import CProgram

#: Kernels between passes.
PASSES_SOURCE: Final = "edgernn_passes.c"
PASSES_HEADER: Final = "edgernn_passes.h"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """Codes that later passes read.

    Attributes:
        member: of the state struct.
        start: first output that is kept.
        width: number of outputs.
        sequence: whether those of every step are kept.
    """

    member: str
    start: int
    width: int
    sequence: bool


class CChunk:
    """The passes of a set in C."""

    def __init__(self, programs: ProgramSet, made: Sequence[CProgram], prefix: str) -> None:
        """Lay out the buffers."""
        plan = programs.chunk
        assert plan is not None
        self._plan: ChunkPlan = plan
        self._made = {program.model.name: program for program in made}
        self._programs = programs
        self._prefix = prefix
        self._narrow = made[0].model.precision is Precision.W8A8
        self._kept: dict[tuple[str, str], _Kept] = {}
        for number, (key, sequence) in enumerate(plan.kept.items()):
            own = output_slice(programs[key[0]].output, key[1])
            self._kept[key] = _Kept(
                member=f"kept{number}",
                start=own.start,
                width=own.stop - own.start,
                sequence=sequence,
            )

    @property
    def members(self) -> list[str]:
        """Members of the state struct."""
        upper = self._prefix.upper()
        kind = "int8_t" if self._narrow else "int16_t"
        lines = ["    /* Codes between passes, and the input and output of a step of a pass. */"]
        for one in self._kept.values():
            size = f"{upper}_MAX_STEPS * {one.width}" if one.sequence else str(one.width)
            lines.append(f"    {kind} {one.member}[{size}];")
        for kind, width in self._inputs().items():
            lines.append(f"    {kind} pass_x{'8' if kind == 'int8_t' else '16'}[{width}];")
        widths = [self._made[one.program].model.output.width for one in self._plan.passes[:-1]]
        if widths:
            lines.append(f"    int16_t pass_y[{max(widths)}];")
        return lines

    def _inputs(self) -> dict[str, int]:
        """The widest input of passes that read more than the readings, by type of codes."""
        widths: dict[str, int] = {}
        for one in self._plan.passes:
            if self._is_plain(one):
                continue
            model = self._made[one.program].model
            kind = f"{model.code_dtype.name}_t"
            widths[kind] = max(widths.get(kind, 0), model.input.width)
        return widths

    @staticmethod
    def _is_plain(one: Pass) -> bool:
        """Whether a pass reads the readings alone."""
        return [read.source for read in one.reads] == [CHUNK_INPUT]

    @property
    def split(self) -> str:
        """The program whose layers behind the last state run once in a chunk; "" for none."""
        final = self._made[self._plan.passes[-1].program]
        return "" if self._plan.sequence or final.output else final.model.name

    @property
    def _first(self) -> str:
        return self._made[self._plan.passes[0].program].prefix

    @property
    def _last(self) -> str:
        return self._made[self._plan.passes[-1].program].prefix

    @property
    def lengths(self) -> str:
        """Macros of the lengths of chunks, which the buffers need."""
        upper = self._prefix.upper()
        return (
            f"#define {upper}_MIN_STEPS {self._plan.min_steps} /* of a chunk */\n"
            f"#define {upper}_MAX_STEPS {self._plan.max_steps}\n"
        )

    @property
    def declaration(self) -> str:
        """What answers a chunk, for the header."""
        prefix, upper, first, last = self._names()
        shape = "steps * " if self._plan.sequence else ""
        order = ", in the order of the readings" if self._plan.sequence else ""
        return f"""\
/* -------- chunks */

/* Answers a chunk: x[steps * {first.upper()}_INPUTS] codes of readings in,
 * y[{shape}{last.upper()}_OUTPUTS] codes out{order}. Nothing is kept for the next chunk.
 * Returns 0, or 1 without doing anything unless
 * {upper}_MIN_STEPS <= steps <= {upper}_MAX_STEPS. */
int32_t {prefix}_chunk({prefix}_state_t *state, const {first}_input_t *x, int32_t steps,
                       int16_t *y);

"""

    def _names(self) -> tuple[str, str, str, str]:
        return self._prefix, self._prefix.upper(), self._first, self._last

    @property
    def definition(self) -> str:
        """The function that answers a chunk, and one for each pass."""
        prefix, upper, first, _ = self._names()
        final = self._plan.passes[-1].program
        calls = []
        for one in self._plan.passes:
            y = ", y" if one.program == final else ""
            x = ", x" if self._reads_readings(one) else ""
            calls.append(f"    pass_{one.program}(state{x}, steps{y});")
        lines = "\n".join(calls)
        passes = "\n".join(self._pass(one, one.program == final) for one in self._plan.passes)
        return f"""{passes}
int32_t {prefix}_chunk({prefix}_state_t *state, const {first}_input_t *x, int32_t steps,
                       int16_t *y)
{{
    if (steps < {upper}_MIN_STEPS || steps > {upper}_MAX_STEPS) {{
        return 1;
    }}
{lines}
    return 0;
}}

"""

    @staticmethod
    def _reads_readings(one: Pass) -> bool:
        return any(read.source == CHUNK_INPUT for read in one.reads)

    def _pass(self, one: Pass, final: bool) -> str:
        """A function that takes all steps of a pass."""
        program = self._made[one.program]
        name, width = program.prefix, program.model.output.width
        backward = one.direction is PassDirection.BACKWARD
        given = f", const {self._first}_input_t *x" if self._reads_readings(one) else ""
        answer = ", int16_t *y" if final else ""
        lines = [f"const int32_t t = {'steps - 1 - n' if backward else 'n'};"]
        lines += self._read(one)
        source = self._source(one)
        if not final:
            lines.append(f"{name}_step(state, {source}, state->pass_y);")
            lines += self._keep(one)
        elif self._plan.sequence:
            lines.append(f"{name}_step(state, {source}, y + t * {width});")
        else:
            lines.append(f"{name}_layers(state, {source});")
            lines.append("if (n == steps - 1) {")
            head = f", {source}" if program.step.head_reads_input else ""
            lines.append(f"    {name}_head(state{head}, y);")
            lines.append("}")
        body = "\n".join(f"        {line}" for line in lines)
        uses_t = "t *" in body.partition(";")[2]
        if not uses_t:
            body = body.partition("\n")[2]
        return f"""static void pass_{one.program}({self._prefix}_state_t *state{given}, \
int32_t steps{answer})
{{
    int32_t n;
    {name}_begin(state);
    for (n = 0; n < steps; ++n) {{
{body}
    }}
}}
"""

    def _source(self, one: Pass) -> str:
        """Where the input codes of a step lie."""
        model = self._made[one.program].model
        if self._is_plain(one):
            return f"x + t * {model.input.width}"
        return f"state->pass_x{8 if model.code_dtype.itemsize == 1 else 16}"

    def _read(self, one: Pass) -> list[str]:
        """Statements that collect the input codes of a step."""
        if self._is_plain(one):
            return []
        model = self._made[one.program].model
        into = self._source(one)
        width = self._programs.programs[0].input.width
        wide = model.code_dtype.itemsize == 2
        lines, at = [], 0
        for read in one.reads:
            to = f"{into} + {at}" if at else into
            if read.source == CHUNK_INPUT:
                kind = "16" if wide else "8"
                lines.append(f"edgernn_pass_read{kind}(x + t * {width}, {width}, {to});")
                at += width
                continue
            kept = self._kept[read.source, read.value]
            of = f"state->{kept.member}"
            if kept.sequence:
                of += self._row(read.source, read.last, kept.width)
            kind = "16" if not self._narrow else "8_16" if wide else "8"
            lines.append(f"edgernn_pass_read{kind}({of}, {kept.width}, {to});")
            at += kept.width
        return lines

    def _row(self, source: str, last: bool, width: int) -> str:
        """The row of kept codes that a step reads."""
        if not last:
            return f" + t * {width}"
        (one,) = (one for one in self._plan.passes if one.program == source)
        backward = one.direction is PassDirection.BACKWARD
        return "" if backward else f" + (steps - 1) * {width}"

    def _keep(self, one: Pass) -> list[str]:
        """Statements that keep the codes of a step's outputs; the last step's stay."""
        bits = 8 if self._narrow else 16
        lines = []
        for (program, _), kept in self._kept.items():
            if program != one.program:
                continue
            of = f"state->pass_y + {kept.start}" if kept.start else "state->pass_y"
            to = f"state->{kept.member}" + (f" + t * {kept.width}" if kept.sequence else "")
            lines.append(f"edgernn_pass_codes{bits}({of}, {kept.width}, {to});")
        return lines
