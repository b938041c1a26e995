"""A recording through both models, each in its way."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgernn.errors import EdgeRnnError
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Window
from edgernn_export.calibration.unmasked import unmasked
from edgernn_export.evaluation.answers import (
    AnsweringNetwork,
    Tell,
    answer_rows,
    answers,
    float_network,
    integer_network,
    network_steps,
)
from edgernn_export.evaluation.recording import IntArray, Recording
from edgernn_export.evaluation.result import Answered
from edgernn_export.float_model.model import FloatModel

#: Steps from which a progress bar is worth its line.
_PROGRESS_STEPS: Final = 200_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairedRun:
    """What runs over what.

    Attributes:
        model: the integer model.
        network: the float network, None without one.
        recording: of readings.
        float_window: in what way the float network runs.
        rows: which readings of each stream are answered.
    """

    model: IntegerModel
    network: FloatModel | None
    recording: Recording
    float_window: Window | None
    rows: tuple[IntArray, ...]

    @staticmethod
    def of(
        model: IntegerModel, network: FloatModel | None, recording: Recording, only_last: bool
    ) -> PairedRun:
        """Find out which readings are answered."""
        own = None if network is None else network.window
        return PairedRun(
            model=model,
            network=network,
            recording=recording,
            float_window=model.window if own is None else own,
            rows=tuple(_rows(model, x, only_last) for x in recording.streams),
        )

    def answered(self, progress: bool | None) -> Answered:
        """Both models' answers."""
        streams, rows = self.recording.streams, self.rows
        network, name = integer_network(self.model), self.model.precision_label
        integer_y = self._answers(network, name, self.model.window, streams, progress)
        float_y = None if self.network is None else self.float_answers(streams, progress)
        return Answered(
            stream=np.repeat(np.arange(len(rows)), [len(r) for r in rows]),
            row=np.concatenate(rows),
            float_y=float_y,
            integer_y=integer_y,
        )

    def float_answers(self, streams: Sequence[FloatArray], progress: bool | None) -> FloatArray:
        """Answers of the float network, which must be there."""
        if self.network is None:
            raise EdgeRnnError(
                "evaluate: expected a float network, got none. Pass the float model (--float)."
            )
        network = float_network(self.network)
        return self._answers(network, "float", self.float_window, streams, progress)

    def _answers(
        self,
        network: AnsweringNetwork,
        name: str,
        window: Window | None,
        streams: Sequence[FloatArray],
        progress: bool | None,
    ) -> FloatArray:
        steps = network_steps(streams, self.rows, window)
        with _progress_bar(name, steps, progress) as tell:
            return answers(network, streams, self.rows, window, tell)


def _rows(model: IntegerModel, x: FloatArray, only_last: bool) -> IntArray:
    """Which readings of a stream [T, I] count.

    Where every reading has an output, masked ones do not: it is the last one again.
    """
    rows = answer_rows(len(x), model.window, only_last, model.rate)
    if only_last or model.window is not None:
        return rows
    taken: IntArray = rows[unmasked(x, model.input.mask)[rows]]
    return taken


@contextmanager
def _progress_bar(name: str, steps: int, progress: bool | None) -> Iterator[Tell]:
    """A bar on stderr where there is much to do and somebody to see it."""
    if progress is False or steps < _PROGRESS_STEPS:
        yield lambda _: None
        return
    from tqdm import tqdm

    with tqdm(
        total=steps, desc=name, unit="step", unit_scale=True, file=sys.stderr,
        disable=None if progress is None else not progress,
    ) as bar:  # fmt: skip
        yield bar.update
