"""A minimal builder of ONNX graphs: deterministic names, every constant stored once."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

#: Opset 17 and IR version 8 are read by every onnxruntime since 1.12.
OPSET: Final = 17
IR_VERSION: Final = 8


class GraphBuilder:
    """Collects nodes, constants, inputs and outputs of one graph.

    Tensor names that the builder makes up start with ``/``, which no layer name may contain.

    Args:
        name: graph name.
        around: the graph that has this one in a node; they share their constants.
        told: what the graph is, for readers.
    """

    def __init__(self, name: str, around: GraphBuilder | None = None, told: str = "") -> None:
        """Start an empty graph."""
        self.name, self.told = name, told
        self._around = around
        self._nodes: list[Any] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._stem: str = "" if around is None else f"{around._stem}/body_{len(around._nodes)}"
        self._initializers: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._renamed: dict[str, str] = {}

    def constant(self, value: npt.ArrayLike, dtype: npt.DTypeLike = np.int32) -> str:
        """Name of an initializer holding ``value``; equal constants share one."""
        from onnx import numpy_helper

        if self._around is not None:
            return self._around.constant(value, dtype)
        array = np.array(value, dtype=dtype, order="C")
        key = (array.dtype.name, array.shape, array.tobytes())
        if key not in self._constants:
            name = f"/const_{len(self._constants)}"
            self._constants[key] = name
            self._initializers.append(numpy_helper.from_array(array, name))
        return self._constants[key]

    def nodes(self, op: str, inputs: list[str], count: int, **attributes: Any) -> tuple[str, ...]:
        """Append a node with ``count`` outputs and return their names."""
        from onnx import helper

        stem = f"{self._stem}/{op.lower()}_{len(self._nodes)}"
        outputs = (stem,) if count == 1 else tuple(f"{stem}_{i}" for i in range(count))
        self._nodes.append(helper.make_node(op, inputs, list(outputs), stem, **attributes))
        return outputs

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Append a node with one output and return its name."""
        return self.nodes(op, list(inputs), 1, **attributes)[0]

    def cast(self, tensor: str, dtype: npt.DTypeLike) -> str:
        """Convert to another dtype."""
        from onnx import helper

        return self.node("Cast", tensor, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def scan(self, body: GraphBuilder, states: list[str], rows: list[str]) -> tuple[str, ...]:
        """Run a graph once for each row of tensors.

        Args:
            body: made with this graph around it. Its inputs are states, then one row [...] of each
                tensor; its outputs new states, then a row of each result.
            states: first states.
            rows: tensors [T, ...].

        Returns:
            Last states, then results [T, ...].
        """
        count = len(body._outputs)
        graph = body._graph()
        return self.nodes("Scan", [*states, *rows], count, body=graph, num_scan_inputs=len(rows))

    def input(self, name: str, dtype: npt.DTypeLike, shape: list[int | str]) -> str:
        """Declare a graph input."""
        self._inputs.append(self._value(name, dtype, shape))
        return name

    def output(self, tensor: str, name: str, dtype: npt.DTypeLike, shape: list[int | str]) -> None:
        """Declare a tensor that a node makes as the graph output ``name``, once."""
        self._renamed[tensor] = name
        self._outputs.append(self._value(name, dtype, shape))

    def to_bytes(self, metadata: dict[str, str]) -> bytes:
        """Check and serialize the model; same calls, same bytes.

        Args:
            metadata: `metadata_props` of the model.
        """
        import onnx
        from onnx import helper

        model = helper.make_model(
            self._graph(),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="edgernn",
        )
        for key in sorted(metadata):
            model.metadata_props.add(key=key, value=metadata[key])
        onnx.checker.check_model(model, full_check=True)
        data: bytes = model.SerializeToString(deterministic=True)
        return data

    def _graph(self) -> Any:
        from onnx import helper

        for node in self._nodes:
            node.input[:] = [self._renamed.get(tensor, tensor) for tensor in node.input]
            node.output[:] = [self._renamed.get(tensor, tensor) for tensor in node.output]
        return helper.make_graph(
            self._nodes, self.name, self._inputs, self._outputs, self._initializers,
            doc_string=self.told or None,
        )  # fmt: skip

    @staticmethod
    def _value(name: str, dtype: npt.DTypeLike, shape: list[int | str]) -> Any:
        from onnx import helper

        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return helper.make_tensor_value_info(name, kind, shape)
