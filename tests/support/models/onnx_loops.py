"""Loops of ONNX for tests: the steps of cells, in Loop as tf2onnx writes it, and in Scan."""

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.support.models.onnx_files import model_of

_FLOAT, _INTEGER, _TRUTH = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


@dataclass(frozen=True)
class Step:
    """The body of a loop.

    Attributes:
        nodes: of helper.make_node; they read the reading "x" and states "s0", "s1", ...
        after: names of the states after the step, in their order.
        weights: by name.
        widths: of the states.
        row: name of what the loop gives of every step.
    """

    nodes: tuple
    after: tuple[str, ...]
    weights: dict[str, np.ndarray]
    widths: tuple[int, ...]
    row: str


def weights_of(rng, **shapes):
    """Random weights in single precision."""
    return {name: (rng.normal(size=shape) / 2).astype(np.float32) for name, shape in shapes.items()}


def gru_step(rng, inputs=3, units=4, *, after=True, function="Tanh"):
    """A GRU with either convention of its reset gate."""
    node = helper.make_node
    nodes = [node("MatMul", ["x", "W"], ["xw"]), node("Add", ["xw", "b"], ["xb"]),
             node("Split", ["xb"], ["xr", "xz", "xn"], axis=1, num_outputs=3)]  # fmt: skip
    if after:
        nodes += [
            node("Gemm", ["s0", "U", "c"], ["hu"]),
            node("Slice", ["hu", "n0", "n1", "axis"], ["hr"]),
            node("Slice", ["hu", "n1", "n2", "axis"], ["hz"]),
            node("Slice", ["hu", "n2", "n3", "axis"], ["hn"]),
        ]
    else:
        nodes += [
            node("Slice", ["U", "n0", "n1", "axis"], ["Ur"]),
            node("Slice", ["U", "n1", "n2", "axis"], ["Uz"]),
            node("Slice", ["U", "n2", "n3", "axis"], ["Un"]),
            node("MatMul", ["s0", "Ur"], ["hr"]),
            node("MatMul", ["s0", "Uz"], ["hz"]),
        ]
    nodes += [node("Add", ["xr", "hr"], ["r_in"]), node("Sigmoid", ["r_in"], ["r"]),
              node("Add", ["xz", "hz"], ["z_in"]), node("Sigmoid", ["z_in"], ["z"])]  # fmt: skip
    if after:
        nodes += [node("Mul", ["r", "hn"], ["rn"])]
    else:
        nodes += [node("Mul", ["r", "s0"], ["rh"]), node("MatMul", ["rh", "Un"], ["rn"])]
    nodes += [node("Add", ["xn", "rn"], ["n_in"]), node(function, ["n_in"], ["n"]),
              node("Sub", ["one", "z"], ["rest"]), node("Mul", ["rest", "n"], ["new"]),
              node("Mul", ["z", "s0"], ["old"]), node("Add", ["new", "old"], ["h"])]  # fmt: skip
    own = weights_of(rng, W=(inputs, 3 * units), U=(units, 3 * units), b=3 * units)
    if after:
        own |= weights_of(rng, c=3 * units)
    own |= {f"n{part}": np.array([part * units]) for part in range(4)}
    own |= {"axis": np.array([1]), "one": np.float32(1.0)}
    return Step(tuple(nodes), ("h",), own, (units,), "h")


def simple_step(rng, inputs=3, units=4, *, function="Tanh"):
    """A simple recurrent layer, which multiplies the reading and the state as one vector."""
    node = helper.make_node
    nodes = (
        node("Concat", ["x", "s0"], ["both"], axis=-1),
        node("MatMul", ["both", "W"], ["a"]),
        node("Add", ["b", "a"], ["c"]),
        node(function, ["c"], ["h"]),
    )
    return Step(nodes, ("h",), weights_of(rng, W=(inputs + units, units), b=units), (units,), "h")


