"""ONNX models of one recurrent operator with random weights, and what ONNX Runtime answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgernn.model.formats import FloatArray

#: Gates of each operator.
GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}

_HARD = {"activation_alpha": [0.3], "activation_beta": [0.4]}
_SCALED = {"activation_alpha": [0.3, 1.2, 0.8], "activation_beta": [0.4, 0.9, 1.1]}
_LINES = {"activation_alpha": [0.3, 1.2, 0.8], "activation_beta": [0.5, 0.1, 0.2]}
#: What is tried of the operators of ONNX: the operator, and its attributes.
OPERATORS = {
    "RNN": ("RNN", {}),
    **{
        f"{function} RNN": ("RNN", {"activations": [function], **parameters})
        for function, parameters in {
            "Relu": {},
            "Sigmoid": {},
            "Softsign": {},
            "Softplus": {},
            "Affine": {"activation_alpha": [0.6], "activation_beta": [0.1]},
            "LeakyRelu": {},
            "ThresholdedRelu": {"activation_alpha": [0.2]},
            "ScaledTanh": {"activation_alpha": [1.2], "activation_beta": [0.9]},
            "HardSigmoid": {},
            "Elu": {"activation_alpha": [0.5]},
        }.items()
    },
    "clipped RNN": ("RNN", {"clip": 0.3}),
    "LSTM": ("LSTM", {}),
    "LSTM with peepholes": ("LSTM", {}),
    "coupled LSTM": ("LSTM", {"input_forget": 1}),
    "coupled LSTM with peepholes": ("LSTM", {"input_forget": 1}),
    "softsign LSTM": ("LSTM", {"activations": ["Sigmoid", "Softsign", "Softsign"]}),
    "clipped LSTM": ("LSTM", {"clip": 0.7}),
    "clipped coupled LSTM": ("LSTM", {"clip": 0.7, "input_forget": 1}),
    "hardly clipped LSTM with peepholes": ("LSTM", {"clip": 18.0}),
    "LSTM of three functions": (
        "LSTM", {"activations": ["HardSigmoid", "ScaledTanh", "ScaledTanh"], **_SCALED}
    ),
    "LSTM of one line": (
        "LSTM",
        {"activations": ["Sigmoid", "Affine", "Tanh"], "activation_alpha": [0.6],
         "activation_beta": [0.1]},
    ),
    "clipped coupled LSTM of lines": (
        "LSTM",
        {"activations": ["HardSigmoid", "Affine", "Affine"], **_LINES, "clip": 0.7,
         "input_forget": 1},
    ),
    "coupled LSTM of hard gates with peepholes": (
        "LSTM", {"activations": ["HardSigmoid", "Tanh", "Tanh"], **_HARD, "input_forget": 1}
    ),
    "begun RNN": ("RNN", {}),
    "begun LSTM": ("LSTM", {}),
    "begun clipped LSTM": ("LSTM", {"clip": 0.7}),
    "begun LSTM with peepholes": ("LSTM", {}),
    "begun GRU": ("GRU", {}),
    "GRU before": ("GRU", {}),
    "GRU after": ("GRU", {"linear_before_reset": 1}),
    "softsign GRU before": ("GRU", {"activations": ["Sigmoid", "Softsign"]}),
    "clipped GRU after": ("GRU", {"clip": 0.7, "linear_before_reset": 1}),
    "affine GRU before": (
        "GRU",
        {"activations": ["HardSigmoid", "Affine"], "activation_alpha": [0.3, 0.6],
         "activation_beta": [0.4, 0.1]},
    ),
    "affine GRU after": (
        "GRU",
        {"activations": ["Sigmoid", "Affine"], "activation_alpha": [0.6],
         "activation_beta": [0.1], "linear_before_reset": 1},
    ),
}  # fmt: skip


def matrices(
    operator: str, inputs: int, units: int, *, directions=1, peepholes=False, begun=False, seed=0
) -> dict[str, FloatArray]:
    """W, R, B and P of an operator, and first states h and c of one stream, float32."""
    rng = np.random.default_rng(seed)
    rows = GATES[operator] * units
    shapes: dict[str, tuple[int, ...]] = {
        "W": (directions, rows, inputs),
        "R": (directions, rows, units),
        "B": (directions, 2 * rows),
    }
    if peepholes:
        shapes["P"] = (directions, 3 * units)
    if begun:
        names = ("h", "c") if operator == "LSTM" else ("h",)
        shapes |= dict.fromkeys(names, (directions, 1, units))
    return {
        name: rng.uniform(-0.8, 0.8, shape).astype(np.float32) for name, shape in shapes.items()
    }


def one_operator(
    operator: str, arrays: dict[str, FloatArray], *, states=False, **attributes: Any
) -> Any:
    """A model of X [T, B, I] and the outputs Y, Y_h, Y_c of one operator.

    Args:
        operator: "RNN", "LSTM" or "GRU".
        arrays: as `matrices` gives them; constant first states "h" and "c" among them, or not.
        states: its first states are inputs of the model.
        attributes: of the operator.
    """
    from onnx import TensorProto, helper, numpy_helper

    directions, rows, width = arrays["W"].shape
    names = ["X", "W", "R", "B", "", "", "", ""]
    outputs = ["Y", "Y_h"] + ["Y_c"] * (operator == "LSTM")
    units, given = rows // GATES[operator], {"X": ("T", "B", width)}
    for place, name in enumerate(["h", "c"][: len(outputs) - 1]):
        if states:
            given[name] = (directions, "B", units)
        if states or name in arrays:
            names[5 + place] = name
    if "P" in arrays:
        names[7] = "P"
    while not names[-1]:
        names.pop()
    node = helper.make_node(operator, names, outputs, name="rnn", hidden_size=units, **attributes)
    graph = helper.make_graph(
        [node],
        "one",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in given.items()
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opset = helper.make_opsetid("", 21)
    return helper.make_model(graph, opset_imports=[opset], ir_version=10)


def of_operator(name: str, inputs: int, units: int, *, states=False) -> Any:
    """The model of one of `OPERATORS`."""
    operator, attributes = OPERATORS[name]
    arrays = matrices(
        operator, inputs, units, peepholes="peepholes" in name, begun=name.startswith("begun")
    )
    if operator == "RNN":  # of functions without an end: states that stay
        arrays["R"] *= 0.4
    return one_operator(operator, arrays, states=states, **attributes)


def runtime_answer(model: Any, xs: FloatArray) -> FloatArray:
    """Y of ONNX Runtime for streams [B, T, I], as [B, T, directions * H]."""
    import onnxruntime

    if len(xs) > 1 and any(array.name == "h" for array in model.graph.initializer):
        return np.concatenate([runtime_answer(model, xs[b : b + 1]) for b in range(len(xs))])
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feed = {"X": np.ascontiguousarray(xs.swapaxes(0, 1), dtype=np.float32)}
    for given in session.get_inputs()[1:]:
        feed[given.name] = np.zeros((given.shape[0], len(xs), given.shape[2]), np.float32)
    (y,) = session.run(["Y"], feed)
    return np.concatenate(list(y.transpose(1, 2, 0, 3)), axis=-1)
