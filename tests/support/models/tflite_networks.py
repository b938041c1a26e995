"""Networks in TFLite files, made by hand: of fused operators, and of a loop."""

from __future__ import annotations

import numpy as np

from tests.support.models.tflite_files import tables_of

LSTM = "UnidirectionalSequenceLSTMOptions"


def streamed_tables(seed=0):
    """Tables of a network of convolutions, an LSTM, and parts of its outputs."""
    rng = np.random.default_rng(seed)

    def weights(*shape):
        return rng.normal(size=shape).astype(np.float32)

    names = [f"{kind}{gate}" for kind in "kr" for gate in "ifgo"]
    own = {name: weights(2, 3 if name[0] == "k" else 2) for name in names}
    own |= {f"b{gate}": weights(2) for gate in "ifgo"}
    given = [*names, None, None, None, *(f"b{gate}" for gate in "ifgo"), None, None]
    own |= {
        "pads": np.array([[0, 0], [2, 0], [0, 0]], np.int32), "one": np.array(1, np.int32),
        "kernel": weights(3, 1, 3, 2), "bias": weights(3), "dense": weights(4, 2),
        "two": np.array(2, np.int32), "three": np.array(1.5, np.float32),
        "start": np.array([0, 0, 1], np.int32), "stop": np.array([1, 5, 4], np.int32),
        "step": np.array([1, 1, 1], np.int32),
    }  # fmt: skip
    operators = [
        ("PAD", ["x", "pads"], ["a"], "PadOptions"),
        ("EXPAND_DIMS", ["a", "one"], ["b"], "ExpandDimsOptions"),
        ("CONV_2D", ["b", "kernel", "bias"], ["c"], "Conv2DOptions",
         {"padding": 1, "strideW": 1, "strideH": 1, "fusedActivationFunction": 1}),
        ("SQUEEZE", ["c"], ["d"], "SqueezeOptions", {"squeezeDims": [1]}),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", ["d", *given, "h", "m", *[None] * 4], ["e"], LSTM,
         {"fusedActivationFunction": 4}),
        ("MUL", ["e", "three"], ["f"], "MulOptions", {}),
        ("FULLY_CONNECTED", ["f", "dense", None], ["g"], "FullyConnectedOptions",
         {"keepNumDims": True}),
        ("SPLIT", ["two", "g"], ["i", "j"], "SplitOptions", {"numSplits": 2}),
        ("CONCATENATION", ["j", "i"], ["k"], "ConcatenationOptions", {"axis": 2}),
        ("STRIDED_SLICE", ["k", "start", "stop", "step"], ["l"], "StridedSliceOptions",
         {"beginMask": 3, "endMask": 3}),
        ("TANH", ["l"], ["y"]),
    ]  # fmt: skip
    states = {"h": (1, 2), "m": (1, 2)}
    return tables_of(operators, {"x": (1, 5, 2)}, ["y"], own, states)


def looped_tables(seed=1):
    """Tables of a loop that is a SimpleRNN, in the way of Keras 3."""
    rng = np.random.default_rng(seed)
    own = {
        "zero": np.array(0, np.int32), "rows": np.zeros((5, 1, 2), np.float32),
        "begin": np.zeros((1, 2), np.float32), "order": np.array([5, 1, 3], np.int32),
        "back": np.array([1, 5, 2], np.int32),
    }  # fmt: skip
    carried = ["zero", "rows", "begin", "turned"]
    model = tables_of(
        [
            ("RESHAPE", ["x", "order"], ["turned"], "ReshapeOptions", {}),
            ("WHILE", carried, ["n", "made", "last", "same"], "WhileOptions",
             {"condSubgraphIndex": 1, "bodySubgraphIndex": 2}),
            ("RESHAPE", ["made", "back"], ["y"], "ReshapeOptions", {}),
        ],
        {"x": (1, 5, 3)}, ["y"], own,
    )  # fmt: skip
    given = {
        "n": ((), np.int32), "made": ((5, 1, 2), np.float32), "h": ((1, 2), np.float32),
        "turned": ((5, 1, 3), np.float32),
    }  # fmt: skip
    condition = tables_of(
        [("LESS", ["n", "five"], ["on"], "LessOptions")], given, ["on"],
        {"five": np.array(5, np.int32)},
    )  # fmt: skip
    body = tables_of(
        [
            ("ADD", ["n", "one"], ["next"], "AddOptions", {}),
            ("GATHER", ["turned", "n"], ["x"], "GatherOptions", {}),
            ("FULLY_CONNECTED", ["x", "k", "b"], ["p"], "FullyConnectedOptions", {}),
            ("FULLY_CONNECTED", ["h", "r", None], ["q"], "FullyConnectedOptions", {}),
            ("ADD", ["p", "q"], ["s"], "AddOptions", {}),
            ("TANH", ["s"], ["new"]),
            ("PACK", ["n", "zero", "zero"], ["place"], "PackOptions", {"valuesCount": 3}),
            ("EXPAND_DIMS", ["new", "zero"], ["wide"], "ExpandDimsOptions"),
            ("DYNAMIC_UPDATE_SLICE", ["made", "wide", "place"], ["more"]),
        ],
        given, ["next", "more", "new", "turned"],
        {
            "one": np.array(1, np.int32), "zero": np.array(0, np.int32),
            "k": rng.normal(size=(2, 3)).astype(np.float32), "b": np.ones(2, np.float32),
            "r": rng.normal(size=(2, 2)).astype(np.float32),
        },
    )  # fmt: skip
    for graph in (condition, body):
        _appended(model, graph)
    return model


def _appended(model, other):
    """Put the graph of another model behind those of a model."""
    codes, buffers = len(model.operatorCodes), len(model.buffers)
    (graph,) = other.subgraphs
    for operator in graph.operators:
        operator.opcodeIndex += codes
    for tensor in graph.tensors:
        tensor.buffer += buffers if tensor.buffer else 0
    model.operatorCodes += other.operatorCodes
    model.buffers += other.buffers
    model.subgraphs.append(graph)
