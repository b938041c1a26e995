"""Many streams of one model in one object: a row for each, advanced a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from edgernn.backends.base import Backend, State
from edgernn.model.formats import BoolArray, FloatArray, Int16Array, Int32Array, OperandArray

Int64Array = npt.NDArray[np.int64]


class StreamRows(Protocol):
    """Streams of one model by their number, from 0.

    What `edgernn.Session` does with one stream, this does with a batch of readings of many, with
    the same bits. Readings of one row are taken in their order. Calls are for one thread at a time.
    """

    @property
    def count(self) -> int:
        """Rows there are."""
        ...

    @property
    def clipped(self) -> tuple[int, ...]:
        """Readings outside the calibrated range, per channel, over all rows."""
        ...

    def resize(self, count: int) -> None:
        """Have at least ``count`` rows; new ones are at the beginning of a stream."""
        ...

    def reset(self, rows: Int32Array, /) -> None:
        """Begin new streams in these rows."""
        ...

    def step(
        self,
        rows: Int32Array,
        xs: FloatArray,
        ys: FloatArray,
        bad: BoolArray,
        sequence: Int64Array | None,
        softmax: bool,
        /,
    ) -> None:
        """Advance row ``rows[b]`` by reading ``xs[b]``, for each b in turn.

        Args:
            rows: int32 [B].
            xs: contiguous float64 [B, I] in physical units; NaN or infinite: missing.
            ys: contiguous float64 [B, O], written: outputs in physical units; NaN where there is
                no output yet, or the reading was refused.
            bad: bool [B], written: a value of the reading was missing, or is not a token of its
                channel. The second, and the first under the policy "raise", refuse the reading:
                its output is NaN, its stream as before.
            sequence: number of each reading in its stream, int64 [B] from 1; None: the next one.
                Where a number is not above the stream's last one, nothing changes, its last output
                is written again, and it is not bad.
            softmax: write probabilities of outputs that end in a softmax.

        Warns:
            ClippedReadingsWarning: once, a value is outside the calibrated range.
        """
        ...

    def export(self, rows: Int32Array, /) -> list[bytes]:
        """The streams of these rows as `Session.to_bytes` writes them."""
        ...

    def load(self, rows: Int32Array, blobs: Sequence[bytes], migrate: bool = False, /) -> None:
        """Continue streams in these rows, as `Session.from_bytes` does; all of them, or none.

        Raises:
            StateError: damaged, or of another model.
        """
        ...


class ChannelPolicies(Protocol):
    """What a missing value does, by channel (see `edgernn.session.policies.Policies`)."""

    raises: BoolArray
    holds: BoolArray
    skips: BoolArray
    values: OperandArray


@runtime_checkable
class RowsBackend(Backend, Protocol):
    """A backend that makes rows."""

    def rows(self, policies: ChannelPolicies, padded: bool, /) -> StreamRows | None:
        """Make rows, none at first.

        Args:
            policies: of the channels.
            padded: the first reading stands for those before it, in a window model.

        Returns:
            None where the backend has none for this kind of model.
        """
        ...


@runtime_checkable
class BatchStepBackend(Backend, Protocol):
    """A backend that advances many streams by a step faster at once than one after another."""

    def step_batch(self, q_x: OperandArray, state: State, /) -> tuple[Int16Array, State]:
        """Advance B streams by one step of the network.

        Args:
            q_x: operand codes [B, I] of a step.
            state: int16 [B, units] each; not modified.

        Returns:
            int16 [B, O] and the new state.
        """
        ...
