"""ONNX's own tests of recurrent operators, which come with the package `onnx`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np

from edgernn.model.formats import FloatArray
from tests.support.models.onnx_recurrent import GATES


@dataclass(frozen=True, kw_only=True, eq=False)
class NodeCase:
    """One of ONNX's tests.

    Attributes:
        name: as ONNX calls it.
        node: the operator.
        arrays: its inputs by name.
        wanted: its outputs by name.
    """

    name: str
    node: Any
    arrays: dict[str, FloatArray]
    wanted: dict[str, FloatArray]

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes by name."""
        from onnx import helper

        found = {one.name: helper.get_attribute_value(one) for one in self.node.attribute}
        return {k: v.decode() if isinstance(v, bytes) else v for k, v in found.items()}

    @property
    def batch_first(self) -> bool:
        """Whether streams are the first axis of X."""
        return bool(self.attributes.get("layout", 0))

    @property
    def streams(self) -> FloatArray:
        """X as streams [B, T, I]."""
        xs = self.arrays["X"].astype(np.float64)
        return xs if self.batch_first else xs.swapaxes(0, 1)

    def model(self) -> Any:
        """The operator as a model whose weights are constants, as trained networks have them."""
        from onnx import TensorProto, helper, numpy_helper

        told = [helper.make_tensor_value_info("X", TensorProto.FLOAT, self.arrays["X"].shape)]
        made = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in self.wanted
        ]
        own = {name: array for name, array in self.arrays.items() if name != "X"}
        weights = [numpy_helper.from_array(array, name) for name, array in own.items()]
        graph = helper.make_graph([self.node], self.name, told, made, weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)


def node_cases() -> list[NodeCase]:
    """All of them, by operator and name; what they draw at random is the same every time."""
    from onnx.backend.test.case.node import gru, lstm, rnn

    found: list[NodeCase] = []

    def expect(node: Any, inputs: Any, outputs: Any, name: str) -> None:
        found.append(
            NodeCase(
                name=name,
                node=node,
                arrays=dict(zip(filter(None, node.input), map(np.asarray, inputs), strict=True)),
                wanted=dict(zip(filter(None, node.output), map(np.asarray, outputs), strict=True)),
            )
        )

    rng = np.random.default_rng(0)
    fixed = mock.patch("numpy.random.randn", lambda *shape: rng.standard_normal(shape))
    for module, cases in ((gru, gru.GRU), (lstm, lstm.LSTM), (rnn, rnn.RNN)):
        with mock.patch.object(module, "expect", expect), fixed:
            for name in sorted(vars(cases)):
                if name.startswith("export"):
                    getattr(cases, name)()
    assert {case.node.op_type for case in found} == set(GATES)
    return found
