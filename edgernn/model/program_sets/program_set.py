"""Several integer models that work on one stream: encode and decode, warm up and forecast."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from edgernn.adapt.adaptation import Adapted
from edgernn.display import listed
from edgernn.errors import ModelError
from edgernn.model.formats import ArrayRecord, Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import InputSpec, Interface, Rate, port_slices
from edgernn.model.layer_record import StateSpec
from edgernn.model.layers import Layer
from edgernn.model.program_sets.handovers import Handover, output_bits
from edgernn.model.program_sets.passes import ChunkPlan, check_plan

if TYPE_CHECKING:
    from edgernn.decide.decisions import Decisions
    from edgernn.prepare.preparation import Preparation

#: Most programs of a set.
MAX_PROGRAMS: Final = 16
#: A handover's shift, in both directions.
_SHIFTS: Final = range(-30, 31)
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")


class Program(Adapted, Protocol):
    """What programs are linked by: an integer model has it, and so has its interface."""

    @property
    def name(self) -> str:
        """Of the program."""
        ...

    @property
    def precision(self) -> Precision:
        """Of the program."""
        ...

    @property
    def input(self) -> InputSpec:
        """What it reads."""
        ...

    @property
    def rate(self) -> Rate | None:
        """None of a program that fits into a set."""
        ...

    @property
    def preparation(self) -> Preparation | None:
        """None of a program that fits into a set."""
        ...

    @property
    def decisions(self) -> Decisions | None:
        """None of a program that fits into a set."""
        ...

    @property
    def symbols(self) -> object | None:
        """None of a program that fits into a set."""


LinkedProgram = TypeVar("LinkedProgram", bound=Program)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinkedPrograms(ArrayRecord, Generic[LinkedProgram]):
    """Named programs over one stream (clause 6.10).

    States of the same name in several programs are one vector of the stream: what one program
    leaves, the next one finds. Other states are a program's own. `begin` gives those of a program
    their initial values, or what its handovers say.

    Attributes:
        name: of the whole.
        programs: in the order in which they are listed; each has separate inputs and outputs.
        handovers: states that begin with what other programs left.
        chunk: how the programs, as passes, answer a chunk (clause 6.11); None for programs over an
            endless stream.

    Raises:
        ModelError: names clash, shared states differ, or a handover names an unknown or
            incompatible value.
    """

    name: str
    programs: tuple[LinkedProgram, ...]
    handovers: tuple[Handover, ...] = ()
    chunk: ChunkPlan | None = None

    def __repr__(self) -> str:
        """Name, programs and what links them."""
        return f"{type(self).__name__}(name={self.name!r}, programs={listed(self.names)}, " + (
            f"shared states={listed(self.shared)}, {len(self.handovers)} handovers)"
            if self.chunk is None
            else f"{self.chunk})"
        )

    def __post_init__(self) -> None:
        """Check that the programs fit together."""
        names = self.names
        fewest = 2 if self.chunk is None else 1
        if not fewest <= len(names) <= MAX_PROGRAMS or len(set(names)) != len(names):
            raise ModelError(
                f"programs: expected {fewest} to {MAX_PROGRAMS} programs with distinct names, got "
                f"{list(names)}"
            )
        for model in self.programs:
            if not _NAME.fullmatch(model.name):
                raise ModelError(
                    "programs: expected names of letters, digits and '_' that start with a "
                    f"letter, got {model.name!r:.60}"
                )
            if model.window is not None or model.rate is not None or model.output.masked:
                raise ModelError(
                    f"programs: expected '{model.name}' to have one output per reading of an "
                    "endless stream, got windows, a rate or a mask"
                )
            outside = (model.preparation, model.decisions, model.symbols, model.adaptation)
            if any(part is not None for part in outside):
                raise ModelError(
                    f"programs: expected '{model.name}' without preparation and decisions, "
                    "symbols and adaptation, got some. Keep them outside of the programs"
                )
        self._check_shared()
        begun = Counter((handover.program, handover.state) for handover in self.handovers)
        twice = [f"{program}.{state}" for (program, state), count in begun.items() if count > 1]
        if twice:
            raise ModelError(
                f"handovers: expected one per state, got several for {', '.join(twice)}"
            )
        for handover in self.handovers:
            self.shift(handover)
        self._check_beginnings()
        if self.chunk is not None:
            check_plan(self, self.chunk)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the programs."""
        return tuple(model.name for model in self.programs)

    @property
    def shared(self) -> dict[str, tuple[str, ...]]:
        """States that several programs have: their programs by the state's name."""
        owners: dict[str, tuple[str, ...]] = {}
        for model in self.programs:
            for spec in model.states:
                owners[spec.name] = (*owners.get(spec.name, ()), model.name)
        return {state: programs for state, programs in owners.items() if len(programs) > 1}

    def _check_shared(self) -> None:
        for state, owners in self.shared.items():
            first, *others = (self._state(self[program], state) for program in owners)
            precisions = {self[program].precision for program in owners}
            if any(other != first for other in others) or (first.codes and len(precisions) > 1):
                raise ModelError(
                    f"state {state}: expected one width, format and start in {', '.join(owners)}, "
                    "which share it, got several. Rename the layer in one of them."
                )

    def _check_beginnings(self) -> None:
        """No programs wait for each other's first output."""
        waiting = {
            name: {h.source for h in self.handovers_to(name) if self.output_slice(h) is not None}
            for name in self.names
        }
        while ready := [name for name, sources in waiting.items() if not sources & waiting.keys()]:
            for name in ready:
                del waiting[name]
        if waiting:
            raise ModelError(
                "handovers: expected every program to be able to begin, got a circle: each of "
                f"{', '.join(waiting)} begins with an output of another one"
            )

    def __getitem__(self, program: str) -> LinkedProgram:
        """A program by its name.

        Raises:
            ModelError: no program has this name.
        """
        for model in self.programs:
            if model.name == program:
                return model
        raise ModelError(f"program: expected one of {', '.join(self.names)}, got {program!r:.60}")

    @property
    def state_bytes(self) -> int:
        """Bytes of state that one stream needs."""
        units = {self.state_name(m.name, s.name): s.units for m in self.programs for s in m.states}
        return 2 * sum(units.values())

    def state_name(self, program: str, state: str) -> str:
        """What a state of a program is called in the stream: its name, or ``program.state``."""
        return state if state in self.shared else f"{program}.{state}"

    def handovers_to(self, program: str) -> tuple[Handover, ...]:
        """Those by which a program begins."""
        return tuple(handover for handover in self.handovers if handover.program == program)

    def output_slice(self, handover: Handover) -> slice | None:
        """Which outputs of the source program are passed on; None for a state."""
        source = self[handover.source]
        if handover.value in {spec.name for spec in source.states}:
            return None
        ports = {"output": slice(0, source.output.width)}
        return (port_slices(source.output.ports) or ports).get(handover.value)

    def shift(self, handover: Handover) -> int:
        """Fraction bits that the value passed on has more than the receiving state.

        Raises:
            ModelError: the handover names an unknown or incompatible value.
        """
        target = self._state(self[handover.program], handover.state)
        source = self[handover.source]
        own = self.output_slice(handover)
        codes = target.codes
        if own is None:
            left = self._state(source, handover.value)
            width, bits = left.units, left.format.frac_bits
            codes = codes or left.codes
            if left.name in {spec.name for spec in self[handover.program].states}:
                raise ModelError(
                    f"handover to {handover.program}.{handover.state}: expected a value of "
                    f"another program, got {left.name}, which {handover.program} shares with "
                    f"{handover.source}"
                )
        else:
            width = own.stop - own.start
            bits = output_bits(source.output, own, f"{source.name}.{handover.value}")
        if handover.program == handover.source or width != target.units or codes:
            raise ModelError(
                f"handover to {handover.program}.{handover.state}: expected {target.units} values "
                f"of another program, none of them input codes, got {width} of "
                f"{handover.source}.{handover.value}"
            )
        shift = bits - target.format.frac_bits
        if shift not in _SHIFTS:
            raise ModelError(
                f"handover to {handover.program}.{handover.state}: expected a shift of "
                f"{_SHIFTS[0]} to {_SHIFTS[-1]}, got {shift}"
            )
        return shift

    @staticmethod
    def _state(model: LinkedProgram, name: str) -> StateSpec:
        for spec in model.states:
            if spec.name == name:
                return spec
        ports = [port.name for port in model.output.ports] or ["output"]
        raise ModelError(
            f"{model.name}: expected a state ({', '.join(s.name for s in model.states)}) or an "
            f"output ({', '.join(ports)}), got {name!r:.80}"
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProgramInterfaces(LinkedPrograms[Interface]):
    """What a session must know about a set of programs.

    Attributes:
        sha256: of the set of integer models (hex).
    """

    sha256: str

    def whole(self) -> Interface:
        """The readings of a chunk and its answer, as the interface of one model without states."""
        first, final = self.programs[0], self.programs[-1]
        return Interface(
            name=self.name,
            precision=final.precision,
            input=first.input,
            output=final.output,
            states=(),
            model_sha256=self.sha256,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProgramSet(LinkedPrograms[IntegerModel]):
    """Integer models over one stream (see `LinkedPrograms`); a program's name is its model's."""

    @property
    def precision(self) -> Precision:
        """Of the first program; others may have another."""
        return self.programs[0].precision

    @property
    def sha256(self) -> str:
        """Hash that identifies the set (hex)."""
        from edgernn.container.file import model_sha256

        return model_sha256(self)

    @property
    def owners(self) -> dict[tuple[str, str], str]:
        """Who has each layer: the first program with an equal one of the same name.

        By program and name of the layer. A layer whose owner is another program is stored once.
        """
        found: dict[str, list[tuple[str, Layer]]] = {}
        owners = {}
        for model in self.programs:
            for layer in model.layers:
                known = found.setdefault(layer.name, [])
                owner = next((name for name, other in known if other == layer), model.name)
                if owner == model.name:
                    known.append((owner, layer))
                owners[model.name, layer.name] = owner
        return owners

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Those of all programs, each that several have once."""
        owners = self.owners
        return tuple(
            layer
            for model in self.programs
            for layer in model.layers
            if owners[model.name, layer.name] == model.name
        )

    def interfaces(self) -> ProgramInterfaces:
        """What a session must know about the programs."""
        return ProgramInterfaces(
            name=self.name,
            programs=tuple(model.interface() for model in self.programs),
            handovers=self.handovers,
            chunk=self.chunk,
            sha256=self.sha256,
        )

    def save(self, path: str | Path) -> Path:
        """Write the set as one .edgernn file (FORMAT.md); same set, same bytes."""
        from edgernn.container.file import save

        return save(self, path)

    @staticmethod
    def load(path: str | Path) -> ProgramSet:
        """Read an .edgernn file of a set.

        Raises:
            FormatError: the file breaks FORMAT.md, or holds one model; the message names the
                defect.
        """
        from edgernn.container.file import load_programs

        return load_programs(path)
