"""From readings to outputs: what a session does with readings of every form, whole or not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from edgernn.backends.base import Stream
from edgernn.backends.clipping import CountingEncoder, Encoder
from edgernn.backends.streams.stream_bytes import StreamContent, decode_stream, encode_stream
from edgernn.backends.streams.value_stream import SharedBackend
from edgernn.errors import EdgeRnnError
from edgernn.model.formats import BoolArray, FloatArray, OperandArray
from edgernn.model.interface import Interface
from edgernn.session.checks import checked_sequence, checked_state, named_state
from edgernn.session.policies import Gaps, Policies, Policy
from edgernn.session.readings import missing_value, named_values, read_many, read_one

#: A reading; a dictionary names the channels, or the inputs where there are several.
Reading = npt.ArrayLike | Mapping[str, Any]


class ReadingStream:
    """A stream, the policies of its channels, and what is counted of its readings.

    The base of `edgernn.Session`, which calls it for readings that its stream does not handle.

    Attributes:
        bad_readings: readings of which a value was missing.
    """

    __slots__ = (
        "_closed", "_codes_itself", "_early", "_encoder", "_policies", "_shared", "_stream",
        "bad_readings",
    )  # fmt: skip

    def _attach(self, shared: SharedBackend, policies: Policies, stream: Stream) -> None:
        shared.users += 1
        self._shared = shared
        self._policies = policies
        self._stream = stream
        self._codes_itself = hasattr(stream, "encode") and not shared.interface.input.vocabulary
        self._encoder = (
            cast("Encoder", stream)
            if self._codes_itself
            else CountingEncoder(shared.interface, shared.coder)
        )
        #: Good codes and where there are some, before all channels had one. Afterwards those that
        #: the stream was last advanced by are the last good ones.
        self._early: tuple[OperandArray, BoolArray] | None = None
        self._closed = False
        self.bad_readings = 0

    @property
    def interface(self) -> Interface:
        """Channels, units, scales and state formats of the model."""
        return self._shared.interface

    @property
    def sequence(self) -> int:
        """Number of the stream's last reading; 0 at its beginning, and after `reset`.

        Every reading that is not refused counts, in `step`, `run`, bound steps and those of codes,
        also one that "skip" leaves out. `step` can be given a number.
        """
        return self._stream.sequence

    def to_bytes(self) -> bytes:
        """The whole stream, in the format of FORMAT.md section 10.

            saved = session.to_bytes()
            ...
            session.from_bytes(saved)  # also in another process, on another backend

        The state, the last reading, the last output, `sequence` and the counts.

        Raises:
            EdgeRnnError: the session is closed.
        """
        shared, stream = self._require_open(), self._stream
        if self._early is None and self._codes_itself:
            blob = stream.to_bytes(shared.head, self.bad_readings)
            if blob is not None:
                return blob
        state, held, last, sequence = stream.snapshot()
        known = None
        if held is None and self._early is not None:
            held, known = self._early
        content = StreamContent(
            sequence=sequence,
            bad=self.bad_readings,
            clipped=self._encoder.clipped,
            state=state,
            held=held,
            known=known,
            last=last,
        )
        return encode_stream(shared.head, content, shared.interface)

    def from_bytes(self, blob: bytes, *, migrate: bool = False) -> None:
        """Continue the stream that `to_bytes` wrote, with the same bits, at bad readings too.

        Args:
            blob: from a session of the same model, on any backend.
            migrate: also take the stream of another model whose states have the same names,
                widths and formats. Where the two models scale readings or outputs differently, the
                last reading and the last output are left out.

        Raises:
            StateError: damaged, or of another model. The stream stays what it was.
            EdgeRnnError: the session is closed.
        """
        shared = self._require_open()
        bad = self._stream.from_bytes(shared.head, blob) if self._codes_itself else None
        if bad is None:
            head, interface = shared.head, shared.interface
            bad = self._read(decode_stream(blob, interface, migrate=migrate, head=head))
        else:
            self._early = None
        self.bad_readings = bad

    def _read(self, content: StreamContent) -> int:
        """Continue from there; the number of bad readings."""
        interface, encoder = self._shared.interface, self._encoder
        state = checked_state(interface, named_state(interface, content))
        held, known = content.held, content.known
        early = known is not None
        self._stream.restore((state, None if early else held, content.last, content.sequence))
        self._early = (held, known) if held is not None and known is not None else None
        encoder.clipped = content.clipped or (0,) * interface.input.width
        encoder.told = encoder.told or content.clipped is not None
        return content.bad

    def _require_open(self) -> SharedBackend:
        if self._closed:
            raise EdgeRnnError(
                f"session: expected an open session, got a closed one ('{self.interface.name}'). "
                "Load the model again."
            )
        return self._shared

    def _step_numbered(self, x: Reading, softmax: bool, sequence: int) -> FloatArray:
        """`step` for a reading with a number."""
        shared, stream = self._require_open(), self._stream
        number = checked_sequence(sequence)
        if number <= stream.sequence:
            if softmax:
                shared.interface.require_softmax()
            return shared.interface.real_outputs(stream.last, softmax)
        y = None if softmax else stream.step(x)
        if y is None:
            y = self._step_of_any(x, softmax)
        stream.sequence = number
        return y

    def _step_of_any(self, x: Reading, softmax: bool) -> FloatArray:
        """`step` for readings of every form, whole or not."""
        interface = self._require_open().interface
        names, ports = interface.input.names, interface.input.ports
        if softmax:
            interface.require_softmax()
        if isinstance(x, Mapping):
            x = named_values(x, names, ports)
            y = None if softmax else self._stream.step(x)
            if y is not None:
                return y
        reading = read_one(x, names, ports)
        values: list[float] = reading.tolist()
        gaps = [i for i, value in enumerate(values) if not math.isfinite(value)]
        if gaps:
            return self._step_with_gaps(values, gaps, softmax)
        q_x: OperandArray = self._encoder.encode(reading[None])[0]
        return interface.real_outputs(self._stream.advance_one(q_x), softmax)

    def _step_with_gaps(self, values: list[float], gaps: list[int], softmax: bool) -> FloatArray:
        """`step` for a reading of which some values are missing."""
        interface, stream, policies = self._shared.interface, self._stream, self._policies
        chosen = [policies.chosen[i] for i in gaps]
        held = stream.held
        if held is None and Policy.HOLD in chosen:
            where = np.zeros(len(gaps), np.intp), np.array(gaps)
            y: FloatArray = self._run_with_gaps(np.array([values]), where, softmax)[0]
            return y
        self.bad_readings += 1
        if Policy.RAISE in chosen:
            i = gaps[chosen.index(Policy.RAISE)]
            raise missing_value(values[i], i, interface.input.names)
        if Policy.SKIP in chosen:
            stream.sequence += 1
            return interface.real_outputs(stream.last, softmax)
        for i in gaps:
            values[i] = interface.input.offset[i]
        q_x = self._coded_unmasked(np.array([values]))[0]
        for i, choice in zip(gaps, chosen, strict=True):
            q_x[i] = held[i] if held is not None and choice is Policy.HOLD else policies.values[i]
        q_x = self._shared.coder.off_the_mask(q_x)
        return interface.real_outputs(stream.advance_one(q_x), softmax)

    def _run_of_any(self, xs: object, softmax: bool) -> FloatArray:
        """`run` for readings of every form, whole or not."""
        interface = self._require_open().interface
        if softmax:
            interface.require_softmax()
        x = read_many(xs, interface.input.names, interface.input.ports)
        good = np.isfinite(x)
        if not good.all():
            rows, channels = np.nonzero(~good)
            return self._run_with_gaps(x, (rows, channels), softmax)
        return interface.real_outputs(self._stream.advance(self._encoder.encode(x)), softmax)

    def _run_with_gaps(
        self, x: FloatArray, gaps: Gaps, softmax: bool, where: str = "reading"
    ) -> FloatArray:
        """`run` for readings [T, I] of which some values are missing."""
        interface, stream = self._shared.interface, self._stream
        if len(x) > 1 and interface.input.mask is not None:
            return self._step_by_step(x, gaps, softmax, where)
        q_xs, still, known, came = self._filled(x, gaps, where)
        before = stream.last
        after = interface.real_outputs(stream.advance(q_xs[still:]), softmax)
        stream.sequence += len(came) - len(after)
        if len(after) == len(came):
            return after
        if still == len(q_xs) > 0:
            self._early = q_xs[-1], known
        came[np.flatnonzero(came)[:still]] = False
        # Row 0 is the output before the chunk, row k the output after the k-th advance.
        outputs = np.concatenate([interface.real_outputs(before, softmax)[None], after])
        chosen: FloatArray = outputs[np.cumsum(came)]
        return chosen

    def _step_by_step(self, x: FloatArray, gaps: Gaps, softmax: bool, where: str) -> FloatArray:
        """`_run_with_gaps` of a model with a mask: masked readings are not held.

        A call that raises changes nothing but the count of bad readings.
        """
        self._refuse_gaps(x, gaps, where)
        before, counts = self._stream.snapshot(), self._counts()
        try:
            return np.stack([self._step_of_any(one, softmax) for one in x])
        except BaseException:
            self._stream.restore(before)
            self._continue(counts)
            raise

    def _counts(self) -> tuple[Any, ...]:
        """What the session itself knows of its stream."""
        return self.bad_readings, self._early, self._encoder.clipped, self._encoder.told

    def _continue(self, counts: tuple[Any, ...]) -> None:
        encoder = self._encoder
        self.bad_readings, self._early, encoder.clipped, encoder.told = counts

    def _coded_unmasked(self, x: FloatArray) -> OperandArray:
        """Codes of readings of which some value was missing: these are not masked."""
        encoder = self._encoder
        if isinstance(encoder, CountingEncoder):
            return encoder.encode_unmasked(x)
        return encoder.encode(x)

    def _refuse_gaps(self, x: FloatArray, gaps: Gaps, where: str) -> None:
        """Refuse readings [T, I] that lack a value of a channel whose policy is "raise".

        Raises:
            ReadingError: names the first; the readings that lack a value are counted.
        """
        rows, channels = gaps
        refused = self._policies.raises[channels]
        if refused.any():
            self.bad_readings += 1 + int(np.count_nonzero(np.diff(rows)))
            t, i = (int(which[refused.argmax()]) for which in gaps)
            raise missing_value(x[t, i], i, self.interface.input.names, f"{where} {t}")

    def _filled(
        self, x: FloatArray, gaps: Gaps, where: str
    ) -> tuple[OperandArray, int, BoolArray, BoolArray]:
        """Codes of readings [T, I] of which some values are missing, by the policies.

        Args:
            x: the readings; changed.
            gaps: where values are missing.
            where: what comes before the number of a reading in messages.

        Returns:
            Codes [N, I] of the readings that are not skipped; how many at the beginning still lack
            a value; whether each channel has a last good code then, bool [I]; which readings are
            not skipped, bool [T].
        """
        interface, policies = self._shared.interface, self._policies
        rows, channels = gaps
        self._refuse_gaps(x, gaps, where)
        self.bad_readings += 1 + int(np.count_nonzero(np.diff(rows)))
        came = np.ones(len(x), dtype=np.bool_)
        came[rows[policies.skips[channels]]] = False
        x = x[came]
        if not came.all():
            rows, channels = np.nonzero(~np.isfinite(x))
        x[rows, channels] = interface.input.offset[channels]
        q_xs = self._coded_unmasked(x)
        still, known = policies.fill(q_xs, (rows, channels), *self._last_good())
        return self._shared.coder.off_the_mask(q_xs), still, known, came

    def _last_good(self) -> tuple[OperandArray, BoolArray]:
        """The last good code of every channel [I], and where there was one [I]."""
        held, width = self._stream.held, self.interface.input.width
        if held is not None:
            return held, np.ones(width, dtype=np.bool_)
        if self._early is not None:
            return self._early
        nothing = np.zeros(width, self.interface.code_dtype)
        return nothing, np.zeros(width, dtype=np.bool_)
