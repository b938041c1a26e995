"""A small builder of .tflite files; it handles the flatbuffer, not the arithmetic."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import BackendUnavailable
from edgernn.install import hint
from edgernn_export.tflite_schema.codes import BuiltinOperator, TensorType
from edgernn_export.tflite_schema.options import OPTIONS
from edgernn_export.tflite_schema.tables import (
    FlatBuffer,
    FlatMetadata,
    FlatModel,
    FlatOperator,
    FlatOperatorCode,
    FlatQuantization,
    FlatSignature,
    FlatSubGraph,
    FlatTensor,
    FlatTensorMap,
)

#: Largest builtin code that the schema's old one-byte field can carry.
_PLACEHOLDER_CODE: Final = 127
_SCHEMA_VERSION: Final = 3
#: Metadata entry with the SHA-256 of the file in which these 32 bytes are zero.
DIGEST_NAME: Final = "edgernn.sha256"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A tensor of the graph, shape [1, width].

    Attributes:
        index: position in the subgraph.
        width: number of elements.
        dtype: int8, int16 or int32.
        scale: quantization scale written into the file.
    """

    index: int
    width: int
    dtype: str
    scale: float


class GraphFile:
    """What graphs of one file have in common: constants, kinds of operators, signatures.

    Args:
        shared: equal constants are stored once.
    """

    def __init__(self, *, shared: bool = False) -> None:
        self._kinds: list[FlatOperatorCode] = []
        self._graphs: list[FlatSubGraph] = []
        self._signatures: list[FlatSignature] = []
        self._buffers = [FlatBuffer()]  # buffer 0 is empty by convention
        self._codes: dict[tuple[int, int], int] = {}
        self._places: dict[bytes, int] | None = {} if shared else None

    def add_graph(self, graph: FlatSubGraph) -> int:
        """Add a subgraph; its number."""
        self._graphs.append(graph)
        return len(self._graphs) - 1

    def add_signature(self, signature: FlatSignature) -> None:
        """Add a signature, which names the tensors of a subgraph."""
        self._signatures.append(signature)

    def add_buffer(self, content: bytes) -> int:
        """Store a constant; where it is."""
        if self._places is not None and content in self._places:
            return self._places[content]
        self._buffers.append(FlatBuffer(data=content))
        place = len(self._buffers) - 1
        if self._places is not None:
            self._places[content] = place
        return place

    def code(self, builtin: int, version: int) -> int:
        """Number of a kind of operators."""
        key = (builtin, version)
        if key not in self._codes:
            code = FlatOperatorCode(builtinCode=builtin, version=version)
            code.deprecatedBuiltinCode = min(builtin, _PLACEHOLDER_CODE)
            self._codes[key] = len(self._kinds)
            self._kinds.append(code)
        return self._codes[key]

    def finish(self, metadata: bytes) -> bytes:
        """Serialize with one metadata entry "edgernn".

        Args:
            metadata: content of the entry.

        Returns:
            The file; equal calls give equal bytes.
        """
        # The place where the digest goes is found again by a value that occurs only there.
        marker = hashlib.sha256(b"edgernn digest" + metadata).digest()
        entries = [self._metadata("edgernn", metadata), self._metadata(DIGEST_NAME, marker)]
        model = FlatModel(
            version=_SCHEMA_VERSION,
            description=b"edgernn",
            operatorCodes=self._kinds,
            subgraphs=self._graphs,
            buffers=self._buffers,
            metadata=entries,
            signatureDefs=self._signatures,
        )
        return _seal(_packed(model), marker)

    def _metadata(self, name: str, content: bytes) -> FlatMetadata:
        return FlatMetadata(name=name.encode(), buffer=self.add_buffer(content))


def _packed(model: FlatModel) -> bytes:
    try:
        import flatbuffers
    except ImportError as error:
        raise BackendUnavailable(
            "tflite writer: expected the package flatbuffers, got none. Install it with: "
            f"{hint('onnx-import')}"
        ) from error
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.pack(builder), b"TFL3")
    return bytes(builder.Output())


