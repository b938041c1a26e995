"""From readings to outputs: what a session does with readings of every form, whole or not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from edgernn.backends.base import Stream
from edgernn.backends.clipping import CountingEncoder, Encoder
from edgernn.backends.value_stream import SharedBackend
from edgernn.errors import EdgeRnnError
from edgernn.model.formats import BoolArray, FloatArray, OperandArray
from edgernn.model.interface import Interface
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
        "_closed", "_early", "_encoder", "_policies", "_shared", "_stream", "bad_readings",
    )  # fmt: skip

    def _attach(self, shared: SharedBackend, policies: Policies, stream: Stream) -> None:
        shared.users += 1
        self._shared = shared
        self._policies = policies
        self._stream = stream
        self._encoder = (
            cast("Encoder", stream)
            if hasattr(stream, "encode") and not shared.interface.input.vocabulary
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

    def _require_open(self) -> SharedBackend:
        if self._closed:
            raise EdgeRnnError(
                f"session: expected an open session, got a closed one ('{self.interface.name}'). "
                "Load the model again."
            )
        return self._shared

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
            return interface.real_outputs(stream.last, softmax)
        for i in gaps:
            values[i] = interface.input.offset[i]
        q_x = self._encoder.encode(np.array([values]))[0]
        for i, choice in zip(gaps, chosen, strict=True):
            q_x[i] = held[i] if held is not None and choice is Policy.HOLD else policies.values[i]
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

    def _run_with_gaps(self, x: FloatArray, gaps: Gaps, softmax: bool) -> FloatArray:
        """`run` for readings [T, I] of which some values are missing."""
        interface, stream, policies = self._shared.interface, self._stream, self._policies
        rows, channels = gaps
        self.bad_readings += 1 + int(np.count_nonzero(np.diff(rows)))
        refused = policies.raises[channels]
        if refused.any():
            t, i = (int(which[refused.argmax()]) for which in gaps)
            raise missing_value(x[t, i], i, interface.input.names, f"reading {t}")
        came = np.ones(len(x), dtype=np.bool_)
        came[rows[policies.skips[channels]]] = False
        x = x[came]
        if not came.all():
            rows, channels = np.nonzero(~np.isfinite(x))
        x[rows, channels] = interface.input.offset[channels]
        q_xs = self._encoder.encode(x)
        still, known = policies.fill(q_xs, (rows, channels), *self._last_good())
        before = stream.last
        after = interface.real_outputs(stream.advance(q_xs[still:]), softmax)
        if len(after) == len(came):
            return after
        if still == len(q_xs) > 0:
            self._early = q_xs[-1], known
        came[np.flatnonzero(came)[:still]] = False
        # Row 0 is the output before the chunk, row k the output after the k-th advance.
        outputs = np.concatenate([interface.real_outputs(before, softmax)[None], after])
        chosen: FloatArray = outputs[np.cumsum(came)]
        return chosen

    def _last_good(self) -> tuple[OperandArray, BoolArray]:
        """The last good code of every channel [I], and where there was one [I]."""
        held, width = self._stream.held, self.interface.input.width
        if held is not None:
            return held, np.ones(width, dtype=np.bool_)
        if self._early is not None:
            return self._early
        nothing = np.zeros(width, self.interface.code_dtype)
        return nothing, np.zeros(width, dtype=np.bool_)
