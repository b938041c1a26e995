"""Open what the user gives: a path, the bytes of a file, or a model in memory.

A file is data of a stranger: external weights lie in its own folder, no size is
believed before the data confirm it, and every defect is one sentence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import BackendUnavailable
from edgernn.install import hint
from edgernn_export.keras_reader.stored.kind import refuse

#: The oldest set of operators whose meaning is that of today, up to the places of arguments.
OLDEST: Final = 7
_MOST_AXES: Final = 32
#: What helps against damage.
AGAIN: Final = "Export or copy the file again."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OnnxFile:
    """An ONNX model in memory.

    Attributes:
        name: of the file or graph.
        graph: its GraphProto, with local functions put in their places.
        version: of the standard operators.
        folder: where external weights lie; None for models that come from no file.
    """

    name: str
    graph: Any
    version: int
    folder: Path | None
    _known: dict[str, NDArray[Any]] = field(default_factory=dict)

    def array(self, tensor: Any) -> NDArray[Any]:
        """The values of a TensorProto.

        Raises:
            UnsupportedModelError: they are missing, damaged, or lie outside the folder.
        """
        import onnx

        owner = f"weights {tensor.name!r:.80}"
        if len(tensor.dims) > _MOST_AXES or any(size < 0 for size in tensor.dims):
            refuse(owner, f"at most {_MOST_AXES} sizes of at least 0", "others", AGAIN)
        if tensor.data_type == onnx.TensorProto.STRING:
            refuse(owner, "numbers", "texts", "Train without texts inside the network.")
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            return self._external(tensor, owner)
        try:
            return np.asarray(onnx.numpy_helper.to_array(tensor))
        except (TypeError, ValueError, KeyError, OverflowError, MemoryError, AttributeError):
            got = f"data that do not fill shape {tuple(tensor.dims)!r:.80}"
            refuse(owner, "as many values as their shape says", got, AGAIN)

    def _external(self, tensor: Any, owner: str) -> NDArray[Any]:
        """Values that lie in another file of the same folder."""
        import onnx

        told = {entry.key: entry.value for entry in tensor.external_data}
        location = told.get("location", "")
        if self.folder is None:
            refuse(
                owner, "weights inside the model", f"external data {location!r:.80}",
                "Pass the path of the file, or load the weights with onnx.load.",
            )  # fmt: skip
        folder = self.folder.resolve()
        try:
            path = (folder / location).resolve()
        except (OSError, ValueError, RuntimeError):
            path = Path("/")
        if not location or Path(location).is_absolute() or folder not in path.parents:
            refuse(
                owner, "external data in the folder of the model", f"{location!r:.80}",
                "Export the model again, with its weights inside or beside the file.",
            )  # fmt: skip
        if not path.is_file():
            refuse(
                owner, "a file of external data beside the model", f"none called {location!r:.80}",
                "Copy it into the folder of the model.",
            )  # fmt: skip
        try:
            dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
            start, whole = int(told.get("offset", 0)), path.stat().st_size
            count = math.prod(tensor.dims)
            length = int(told.get("length", count * dtype.itemsize))
        except (KeyError, TypeError, ValueError, OSError):
            refuse(owner, "a type, an offset and a length", "others", AGAIN)
        if length != count * dtype.itemsize or start < 0 or start + length > whole:
            got = f"{length} bytes at {start} of {whole} for shape {tuple(tensor.dims)!r:.80}"
            refuse(owner, "as many bytes as the shape says, inside the file", got, AGAIN)
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(length)
        return np.frombuffer(data, dtype.newbyteorder("<")).reshape(tuple(tensor.dims))


def open_onnx(source: str | PathLike[str] | bytes | Any) -> OnnxFile:
    """An ONNX model.

    Args:
        source: a path, the bytes of a file, or an onnx.ModelProto.

    Raises:
        BackendUnavailable: onnx is not installed.
        FileNotFoundError: there is nothing at the path.
        UnsupportedModelError: it is no ONNX model, or one of operators that are too old or too
            new.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    except ImportError as error:
        raise BackendUnavailable(
            f"onnx: expected an installed package, got none. Run: {hint('onnx-import')}"
        ) from error
    folder: Path | None = None
    if isinstance(source, onnx.ModelProto):
        model, name = source, source.graph.name or "model"
    else:
        if isinstance(source, bytes):
            data, name = source, "model.onnx"
        else:
            path = Path(source)
            folder, name = path.parent, path.name
            data = path.read_bytes()
        try:
            model = onnx.ModelProto.FromString(data)
        except (DecodeError, ValueError, RecursionError):
            refuse(name, "an ONNX model", "a damaged or different file", AGAIN)
    if not model.HasField("graph") or not (model.graph.node or model.graph.output):
        refuse(name, "an ONNX model with operators", "a file without any", AGAIN)
    version = _version(model, name)
    graph = model.graph
    if model.functions:
        graph = _inlined(model, name)
    if graph.sparse_initializer:
        cure = "Export the model with dense weights."
        refuse(name, "dense weights", f"{len(graph.sparse_initializer)} sparse tensors", cure)
    return OnnxFile(
        name=name if isinstance(source, bytes) or folder is None else Path(name).stem,
        graph=graph,
        version=version,
        folder=folder,
    )


def _version(model: Any, name: str) -> int:
    """The version of the standard operators."""
    import onnx

    found = [one.version for one in model.opset_import if one.domain in ("", "ai.onnx")]
    newest = int(onnx.defs.onnx_opset_version())
    version = int(found[0]) if found else 0
    if not OLDEST <= version <= newest:
        cure = (
            "Update the package: pip install --upgrade onnx."
            if version > newest
            else f"Export the model again with opset_version={OLDEST} or newer, or convert it "
            "with onnx.version_converter."
        )
        refuse(name, f"operators of opset {OLDEST} to {newest}", f"opset {version}", cure)
    return version


def _inlined(model: Any, name: str) -> Any:
    """The graph with the functions of the model put in the places of their calls."""
    import onnx.inliner

    functions = {(one.domain, one.name): one for one in model.functions}
    done: dict[tuple[str, str], int] = {}

    def depth(key: tuple[str, str], above: tuple[tuple[str, str], ...]) -> int:
        if key in above or len(above) > 64:
            refuse(name, "functions that do not call themselves", f"{key[1]!r:.60}", AGAIN)
        if key not in done:
            inner = [(n.domain, n.op_type) for n in functions[key].node]
            calls = [depth(one, (*above, key)) for one in inner if one in functions]
            done[key] = len(inner) + sum(calls)
        return done[key]

    total = sum(
        depth((node.domain, node.op_type), ())
        for node in model.graph.node
        if (node.domain, node.op_type) in functions
    )
    if total > 100_000:
        refuse(name, "at most 100000 operators", f"{total}", "Train a smaller network.")
    try:
        return onnx.inliner.inline_local_functions(model).graph
    except Exception:  # a C++ library, which says in many ways that it is not content
        refuse(name, "functions that fit their calls", "others", AGAIN)
