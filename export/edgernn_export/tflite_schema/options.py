"""What single operators are told besides their tensors; a part of the TFLite schema."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from edgernn_export.tflite_schema.tables import FlatTable

_BOOL: Final = {"kind": "Bool"}
_INT8: Final = {"kind": "Int8"}
_INT32: Final = {"kind": "Int32"}
_FLOAT32: Final = {"kind": "Float32"}


@dataclass(slots=True, kw_only=True)
class SumOptions(FlatTable):
    """AddOptions and SubOptions."""

    fusedActivationFunction: int = field(default=0, metadata=_INT8)
    potScaleInt16: bool = field(default=True, metadata=_BOOL)


@dataclass(slots=True, kw_only=True)
class FusedOptions(FlatTable):
    """MulOptions and DivOptions."""

    fusedActivationFunction: int = field(default=0, metadata=_INT8)


@dataclass(slots=True, kw_only=True)
class BatchMatMulOptions(FlatTable):
    """BatchMatMulOptions."""

    adjX: bool = field(default=False, metadata=_BOOL)
    adjY: bool = field(default=False, metadata=_BOOL)


@dataclass(slots=True, kw_only=True)
class GatherOptions(FlatTable):
    """GatherOptions."""

    axis: int = field(default=0, metadata=_INT32)
    batchDims: int = field(default=0, metadata=_INT32)


@dataclass(slots=True, kw_only=True)
class CastOptions(FlatTable):
    """CastOptions."""

    inDataType: int = field(default=0, metadata=_INT8)
    outDataType: int = field(default=0, metadata=_INT8)


@dataclass(slots=True, kw_only=True)
class ConcatenationOptions(FlatTable):
    """ConcatenationOptions."""

    axis: int = field(default=0, metadata=_INT32)
    fusedActivationFunction: int = field(default=0, metadata=_INT8)


@dataclass(slots=True, kw_only=True)
class ReshapeOptions(FlatTable):
    """ReshapeOptions."""

    newShape: list[int] | None = field(default=None, metadata=_INT32)


@dataclass(slots=True, kw_only=True)
class SplitOptions(FlatTable):
    """SplitOptions and SplitVOptions."""

    numSplits: int = field(default=0, metadata=_INT32)


@dataclass(slots=True, kw_only=True)
class ReducerOptions(FlatTable):
    """ReducerOptions."""

    keepDims: bool = field(default=False, metadata=_BOOL)


@dataclass(slots=True, kw_only=True)
class FullyConnectedOptions(FlatTable):
    """FullyConnectedOptions."""

    fusedActivationFunction: int = field(default=0, metadata=_INT8)
    weightsFormat: int = field(default=0, metadata=_INT8)
    keepNumDims: bool = field(default=False, metadata=_BOOL)
    asymmetricQuantizeInputs: bool = field(default=False, metadata=_BOOL)
    quantizedBiasType: int = field(default=0, metadata=_INT8)


@dataclass(slots=True, kw_only=True)
class SequenceLSTMOptions(FlatTable):
    """UnidirectionalSequenceLSTMOptions."""

    fusedActivationFunction: int = field(default=0, metadata=_INT8)
    cellClip: float = field(default=0.0, metadata=_FLOAT32)
    projClip: float = field(default=0.0, metadata=_FLOAT32)
    timeMajor: bool = field(default=False, metadata=_BOOL)
    asymmetricQuantizeInputs: bool = field(default=False, metadata=_BOOL)
    diagonalRecurrentTensors: bool = field(default=False, metadata=_BOOL)


@dataclass(slots=True, kw_only=True)
class BidirectionalLSTMOptions(FlatTable):
    """BidirectionalSequenceLSTMOptions."""

    fusedActivationFunction: int = field(default=0, metadata=_INT8)
    cellClip: float = field(default=0.0, metadata=_FLOAT32)
    projClip: float = field(default=0.0, metadata=_FLOAT32)
    mergeOutputs: bool = field(default=False, metadata=_BOOL)
    timeMajor: bool = field(default=True, metadata=_BOOL)
    asymmetricQuantizeInputs: bool = field(default=False, metadata=_BOOL)


@dataclass(slots=True, kw_only=True)
class SequenceRNNOptions(FlatTable):
    """SequenceRNNOptions."""

    timeMajor: bool = field(default=False, metadata=_BOOL)
    fusedActivationFunction: int = field(default=0, metadata=_INT8)
    asymmetricQuantizeInputs: bool = field(default=False, metadata=_BOOL)


@dataclass(slots=True, kw_only=True)
class BidirectionalRNNOptions(FlatTable):
    """BidirectionalSequenceRNNOptions."""

    timeMajor: bool = field(default=False, metadata=_BOOL)
    fusedActivationFunction: int = field(default=0, metadata=_INT8)
    mergeOutputs: bool = field(default=False, metadata=_BOOL)
    asymmetricQuantizeInputs: bool = field(default=False, metadata=_BOOL)


@dataclass(slots=True, kw_only=True)
class ConvolutionOptions(FlatTable):
    """Conv2DOptions."""

    padding: int = field(default=0, metadata=_INT8)
    strideW: int = field(default=0, metadata=_INT32)
    strideH: int = field(default=0, metadata=_INT32)
    fusedActivationFunction: int = field(default=0, metadata=_INT8)
    dilationWFactor: int = field(default=1, metadata=_INT32)
    dilationHFactor: int = field(default=1, metadata=_INT32)


@dataclass(slots=True, kw_only=True)
class DepthwiseOptions(FlatTable):
    """DepthwiseConv2DOptions."""

    padding: int = field(default=0, metadata=_INT8)
    strideW: int = field(default=0, metadata=_INT32)
    strideH: int = field(default=0, metadata=_INT32)
    depthMultiplier: int = field(default=0, metadata=_INT32)
    fusedActivationFunction: int = field(default=0, metadata=_INT8)
    dilationWFactor: int = field(default=1, metadata=_INT32)
    dilationHFactor: int = field(default=1, metadata=_INT32)


@dataclass(slots=True, kw_only=True)
class PoolOptions(FlatTable):
    """Pool2DOptions."""

    padding: int = field(default=0, metadata=_INT8)
    strideW: int = field(default=0, metadata=_INT32)
    strideH: int = field(default=0, metadata=_INT32)
    filterWidth: int = field(default=0, metadata=_INT32)
    filterHeight: int = field(default=0, metadata=_INT32)
    fusedActivationFunction: int = field(default=0, metadata=_INT8)


@dataclass(slots=True, kw_only=True)
class SoftmaxOptions(FlatTable):
    """SoftmaxOptions."""

    beta: float = field(default=0.0, metadata=_FLOAT32)


@dataclass(slots=True, kw_only=True)
class SqueezeOptions(FlatTable):
    """SqueezeOptions."""

    squeezeDims: list[int] | None = field(default=None, metadata=_INT32)


@dataclass(slots=True, kw_only=True)
class StridedSliceOptions(FlatTable):
    """StridedSliceOptions."""

    beginMask: int = field(default=0, metadata=_INT32)
    endMask: int = field(default=0, metadata=_INT32)
    ellipsisMask: int = field(default=0, metadata=_INT32)
    newAxisMask: int = field(default=0, metadata=_INT32)
    shrinkAxisMask: int = field(default=0, metadata=_INT32)
    offset: bool = field(default=False, metadata=_BOOL)


@dataclass(slots=True, kw_only=True)
class PackOptions(FlatTable):
    """PackOptions."""

    valuesCount: int = field(default=0, metadata=_INT32)
    axis: int = field(default=0, metadata=_INT32)


@dataclass(slots=True, kw_only=True)
class UnpackOptions(FlatTable):
    """UnpackOptions."""

    num: int = field(default=0, metadata=_INT32)
    axis: int = field(default=0, metadata=_INT32)


@dataclass(slots=True, kw_only=True)
class LeakyReluOptions(FlatTable):
    """LeakyReluOptions."""

    alpha: float = field(default=0.0, metadata=_FLOAT32)


@dataclass(slots=True, kw_only=True)
class GeluOptions(FlatTable):
    """GeluOptions."""

    approximate: bool = field(default=False, metadata=_BOOL)


@dataclass(slots=True, kw_only=True)
class WhileOptions(FlatTable):
    """WhileOptions."""

    condSubgraphIndex: int = field(default=0, metadata=_INT32)
    bodySubgraphIndex: int = field(default=0, metadata=_INT32)


#: Options of operators: the number in the union BuiltinOptions, and the table.
OPTIONS: Final[dict[str, tuple[int, type[FlatTable]]]] = {
    "Conv2DOptions": (1, ConvolutionOptions),
    "DepthwiseConv2DOptions": (2, DepthwiseOptions),
    "Pool2DOptions": (5, PoolOptions),
    "FullyConnectedOptions": (8, FullyConnectedOptions),
    "SoftmaxOptions": (9, SoftmaxOptions),
    "ConcatenationOptions": (10, ConcatenationOptions),
    "AddOptions": (11, SumOptions),
    "ReshapeOptions": (17, ReshapeOptions),
    "MulOptions": (21, FusedOptions),
    "PadOptions": (22, FlatTable),
    "GatherOptions": (23, GatherOptions),
    "TransposeOptions": (26, FlatTable),
    "ReducerOptions": (27, ReducerOptions),
    "SubOptions": (28, SumOptions),
    "DivOptions": (29, FusedOptions),
    "SqueezeOptions": (30, SqueezeOptions),
    "SequenceRNNOptions": (31, SequenceRNNOptions),
    "StridedSliceOptions": (32, StridedSliceOptions),
    "ExpOptions": (33, FlatTable),
    "SplitOptions": (35, SplitOptions),
    "CastOptions": (37, CastOptions),
    "DequantizeOptions": (38, FlatTable),
    "MaximumMinimumOptions": (39, FlatTable),
    "LessOptions": (41, FlatTable),
    "NegOptions": (42, FlatTable),
    "PadV2Options": (43, FlatTable),
    "GreaterEqualOptions": (45, FlatTable),
    "SelectOptions": (47, FlatTable),
    "SliceOptions": (48, FlatTable),
    "ExpandDimsOptions": (52, FlatTable),
    "ShapeOptions": (55, FlatTable),
    "PowOptions": (56, FlatTable),
    "PackOptions": (59, PackOptions),
    "LogicalAndOptions": (62, FlatTable),
    "UnpackOptions": (64, UnpackOptions),
    "SquareOptions": (66, FlatTable),
    "FillOptions": (68, FlatTable),
    "BidirectionalSequenceLSTMOptions": (69, BidirectionalLSTMOptions),
    "BidirectionalSequenceRNNOptions": (70, BidirectionalRNNOptions),
    "UnidirectionalSequenceLSTMOptions": (71, SequenceLSTMOptions),
    "FloorModOptions": (72, FlatTable),
    "RangeOptions": (73, FlatTable),
    "LeakyReluOptions": (75, LeakyReluOptions),
    "AbsOptions": (78, FlatTable),
    "SplitVOptions": (79, SplitOptions),
    "ReverseV2Options": (81, FlatTable),
    "AddNOptions": (82, FlatTable),
    "QuantizeOptions": (89, FlatTable),
    "HardSwishOptions": (91, FlatTable),
    "WhileOptions": (93, WhileOptions),
    "BatchMatMulOptions": (101, BatchMatMulOptions),
    "GeluOptions": (116, GeluOptions),
    "RightShiftOptions": (126, FlatTable),
}
