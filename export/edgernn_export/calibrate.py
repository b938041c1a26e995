"""Calibration: what the float model's tensors look like on long, stateful streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.errors import CalibrationError
from edgernn.formats import FloatArray
from edgernn_export.float_model import FloatModel
from edgernn_export.float_run import Progress, run

#: Rows kept per tensor for percentile and MSE ranges; minimum and maximum see every row.
_KEPT_ROWS = 1 << 17
#: Tensors whose values the quantizer reads; rows of the others would only fill memory.
_WANTED = frozenset({"x", "h_in", "rh", "h", "c", "y"})


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
        Statistics of the operands, states and dense outputs of every layer.

    Raises:
        CalibrationError: the float model leaves the finite numbers; names the layer and tensor.
    """
    steps = sum(block.shape[0] * block.shape[1] for block in blocks)
    stride = max(1, steps // _KEPT_ROWS)
    collectors: dict[tuple[int, str], _Collector] = {}

    def observe(layer: int, name: str, tensor: npt.NDArray[Any]) -> None:
        if name not in _WANTED:
            return
        if not np.isfinite(tensor).all():
            raise CalibrationError(
                f"{model.layers[layer].name}.{name}: expected finite values in calibration, got "
                "NaN or infinite ones. The float model diverges on these streams: check their "
                "units, or train again."
            )
        key = (layer, name)
        if key not in collectors:
            collectors[key] = _Collector(stride=stride)
        collectors[key].add(tensor)

    with np.errstate(over="ignore", invalid="ignore"):  # `observe` refuses what they leave behind
        for block in blocks:
            run(model, block, observe=observe, progress=progress)
    return {key: collector.finish() for key, collector in collectors.items()}
