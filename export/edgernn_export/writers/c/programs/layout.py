"""Where the vectors and constants of programs lie in C: common ones are stored once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edgernn.model.integer_model import IntegerModel
from edgernn.model.program_sets.handovers import Handover
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.writers.c.constants import identifier
from edgernn_export.writers.c.layers import CLayer
from edgernn_export.writers.c.step import CStep, c_step

_OPERANDS: Final = "state->operands"


@dataclass(frozen=True, slots=True, kw_only=True)
class CProgram:
    """One program in C.

    Attributes:
        model: the program.
        prefix: of its functions and types.
        step: its step; its state vectors are members of the state of all programs.
        resets: statements that give each state its initial value, by name of the state.
        vectors: the member of each state, by name of the state.
        output: the member that holds its last output; "" where no other program begins with it.
        mixed: whether programs have operands of both widths.
    """

    model: IntegerModel
    prefix: str
    step: CStep
    resets: dict[str, str]
    vectors: dict[str, str]
    output: str
    mixed: bool

    @property
    def width(self) -> str:
        """Operand width in bits, as it ends names of kernels."""
        return self.step.layers[0].width

    @property
    def operands(self) -> str:
        """The member of the state for operand codes."""
        return f"operands{self.width}" if self.mixed else "operands"

    @property
    def channels(self) -> str:
        """What the names of its channels' constants begin with."""
        return f"{identifier(self.model.name)}_"

    def placed(self, lines: Sequence[str]) -> list[str]:
        """Statements of the step, with the operands of this program."""
        if self.mixed:
            return [line.replace(_OPERANDS, f"state->{self.operands}") for line in lines]
        return [*lines]

    @property
    def statements(self) -> list[str]:
        """One reading: x in, y out."""
        lines = self.placed([*self.step.before_head, *self.step.behind_head])
        if self.output:
            width = self.model.output.width
            lines.append(f"edgernn_copy16(y, {width}, state->{self.output});")
        return lines


def c_programs(programs: ProgramSet, prefix: str) -> tuple[CProgram, ...]:
    """All programs of a set in C.

    Args:
        programs: the set.
        prefix: of all symbols.
    """
    carried: dict[str, str] = {}
    mixed = len({model.precision for model in programs.programs}) > 1
    handed = {h.source for h in programs.handovers if programs.output_slice(h) is not None}
    made = []
    for number, model in enumerate(programs.programs):
        layers = _layers(programs, model, carried)
        specs = [(cl, at) for cl in layers for at in range(len(cl.layer.states))]
        made.append(
            CProgram(
                model=model,
                prefix=f"{prefix}_{model.name}",
                step=c_step(model, layers),
                resets={cl.layer.states[at].name: cl.resets[at] for cl, at in specs},
                vectors={cl.layer.states[at].name: cl.vectors[at] for cl, at in specs},
                output=f"output{number}" if model.name in handed else "",
                mixed=mixed,
            )
        )
    return tuple(made)


def _layers(programs: ProgramSet, model: IntegerModel, carried: dict[str, str]) -> list[CLayer]:
    """The layers of a program; one that an earlier program has bears that one's number.

    Args:
        programs: the set.
        model: the program.
        carried: members of shared states so far, by name; those of this program are added.
    """
    numbers = _numbers(programs)
    owners, shared = programs.owners, programs.shared
    layers = []
    for layer in model.layers:
        owner = owners[model.name, layer.name]
        if programs[owner].precision is not model.precision:
            owner = model.name  # what constants are called depends on the width of operands
        made = CLayer(index=numbers[owner, layer.name], layer=layer, precision=model.precision)
        members = [
            carried.setdefault(spec.name, own) if spec.name in shared else own
            for spec, own in zip(layer.states, made.vectors, strict=True)
        ]
        if members != made.vectors:
            made = CLayer(
                index=made.index, layer=layer, precision=model.precision, carried=tuple(members)
            )
        layers.append(made)
    return layers


def _numbers(programs: ProgramSet) -> dict[tuple[str, str], int]:
    """A number for every layer of every program."""
    names = [(model.name, layer.name) for model in programs.programs for layer in model.layers]
    return {name: number for number, name in enumerate(names)}


def own_layers(programs: Sequence[CProgram]) -> list[CLayer]:
    """The layers of all programs whose constants have to be written, each once."""
    layers = {cl.name: cl for program in reversed(programs) for cl in program.step.layers}
    return sorted(layers.values(), key=lambda cl: cl.index)


def begin_statements(
    programs: ProgramSet, made: Sequence[CProgram], program: CProgram
) -> list[str]:
    """What a program begins with: initial values, and what others left (clause 6.10).

    Args:
        programs: the set.
        made: all of them in C.
        program: the one that begins.
    """
    handed = {h.state: h for h in programs.handovers_to(program.model.name)}
    by_name = {other.model.name: other for other in made}
    return [
        _taken_over(programs, by_name[handed[state].source], program, handed[state])
        if state in handed
        else reset
        for state, reset in program.resets.items()
    ]


def _taken_over(
    programs: ProgramSet, source: CProgram, program: CProgram, handover: Handover
) -> str:
    own = programs.output_slice(handover)
    if own is None:
        of = f"state->{source.vectors[handover.value]}"
    else:
        of = f"state->{source.output}" + (f" + {own.start}" if own.start else "")
    (width,) = [s.units for s in program.model.states if s.name == handover.state]
    to = f"state->{program.vectors[handover.state]}"
    return f"edgernn_hand_over({of}, {width}, {programs.shift(handover)}, {to});"