class Graph:
    """Collects tensors and operators in execution order.

    Args:
        name: of the subgraph.
        file: receives it; by default a new one.
    """

    def __init__(self, name: str, file: GraphFile | None = None) -> None:
        self.file = GraphFile() if file is None else file
        self._tensors: list[FlatTensor] = []
        self._operators: list[FlatOperator] = []
        self._main = FlatSubGraph(
            name=name.encode(), tensors=self._tensors, operators=self._operators
        )
        self._number = self.file.add_graph(self._main)

    def tensor(
        self, name: str, width: int, dtype: str, scale: float, shape: Sequence[int] = ()
    ) -> Tensor:
        """Declare a tensor that an input or an operator fills."""
        index = self._add_tensor(name, shape or (1, width), dtype, [scale], buffer=0)
        return Tensor(index=index, width=width, dtype=dtype, scale=scale)

    def constant(
        self, name: str, values: npt.NDArray[Any], scale: float | Sequence[float] | None = None
    ) -> Tensor:
        """Store a constant; several scales mean one per row."""
        scales = [] if scale is None else [scale] if isinstance(scale, float) else list(scale)
        buffer = self.file.add_buffer(np.ascontiguousarray(values).tobytes())
        dtype = values.dtype.name
        index = self._add_tensor(name, values.shape, dtype, scales, buffer)
        first = scales[0] if scales else 0.0
        return Tensor(index=index, width=values.size, dtype=dtype, scale=first)

    def rescale(self, tensor: Tensor, scale: float) -> None:
        """Write another scale on a tensor whose producer looks at none (int32 arithmetic)."""
        self._tensors[tensor.index].quantization = _quantization([scale])

    def operator(
        self,
        builtin: str,
        version: int,
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        **options: Any,
    ) -> None:
        """Append one operator.

        Args:
            builtin: name in the schema's BuiltinOperator.
            version: smallest operator version that knows these types.
            inputs: operands.
            outputs: results.
            options: ``kind`` names the options table, the rest are its fields.
        """
        operator = FlatOperator(
            opcodeIndex=self.file.code(BuiltinOperator[builtin], version),
            inputs=[t.index for t in inputs],
            outputs=[t.index for t in outputs],
        )
        kind = options.pop("kind", None)
        if kind is not None:
            operator.builtinOptionsType, table = OPTIONS[kind]
            operator.builtinOptions = table(**options)
        self._operators.append(operator)

    def finish(
        self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor], metadata: bytes
    ) -> bytes:
        """Serialize a file of this graph alone: `sign` it as "step", and `GraphFile.finish`."""
        self.sign("step", inputs, outputs)
        return self.file.finish(metadata)

    def sign(self, key: str, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> None:
        """End the graph, and give it a signature.

        Args:
            key: name of the signature.
            inputs: tensors by signature name.
            outputs: tensors by signature name.
        """
        self._main.inputs = [t.index for t in inputs.values()]
        self._main.outputs = list(dict.fromkeys(t.index for t in outputs.values()))
        signature = FlatSignature(
            signatureKey=key.encode(),
            subgraphIndex=self._number,
            inputs=[_tensor_map(n, t) for n, t in sorted(inputs.items())],
            outputs=[_tensor_map(n, t) for n, t in sorted(outputs.items())],
        )
        self.file.add_signature(signature)

    def _add_tensor(
        self, name: str, shape: Sequence[int], dtype: str, scales: list[float], buffer: int
    ) -> int:
        tensor = FlatTensor(
            name=name.encode(),
            shape=list(shape),
            type=TensorType[dtype.upper()],
            buffer=buffer,
            quantization=_quantization(scales) if scales else None,
        )
        self._tensors.append(tensor)
        return len(self._tensors) - 1


def _tensor_map(name: str, tensor: Tensor) -> FlatTensorMap:
    return FlatTensorMap(name=name.encode(), tensorIndex=tensor.index)


def _quantization(scales: list[float]) -> FlatQuantization:
    return FlatQuantization(scale=scales, zeroPoint=[0] * len(scales))


def _seal(content: bytes, marker: bytes) -> bytes:
    """Replace the marker by the hash of the file in which its place holds zeros."""
    start = content.index(marker)
    blank = content[:start] + bytes(len(marker)) + content[start + len(marker) :]
    digest = hashlib.sha256(blank).digest()
    return blank[:start] + digest + blank[start + len(marker) :]


def is_power_of_two(scale: float) -> bool:
    """Whether a positive scale has no mantissa bits."""
    return math.frexp(scale)[0] == 0.5