def lstm_step(rng, inputs=3, units=4):
    """An LSTM with its gates in one sigmoid."""
    node = helper.make_node
    nodes = (
        node("MatMul", ["x", "W"], ["xw"]), node("MatMul", ["s0", "U"], ["hu"]),
        node("Sum", ["xw", "hu", "b"], ["a"]), node("Split", ["a", "cut"], ["ifo", "g_in"], axis=1),
        node("Sigmoid", ["ifo"], ["gates"]), node("Tanh", ["g_in"], ["g"]),
        node("Split", ["gates"], ["i", "f", "o"], axis=1, num_outputs=3),
        node("Mul", ["f", "s1"], ["kept"]), node("Mul", ["i", "g"], ["new"]),
        node("Add", ["kept", "new"], ["c"]), node("Tanh", ["c"], ["shown"]),
        node("Mul", ["o", "shown"], ["h"]),
    )  # fmt: skip
    own = weights_of(rng, W=(inputs, 4 * units), U=(units, 4 * units), b=4 * units)
    return Step(nodes, ("h", "c"), own | {"cut": np.array([3 * units, units])}, (units, units), "h")


def scan_file(step, inputs=3, *, back=False, turned=False, axis=0, captured=True, streams=20):
    """A network of one Scan over x [T, B, I], or over [B, T, I] if the axis is 1.

    Args:
        step: its body.
        inputs: width of the readings.
        back: it begins with the last reading.
        turned: its rows come with the last step first.
        axis: of the steps.
        captured: weights are those of the graph around the body.
        streams: their number, which the first states have.
    """
    names = [f"s{index}" for index in range(len(step.widths))]
    body = helper.make_graph(
        [*step.nodes, helper.make_node("Identity", [step.row], ["row"])],  # a value is one output
        "body",
        [helper.make_tensor_value_info(name, _FLOAT, None) for name in (*names, "x")],
        [helper.make_tensor_value_info(name, _FLOAT, None) for name in (*step.after, "row")],
        [] if captured else _tensors(step.weights),
    )
    starts = {
        f"start{index}": np.zeros((streams, width), np.float32)
        for index, width in enumerate(step.widths)
    }
    node = helper.make_node(
        "Scan", [*starts, "readings"], [*(f"end{name}" for name in names), "y"], name="steps",
        body=body, num_scan_inputs=1, scan_input_axes=[axis], scan_output_axes=[axis],
        scan_input_directions=[int(back)], scan_output_directions=[int(turned)],
    )  # fmt: skip
    shape = ["t", "b", inputs] if axis == 0 else ["b", "t", inputs]
    weights = starts | (step.weights if captured else {})
    return model_of([node], {"readings": shape}, ["y"], weights)


