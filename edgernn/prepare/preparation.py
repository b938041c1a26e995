"""The preparation of a model: which raw channels it takes, and the steps to the model's inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from edgernn.declared import (
    Declaration,
    StreamDeclaration,
    file_table,
    json_table,
    like,
    one_of,
    read_table,
    setting,
)
from edgernn.errors import DeclarationError, ShapeError
from edgernn.prepare.audio.log_mel import LogMel
from edgernn.prepare.calendar_features import CalendarFeatures
from edgernn.prepare.elapsed_time import ElapsedTime
from edgernn.prepare.part import Prepared, StepDeclaration
from edgernn.prepare.resampling import Resampling
from edgernn.prepare.sound_stream import SoundPreparationStream
from edgernn.prepare.stream import PreparationStream
from edgernn.prepare.units import Clipping, GainOffset, Logarithm, UnitConversion
from edgernn.prepare.windows import Difference, Lag, WindowFeatures

_Floats = npt.NDArray[np.float64]
#: Every kind of step.
STEPS: Final[dict[str, type[StepDeclaration]]] = {
    step.kind: step
    for step in (
        Resampling,
        UnitConversion,
        GainOffset,
        Clipping,
        Logarithm,
        WindowFeatures,
        Difference,
        Lag,
        CalendarFeatures,
        ElapsedTime,
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation(StreamDeclaration):
    """What happens to raw readings before the model reads them; a model file can hold it.

    Attributes:
        inputs: names of the raw channels, in the order of the raw values.
        steps: in their order; at most one of them resamples.
        audio: log-mel features of the one raw channel, which holds samples; then there are no
            steps.
        outputs: names of the model's input channels, in their order; () for all that there are
            after the steps.
        repeated: what happens to a reading with the time of the one before it: "drop" or "keep".
        set_back_s: a reading that is earlier by this many seconds means that the clock was set, and
            the stream starts again; one that is earlier by less comes late and is dropped.

    Raises:
        DeclarationError: settings are wrong or do not fit together; names all reasons.
    """

    kind: ClassVar[str] = ""

    inputs: tuple[str, ...] = setting("names of the raw channels")
    outputs: tuple[str, ...] = setting("names of the model's channels", default=())
    repeated: str = setting(
        "readings with the time of the one before", default="drop", choices=("drop", "keep")
    )
    set_back_s: float = setting(
        "seconds back that mean that the clock was set", default=86_400.0, low=0.0, high=1e11
    )
    steps: tuple[StepDeclaration, ...] = ()
    audio: LogMel | None = None

    def problems(self) -> Iterator[str]:
        """Channels that do not exist, or exist twice; a second resampling."""
        object.__setattr__(self, "steps", tuple(self.steps))
        if not self.inputs or "" in self.inputs or len(set(self.inputs)) < len(self.inputs):
            yield f"inputs: expected distinct names, got {list(self.inputs)!r:.80}."
            return
        if self.audio is not None and (self.steps or len(self.inputs) > 1):
            yield (
                "audio: expected one raw channel and no steps with it, got "
                f"{len(self.inputs)} and {len(self.steps)}."
            )
            return
        names = self.rows if self.audio is not None else self.inputs
        for number, step in enumerate(self.steps, 1):
            for misfit in step.misfits(names):
                yield f'steps {number} ("{step.kind}"): {misfit}'
            names += tuple(name for name in step.adds() if name not in names)
        if sum(isinstance(step, Resampling) for step in self.steps) > 1:
            yield 'steps: expected at most one of kind "resample", got several.'
        for name in self.outputs:
            if name not in names:
                yield f"outputs: expected {one_of(names)}, got {name!r:.60}.{like(name, names)}"
        if len(set(self.outputs)) < len(self.outputs):
            yield f"outputs: expected distinct names, got {list(self.outputs)!r:.80}."

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of all channels after the steps."""
        if self.audio is not None:
            return self.audio.outputs
        return self.inputs + tuple(name for step in self.steps for name in step.adds())

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the model's input channels, in their order."""
        return self.outputs or self.rows

    @property
    def timed(self) -> bool:
        """Whether every reading needs a time."""
        return any(step.timed for step in self.steps)

    @property
    def period_s(self) -> float | None:
        """Seconds between readings of the model; None where the raw readings decide."""
        if self.audio is not None:
            return self.audio.step_ms / 1000.0
        return next((s.period_s for s in self.steps if isinstance(s, Resampling)), None)

    def stream(self) -> PreparationStream:
        """The preparation of one stream of raw readings, before its first."""
        return (
            PreparationStream(self)
            if self.audio is None
            else SoundPreparationStream(self, self.audio)
        )

    def apply(self, times_s: npt.ArrayLike | None, table: npt.ArrayLike) -> tuple[_Floats, _Floats]:
        """Prepare a recorded stream, as `stream` does reading by reading: the same bits.

        Args:
            times_s: seconds since 1970-01-01 UTC [T]; None for a stream without times.
            table: raw values [T, R]; NaN where one is missing.

        Returns:
            Times float64 [N] and prepared readings float64 [N, I].

        Raises:
            ShapeError: the shapes do not fit.
            ReadingError: a time is missing, not finite or out of range.
        """
        found = self.pushed(self.stream(), times_s, table)
        xs = np.array([one.x for one in found], dtype=np.float64)
        return (
            np.array([one.time_s for one in found], dtype=np.float64),
            xs.reshape(len(found), len(self.channels)),
        )

    def pushed(
        self, stream: PreparationStream, times_s: npt.ArrayLike | None, table: npt.ArrayLike
    ) -> list[Prepared]:
        """Push the next readings of a recording into a stream of this preparation.

        Args:
            stream: of this preparation; it advances.
            times_s: as for `apply`.
            table: as for `apply`.

        Raises:
            ShapeError: the shapes do not fit.
            ReadingError: a time is missing, not finite or out of range.
        """
        raw = np.asarray(table, dtype=np.float64)
        if raw.ndim != 2 or raw.shape[1] != len(self.inputs):
            raise ShapeError(
                f"preparation: expected raw readings [T, {len(self.inputs)}], got "
                f"{list(raw.shape)}. Its channels are {', '.join(self.inputs)}."
            )
        times = [None] * len(raw) if times_s is None else np.asarray(times_s, np.float64).tolist()
        if len(times) != len(raw):
            raise ShapeError(
                f"preparation: expected a time for each of {len(raw)} readings, got {len(times)}."
            )
        if self.audio is not None:
            return stream.push(times[-1], raw[:, 0].tolist()) if times else []
        return [one for t, x in zip(times, raw.tolist(), strict=True) for one in stream.push(t, x)]

    def to_table(self) -> dict[str, Any]:
        """The preparation as a table of TOML or JSON."""
        table = Declaration.to_table(self)
        if self.audio is not None:
            table["audio"] = self.audio.to_table()
        return {**table, "steps": [step.to_table() for step in self.steps]}

    @staticmethod
    def from_json(text: str) -> Preparation:
        """Read what `to_json` wrote.

        Raises:
            DeclarationError: it is something else; names all reasons.
        """
        return Preparation.from_table(json_table(text, "preparation"))

    @staticmethod
    def from_file(path: str | Path) -> Preparation:
        """Read a TOML file: the fields of `Preparation`, or a table ``preparation`` of them.

        Raises:
            DeclarationError: names all reasons.
        """
        return Preparation.from_table(file_table(path, "preparation"), str(path))

    @staticmethod
    def from_table(table: object, where: str = "preparation") -> Preparation:
        """Build a preparation from a table, as of a TOML file.

        Args:
            table: the fields of `Preparation`; ``steps`` is an array of tables with a ``kind``,
                ``audio`` a table of the settings of `LogMel`.
            where: the file or table, for messages.

        Raises:
            DeclarationError: names all reasons.
        """
        reasons: list[str] = []
        steps: tuple[StepDeclaration | None, ...] = ()
        given: dict[str, Any] = {}
        if isinstance(table, Mapping):
            steps = _read_steps(table.get("steps", []), where, reasons)
            if "audio" in table:
                try:
                    given["audio"] = LogMel.from_table(table["audio"], f"{where}, audio")
                except DeclarationError as error:
                    reasons += error.reasons
        found = None
        if not reasons:
            found = read_table(Preparation, table, where, reasons, steps=steps, **given)
        if found is None:
            raise DeclarationError(reasons)
        return found


def _read_steps(
    tables: object, where: str, reasons: list[str]
) -> tuple[StepDeclaration | None, ...]:
    if not isinstance(tables, Sequence) or isinstance(tables, str):
        reasons.append(f"{where}: expected steps as an array of tables, got {tables!r:.60}.")
        return ()
    steps = []
    for number, table in enumerate(tables, 1):
        place = f"{where}, step {number}"
        kind = table.get("kind") if isinstance(table, Mapping) else None
        if not isinstance(kind, str) or kind not in STEPS:
            reasons.append(
                f"{place}: expected kind = {one_of(STEPS)}, got {kind!r:.60}.{like(kind, STEPS)}"
            )
            continue
        steps.append(read_table(STEPS[kind], table, place, reasons))
    return tuple(steps)
