"""The tables of the TFLite schema that edgernn writes or reads, and how a flatbuffer holds them.

Facts of the schema (tensorflow/compiler/mlir/lite/schema/schema.fbs): names of tables, their
fields in the order of their slots, and defaults. A test compares every one of them, and whole
files, with the generated schema that runtimes ship. No runtime is needed to write or read a file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Final

import numpy as np

#: Kinds of fields, as the builder calls scalars; numbers that may be missing are a vector.
_BOOL: Final = {"kind": "Bool"}
_INT8: Final = {"kind": "Int8"}
_INT32: Final = {"kind": "Int32"}
_INT64: Final = {"kind": "Int64"}
_UINT8: Final = {"kind": "Uint8"}
_UINT32: Final = {"kind": "Uint32"}
_UINT64: Final = {"kind": "Uint64"}
_FLOAT32: Final = {"kind": "Float32"}
_TEXT: Final = {"kind": "text"}
_BYTES: Final = {"kind": "bytes"}
_TABLE: Final = {"kind": "table"}
_TABLES: Final = {"kind": "tables"}
#: A table whose kind the field before it tells.
_UNION: Final = {"kind": "union"}


@dataclass(slots=True, kw_only=True)
class FlatTable:
    """A table; each field is a slot, in their order."""

    def pack(self, builder: Any) -> int:
        """Write it with all that it refers to.

        Args:
            builder: a flatbuffers.Builder.

        Returns:
            Where it is.
        """
        children = {
            slot: _PACKERS[entry.metadata["kind"]](builder, value)
            for slot, entry in enumerate(fields(self))
            if entry.default is None and (value := getattr(self, entry.name)) is not None
        }
        builder.StartObject(len(fields(self)))
        for slot, entry in enumerate(fields(self)):
            if slot in children:
                builder.PrependUOffsetTRelativeSlot(slot, children[slot], 0)
            elif entry.default is not None:
                prepend = getattr(builder, f"Prepend{entry.metadata['kind']}Slot")
                prepend(slot, getattr(self, entry.name), entry.default)
        end: int = builder.EndObject()
        return end


def _numbers(kind: str, size: int) -> Callable[[Any, Any], int]:
    """What writes a vector of numbers of a kind, with the bytes of each."""

    def pack(builder: Any, values: Any) -> int:
        builder.StartVector(size, len(values), size)
        for value in reversed(values):
            getattr(builder, f"Prepend{kind}")(value)
        end: int = builder.EndVector()
        return end

    return pack


def _tables(builder: Any, values: list[FlatTable]) -> int:
    places = [value.pack(builder) for value in values]
    builder.StartVector(4, len(places), 4)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place)
    end: int = builder.EndVector()
    return end


_PACKERS: Final[dict[str, Callable[[Any, Any], int]]] = {
    "Int32": _numbers("Int32", 4),
    "Int64": _numbers("Int64", 8),
    "Float32": _numbers("Float32", 4),
    "text": lambda builder, value: builder.CreateString(value),
    "table": lambda builder, value: value.pack(builder),
    "union": lambda builder, value: value.pack(builder),
    "tables": _tables,
    "bytes": lambda builder, value: builder.CreateNumpyVector(np.frombuffer(value, dtype=np.uint8)),
}


@dataclass(slots=True, kw_only=True)
class FlatQuantization(FlatTable):
    """QuantizationParameters."""

    min: list[float] | None = field(default=None, metadata=_FLOAT32)
    max: list[float] | None = field(default=None, metadata=_FLOAT32)
    scale: list[float] | None = field(default=None, metadata=_FLOAT32)
    zeroPoint: list[int] | None = field(default=None, metadata=_INT64)
    detailsType: int = field(default=0, metadata=_UINT8)
    details: FlatTable | None = field(default=None, metadata=_TABLE)
    quantizedDimension: int = field(default=0, metadata=_INT32)


@dataclass(slots=True, kw_only=True)
class FlatTensor(FlatTable):
    """Tensor."""

    shape: list[int] | None = field(default=None, metadata=_INT32)
    type: int = field(default=0, metadata=_INT8)
    buffer: int = field(default=0, metadata=_UINT32)
    name: bytes | None = field(default=None, metadata=_TEXT)
    quantization: FlatQuantization | None = field(default=None, metadata=_TABLE)
    isVariable: bool = field(default=False, metadata=_BOOL)
    sparsity: FlatTable | None = field(default=None, metadata=_TABLE)
    shapeSignature: list[int] | None = field(default=None, metadata=_INT32)


@dataclass(slots=True, kw_only=True)
class FlatOperatorCode(FlatTable):
    """OperatorCode."""

    deprecatedBuiltinCode: int = field(default=0, metadata=_INT8)
    customCode: bytes | None = field(default=None, metadata=_TEXT)
    version: int = field(default=1, metadata=_INT32)
    builtinCode: int = field(default=0, metadata=_INT32)


@dataclass(slots=True, kw_only=True)
class FlatOperator(FlatTable):
    """Operator."""

    opcodeIndex: int = field(default=0, metadata=_UINT32)
    inputs: list[int] | None = field(default=None, metadata=_INT32)
    outputs: list[int] | None = field(default=None, metadata=_INT32)
    builtinOptionsType: int = field(default=0, metadata=_UINT8)
    builtinOptions: FlatTable | None = field(default=None, metadata=_UNION)


@dataclass(slots=True, kw_only=True)
class FlatSubGraph(FlatTable):
    """SubGraph."""

    tensors: list[FlatTensor] | None = field(default=None, metadata=_TABLES)
    inputs: list[int] | None = field(default=None, metadata=_INT32)
    outputs: list[int] | None = field(default=None, metadata=_INT32)
    operators: list[FlatOperator] | None = field(default=None, metadata=_TABLES)
    name: bytes | None = field(default=None, metadata=_TEXT)


@dataclass(slots=True, kw_only=True)
class FlatBuffer(FlatTable):
    """Buffer."""

    data: bytes | None = field(default=None, metadata=_BYTES)
    offset: int = field(default=0, metadata=_UINT64)
    size: int = field(default=0, metadata=_UINT64)


@dataclass(slots=True, kw_only=True)
class FlatMetadata(FlatTable):
    """Metadata."""

    name: bytes | None = field(default=None, metadata=_TEXT)
    buffer: int = field(default=0, metadata=_UINT32)


@dataclass(slots=True, kw_only=True)
class FlatTensorMap(FlatTable):
    """TensorMap."""

    name: bytes | None = field(default=None, metadata=_TEXT)
    tensorIndex: int = field(default=0, metadata=_UINT32)


@dataclass(slots=True, kw_only=True)
class FlatSignature(FlatTable):
    """SignatureDef; the schema has removed the field of slot 3."""

    inputs: list[FlatTensorMap] | None = field(default=None, metadata=_TABLES)
    outputs: list[FlatTensorMap] | None = field(default=None, metadata=_TABLES)
    signatureKey: bytes | None = field(default=None, metadata=_TEXT)
    removed: bytes | None = field(default=None, metadata=_TEXT)
    subgraphIndex: int = field(default=0, metadata=_UINT32)


@dataclass(slots=True, kw_only=True)
class FlatModel(FlatTable):
    """Model."""

    version: int = field(default=0, metadata=_UINT32)
    operatorCodes: list[FlatOperatorCode] | None = field(default=None, metadata=_TABLES)
    subgraphs: list[FlatSubGraph] | None = field(default=None, metadata=_TABLES)
    description: bytes | None = field(default=None, metadata=_TEXT)
    buffers: list[FlatBuffer] | None = field(default=None, metadata=_TABLES)
    metadataBuffer: list[int] | None = field(default=None, metadata=_INT32)
    metadata: list[FlatMetadata] | None = field(default=None, metadata=_TABLES)
    signatureDefs: list[FlatSignature] | None = field(default=None, metadata=_TABLES)
