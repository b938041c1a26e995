"""Float networks that work on one stream, one after another: encoder and decoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgernn.errors import ShapeError
from edgernn.model.formats import ArrayRecord, FloatArray
from edgernn.model.interface import port_slices
from edgernn_export.float_model import float_run
from edgernn_export.float_model.float_run import State, state_widths
from edgernn_export.float_model.model import FloatModel
from edgernn_export.float_model.sharing import SharedByPrograms


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatHandover:
    """A state of a program that begins with what another one left.

    Attributes:
        program: whose state it is.
        layer: position of the layer in that program.
        state: which of the layer's states: h, or c of an LSTM behind it.
        source: the program that left it.
        source_layer: the layer whose state is passed on; None for an output.
        source_state: which of that layer's states.
        port: of the output that is passed on, "" where the program has one.
    """

    program: str
    layer: int
    state: int
    source: str
    source_layer: int | None = None
    source_state: int = 0
    port: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatAnswer:
    """An output of a program that is an answer of the network.

    Attributes:
        program: its name.
        port: of the output, "" where the program has one.
        every_step: whether the network answers at every step, or at the last one alone.
    """

    program: str
    port: str
    every_step: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatPrograms(ArrayRecord):
    """Several float models over one stream.

    Attributes:
        name: of the whole.
        programs: the models by the names of the programs, in an order in which they can be run.
        handovers: states that begin with what earlier programs left.
        inputs: names of the inputs of each program.
        given: names of all inputs in the order of the network; in that of the programs where none.
        answers: what the network answers, in its order. Other outputs are only passed on.
        shared: uses of weights that several programs have.

    Raises:
        ShapeError: a handover names an unknown value, or widths differ.
    """

    name: str
    programs: tuple[FloatModel, ...]
    handovers: tuple[FloatHandover, ...]
    inputs: tuple[tuple[str, ...], ...]
    given: tuple[str, ...] = ()
    answers: tuple[FloatAnswer, ...] = ()
    shared: tuple[SharedByPrograms, ...] = ()

    def __post_init__(self) -> None:
        """Check the widths of the values passed on."""
        order = [model.name for model in self.programs]
        for handover in self.handovers:
            wanted = state_widths(self[handover.program].layers[handover.layer])[handover.state]
            got = self._width(handover)
            if got != wanted or order.index(handover.source) >= order.index(handover.program):
                raise ShapeError(
                    f"{self.name}: expected {wanted} values of a program before "
                    f"{handover.program} for a state of it, got {got} of "
                    f"{handover.source}"
                )

    def __getitem__(self, program: str) -> FloatModel:
        """A program by its name."""
        return next(model for model in self.programs if model.name == program)

    def _width(self, handover: FloatHandover) -> int:
        source = self[handover.source]
        if handover.source_layer is None:
            own = self.outputs_of(handover)
            return int(own.stop - own.start)
        return state_widths(source.layers[handover.source_layer])[handover.source_state]

    def outputs_of(self, handover: FloatHandover) -> slice:
        """Which outputs of the source program are passed on."""
        source = self[handover.source]
        whole = {"": slice(0, source.outputs)}
        return (port_slices(source.output_ports) or whole)[handover.port]

    def handed(self, program: str) -> frozenset[int]:
        """Positions of the layers of a program whose outputs are passed on, not their states."""
        model, found = self[program], set()
        for handover in self.handovers:
            if handover.source != program or handover.source_layer is not None:
                continue
            own, at = self.outputs_of(handover), 0
            for part in model.wiring[-1]:
                if at < own.stop and own.start < at + part.width:
                    found.add(part.source)
                at += part.width
        return frozenset(found)

    def begun(
        self, program: str, batch: int, left: Mapping[str, tuple[State, FloatArray]]
    ) -> State:
        """What streams of a program begin with.

        Args:
            program: its name.
            batch: streams B.
            left: of every program that was run, its state and its last outputs [B, O] (logits).
        """
        state = [list(carried) for carried in float_run.initial_state(self[program], batch)]
        for handover in self.handovers:
            if handover.program != program:
                continue
            states, last = left[handover.source]
            if handover.source_layer is None:
                value = last[:, self.outputs_of(handover)]
            else:
                value = states[handover.source_layer][handover.source_state]
            state[handover.layer][handover.state] = value
        return tuple(tuple(carried) for carried in state)

    def run(self, readings: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Answers [B, T, O] of all programs to streams [B, T, I] of each, one after the other.

        Args:
            readings: by program, of one step at least.
        """
        return {program: ys for program, (_, ys) in self.run_from(readings).items()}

    def run_from(self, readings: Mapping[str, FloatArray]) -> dict[str, tuple[State, FloatArray]]:
        """As `run`, with what each program began with."""
        left: dict[str, tuple[State, FloatArray]] = {}
        found: dict[str, tuple[State, FloatArray]] = {}
        for model in self.programs:
            xs = readings[model.name]
            start = self.begun(model.name, len(xs), left)
            ys, state = float_run.run(model, xs, start)
            left[model.name] = state, ys[:, -1]
            found[model.name] = start, ys
        return found
