"""A session with a head that learns from true values while it streams."""

from __future__ import annotations

import dataclasses
import struct
import warnings
import zlib
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.adapt.adaptation import Adaptation
from edgernn.adapt.integer_head import MAX_TARGET, MAX_WEIGHT, OWN_FEATURES, IntegerHead
from edgernn.errors import (
    ClippedReadingsWarning,
    DeclarationError,
    ShapeError,
    StateError,
)
from edgernn.model.formats import FloatArray
from edgernn.session.reading_stream import Reading
from edgernn.session.session import Session

_MAGIC: Final = b"ERNH\x01"
#: Magic, place of the state, N, O, D, steps that are kept, true values, targets that were clipped,
#: corrections that the limit cut off, bytes of the session.
_HEAD: Final = struct.Struct("<5sHHHHHQQQI")
#: The value of a stream that counts down to the next answer.
_DUE: Final = "rate.due"
_CRC: Final = struct.Struct("<I")


class AdaptiveHead:
    """Corrects the outputs of a session, and learns the correction from true values.

        with edgernn.load("model.edgernn") as session:
            head = edgernn.AdaptiveHead(session, rate=0.05)
            for reading, laboratory_value in plant:
                y = head.step(reading)
                head.learn(laboratory_value)

    The correction is a linear function of the state of a recurrent layer, in integers (NUMERICS.md
    section 14): every back-end, and the C of an exported model, give the same bits. The model does
    not change. Without `learn`, outputs are those of the session.

    `learn` belongs to the step ``delay`` steps before the last one. For a forecast of the next
    reading, call ``head.learn(reading)`` and then ``head.step(reading)``, with a delay of 0; for a
    forecast of h readings ahead, with a delay of h - 1.

    Args:
        session: advances the model; on any back-end. Step it with `step` of the head alone.
        rate, leak, limit, error_limit, delay, state: as in `edgernn.adapt.adaptation.Adaptation`;
            by default those that the model file records, else those of that class.

    Attributes:
        session: the session.
        adaptation: the settings.
        learned: true values that were learned from, one for each output.
        clipped_targets: true values beyond eight times the range of an output, which were clipped.

    Raises:
        DeclarationError: settings are wrong, or the model cannot have such a head; names all
            reasons.
    """

    __slots__ = ("_head", "_place", "_told", "adaptation", "clipped_targets", "learned", "session")

    def __init__(
        self,
        session: Session,
        *,
        rate: float | None = None,
        leak: float | None = None,
        limit: float | None = None,
        error_limit: float | None = None,
        delay: int | None = None,
        state: str | None = None,
    ) -> None:
        """Begin without a correction."""
        given: dict[str, Any] = {
            "rate": rate, "leak": leak, "limit": limit, "error_limit": error_limit,
            "delay": delay, "state": state,
        }  # fmt: skip
        if not isinstance(session, Session):
            raise DeclarationError(
                [
                    f"adaptation: expected a Session of a model, got {type(session).__name__}. "
                    "Open one with edgernn.load; of a file with several programs, with program=."
                ]
            )
        interface = session.interface
        chosen = dataclasses.replace(
            interface.adaptation or Adaptation(),
            **{name: value for name, value in given.items() if value is not None},
        )
        self.session = session
        self.adaptation = chosen.bound(interface)
        self._place = [spec.name for spec in interface.states].index(self.adaptation.state)
        self._told = False
        self.forget()

    def forget(self) -> None:
        """Forget what was learned; the stream of the session goes on."""
        interface = self.session.interface
        units = interface.states[self._place].units
        self._head = IntegerHead(self.adaptation, units, interface.output.width)
        self.learned = 0
        self.clipped_targets = 0

    def reset(self) -> None:
        """Forget what was learned, and begin a new stream in the session."""
        self.session.reset()
        self.forget()

    @property
    def limited(self) -> int:
        """Corrections that ``limit`` cut off, one for each output and step.

        A count that grows says that the model is further off than the head may correct.
        """
        return self._head.limited

    @property
    def weights(self) -> FloatArray:
        """What was learned: float64 [O, N + 2] in units of the outputs.

        They belong to a constant of 1; to the output as a share of its largest value; and to the
        elements of the state, as shares of their largest values.
        """
        scale = self.session.interface.output.scale
        return self._head.weights * 2.0**-15 * scale[:, None]

    def step(self, x: Reading, sequence: int | None = None) -> FloatArray:
        """Advance the session by one reading, and correct the outputs.

        Args:
            x: a reading, as `Session.step` takes it. In a model that does not answer every reading,
                steps of the head are its answers; between them, the last output is returned.
            sequence: its number, as in `Session.step`; a repeated reading changes nothing.

        Returns:
            float64 [O] in physical units; NaN where there is no output yet.

        Raises:
            ReadingError, ShapeError, EdgeRnnError: as `Session.step`. Nothing changes.
        """
        session = self.session
        before, due = session.sequence, self._due()
        y = session.step(x, sequence)
        scale = session.interface.output.scale
        if not np.isfinite(y).all():
            return y
        # A reading that the policy "skip" leaves out changes no countdown.
        taken = due == 1 and self._due() == session.interface.step_readings
        if session.sequence == before or not taken:
            return self._head.again() * scale if self._head.steps else y
        # Outputs are codes times scale: the quotient is within 2^-36 of the code.
        q_y = np.rint(y / scale).astype(np.int16)
        state = session.state[self.adaptation.state]
        return self._head.step(state, q_y) * scale

    def _due(self) -> int:
        """Readings until the next answer of a model with a rate; 1 for other models."""
        if self.session.interface.rate is None:
            return 1
        return int(self.session.state[_DUE][0])

    def learn(self, target: npt.ArrayLike) -> FloatArray:
        """Learn from the true values of the outputs, ``delay`` steps before the last one.

        Args:
            target: reals [O] in physical units, a scalar where O = 1. NaN (or an infinity) where a
                value is missing: that output learns nothing.

        Returns:
            float64 [O]: true values less the corrected outputs of that step before learning, in
            physical units. NaN where nothing was learned, as before ``delay`` + 1 steps.

        Raises:
            ShapeError: not a number for every output. Nothing changes.

        Warns:
            ClippedReadingsWarning: once per head, a value lies beyond eight times the range of its
                output.
        """
        output = self.session.interface.output
        try:
            values = np.atleast_1d(np.asarray(target, np.float64))
            got = f"{list(values.shape)}"
        except (TypeError, ValueError):
            values, got = np.empty(0), f"{target!r:.60}"
        if values.shape != (output.width,):
            raise ShapeError(
                f"learn: expected true values [{output.width}] of the outputs, got {got}. Pass NaN "
                "for an output without one."
            )
        known = np.isfinite(values)
        with np.errstate(over="ignore"):  # clipped below
            codes = np.rint(np.where(known, values, 0.0) / output.scale)
        clipped = np.abs(codes) > MAX_TARGET
        error = self._head.learn(np.clip(codes, -MAX_TARGET, MAX_TARGET).astype(np.int64), known)
        if error is None:
            return np.full(output.width, np.nan)
        self.learned += int(np.count_nonzero(known))
        if clipped.any():
            self._tell_clipped(output.names[int(clipped.argmax())], int(clipped.sum()))
        return np.where(known, error * output.scale, np.nan)

    def _tell_clipped(self, name: str, count: int) -> None:
        self.clipped_targets += count
        if not self._told:
            self._told = True
            warnings.warn(
                f"learn: expected true values within eight times the range of output {name!r:.60}, "
                "got one beyond it, which was clipped. Check the unit of the true values.",
                ClippedReadingsWarning,
                stacklevel=3,
            )

    def to_bytes(self) -> bytes:
        """The stream of the session, and what was learned.

        Raises:
            EdgeRnnError: the session is closed.
        """
        head, stream = self._head, self.session.to_bytes()
        outputs, width = head.weights.shape
        body = _HEAD.pack(
            _MAGIC, self._place, width - OWN_FEATURES, outputs, self.adaptation.delay,
            len(head.steps), self.learned, self.clipped_targets, head.limited, len(stream),
        )  # fmt: skip
        parts = [body, head.weights.astype("<i4").tobytes()]
        for state, q_y in head.steps:
            parts += [state.tobytes(), q_y.astype("<i2").tobytes()]
        body = b"".join([*parts, stream])
        return body + _CRC.pack(zlib.crc32(body))

    def from_bytes(self, blob: bytes) -> None:
        """Continue with what `to_bytes` gave, with the same bits, also on another back-end.

        The rate, the leak and the limits may be others than those of the head that was saved.

        Args:
            blob: from a head over the same model, with the same delay and state.

        Raises:
            StateError: damaged, or of another model or head. Nothing changes.
            EdgeRnnError: the session is closed.
        """
        head = self._head
        outputs, width = head.weights.shape
        features = width - OWN_FEATURES
        if len(blob) < _HEAD.size + _CRC.size or blob[: len(_MAGIC)] != _MAGIC:
            raise StateError(
                "adaptive head: expected the bytes of AdaptiveHead.to_bytes, got others. "
                "Reset the head."
            )
        _, place, n, o, delay, kept, learned, clipped, limited, size = _HEAD.unpack_from(blob)
        if (n, o, delay) != (features, outputs, self.adaptation.delay):
            raise StateError(
                f"adaptive head: expected {features} features, {outputs} outputs and a delay of "
                f"{self.adaptation.delay}, got {n}, {o} and {delay}. Reset the head, or open it "
                "with the settings it was saved with."
            )
        if place != self._place:
            raise StateError(
                f"adaptive head: expected bytes of a head that reads {self.adaptation.state}, got "
                "those of a head that reads another state. Reset the head, or open it with the "
                "state it was saved with."
            )
        row = n + 2 * o
        wanted = _HEAD.size + 4 * o * width + kept * row + size + _CRC.size
        (crc,) = _CRC.unpack(blob[-_CRC.size :])
        if len(blob) != wanted or kept > delay + 1 or zlib.crc32(blob[: -_CRC.size]) != crc:
            raise StateError(
                f"adaptive head: expected {wanted} bytes with the right checksum, got {len(blob)} "
                "damaged ones. Load an older copy, or reset the head."
            )
        weights = np.frombuffer(blob, "<i4", o * width, _HEAD.size).astype(np.int64)
        if np.abs(weights).max() > MAX_WEIGHT:
            raise StateError(
                "adaptive head: expected weights within clause 14.1, got larger ones. "
                "Reset the head."
            )
        at = _HEAD.size + 4 * o * width
        self.session.from_bytes(blob[at + kept * row : -_CRC.size])
        head.weights = weights.reshape(o, width)
        head.steps.clear()
        for _ in range(kept):
            state = np.frombuffer(blob, np.int8, n, at)
            head.steps.append((state, np.frombuffer(blob, "<i2", o, at + n).astype(np.int16)))
            at += row
        head.limited = limited
        self.learned, self.clipped_targets = learned, clipped

    def __repr__(self) -> str:
        """The session and the settings."""
        own = self.adaptation
        return (
            f"<AdaptiveHead of {self.session!r}, reads {own.state}, rate {own.rate:g}, "
            f"delay {own.delay}, {self.learned} true values>"
        )
