"""The decisions of a model: named results of its answers."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from edgernn.decide.anomaly import AnomalyScore
from edgernn.decide.class_smoothing import ClassSmoothing
from edgernn.decide.decision import Decided, DecisionDeclaration
from edgernn.decide.drift import DriftAlarm, ReferenceValues
from edgernn.decide.threshold import Threshold
from edgernn.declared import (
    Declaration,
    StreamDeclaration,
    canonical_json,
    file_table,
    json_table,
    like,
    one_of,
    read_table,
    setting,
)
from edgernn.errors import DeclarationError, ShapeError
from edgernn.prepare.state_bytes import packed, restore_parts, unpacked

#: Every kind of decision.
DECISIONS: Final[dict[str, type[DecisionDeclaration]]] = {
    decision.kind: decision for decision in (Threshold, ClassSmoothing, AnomalyScore, DriftAlarm)
}
_MAGIC: Final = b"ERND\x01"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions(StreamDeclaration):
    """What is decided from the inputs and outputs of a model; a model file can hold it.

    Attributes:
        decisions: in their order; each may read those before it.
        softmax: the outputs are read as probabilities: step the model with ``softmax=True``.
        inputs: names of the model's input channels; () until `bound` to a model.
        outputs: names of its outputs; () until `bound` to a model.

    Raises:
        DeclarationError: settings are wrong or do not fit together; names all reasons.
    """

    kind: ClassVar[str] = ""

    softmax: bool = setting("outputs are read as probabilities", default=False)
    inputs: tuple[str, ...] = setting("names of the model's inputs", default=())
    outputs: tuple[str, ...] = setting("names of the model's outputs", default=())
    decisions: tuple[DecisionDeclaration, ...] = ()

    def problems(self) -> Iterator[str]:
        """Names that exist twice, or that do not exist."""
        object.__setattr__(self, "decisions", tuple(self.decisions))
        earlier: tuple[str, ...] = ()
        for number, decision in enumerate(self.decisions, 1):
            place = f'decisions {number} ("{decision.kind}")'
            if self.outputs:
                for misfit in decision.misfits(self.inputs, self.outputs, earlier):
                    yield f"{place}: {misfit}"
            for name in decision.results():
                if not name or name in earlier or name in self.outputs:
                    yield f"{place}: expected a new name, got {name!r:.60}, which is taken."
            earlier += decision.results()

    @property
    def results(self) -> tuple[str, ...]:
        """Names of everything that is decided, in order."""
        return tuple(name for decision in self.decisions for name in decision.results())

    def bound(self, inputs: Sequence[str], outputs: Sequence[str]) -> Decisions:
        """These decisions for a model.

        Args:
            inputs: names of its input channels.
            outputs: names of its outputs.

        Raises:
            DeclarationError: a decision reads what the model does not have.
        """
        return dataclasses.replace(self, inputs=tuple(inputs), outputs=tuple(outputs))

    def measured(self, channels: Mapping[str, Any]) -> Decisions:
        """These decisions with what they must know of the calibration data.

        Args:
            channels: calibration values of every input channel, float64 [N], by name.
        """
        found = tuple(decision.measured(dict(channels)) for decision in self.decisions)
        return dataclasses.replace(self, decisions=found)

    def stream(self) -> DecisionStream:
        """The decisions of one stream, before its first reading.

        Raises:
            DeclarationError: they are not bound to a model, or lack calibration data.
        """
        reasons = [
            f"decisions.{decision.name}: expected what calibration saw, got none. Record the "
            "decisions in the model: quantize(..., decisions=...)."
            for decision in self.decisions
            if isinstance(decision, DriftAlarm) and not decision.references
        ]
        if not self.outputs:
            reasons.append("decisions.outputs: expected those of a model, got none. Use bound.")
        if reasons:
            raise DeclarationError(reasons)
        return DecisionStream(self)

    @property
    def state_sha256(self) -> str:
        """Hash of the decisions (hex) without what calibration saw; saved states hold it.

        A model that is trained again has other references; its streams go on.
        """
        found = getattr(self, "_state_sha256", "")
        if not found:
            table = self.to_table()
            for decision in table["decisions"]:
                decision.pop("references", None)
            found = hashlib.sha256(canonical_json(table).encode()).hexdigest()
            object.__setattr__(self, "_state_sha256", found)
        return found

    def to_table(self) -> dict[str, Any]:
        """The decisions as a table of TOML or JSON."""
        table = Declaration.to_table(self)
        return {**table, "decisions": [decision.to_table() for decision in self.decisions]}

    @staticmethod
    def from_json(text: str) -> Decisions:
        """Read what `to_json` wrote.

        Raises:
            DeclarationError: it is something else; names all reasons.
        """
        return Decisions.from_table(json_table(text, "decisions"))

    @staticmethod
    def from_file(path: str | Path) -> Decisions:
        """Read a TOML file: ``softmax``, and ``decisions`` as an array of tables.

        Raises:
            DeclarationError: names all reasons.
        """
        return Decisions.from_table(file_table(path, "decisions"), str(path))

    @staticmethod
    def from_table(table: object, where: str = "decisions") -> Decisions:
        """Build decisions from a table, as of a TOML file.

        Args:
            table: the fields of `Decisions`; ``decisions`` is an array of tables with a ``kind``.
            where: the file or table, for messages.

        Raises:
            DeclarationError: names all reasons.
        """
        reasons: list[str] = []
        items: list[DecisionDeclaration | None] = []
        tables = table.get("decisions", []) if isinstance(table, Mapping) else []
        if not isinstance(tables, list):
            reasons.append(f"{where}: expected an array of tables, got {tables!r:.60}.")
            tables = []
        for number, one in enumerate(tables, 1):
            place = f"{where}, decision {number}"
            kind = one.get("kind") if isinstance(one, Mapping) else None
            if not isinstance(kind, str) or kind not in DECISIONS:
                known = one_of(DECISIONS)
                cure = like(kind, DECISIONS)
                reasons.append(f"{place}: expected kind = {known}, got {kind!r:.60}.{cure}")
                continue
            items.append(_read_decision(DECISIONS[kind], one, place, reasons))
        found = None
        if not reasons:
            found = read_table(Decisions, table, where, reasons, decisions=tuple(items))
        if found is None:
            raise DeclarationError(reasons)
        return found


def _read_decision(
    cls: type[DecisionDeclaration], table: Mapping[str, Any], where: str, reasons: list[str]
) -> DecisionDeclaration | None:
    if "references" not in table or cls is not DriftAlarm:
        return read_table(cls, table, where, reasons)
    listed = table["references"] if isinstance(table["references"], list) else [None]
    read = [read_table(ReferenceValues, one, f"{where}, references", reasons) for one in listed]
    return None if None in read else read_table(cls, table, where, reasons, references=tuple(read))


class DecisionStream:
    """The decisions of one stream of readings."""

    __slots__ = ("_decisions", "_parts")

    def __init__(self, decisions: Decisions) -> None:
        """A stream before its first reading."""
        self._decisions = decisions
        self._parts = [
            decision.begin(decisions.inputs, decisions.outputs) for decision in decisions.decisions
        ]

    def push(self, time_s: float | None, x: Sequence[float] | None, y: Sequence[float]) -> Decided:
        """Decide about one reading.

        Args:
            time_s: seconds since 1970-01-01 UTC; None in a stream without times.
            x: prepared values of the model's inputs [I], NaN where one is missing; None where they
                are not known.
            y: its outputs [O], probabilities if ``softmax`` is set; NaN where there is no answer.

        Returns:
            What is decided, by name.

        Raises:
            ShapeError: another number of values.
            ReadingError: a decision needs a time and there is none.
        """
        own = self._decisions
        if len(y) != len(own.outputs) or (x is not None and len(x) != len(own.inputs)):
            raise ShapeError(
                f"decisions: expected {len(own.inputs)} inputs and {len(own.outputs)} outputs, got "
                f"{'none' if x is None else len(x)} and {len(y)}."
            )
        decided: Decided = {}
        at = math.nan if time_s is None else time_s
        for part in self._parts:
            part.decide(at, x, y, decided)
        return decided

    def reset(self) -> None:
        """The model's stream starts again: forget its readings. What is usual in it stays known."""
        for part in self._parts:
            part.reset()

    def to_bytes(self) -> bytes:
        """The state of the stream, with a checksum."""
        return packed(_MAGIC, self._decisions.state_sha256, [], [], self._parts)

    def from_bytes(self, blob: bytes) -> None:
        """Restore a state that `to_bytes` gave.

        Raises:
            StateError: the bytes are damaged, or of other decisions; nothing has changed.
        """
        _, _, rest = unpacked(_MAGIC, self._decisions.state_sha256, 0, 0, blob, "decisions")
        restore_parts(self._parts, rest)
