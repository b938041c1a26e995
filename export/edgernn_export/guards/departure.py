"""How far the integer model is from the float network on the calibration it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from edgernn.model.formats import FloatArray, Int16Array, Precision
from edgernn.model.integer_model import IntegerModel
from edgernn_export.float_model import rated_run
from edgernn_export.float_model.model import FloatModel

#: Difference, as a share of the answers' standard deviation (about 10 dB), from which on it is
#: said. Networks whose weights keep 8 bits have 20 dB and more, unless something is wrong.
_SAID: Final = 0.32
#: Answers whose standard deviation is fewer codes than this are not followed, and need not be.
_FEW_CODES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationDeparture:
    """Answers of the integer model beside those of the float network.

    Attributes:
        share: root mean square of the difference, over the standard deviation of the answers; of
            several outputs, that of the worst.
        answers: how many were compared.
        precision: of the integer model.
    """

    share: float
    answers: int
    precision: Precision

    def __str__(self) -> str:
        """One line for people."""
        finer = "Take precision w8a16, or find" if self.precision is Precision.W8A8 else "Find"
        return (
            f"the integer model answers its own calibration differently from the float network, by "
            f"{self.share:.0%} of the standard deviation of the answers (root mean square over "
            f"{self.answers:,}). {finer} the layer it begins in with the report (--report). A "
            "SimpleRNN that keeps more than nine tenths of its state from step to step is better "
            "trained as a GRU."
        )


def departure(
    model: FloatModel,
    integer: IntegerModel,
    streams: Sequence[FloatArray],
    outputs: Sequence[Int16Array],
) -> CalibrationDeparture | None:
    """Compare the two on streams that both began in the zero state.

    Args:
        model: the float network.
        integer: made from it.
        streams: float64 [B, T, I].
        outputs: of the integer model, int16 [B, T, O], or [B, 1, O] of the last step of windows.

    Returns:
        None where the difference is small, or the answers hardly vary.
    """
    scale = integer.output.scale
    pairs = [
        (rated_run.answers(model, xs)[:, -q_ys.shape[1] :].reshape(-1, len(scale)), q_ys)
        for xs, q_ys in zip(streams, outputs, strict=True)
    ]
    wanted = np.concatenate([ys for ys, _ in pairs])
    got = np.concatenate([q_ys.reshape(-1, len(scale)) * scale for _, q_ys in pairs])
    # Outputs of several ports are of several kinds: each is judged by itself.
    widths = [port.width for port in integer.output.ports]
    cuts = np.cumsum([0, *(widths or [len(scale)])])
    share = max(
        _share(wanted[:, low:high], got[:, low:high], scale[low:high])
        for low, high in pairwise(cuts)
    )
    if share <= _SAID:
        return None
    return CalibrationDeparture(share=share, answers=len(wanted), precision=integer.precision)


def _share(wanted: FloatArray, got: FloatArray, scale: FloatArray) -> float:
    """Difference over the standard deviation of the answers; 0 where these hardly vary."""
    spread = float(np.mean(np.var(wanted, axis=0)))
    if spread <= float(np.mean(np.square(_FEW_CODES * scale))):
        return 0.0
    return float(np.sqrt(np.mean(np.square(got - wanted)) / spread))
