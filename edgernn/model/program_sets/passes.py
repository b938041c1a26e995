"""Passes over a chunk: which program runs in which direction, and what it reads (clause 6.11)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edgernn.errors import ModelError
from edgernn.model.border.channels import InputSpec, OutputSpec, port_slices
from edgernn.model.formats import FloatArray, Int16Array, OperandArray, Precision

if TYPE_CHECKING:
    from edgernn.model.program_sets.program_set import LinkedProgram, LinkedPrograms

#: What a read calls the readings of the chunk.
CHUNK_INPUT: Final = "input"
#: Most steps a chunk may have.
MAX_CHUNK_STEPS: Final = 32_767
#: Most reads of a pass.
MAX_READS: Final = 64
#: What a read calls the output of a program that has one.
_OUTPUT: Final = "output"
#: Codes of an int16 value that one operand code is worth (clause 2.7).
_WORTH: Final = {Precision.W8A8: 2**8, Precision.W8A16: 2}


class PassDirection(enum.Enum):
    """The order in which a pass takes the steps of a chunk."""

    FORWARD = "forward"
    BACKWARD = "backward"


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Some input channels of a pass.

    Attributes:
        source: "input" for the readings of the chunk, else the program of an earlier pass.
        value: an output of that program: a port, or "output" where there is one; "" for readings.
        last: read what the source put out last at every step, not what it put out at the same step.
    """

    source: str
    value: str = ""
    last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One run of a program over all steps of a chunk, from its initial states.

    Attributes:
        program: its name.
        direction: the order of the steps.
        reads: what its input channels are, one behind another; the readings of the chunk, if it
            reads them, come first.
    """

    program: str
    direction: PassDirection
    reads: tuple[Read, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkPlan:
    """How the programs of a set answer a chunk (clause 6.11).

    Attributes:
        passes: in their order, one for each program of the set; the last one answers.
        max_steps: most steps of a chunk.
        min_steps: fewest steps of a chunk; equal to ``max_steps`` for a network of fixed length.
        sequence: whether the answer is an output for every step, or only that of the last step
            that the last pass takes.

    Raises:
        ModelError: not 1..32767 steps, or no pass.
    """

    passes: tuple[Pass, ...]
    max_steps: int
    min_steps: int = 1
    sequence: bool = False

    def __post_init__(self) -> None:
        """Check the bounds."""
        for name, low in (("min_steps", 1), ("max_steps", self.min_steps)):
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= MAX_CHUNK_STEPS:
                raise ModelError(
                    f"passes.{name}: expected {low}..{MAX_CHUNK_STEPS} steps, got {value!r:.40}"
                )
        if not self.passes:
            raise ModelError("passes: expected at least one pass, got none")

    def __str__(self) -> str:
        """For people: ``chunks of up to 200 steps, 3 passes``."""
        fixed = self.min_steps == self.max_steps
        steps = f"{self.max_steps}" if fixed else f"up to {self.max_steps}"
        count = len(self.passes)
        return f"chunks of {steps} steps, {count} pass{'es' * (count > 1)}"

    @property
    def kept(self) -> dict[tuple[str, str], bool]:
        """The values that later passes read: whether of every step, or of the last one alone.

        By program and value.
        """
        kept: dict[tuple[str, str], bool] = {}
        for one in self.passes:
            for read in one.reads:
                if read.source != CHUNK_INPUT:
                    key = read.source, read.value
                    kept[key] = kept.get(key, False) or not read.last
        return kept


def operand_codes(values: Int16Array, precision: Precision) -> Int16Array:
    """O(v) of clause 2.7: the codes as which a later pass reads outputs.

    Args:
        values: int16 of any shape.
        precision: of the programs.

    Returns:
        int16 of the same shape; with `w8a8` in [-128, 127].
    """
    bits = 8 if precision is Precision.W8A8 else 3
    wide = values.astype(np.int32)
    rounded = (wide + (1 << (bits - 1)) + 1 - 2 * (wide < -1)) >> bits
    if precision is Precision.W8A8:
        return np.clip(rounded, -128, 127).astype(np.int16)
    return (4 * rounded).astype(np.int16)


def read_scale(scale: FloatArray, precision: Precision) -> FloatArray:
    """What one code of a read is worth.

    Args:
        scale: [W], of the output that is read.
        precision: of the programs.
    """
    return scale * float(_WORTH[precision])


def output_slice(output: OutputSpec, value: str) -> slice:
    """Which outputs of a program a read names.

    Raises:
        ModelError: there is no such value.
    """
    slices = port_slices(output.ports) or {_OUTPUT: slice(0, output.width)}
    if value not in slices:
        raise ModelError(f"passes: expected an output among {', '.join(slices)}, got {value!r:.60}")
    return slices[value]


def read_codes(
    one: Pass,
    q_xs: OperandArray,
    done: Mapping[str, Int16Array],
    last: Mapping[str, Int16Array],
    outputs: Mapping[str, OutputSpec],
    precision: Precision,
) -> Int16Array:
    """The input codes of a pass, in the order of the chunk.

    Args:
        one: the pass.
        q_xs: codes [T, I] of the readings.
        done: outputs [T, O] of earlier passes by program, in the order of the chunk.
        last: what each of them put out last, [O].
        outputs: the outputs of the programs.
        precision: of the programs.

    Returns:
        int16 [T, I] of the pass.
    """
    columns = []
    for read in one.reads:
        if read.source == CHUNK_INPUT:
            columns.append(q_xs.astype(np.int16))
            continue
        own = output_slice(outputs[read.source], read.value)
        if read.last:
            codes = operand_codes(last[read.source][own], precision)
            columns.append(np.broadcast_to(codes, (len(q_xs), codes.size)))
        else:
            columns.append(operand_codes(done[read.source][:, own], precision))
    return np.concatenate(columns, axis=1)


def buffer_bytes(programs: LinkedPrograms[LinkedProgram]) -> int:
    """Bytes of the codes that firmware keeps between the passes of the longest chunk.

    Args:
        programs: a set; one without passes needs none.
    """
    if programs.chunk is None:
        return 0
    narrow = programs.programs[0].precision is Precision.W8A8
    values = 0
    for (program, value), sequence in programs.chunk.kept.items():
        own = output_slice(programs[program].output, value)
        values += (own.stop - own.start) * (programs.chunk.max_steps if sequence else 1)
    return values * (1 if narrow else 2)


def check_plan(programs: LinkedPrograms[LinkedProgram], plan: ChunkPlan) -> None:
    """Check that the passes of a plan fit the programs of a set.

    Raises:
        ModelError: the passes are not the programs, programs share or pass on states, or a pass
            reads what an earlier one does not give in this form.
    """
    ran = tuple(one.program for one in plan.passes)
    if ran != programs.names:
        raise ModelError(
            f"passes: expected one for each program in their order ({', '.join(programs.names)}), "
            f"got {', '.join(ran)}"
        )
    if programs.shared or programs.handovers:
        raise ModelError("passes: expected programs with separate states, got states they share")
    if CHUNK_INPUT in ran:
        raise ModelError(f"passes: expected names of programs other than '{CHUNK_INPUT}', got it")
    if len({model.precision for model in programs.programs}) > 1:
        raise ModelError("passes: expected programs of one precision, got several")
    for index, one in enumerate(plan.passes):
        earlier = {name: programs[name].output for name in ran[:index]}
        _check_reads(programs, one, earlier)
    unread = set(ran[:-1]) - {source for source, _ in plan.kept}
    if unread:
        raise ModelError(
            "passes: expected every pass but the last to be read by a later one, got "
            f"{', '.join(sorted(unread))} without a reader"
        )


def _check_reads(
    programs: LinkedPrograms[LinkedProgram], one: Pass, earlier: Mapping[str, OutputSpec]
) -> None:
    """Every read has its width and scale in the input of the program."""
    model = programs[one.program]
    given: InputSpec = model.input
    sources = [read.source for read in one.reads]
    if (
        not 1 <= len(sources) <= MAX_READS
        or CHUNK_INPUT in sources[1:]
        or (not earlier and sources != [CHUNK_INPUT])
    ):
        raise ModelError(
            f"passes.{one.program}: expected reads, the readings of the chunk first and once (of "
            f"the first pass nothing else), got {sources}"
        )
    at = 0
    for read in one.reads:
        if read.source == CHUNK_INPUT:
            at = _check_readings(programs, one, read)
            continue
        if read.source not in earlier:
            raise ModelError(
                f"passes.{one.program}: expected a read of an earlier program "
                f"({', '.join(earlier) or 'none'}), got {read.source!r:.60}"
            )
        output = earlier[read.source]
        own = output_slice(output, read.value)
        channels = slice(at, at + own.stop - own.start)
        scale = read_scale(output.scale[own], model.precision)
        tokens = any(given.vocabulary[channels]) if given.vocabulary else False
        if (
            tokens
            or given.offset[channels].any()
            or not np.array_equal(given.scale[channels], scale)
        ):
            raise ModelError(
                f"passes.{one.program}: expected input channels {channels.start} to "
                f"{channels.stop - 1} with the scale of {read.source}.{read.value} times "
                f"{_WORTH[model.precision]} and no offset, got another"
            )
        at = channels.stop
    if at != given.width:
        raise ModelError(
            f"passes.{one.program}: expected {given.width} channels from its reads, got {at}"
        )


def _check_readings(programs: LinkedPrograms[LinkedProgram], one: Pass, read: Read) -> int:
    """The first channels of a pass are those of the chunk; returns their number."""
    whole, own = programs.programs[0].input, programs[one.program].input
    width = whole.width
    sizes = (own.vocabulary or (0,) * own.width)[:width]
    if (
        read != Read(source=CHUNK_INPUT)
        or own.names[:width] != whole.names
        or own.units[:width] != whole.units
        or not np.array_equal(own.scale[:width], whole.scale)
        or not np.array_equal(own.offset[:width], whole.offset)
        or sizes != (whole.vocabulary or (0,) * width)
    ):
        raise ModelError(
            f"passes.{one.program}: expected the {width} input channels of "
            f"{programs.programs[0].name} first, got others"
        )
    return width
