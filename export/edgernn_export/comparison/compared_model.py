"""The figures of one model in a comparison."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from edgernn.bench.file_sizes import FileSize
from edgernn_export.simulation.board_cost import BoardCost


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedModel:
    """One model of a comparison.

    Attributes:
        label: how the model is called in the comparison: the stem of its file.
        model: name of the integer model.
        model_sha256: its hash.
        layers: its layers with their units, for example "gru_after 24, dense 1".
        precision: `IntegerModel.precision_label`.
        macs: multiply-accumulates of a step of the network.
        state_bytes: memory of a stream.
        sizes: bytes of the model by format, with those after gzip.
        metric: name of the deciding metric; empty without test data.
        score: that metric of the integer model; None without one.
        float_score: the same of its float network; None without one.
        kept: share of the float network's quality that the integer model keeps; None without one.
        median_us: median time of a step in the native back-end, in microseconds; None if it was
            not measured.
        p99_us: 99th percentile of the same.
        boards: costs on each target.
        notes: reasons for missing figures.
    """

    label: str
    model: str
    model_sha256: str
    layers: str
    precision: str
    macs: int
    state_bytes: int
    sizes: tuple[FileSize, ...]
    metric: str
    score: float | None
    float_score: float | None
    kept: float | None
    median_us: float | None
    p99_us: float | None
    boards: tuple[BoardCost, ...]
    notes: tuple[str, ...]

    def size(self, name: str) -> FileSize | None:
        """The size in one format, for example ".tflite"; None if it was not written."""
        return next((size for size in self.sizes if size.name == name), None)

    @property
    def file_bytes(self) -> int:
        """Bytes of the .edgernn file."""
        return self.sizes[0].bytes

    def record(self) -> dict[str, Any]:
        """As a JSON value."""
        return asdict(self)
