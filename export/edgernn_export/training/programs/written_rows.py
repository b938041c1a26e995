"""Rows of tokens that an encoder and a decoder write, in floating point and in integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

import edgernn
from edgernn.decoding import beam
from edgernn.model.formats import FloatArray
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.datasets import Part
from edgernn_export.float_model import float_run
from edgernn_export.float_model.float_run import State
from edgernn_export.float_model.program_sets.programs import FloatPrograms

#: The token that begins and ends every row.
END: Final = 0
ENCODER: Final = "encode"
DECODER: Final = "decode"
TokenRow = tuple[int, ...]


def integer_rows(
    programs: ProgramSet, part: Part, *, width: int, max_tokens: int
) -> list[TokenRow]:
    """The likeliest row of every source, found with beams.

    Sources that are equal are read once.

    Args:
        programs: with an encoder and a decoder.
        part: the sources.
        width: beams; 1 is greedy decoding.
        max_tokens: of a row, the end token included.
    """
    found: dict[bytes, TokenRow] = {}
    rows = []
    with edgernn.load_programs(programs) as session:
        for source, steps in zip(part.x, part.steps, strict=True):
            key = source[:steps].tobytes()
            if key not in found:
                session.begin(ENCODER)
                session.run(ENCODER, source[:steps])
                session.begin(DECODER)
                best = beam(
                    session, first=END, end=END, max_tokens=max_tokens, width=width,
                    program=DECODER,
                )[0]  # fmt: skip
                found[key] = best.tokens
            rows.append(found[key])
    return rows


def float_rows(
    programs: FloatPrograms, part: Part, *, width: int, max_tokens: int
) -> list[TokenRow]:
    """As `integer_rows`, of float programs; all sources side by side."""
    search = _Search(programs, part, width)
    for step in range(max_tokens):
        search.grow(last=step + 1 == max_tokens)
    return [_best(finished) for finished in search.finished]


def _best(finished: Sequence[tuple[float, TokenRow]]) -> TokenRow:
    """The least costly row, the first among equals, without its end."""
    _, row = min(finished, key=lambda one: one[0])
    return row[:-1] if row[-1] == END else row


@dataclass(slots=True, eq=False)
class _Live:
    """Rows that are still written.

    Attributes:
        owner: int [H], the source of each.
        cost: float64 [H], minus the natural logarithm of the probability.
        rows: their tokens.
        state: of the decoder, before it reads the last token.
    """

    owner: npt.NDArray[np.int64]
    cost: FloatArray
    rows: list[TokenRow]
    state: State


class _Search:
    """The beam search of `edgernn.decoding.beam` with real costs, for many sources at once.

    Attributes:
        finished: cost and tokens of the finished rows, by source.
    """

    def __init__(self, programs: FloatPrograms, part: Part, width: int) -> None:
        self._decoder, self._width = programs[DECODER], width
        order, state = _begun(programs, part)
        self._live = _Live(order, np.zeros(len(order)), [()] * len(order), state)
        self.finished: list[list[tuple[float, TokenRow]]] = [[] for _ in order]

    def grow(self, *, last: bool) -> None:
        """One more token for every live row; where it is the last, all of them are finished."""
        live = self._live
        if not live.rows:
            return
        before = np.array([row[-1] if row else END for row in live.rows], np.float64)
        logits, state = float_run.step(self._decoder, before[:, None], live.state)
        total = live.cost[:, None] - np.log(float_run.softmax(logits))
        parents: list[int] = []
        costs: list[float] = []
        rows: list[TokenRow] = []
        for mine in np.split(np.arange(len(live.owner)), np.flatnonzero(np.diff(live.owner)) + 1):
            owner = int(live.owner[mine[0]])
            grown = self._grown(total[mine], [live.rows[i] for i in mine], owner)
            if last:
                self.finished[owner] += [(cost, row) for _, cost, row in grown]
            elif len(self.finished[owner]) < self._width:
                parents += [int(mine[parent]) for parent, _, _ in grown]
                costs += [cost for _, cost, _ in grown]
                rows += [row for _, _, row in grown]
        kept = np.array(parents, np.int64)
        taken = tuple(tuple(array[kept] for array in layer) for layer in state)
        self._live = _Live(live.owner[kept], np.array(costs), rows, taken)

    def _grown(
        self, total: FloatArray, rows: Sequence[TokenRow], owner: int
    ) -> list[tuple[int, float, TokenRow]]:
        """The rows of one source that stay live: parent, cost, tokens; those that end finish."""
        vocabulary = total.shape[1]
        flat = total.ravel()
        grown: list[tuple[int, float, TokenRow]] = []
        for place in np.argsort(flat, kind="stable")[: 2 * self._width]:
            parent, token = divmod(int(place), vocabulary)
            row, cost = (*rows[parent], token), float(flat[place])
            if token == END:
                self.finished[owner].append((cost, row))
            else:
                grown.append((parent, cost, row))
                if len(grown) == self._width:
                    break
        return grown


def _begun(programs: FloatPrograms, part: Part) -> tuple[npt.NDArray[np.int64], State]:
    """The sources, 0 and on, and what the decoder begins with for each of them."""
    encoder = programs[ENCODER]
    orders, pieces = [], []
    for steps in np.unique(part.steps):
        own = np.flatnonzero(part.steps == steps)
        answers, state = float_run.run(encoder, part.x[own, :steps])
        left = {ENCODER: (state, answers[:, -1])}
        pieces.append(programs.begun(DECODER, len(own), left))
        orders.append(own)
    order = np.argsort(np.concatenate(orders))
    joined = tuple(
        tuple(np.concatenate(arrays)[order] for arrays in zip(*layers, strict=True))
        for layers in zip(*pieces, strict=True)
    )
    return np.arange(len(part.x)), joined
