"""A small builder of .tflite files; it handles the flatbuffer, not the arithmetic."""

from __future__ import annotations

import hashlib
import importlib.util
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import BackendUnavailable
from edgernn.install import hint

#: Packages that carry the schema as one self-contained file, and where.
_SCHEMA_FILES: Final = (
    ("ai_edge_litert", "schema_py_generated.py"),
    ("tensorflow", "lite/python/schema_py_generated.py"),
)
#: Largest builtin code that the schema's old one-byte field can carry.
_PLACEHOLDER_CODE: Final = 127
_SCHEMA_VERSION: Final = 3
#: Metadata entry with the SHA-256 of the file in which these 32 bytes are zero.
DIGEST_NAME: Final = "edgernn.sha256"


@lru_cache(maxsize=1)
def load_schema() -> ModuleType:
    """The TFLite schema's object API, without importing the runtime that ships it.

    Raises:
        BackendUnavailable: flatbuffers or both packages are missing.
    """
    for package, inside in _SCHEMA_FILES:
        found = importlib.util.find_spec(package)
        for root in (found.submodule_search_locations or ()) if found else ():
            path = Path(root) / inside
            spec = importlib.util.spec_from_file_location("edgernn_export_tflite_schema", path)
            if path.is_file() and spec and spec.loader and importlib.util.find_spec("flatbuffers"):
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                return module
    raise BackendUnavailable(
        "tflite writer: expected flatbuffers and the schema of TensorFlow or ai-edge-litert, "
        f"got an environment without them. Install them with: {hint('export')}"
    )


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
        self.schema = load_schema()
        self._model = self.schema.ModelT()
        self._model.version = _SCHEMA_VERSION
        self._model.description = b"edgernn"
        self._model.buffers = [self.schema.BufferT()]  # buffer 0 is empty by convention
        self._model.operatorCodes = []
        self._model.subgraphs, self._model.signatureDefs = [], []
        self._codes: dict[tuple[int, int], int] = {}
        self._places: dict[bytes, int] | None = {} if shared else None

    def add_graph(self, graph: Any) -> int:
        """Add a subgraph; its number."""
        self._model.subgraphs.append(graph)
        return len(self._model.subgraphs) - 1

    def add_signature(self, signature: Any) -> None:
        """Add a signature, which names the tensors of a subgraph."""
        self._model.signatureDefs.append(signature)

    def add_buffer(self, content: bytes) -> int:
        """Store a constant; where it is."""
        if self._places is not None and content in self._places:
            return self._places[content]
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(content, dtype=np.uint8)
        self._model.buffers.append(buffer)
        place = len(self._model.buffers) - 1
        if self._places is not None:
            self._places[content] = place
        return place

    def code(self, builtin: int, version: int) -> int:
        """Number of a kind of operators."""
        key = (builtin, version)
        if key not in self._codes:
            code = self.schema.OperatorCodeT()
            code.builtinCode, code.version = builtin, version
            code.deprecatedBuiltinCode = min(builtin, _PLACEHOLDER_CODE)
            self._codes[key] = len(self._model.operatorCodes)
            self._model.operatorCodes.append(code)
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
        self._model.metadata = [
            self._metadata("edgernn", metadata), self._metadata(DIGEST_NAME, marker)
        ]  # fmt: skip
        return _seal(self._pack(), marker)

    def _pack(self) -> bytes:
        import flatbuffers

        builder = flatbuffers.Builder(1024)
        builder.Finish(self._model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _metadata(self, name: str, content: bytes) -> Any:
        entry = self.schema.MetadataT()
        entry.name = name.encode()
        entry.buffer = self.add_buffer(content)
        return entry


class Graph:
    """Collects tensors and operators in execution order.

    Args:
        name: of the subgraph.
        file: receives it; by default a new one.
    """

    def __init__(self, name: str, file: GraphFile | None = None) -> None:
        self.file = GraphFile() if file is None else file
        self.schema = self.file.schema
        self._main = self.schema.SubGraphT()
        self._main.name = name.encode()
        self._main.tensors, self._main.operators = [], []
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
        self._main.tensors[tensor.index].quantization.scale = [scale]

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
        operator = self.schema.OperatorT()
        operator.opcodeIndex = self.file.code(
            getattr(self.schema.BuiltinOperator, builtin), version
        )
        operator.inputs = [t.index for t in inputs]
        operator.outputs = [t.index for t in outputs]
        kind = options.pop("kind", None)
        if kind is not None:
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, kind)
            operator.builtinOptions = getattr(self.schema, f"{kind}T")()
            for field, value in options.items():
                setattr(operator.builtinOptions, field, value)
        self._main.operators.append(operator)

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
        signature = self.schema.SignatureDefT()
        signature.signatureKey = key.encode()
        signature.subgraphIndex = self._number
        signature.inputs = [self._tensor_map(n, t) for n, t in sorted(inputs.items())]
        signature.outputs = [self._tensor_map(n, t) for n, t in sorted(outputs.items())]
        self.file.add_signature(signature)

    def _tensor_map(self, name: str, tensor: Tensor) -> Any:
        entry = self.schema.TensorMapT()
        entry.name, entry.tensorIndex = name.encode(), tensor.index
        return entry

    def _add_tensor(
        self, name: str, shape: Sequence[int], dtype: str, scales: list[float], buffer: int
    ) -> int:
        tensor = self.schema.TensorT()
        tensor.name = name.encode()
        tensor.shape = list(shape)
        tensor.type = getattr(self.schema.TensorType, dtype.upper())
        tensor.buffer = buffer
        if scales:
            quantization = self.schema.QuantizationParametersT()
            quantization.scale = scales
            quantization.zeroPoint = [0] * len(scales)
            tensor.quantization = quantization
        self._main.tensors.append(tensor)
        return len(self._main.tensors) - 1


def _seal(content: bytes, marker: bytes) -> bytes:
    """Replace the marker by the hash of the file in which its place holds zeros."""
    start = content.index(marker)
    blank = content[:start] + bytes(len(marker)) + content[start + len(marker) :]
    digest = hashlib.sha256(blank).digest()
    return blank[:start] + digest + blank[start + len(marker) :]


def is_power_of_two(scale: float) -> bool:
    """Whether a positive scale has no mantissa bits."""
    return math.frexp(scale)[0] == 0.5
