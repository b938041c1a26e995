"""Calibration: what the float model's tensors look like on long, stateful streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.formats import FloatArray
from edgernn_export.float_model import FloatModel
from edgernn_export.float_run import Progress, run

#: Rows kept per tensor for percentile and MSE ranges; minimum and maximum see every row.
_KEPT_ROWS = 1 << 17


@dataclass(slots=True)
class TensorStatistics:
    """One float tensor over all calibration steps.

    Attributes:
        low: minimum per column.
        high: maximum per column.
        sample: rows kept, evenly spaced in time; the same steps for all tensors of a run.
    """

    low: FloatArray
    high: FloatArray
    sample: FloatArray

    @property
    def limit(self) -> float:
        """Largest magnitude."""
        return float(max(np.max(self.high), -np.min(self.low)))


@dataclass(slots=True)
class _Collector:
    """Accumulates one tensor."""

    stride: int
    seen: int = 0
    low: Any = None
    high: Any = None
    kept: list[FloatArray] = field(default_factory=list)

    def add(self, tensor: FloatArray) -> None:
        low, high = tensor.min(axis=0), tensor.max(axis=0)
        self.low = low if self.low is None else np.minimum(self.low, low)
        self.high = high if self.high is None else np.maximum(self.high, high)
        if self.seen % self.stride == 0:
            self.kept.append(tensor.copy())
        self.seen += 1

    def finish(self) -> TensorStatistics:
        return TensorStatistics(low=self.low, high=self.high, sample=np.concatenate(self.kept))


#: (layer index, tensor name) -> statistics
Calibration = dict[tuple[int, str], TensorStatistics]


def calibrate(
    model: FloatModel, blocks: Sequence[FloatArray], progress: Progress | None = None
) -> Calibration:
    """Run the float model over streams from the zero state, carrying its state throughout.

    Args:
        model: the float model.
        blocks: float64 [B, T, I], one run each.
        progress: called with the number of finished steps of the current block.

    Returns:
        Statistics of every tensor `float_run.run` shows.
    """
    steps = sum(block.shape[0] * block.shape[1] for block in blocks)
    stride = max(1, steps // _KEPT_ROWS)
    collectors: dict[tuple[int, str], _Collector] = {}

    def observe(layer: int, name: str, tensor: npt.NDArray[Any]) -> None:
        key = (layer, name)
        if key not in collectors:
            collectors[key] = _Collector(stride=stride)
        collectors[key].add(tensor)

    for block in blocks:
        run(model, block, observe=observe, progress=progress)
    return {key: collector.finish() for key, collector in collectors.items()}
