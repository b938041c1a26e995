"""Whole streams, each from its beginning: several together where the backend can."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np

from edgernn.backends.base import BatchBackend, runs_sequences
from edgernn.backends.streams.masked_stream import at_masked, first_output
from edgernn.backends.streams.value_stream import SharedBackend
from edgernn.model.border.masks import masked_rows
from edgernn.model.formats import Int16Array, OperandArray
from edgernn.model.interface import Interface, Window

#: Most codes of streams side by side, and the share of them that may be filling.
_BATCH_CODES: Final = 1 << 18
_MOST_FILLING: Final = 0.25

#: Outputs [T, O] of whole streams; with the second argument only the last one of each, [1, O].
RunsSteps = Callable[[list[OperandArray], bool], list[Int16Array]]


def whole_streams(
    shared: SharedBackend, q_xs: Sequence[OperandArray], last: bool, threads: int
) -> list[Int16Array]:
    """Run streams from their beginning.

    Args:
        shared: the backend.
        q_xs: operand codes [T, I] of each stream; T may differ.
        last: the last output of each alone.
        threads: that a `SequenceBackend` uses; 1 for any other.

    Returns:
        For every stream int16 [T, O]; with ``last`` [1, O], or [0, O] where the stream is empty.
        Masked where there is no output yet.
    """
    interface = shared.interface
    run = None if interface.rate else _side_by_side(shared, threads)
    if run is not None and interface.input.mask is not None:
        run = _of_unmasked(run, interface)
    if run is None or (interface.window is not None and not last):
        return _one_by_one(shared, q_xs, last, threads)
    if interface.window is not None:
        return _last_windows(run, q_xs, interface.window, shared.padded, interface.output.width)
    there = [codes for codes in q_xs if len(codes)]
    found = iter(run(there, last))
    nothing = np.empty((0, interface.output.width), dtype=np.int16)
    return [next(found) if len(codes) else nothing for codes in q_xs]


def _side_by_side(shared: SharedBackend, threads: int) -> RunsSteps | None:
    """How the backend runs several streams of network steps at once, if it can."""
    backend = shared.backend
    if runs_sequences(backend):
        return lambda q_xs, last: backend.run_sequences(q_xs, last, threads)
    if isinstance(backend, BatchBackend):
        return lambda q_xs, last: _in_batches(backend, q_xs, last)
    return None


def _of_unmasked(run: RunsSteps, interface: Interface) -> RunsSteps:
    """Runs streams of which masked steps are left out (clause 6.13)."""
    row, first = interface.mask_row, first_output(interface)

    def run_unmasked(q_xs: list[OperandArray], last: bool) -> list[Int16Array]:
        masked = [masked_rows(codes, row) for codes in q_xs]
        pairs = zip(q_xs, masked, strict=True)
        left = [np.ascontiguousarray(codes[~which]) for codes, which in pairs]
        found = iter(run([codes for codes in left if len(codes)], last))
        q_ys = [next(found) if len(codes) else first[None][:0] for codes in left]
        if last:
            return [one if len(one) else first[None] for one in q_ys]
        return [at_masked(one, which, first) for one, which in zip(q_ys, masked, strict=True)]

    return run_unmasked


def _one_by_one(
    shared: SharedBackend, q_xs: Sequence[OperandArray], last: bool, threads: int
) -> list[Int16Array]:
    """By streams of the model's kind."""

    def answers(codes: OperandArray) -> Int16Array:
        stream = shared.new_stream()
        q_ys = stream.advance(codes)
        stream.close()
        return q_ys[-1:] if last else q_ys

    if threads == 1:
        return [answers(codes) for codes in q_xs]
    from concurrent.futures import ThreadPoolExecutor  # takes a while to import

    with ThreadPoolExecutor(threads) as executor:
        return list(executor.map(answers, q_xs))


def _last_windows(
    run: RunsSteps, q_xs: Sequence[OperandArray], window: Window, padded: bool, outputs: int
) -> list[Int16Array]:
    """The last answer of each stream of a window model, which takes one window."""
    windows = [last_window(codes, window, padded) for codes in q_xs]
    found = iter(run([codes for codes in windows if codes is not None], True))
    none = np.zeros((1, outputs), dtype=np.int16)
    nothing: Int16Array = np.ma.MaskedArray(none, np.True_)  # type: ignore[no-untyped-call]
    return [
        none[:0] if not len(whole) else nothing if codes is None else next(found)
        for whole, codes in zip(q_xs, windows, strict=True)
    ]


def last_window(q_xs: OperandArray, window: Window, padded: bool) -> OperandArray | None:
    """The codes [N, I] of the last window of a stream that was answered; None where none was.

    Args:
        q_xs: operand codes [T, I] of the whole stream.
        window: of the model.
        padded: the first reading stands for those before it.
    """
    count, steps, hop = len(q_xs), window.steps, window.hop
    first = 1 if padded else steps
    if count < first:
        return None
    end = first + (count - first) // hop * hop
    taken = q_xs[max(0, end - steps) : end]
    if len(taken) < steps:
        taken = np.concatenate([np.repeat(q_xs[:1], steps - len(taken), axis=0), taken])
    return taken


def _in_batches(
    backend: BatchBackend, q_xs: Sequence[OperandArray], last: bool
) -> list[Int16Array]:
    """Streams of about the same length side by side, filled up behind their ends."""
    found: list[Int16Array] = [np.empty((0, 0), dtype=np.int16)] * len(q_xs)
    for which in _batches([len(codes) for codes in q_xs], backend.interface.input.width):
        codes = np.zeros(
            (len(which), len(q_xs[which[0]]), q_xs[which[0]].shape[1]), q_xs[which[0]].dtype
        )
        for row, b in enumerate(which):
            codes[row, : len(q_xs[b])] = q_xs[b]
        for b, q_ys in zip(which, backend.run_batch(codes), strict=True):
            count = len(q_xs[b])
            found[b] = q_ys[count - 1 if last else 0 : count].copy()
    return found


def _batches(lengths: Sequence[int], inputs: int) -> Iterator[list[int]]:
    """Streams that run side by side, the longest of all first."""
    which: list[int] = []
    steps = longest = 0
    for b in sorted(range(len(lengths)), key=lambda b: -lengths[b]):
        longest = longest if which else lengths[b]
        steps += lengths[b]
        area = longest * (len(which) + 1)
        if which and (steps < (1 - _MOST_FILLING) * area or area * inputs > _BATCH_CODES):
            yield which
            which, steps, longest = [], lengths[b], lengths[b]
        which.append(b)
    if which:
        yield which
