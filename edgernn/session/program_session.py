"""Sessions over programs that share states: one stream, which several models take in turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy.typing as npt

from edgernn.backends.base import Backend
from edgernn.backends.streams.value_stream import Origin
from edgernn.display import html_table
from edgernn.errors import EdgeRnnError, StateError
from edgernn.model.formats import FloatArray, Int16Array
from edgernn.model.interface import Interface
from edgernn.model.layer_record import StateSpec
from edgernn.model.program_sets.handovers import Handover, handed_over
from edgernn.model.program_sets.program_set import ProgramInterfaces
from edgernn.session.checks import Closing, checked_state
from edgernn.session.policies import OnBadReadings, by_program
from edgernn.session.program_streams import ProgramStream, decode_set, encode_set
from edgernn.session.reading_stream import Reading
from edgernn.session.session import Scalar


class ProgramSession(Closing):
    """One stream through several programs (NUMERICS.md 6.10).

    Each program reads its own readings, like a `Session` does. States that programs share are one
    vector: what one program leaves, the next one finds. A program that begins with what another one
    left has to `begin` before its first step; others have begun with the session. A call that
    raises does not change the stream.

    Args:
        interfaces: of the programs.
        backends: one for each program, by its name; closed with the last session that uses it.
        on_bad_reading: as in `edgernn.load`.
        origins: reopen the backends when the session is unpickled, by program.
    """

    __slots__ = ("__weakref__", "_begun", "_current", "_holders", "_interfaces", "_sessions")

    def __init__(
        self,
        interfaces: ProgramInterfaces,
        backends: Mapping[str, Backend],
        on_bad_reading: OnBadReadings = "raise",
        *,
        origins: Mapping[str, Origin] | None = None,
    ) -> None:
        """Begin a stream; programs that take nothing over begin with it."""
        policies = by_program(on_bad_reading, interfaces.names)
        sessions = {
            name: ProgramStream(backends[name], policies[name], origin=(origins or {}).get(name))
            for name in interfaces.names
        }
        self._attach(interfaces, sessions)

    def _attach(self, interfaces: ProgramInterfaces, sessions: dict[str, ProgramStream]) -> None:
        self._interfaces = interfaces
        self._sessions = sessions
        #: The program that holds the vector of each shared state; those of others are out of date.
        self._holders = {state: owners[0] for state, owners in interfaces.shared.items()}
        self._begun = {name for name in sessions if not interfaces.handovers_to(name)}
        #: The program that holds all its shared states and has begun.
        self._current = ""

    @property
    def programs(self) -> tuple[str, ...]:
        """Their names, in the order of the set."""
        return self._interfaces.names

    @property
    def interfaces(self) -> ProgramInterfaces:
        """Those of all programs, with what links them."""
        return self._interfaces

    def interface(self, program: str) -> Interface:
        """Channels, units, scales and state formats of a program.

        Raises:
            ModelError: no such program.
        """
        return self._interfaces[program]

    def begin(self, program: str) -> None:
        """Give the states of a program their initial values, or what others left for them.

            session.begin("encode")
            session.run("encode", sentence)
            session.begin("decode")
            y = session.step("decode", first)

        The last reading and the last output of the program are forgotten; counts go on.

        Args:
            program: its name.

        Raises:
            EdgeRnnError: no such program, the session is closed, or the program begins with the
                output of one that has none yet.
        """
        states = self.interface(program).states
        self._require_open()
        vectors = {spec.name: spec.initial() for spec in states}
        for handover in self._interfaces.handovers_to(program):
            left = self._left(handover)
            vectors[handover.state] = handed_over(left, self._interfaces.shift(handover))
        self._sessions[program].begin(vectors)
        self._hold(program)

    def _left(self, handover: Handover) -> Int16Array:
        """What a handover's source left: a state or an output."""
        source = handover.source
        own = self._interfaces.output_slice(handover)
        if own is None:
            return self._vector(source, handover.value)
        codes = self._sessions[source].last_codes
        if codes is None:
            raise EdgeRnnError(
                f"session: expected a step of '{source}' before '{handover.program}' begins "
                f"with its output, got none. Run it first: session.run({source!r}, ...)."
            )
        return codes[own]

    def _vector(self, program: str, state: str) -> Int16Array:
        """A copy of a state, from the program that holds it."""
        return self._sessions[self._holders.get(state, program)].state[state]

    def _hold(self, program: str) -> None:
        """A program has all available values of its states."""
        for spec in self._interfaces[program].states:
            if spec.name in self._holders:
                self._holders[spec.name] = program
        self._begun.add(program)
        self._current = program

    def _entered(self, program: str) -> ProgramStream:
        """The session of a program that has begun, with what others left in shared states."""
        if program == self._current:
            return self._sessions[program]
        interface = self.interface(program)
        self._require_open()
        if program not in self._begun:
            raise EdgeRnnError(
                f"session: expected '{program}' to begin before its first step, because it "
                "starts from values of another program, got a step. Call: "
                f"session.begin({program!r})."
            )
        session = self._sessions[program]
        stale = {
            spec.name: self._vector(program, spec.name)
            for spec in interface.states
            if self._holders.get(spec.name, program) != program
        }
        if stale:
            session.take_over(stale)
        self._hold(program)
        return session

    def step(
        self, program: str, x: Reading, *, softmax: bool = False, sequence: int | None = None
    ) -> FloatArray:
        """Advance the stream by one step of a program.

        Args:
            program: its name.
            x: a reading of the program, as in `Session.step`.
            softmax: return probabilities of a program that ends in a softmax.
            sequence: number of the reading among those of the program, as in `Session.step`.

        Returns:
            float64 [O] in physical units; NaN where there is no output yet.

        Raises:
            EdgeRnnError: as `Session.step`; no such program, or it has not begun.

        Warns:
            ClippedReadingsWarning: once per program, a value is outside the calibrated range.
        """
        return self._entered(program).step(x, softmax=softmax, sequence=sequence)

    def run(self, program: str, xs: npt.ArrayLike | object, *, softmax: bool = False) -> FloatArray:
        """Advance the stream by T steps of a program; the same as T times `step`.

        Args:
            program: its name.
            xs: readings of the program, as in `Session.run`.
            softmax: as in `step`.

        Returns:
            float64 [T, O] in physical units; NaN where there is no output yet.

        Raises:
            EdgeRnnError: as `step`.

        Warns:
            ClippedReadingsWarning: as `step`.
        """
        return self._entered(program).run(xs, softmax=softmax)

    def step_codes(self, program: str, q_x: npt.ArrayLike) -> Int16Array:
        """Advance the stream by one step of a program: codes [I] in, int16 [O] out.

        Raises:
            EdgeRnnError: as `Session.step_codes`; no such program, or it has not begun.
        """
        return self._entered(program).step_codes(q_x)

    def run_codes(self, program: str, q_xs: npt.ArrayLike) -> Int16Array:
        """Advance the stream by T steps of a program: codes [T, I] in, int16 [T, O] out.

        Raises:
            EdgeRnnError: as `step_codes`.
        """
        return self._entered(program).run_codes(q_xs)

    def outputs(self, program: str, y: npt.NDArray[Scalar]) -> dict[str, npt.NDArray[Scalar]]:
        """Split the outputs of a program by name; see `Session.outputs`.

        Raises:
            ModelError: no such program.
            ShapeError: another number of channels.
        """
        self.interface(program)
        return self._sessions[program].outputs(y)

    @property
    def bad_readings(self) -> dict[str, int]:
        """Readings of which a value was missing, by program; counted over all that it began."""
        return {name: session.bad_readings for name, session in self._sessions.items()}

    @property
    def clipped_readings(self) -> dict[str, tuple[int, ...]]:
        """Readings outside the calibrated range, by program, one number per channel."""
        return {name: session.clipped_readings for name, session in self._sessions.items()}

    @property
    def state(self) -> dict[str, Int16Array]:
        """All states of the stream, as copies; assign a mapping of the same form to set them.

        A state that programs share has the name ``layer.h``, one that a program has alone
        ``program.layer.h``. After an assignment the last readings and outputs are forgotten, and
        every program has begun.
        """
        self._require_open()
        return {name: self._vector(program, spec.name) for name, program, spec in self._named()}

    @state.setter
    def state(self, state: Mapping[str, npt.ArrayLike]) -> None:
        self._require_open()
        wanted = [name for name, _, _ in self._named()]
        if not isinstance(state, Mapping) or set(state) != set(wanted):
            got = ", ".join(sorted(map(str, state))) if isinstance(state, Mapping) else type(state)
            raise StateError(
                f"state: expected a mapping of {', '.join(wanted)} to vectors, got "
                f"{got or 'none'}. Assign a value returned by `session.state`."
            )
        vectors: dict[str, dict[str, Int16Array]] = {}
        for interface in self._interfaces.programs:
            names = [spec.name for spec in interface.states]
            own = {name: state[self._interfaces.state_name(interface.name, name)] for name in names}
            checked = checked_state(interface, own)
            vectors[interface.name] = dict(zip(names, checked, strict=True))
        for program, own_vectors in vectors.items():
            self._sessions[program].begin(own_vectors)
            self._begun.add(program)

    @property
    def sequence(self) -> dict[str, int]:
        """Number of the last reading of each program."""
        return {name: session.sequence for name, session in self._sessions.items()}

    def to_bytes(self) -> bytes:
        """What `Session.to_bytes` has of every program, and which of them have begun.

        Raises:
            EdgeRnnError: the session is closed.
        """
        self._require_open()
        return encode_set(self._interfaces, self._sessions, self._begun, self._holders)

    def from_bytes(self, blob: bytes, *, migrate: bool = False) -> None:
        """Continue the stream that `to_bytes` wrote, with the same bits.

        Args:
            blob: from a session of the same programs, on any backend.
            migrate: also take the stream of another set of programs, as `Session.from_bytes`.

        Raises:
            StateError, EdgeRnnError: as `Session.from_bytes`.
        """
        self._require_open()
        contents, begun, holders = decode_set(self._interfaces, blob, migrate)
        for name, content in contents.items():
            self._sessions[name].continue_from(content)
        self._attach(self._interfaces, self._sessions)
        self._begun, self._holders = begun, holders

    def _named(self) -> list[tuple[str, str, StateSpec]]:
        """Name, a program that has it, and form of every state of the stream."""
        named = {
            self._interfaces.state_name(interface.name, spec.name): (interface.name, spec)
            for interface in reversed(self._interfaces.programs)
            for spec in reversed(interface.states)
        }
        return [(name, *what) for name, what in reversed(named.items())]

    def reset(self) -> None:
        """Begin a new stream: initial states, no last readings, nothing counted."""
        self._require_open()
        for session in self._sessions.values():
            session.reset()
        self._attach(self._interfaces, self._sessions)

    def new_stream(self) -> ProgramSession:
        """Another stream over the same weights, at its beginning, with the same policies."""
        sessions = {name: session.new_stream() for name, session in self._sessions.items()}
        return _attached(self._interfaces, sessions)

    def copy(self) -> ProgramSession:
        """Another stream over the same weights that continues from here independently."""
        sessions = {name: session.copy() for name, session in self._sessions.items()}
        return _attached(self._interfaces, sessions, self._holders, self._begun)

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> ProgramSession:
        """As `copy`: the weights never change."""
        return self.copy()

    def __reduce__(self) -> tuple[Callable[..., ProgramSession], tuple[Any, ...]]:
        """Pickle the models, once for all sessions over one backend, and the stream.

        Raises:
            EdgeRnnError: the session is closed, or was not opened by `edgernn.load`.
        """
        return _attached, (self._interfaces, self._sessions, self._holders, self._begun)

    def _require_open(self) -> None:
        if self.closed:
            raise EdgeRnnError(
                f"session: expected an open session, got a closed one ('{self._interfaces.name}'). "
                "Load the programs again."
            )

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return all(session.closed for session in self._sessions.values())

    def close(self) -> None:
        """End the stream; the last session of a backend releases the runtime. Idempotent."""
        for session in self._sessions.values():
            session.close()
        self._current = ""

    def __repr__(self) -> str:
        """The set, its programs and what they share."""
        told = ", ".join(self.programs) + (", closed" if self.closed else "")
        told += f", sharing {', '.join(self._holders)}" if self._holders else ""
        return f"<ProgramSession '{self._interfaces.name}': {told}>"

    def _repr_html_(self) -> str:
        """A table of the programs, for notebooks."""
        rows = [
            (p.name, p.input.width, p.output.width, ", ".join(state.name for state in p.states))
            for p in self._interfaces.programs
        ]
        return html_table(repr(self).strip("<>"), ("program", "inputs", "outputs", "states"), rows)


def _attached(
    interfaces: ProgramInterfaces,
    sessions: dict[str, ProgramStream],
    holders: Mapping[str, str] | None = None,
    begun: set[str] | None = None,
) -> ProgramSession:
    """A session over sessions of programs; without more it is at its beginning."""
    session = object.__new__(ProgramSession)
    session._attach(interfaces, sessions)
    if holders is not None and begun is not None:
        session._holders.update(holders)
        session._begun.update(begun)
    return session
