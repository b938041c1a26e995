"""The scalar twin of a set of programs: clause 6.10 in plain Python integers."""

from __future__ import annotations

from collections.abc import Sequence

from edgernn.model.program_sets.program_set import ProgramSet
from tests.exactness.twin.cells import Twin, Vector
from tests.exactness.twin.scalar import R, sat16


class TwinPrograms:
    """One stream through several programs, its states by name.

    Attributes:
        states: lists of integers; those of one program alone by its name and theirs.
        outputs: of the last step of each program since it began.
        shifts: k of every handover that took place.
    """

    def __init__(self, programs: ProgramSet) -> None:
        self._programs = programs
        self._twins = {model.name: Twin(model) for model in programs.programs}
        self._models = {model.name: model for model in programs.programs}
        names = [spec.name for model in programs.programs for spec in model.states]
        self._common = {name for name in names if names.count(name) > 1}
        self.states: dict[str, Vector] = {}
        self.outputs: dict[str, Vector] = {}
        self.shifts: set[int] = set()
        for name in self._models:
            self._set_initial(name)

    def key(self, program: str, state: str) -> str:
        """What a state of a program is called here."""
        return state if state in self._common else f"{program}.{state}"

    def _set_initial(self, program: str) -> None:
        model = self._models[program]
        for spec, start in zip(model.states, self._twins[program].initial_state(), strict=True):
            self.states[self.key(program, spec.name)] = list(start)

    def begin(self, program: str) -> None:
        """Initial values, but for what is handed over."""
        taken = {}
        for handover in self._programs.handovers:
            if handover.program == program:
                values, bits = self._left(handover.source, handover.value)
                own = {s.name: s.format.frac_bits for s in self._models[program].states}
                k = bits - own[handover.state]
                self.shifts.add(k)
                taken[self.key(program, handover.state)] = [
                    sat16(R(v, k)) if k >= 0 else sat16(v * 2**-k) for v in values
                ]
        self._set_initial(program)
        self.states.update(taken)
        self.outputs.pop(program, None)

    def _left(self, source: str, value: str) -> tuple[Vector, int]:
        """What a program left, and its fraction bits."""
        model = self._models[source]
        for spec in model.states:
            if spec.name == value:
                return self.states[self.key(source, value)], spec.format.frac_bits
        first = 0
        for port in model.output.ports:
            if port.name == value:
                break
            first += port.width
        width = port.width if model.output.ports else model.output.width
        scale = float(model.output.scale[first])
        bits = 0
        while scale * 2.0**bits > 1:
            bits -= 1
        while scale * 2.0**bits < 1:
            bits += 1
        return self.outputs[source][first : first + width], bits

    def step(self, program: str, q_x: Sequence[int]) -> Vector:
        """A step of one program on the states that are there."""
        keys = [self.key(program, spec.name) for spec in self._models[program].states]
        q_y, after = self._twins[program].step(q_x, tuple(self.states[key] for key in keys))
        self.states.update(zip(keys, after, strict=True))
        self.outputs[program] = q_y
        return q_y
