"""Sessions over chunks: every pass of a program set runs over all steps of a chunk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn

import numpy as np

from edgernn.backends.base import Backend, runs_sequences
from edgernn.errors import EdgeRnnError, ReadingError, ShapeError
from edgernn.model.formats import FloatArray, Int16Array, OperandArray
from edgernn.model.interface import Interface
from edgernn.model.program_sets.passes import ChunkPlan, Pass, PassDirection, read_codes
from edgernn.model.program_sets.program_set import ProgramInterfaces
from edgernn.session.checks import Closing
from edgernn.session.readings import missing_value, read_many
from edgernn.session.readings import read_codes as checked_codes

_ENDLESS = (
    "it reads every chunk backward, too, from its last step, and a stream has no last step. Cut "
    "the stream into chunks and pass each to run(chunk) (edgernn run --chunk N), or train without "
    "Bidirectional and go_backwards and convert that network with: edgernn quantize MODEL.keras "
    "--calibration DATA"
)


class ChunkSession(Closing):
    """A network that answers whole chunks, such as a bidirectional one (NUMERICS.md 6.11).

    No state is carried from one chunk to the next: equal chunks give equal answers.

    Args:
        interfaces: of the programs, with the plan of their passes.
        backends: one for each program, by its name; closed with the session.

    Raises:
        EdgeRnnError: the programs have no plan of passes.
    """

    __slots__ = ("__weakref__", "_backends", "_closed", "_interface", "_interfaces", "_plan")

    def __init__(self, interfaces: ProgramInterfaces, backends: Mapping[str, Backend]) -> None:
        """Take the programs."""
        if interfaces.chunk is None:
            raise EdgeRnnError(
                f"session: expected programs with passes over a chunk, got '{interfaces.name}' "
                "without. Load it with edgernn.load_programs."
            )
        self._plan = interfaces.chunk
        self._interfaces = interfaces
        self._interface = interfaces.whole()
        self._backends = dict(backends)
        self._closed = False

    @property
    def interface(self) -> Interface:
        """Channels, units and scales of the chunk's readings and of its answer."""
        return self._interface

    @property
    def interfaces(self) -> ProgramInterfaces:
        """Those of all programs, with the plan of the passes."""
        return self._interfaces

    @property
    def plan(self) -> ChunkPlan:
        """Passes in their order, and the lengths of chunks."""
        return self._plan

    @property
    def max_steps(self) -> int:
        """Most steps of a chunk."""
        return self._plan.max_steps

    @property
    def min_steps(self) -> int:
        """Fewest steps of a chunk."""
        return self._plan.min_steps

    def run(self, chunk: object, *, softmax: bool = False) -> FloatArray:
        """The answer to a chunk.

        Args:
            chunk: readings [T, I], as `Session.run` takes them; without missing values.
            softmax: return probabilities of a network that ends in a softmax.

        Returns:
            float64 [T, O] of a network that answers every step, else [O].

        Raises:
            ReadingError: a value is missing, or not a token of its channel.
            ShapeError: other channels, or a chunk that is too short or too long.
            EdgeRnnError: the session is closed, or has no softmax.
        """
        return self.run_many([chunk], softmax=softmax)[0]

    def run_many(self, chunks: Iterable[object], *, softmax: bool = False) -> list[FloatArray]:
        """The answers to chunks, which may have different lengths.

        They are those of `run`, bit for bit. On the native back-end and the reference, many chunks
        together are faster.

        Args:
            chunks: readings [T, I] each.
            softmax: as for `run`.

        Raises:
            ReadingError, ShapeError, EdgeRnnError: as `run`; the message names the chunk.
        """
        if softmax:
            self._interface.require_softmax()
        coder, coded = self._interface.coder(), []
        spec = self._interface.input
        for number, chunk in enumerate(chunks):
            where = f"chunk {number}"
            xs = read_many(chunk, spec.names, spec.ports, where)
            rows, channels = np.nonzero(~np.isfinite(xs))
            if rows.size:
                row, channel = int(rows[0]), int(channels[0])
                value, place = float(xs[row, channel]), f"{where}, reading {row}"
                raise missing_value(value, channel, spec.names, place)
            try:
                coded.append(coder(xs))
            except ReadingError as error:
                raise ReadingError(f"{where}: {error}") from error
        return [self._interface.real_outputs(q_y, softmax) for q_y in self._answers(coded)]

    def run_codes(self, q_xs: object) -> Int16Array:
        """The answer to operand codes [T, I] (NUMERICS.md 2.3 and 6.8): int16 [T, O] or [O].

        Raises:
            ReadingError, ShapeError, EdgeRnnError: as `run`.
        """
        return self._answers([checked_codes(q_xs, self._interface, many=True)])[0]

    def pass_codes(self, q_xs: object) -> dict[str, Int16Array]:
        """What every pass puts out over a chunk of codes, int16 [T, O] in the chunk's order."""
        done, _ = self._passed([checked_codes(q_xs, self._interface, many=True)])
        return {program: q_ys[0] for program, q_ys in done.items()}

    def _answers(self, coded: Sequence[OperandArray]) -> list[Int16Array]:
        done, last = self._passed(coded)
        final = self._plan.passes[-1].program
        return done[final] if self._plan.sequence else last[final]

    def _passed(
        self, coded: Sequence[OperandArray]
    ) -> tuple[dict[str, list[Int16Array]], dict[str, list[Int16Array]]]:
        """Outputs of every pass over every chunk, in the chunk's order; and what came last."""
        self._require_open()
        for number, q_xs in enumerate(coded):
            self._check_length(number, len(q_xs))
        outputs = {model.name: model.output for model in self._interfaces.programs}
        precision = self._interface.precision
        done: dict[str, list[Int16Array]] = {}
        last: dict[str, list[Int16Array]] = {}
        for one in self._plan.passes:
            read = [
                read_codes(
                    one,
                    q_xs,
                    {name: q_ys[index] for name, q_ys in done.items()},
                    {name: q_y[index] for name, q_y in last.items()},
                    outputs,
                    precision,
                )
                for index, q_xs in enumerate(coded)
            ]
            q_ys = self._ran(one, read)
            last[one.program] = [chunk[-1] for chunk in q_ys]
            backward = one.direction is PassDirection.BACKWARD
            done[one.program] = [chunk[::-1] for chunk in q_ys] if backward else q_ys
        return done, last

    def _ran(self, one: Pass, read: Sequence[Int16Array]) -> list[Int16Array]:
        """A pass over chunks, its outputs in the order in which it gives them."""
        backend = self._backends[one.program]
        interface = backend.interface
        if one.direction is PassDirection.BACKWARD:
            read = [codes[::-1] for codes in read]
        q_xs = [np.ascontiguousarray(codes, dtype=interface.code_dtype) for codes in read]
        if len(q_xs) > 1 and runs_sequences(backend):
            return list(backend.run_sequences(q_xs, False, 1))
        return [backend.run(codes, interface.initial_state())[0] for codes in q_xs]

    def _check_length(self, number: int, steps: int) -> None:
        low, high = self.min_steps, self.max_steps
        if low <= steps <= high:
            return
        wanted = f"{high} steps" if low == high else f"{low} to {high} steps"
        cure = (
            "Cut it into chunks, or quantize the network again with max_steps (--max-steps)"
            if steps > high
            else "Pass all readings of a chunk at once"
        )
        raise ShapeError(
            f"session: expected a chunk of {wanted}, got {steps} (chunk {number}). {cure}."
        )

    def step(self, *_: object, **__: object) -> NoReturn:
        """Refuse single readings.

        Raises:
            EdgeRnnError: always; it says why, and what works instead.
        """
        raise EdgeRnnError(
            f"session: '{self._interfaces.name}' cannot run step by step, because {_ENDLESS}."
        )

    new_stream = step

    def _require_open(self) -> None:
        if self._closed:
            raise EdgeRnnError(
                f"session: expected an open session, got a closed one ('{self._interfaces.name}'). "
                "Load the model again."
            )

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def close(self) -> None:
        """Release the runtimes. Idempotent."""
        if not self._closed:
            self._closed = True
            for backend in self._backends.values():
                backend.close()

    def __repr__(self) -> str:
        """Name, lengths and passes."""
        told = f"{self._plan}" + (", closed" if self._closed else "")
        return f"<ChunkSession '{self._interfaces.name}': {told}>"
