"""Open a TFLite file: its graph, and the values of its constants.

A file is data of a stranger: offsets and sizes are checked before anything is read.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgernn_export.file_contents.contents import QUANTIZED_ALREADY, TFLITE_MARK
from edgernn_export.keras_reader.stored.kind import refuse
from edgernn_export.tflite_schema.codes import BuiltinOperator, TensorType
from edgernn_export.tflite_schema.reading import read_model
from edgernn_export.tflite_schema.tables import (
    FlatModel,
    FlatOperator,
    FlatQuantization,
    FlatSubGraph,
    FlatTensor,
)

#: What helps against damage.
AGAIN: Final = "Convert or copy the file again."
_FLOAT: Final = "Pass the float model from before it was quantized."
_MOST_AXES: Final = 32
#: Types of elements that NumPy has.
_DTYPES: Final = {
    TensorType.FLOAT32: "<f4", TensorType.FLOAT16: "<f2", TensorType.INT32: "<i4",
    TensorType.UINT8: "u1", TensorType.INT64: "<i8", TensorType.BOOL: "?", TensorType.INT16: "<i2",
    TensorType.INT8: "i1", TensorType.FLOAT64: "<f8", TensorType.UINT64: "<u8",
    TensorType.UINT32: "<u4", TensorType.UINT16: "<u2",
}  # fmt: skip
#: Types of the codes of quantized networks.
_CODES: Final = (TensorType.INT8, TensorType.UINT8, TensorType.INT16)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TfliteFile:
    """A TFLite model in memory.

    Attributes:
        name: of the file.
        model: its tables.
        graph: the graph of the network; graphs of loops are others of the model.
        labels: names of inputs and outputs that a signature gives, by the index of the tensor.
    """

    name: str
    model: FlatModel
    graph: FlatSubGraph
    labels: dict[int, str]

    def kind(self, operator: FlatOperator) -> str:
        """What the schema, or the author of the operator, calls it.

        Raises:
            UnsupportedModelError: the file does not tell.
        """
        codes = self.model.operatorCodes or []
        if operator.opcodeIndex >= len(codes):
            refuse(self.name, "operators of a kind", "one without", AGAIN)
        code = codes[operator.opcodeIndex]
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        if number == BuiltinOperator.CUSTOM:
            return text(code.customCode) or "CUSTOM"
        known = 0 <= number < len(BuiltinOperator)
        return BuiltinOperator(number).name if known else f"operator number {number}"

    def is_constant(self, tensor: FlatTensor) -> bool:
        """Whether a tensor has values in the file, or none at all."""
        empty = tensor.shape is not None and 0 in tensor.shape
        return not tensor.isVariable and (empty or len(self._data(tensor)) > 0)

    def array(self, tensor: FlatTensor) -> NDArray[Any]:
        """The values of a constant; real numbers of weights that are kept in fewer bits.

        Raises:
            UnsupportedModelError: they are of another type, or do not fill their shape.
        """
        owner = f"weights '{plain(tensor)}'"
        shape = tuple(tensor.shape or ())
        if len(shape) > _MOST_AXES or min(shape, default=0) < 0:
            refuse(owner, f"at most {_MOST_AXES} sizes of at least 0", "others", AGAIN)
        if tensor.sparsity is not None:
            refuse(owner, "dense weights", "sparse ones", "Convert the network without sparsity.")
        data, count = self._data(tensor), math.prod(shape)
        values = None
        if tensor.type == TensorType.INT4:
            values = _nibbles(data, count)
        else:
            dtype = _DTYPES.get(tensor.type)  # type: ignore[call-overload]
            if dtype is None:
                refuse(owner, "numbers", f"elements of type {type_name(tensor)}", AGAIN)
            if len(data) == count * np.dtype(dtype).itemsize:
                values = np.frombuffer(data, dtype)
        if values is None or len(values) != count:
            got = f"{len(data)} bytes for shape {shape!r:.80}"
            refuse(owner, "as many values as their shape says", got, AGAIN)
        values = values.reshape(shape)
        quantization = tensor.quantization
        if quantization is not None and quantization.scale:
            return _real(values, quantization, owner)
        return values

    def _data(self, tensor: FlatTensor) -> memoryview:
        buffers = self.model.buffers or []
        data = buffers[tensor.buffer].data if tensor.buffer < len(buffers) else None
        return memoryview(data or b"")


def plain(tensor: FlatTensor) -> str:
    """The name of a tensor as messages give it: the first of those that the converter joined."""
    return text(tensor.name).partition(";")[0].replace("'", "_")


def text(given: bytes | None) -> str:
    """A text of the file.

    Raises:
        UnicodeDecodeError: it is none.
    """
    return (given or b"").decode()


def type_name(tensor: FlatTensor) -> str:
    """The type of the elements of a tensor."""
    known = tensor.type in TensorType.__members__.values()
    return TensorType(tensor.type).name if known else f"number {tensor.type}"


def dtype_name(tensor: FlatTensor) -> str:
    """The type of the elements as NumPy calls it."""
    found = _DTYPES.get(tensor.type)  # type: ignore[call-overload]
    return "unknown" if found is None else np.dtype(found).name


def open_tflite(source: str | PathLike[str] | bytes) -> TfliteFile:
    """A TFLite model of real numbers.

    Args:
        source: a path, or the bytes of a file.

    Raises:
        FileNotFoundError: there is nothing at the path.
        UnsupportedModelError: it is no TFLite model, a damaged one, or a quantized one.
    """
    path = None if isinstance(source, bytes) else Path(source)
    content = source if isinstance(source, bytes) else Path(source).read_bytes()
    name = "model.tflite" if path is None else path.name
    if content[4:8] != TFLITE_MARK:
        refuse(name, "a TFLite model", "a damaged or different file", AGAIN)
    try:
        model = read_model(content)
    except struct.error:
        refuse(name, "offsets inside the file", "a damaged or truncated file", AGAIN)
    if not model.subgraphs:
        refuse(name, "a TFLite model with operators", "a file without any", AGAIN)
    _check_marks(model, name)
    number, labels = _signature(model, name)
    made = TfliteFile(
        name=name if path is None else path.stem,
        model=model,
        graph=model.subgraphs[number],
        labels=labels,
    )
    _check_indices(made)
    _check_real(made)
    return made


def _check_marks(model: FlatModel, name: str) -> None:
    """Refuse files that edgernn wrote."""
    if any(entry.name == b"edgernn" for entry in model.metadata or ()):
        refuse(name, "a trained network", "a file that edgernn wrote", QUANTIZED_ALREADY)


def _signature(model: FlatModel, name: str) -> tuple[int, dict[int, str]]:
    """The graph of the only signature, or the first one, and what it calls its tensors."""
    signatures = model.signatureDefs or []
    if len(signatures) > 1:
        keys = ", ".join(text(one.signatureKey) for one in signatures)
        refuse(
            name, "one signature", f"{len(signatures)} ({keys:.80})",
            "Convert the function that computes the network alone.",
        )  # fmt: skip
    labels: dict[int, str] = {}
    for signature in signatures:
        for entry in (*(signature.inputs or ()), *(signature.outputs or ())):
            labels.setdefault(entry.tensorIndex, text(entry.name))
        if signature.subgraphIndex >= len(model.subgraphs or ()):
            refuse(name, "a graph for its signature", "none", AGAIN)
    return signatures[0].subgraphIndex if signatures else 0, labels


def _check_indices(file: TfliteFile) -> None:
    """Refuse references to missing tensors."""
    for graph in file.model.subgraphs or ():
        count = len(graph.tensors or ())
        listed = [*(graph.inputs or ()), *(graph.outputs or ())]
        inner = [i for one in graph.operators or () for i in (*(one.inputs or ()),)]
        results = [i for one in graph.operators or () for i in (*(one.outputs or ()),)]
        if not all(0 <= i < count for i in (*listed, *results)) or not all(
            -1 <= i < count for i in inner
        ):
            refuse(file.name, "references to its tensors", "others", AGAIN)


def _check_real(file: TfliteFile) -> None:
    """Refuse networks whose operators compute with codes."""
    tensors = file.graph.tensors or []
    made = [i for one in file.graph.operators or () for i in one.outputs or ()]
    codes = [
        tensors[i]
        for i in (*(file.graph.inputs or ()), *made)
        if tensors[i].type in _CODES
        and tensors[i].quantization is not None
        and not file.is_constant(tensors[i])
        and (tensors[i].quantization or FlatQuantization()).scale
    ]
    if codes:
        got = f"a quantized one: '{plain(codes[0])}' is of type {type_name(codes[0])}"
        refuse(file.name, "a network of real numbers", got, _FLOAT)


def _nibbles(data: memoryview, count: int) -> NDArray[Any]:
    """4-bit integers, two in each byte, the first one in its lower half."""
    pairs = np.frombuffer(data, np.uint8)
    both = np.stack([pairs & 15, pairs >> 4], axis=1).reshape(-1)
    if len(pairs) == -(-count // 2):
        both = both[:count]
    signed: NDArray[Any] = (both.astype(np.int8) ^ 8) - 8
    return signed


def _real(values: NDArray[Any], quantization: FlatQuantization, owner: str) -> NDArray[Any]:
    """Weights of fewer bits as the real numbers that they stand for."""
    scale = np.array(quantization.scale, dtype=np.float64)
    zero = np.array(quantization.zeroPoint or [0], dtype=np.float64)
    if scale.size > 1:
        place = quantization.quantizedDimension
        fits = 0 <= place < values.ndim and scale.size == values.shape[place]
        if not fits or zero.size not in (1, scale.size):
            refuse(owner, "a scale for each of its rows", f"{scale.size} scales", AGAIN)
        shape = [scale.size if axis == place else 1 for axis in range(values.ndim)]
        scale = scale.reshape(shape)
        zero = zero.reshape(shape) if zero.size > 1 else zero
    elif zero.size != 1:
        refuse(owner, "one zero point", f"{zero.size}", AGAIN)
    return (values.astype(np.float64) - zero) * scale
