"""ONNX models of one recurrent operator with random weights, and what ONNX Runtime answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgernn.model.formats import FloatArray

#: Gates of each operator.
GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}


def matrices(
    operator: str, inputs: int, units: int, *, directions=1, peepholes=False, seed=0
) -> dict[str, FloatArray]:
    """W, R, B and P of an operator, float32."""
    rng = np.random.default_rng(seed)
    rows = GATES[operator] * units
    shapes: dict[str, tuple[int, ...]] = {
        "W": (directions, rows, inputs),
        "R": (directions, rows, units),
        "B": (directions, 2 * rows),
    }
    if peepholes:
        shapes["P"] = (directions, 3 * units)
    return {
        name: rng.uniform(-0.8, 0.8, shape).astype(np.float32) for name, shape in shapes.items()
    }


def one_operator(operator: str, arrays: dict[str, FloatArray], **attributes: Any) -> Any:
    """A model of X [T, B, I] and the outputs Y, Y_h, Y_c of one operator."""
    from onnx import TensorProto, helper, numpy_helper

    width = arrays["W"].shape[2]
    names = ["X", "W", "R", "B"] + (["", "", "", "P"] if "P" in arrays else [])
    outputs = ["Y", "Y_h"] + ["Y_c"] * (operator == "LSTM")
    units = arrays["R"].shape[1] // GATES[operator]
    node = helper.make_node(operator, names, outputs, name="rnn", hidden_size=units, **attributes)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ("T", "B", width))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opset = helper.make_opsetid("", 21)
    return helper.make_model(graph, opset_imports=[opset], ir_version=10)


def runtime_answer(model: Any, xs: FloatArray) -> FloatArray:
    """Y of ONNX Runtime for streams [B, T, I], as [B, T, directions * H]."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feed = {"X": np.ascontiguousarray(xs.swapaxes(0, 1), dtype=np.float32)}
    (y,) = session.run(["Y"], feed)
    return np.concatenate(list(y.transpose(1, 2, 0, 3)), axis=-1)