def loop_file(step, inputs=3, *, changed=None, last=False, trips=True, begun=False):
    """A network of one Loop over x [B, T, I], as tf2onnx writes it.

    Args:
        step: its body.
        inputs: width of the readings.
        changed: name of a node of the network or the body -> another one instead.
        last: it gives the last state, not the rows of all steps.
        trips: the number of steps is an input of the loop; otherwise its condition alone ends it.
        begun: the first states are inputs of the network, and the last ones outputs.
    """
    node = helper.make_node
    carried = list(step.weights)
    states = [f"s{index}" for index in range(len(step.widths))]
    body = helper.make_graph(
        _with(changed, [
            node("Gather", ["turned", "number"], ["x"], name="reading"),
            *step.nodes,
            node("Add", ["number", "n_one"], ["next"], name="count"),
            node("Cast", ["next"], ["next_float"], to=1),
            node("Cast", ["steps"], ["steps_float"], to=1),
            node("Less", ["next_float", "steps_float"], ["below"], name="compare"),
            node("And", ["below", "below"], ["go"]),
            node("Identity", [step.row], ["row"]),
        ]),
        "body",
        [helper.make_tensor_value_info("iteration", _INTEGER, []),
         helper.make_tensor_value_info("allowed", _TRUTH, []),
         helper.make_tensor_value_info("number", _INTEGER, []),
         *(helper.make_tensor_value_info(name, _FLOAT, None) for name in states),
         *(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype),
                                         value.shape) for name, value in step.weights.items())],
        [helper.make_tensor_value_info("go", _TRUTH, None),
         helper.make_tensor_value_info("next", _INTEGER, None),
         *(helper.make_tensor_value_info(name, _FLOAT, None) for name in step.after),
         *(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), None)
           for name, value in step.weights.items()),
         helper.make_tensor_value_info("row", _FLOAT, None)],
        _tensors({"n_one": np.array(1)}),
    )  # fmt: skip
    nodes = [
        node("Transpose", ["readings"], ["turned"], perm=[1, 0, 2]),
        node("Shape", ["turned"], ["shape"]),
        node("Gather", ["shape", "zero"], ["steps"], name="steps_of"),
        node("Shape", ["readings"], ["sizes"]),
        node("Slice", ["sizes", "first", "second"], ["streams"]),
    ]
    starts = {}
    for index, width in enumerate(step.widths):
        nodes += [
            node("Concat", ["streams", f"width{index}"], [f"to{index}"], axis=0),
            node("Expand", ["zero_float", f"to{index}"], [f"start{index}"]),
        ]
        starts[f"width{index}"] = np.array([width])
    given = ["steps", "", "zero", *(f"start{i}" for i in range(len(states))), *carried]
    results = ["last_number", *(f"end{i}" for i in range(len(states))),
               *(f"same_{name}" for name in carried), "rows"]  # fmt: skip
    nodes.append(node("Loop", given, results, name="steps_loop", body=body))
    own = {name: f"outer_{name}" for name in carried}
    nodes[-1].input[:] = [own.get(name, name) for name in given]
    if not trips:
        nodes[-1].input[0] = ""
    nodes.append(
        node("Identity", ["end0"], ["y"]) if last
        else node("Transpose", ["rows"], ["y"], perm=[1, 0, 2])
    )  # fmt: skip
    weights = {f"outer_{name}": value for name, value in step.weights.items()} | starts
    weights |= {"zero": np.array(0), "zero_float": np.float32(0.0), "first": np.array([0]),
                "second": np.array([1])}  # fmt: skip
    shapes, results = {"readings": ["b", "t", inputs]}, ["y"]
    if begun:
        nodes = [one for one in nodes if one.op_type != "Expand"]
        shapes |= {f"start{index}": ["b", width] for index, width in enumerate(step.widths)}
        results += [f"end{index}" for index in range(len(states))]
    return model_of(_with(changed, nodes), shapes, results, weights)


def sequences_of_matlab(rng, units=4):
    """Steps first, streams second; each recurrent layer is followed by a Squeeze or a Reshape."""
    node = helper.make_node
    nodes = [
        node("Sub", ["readings", "mean"], ["a"], name="sequenceinput"),
        node("LSTM", ["a", "W", "R", "B"], ["b"], name="lstm_1", hidden_size=units),
        node("Squeeze", ["b", "one"], ["c"], name="lstm_1_squeeze"),
        node("GRU", ["c", "W2", "R2", "B2"], ["d"], name="gru_1", hidden_size=3,
             linear_before_reset=1),
        node("Transpose", ["d"], ["e"], name="gru_1_turned", perm=[0, 2, 1, 3]),
        node("Reshape", ["e", "flat"], ["f"], name="gru_1_flat"),
        node("MatMul", ["f", "V"], ["g"], name="fc"),
        node("Add", ["g", "v"], ["y"], name="fc_bias"),
    ]  # fmt: skip
    own = weights_of(
        rng, mean=(1, 1, 3), W=(1, 4 * units, 3), R=(1, 4 * units, units), B=(1, 8 * units),
        W2=(1, 9, units), R2=(1, 9, 3), B2=(1, 18), V=(3, 2), v=2,
    )  # fmt: skip
    own |= {"one": np.array([1]), "flat": np.array([0, 0, 3])}
    return model_of(nodes, {"readings": ["t", "b", 3]}, ["y"], own, opset=14)


def _with(changed, nodes):
    return [(changed or {}).get(node.name, node) for node in nodes]


def _tensors(weights):
    return [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
