"""Operators in TFLite files are read as what the interpreter computes."""

import numpy as np
import pytest

from edgernn_export.float_model.float_run import answers, with_softmax
from edgernn_export.tflite_reader import read_tflite
from tests.support.models.tflite_files import interpreted, model_of, rnn_of

T, F = 7, 4
NONE, RELU, RELU_N1_TO_1, RELU6, TANH, SIGN_BIT = range(6)


def weights(rng, *shape):
    return (rng.normal(size=shape) / 2).astype(np.float32)


def before_rnn(rng, operators, own=None, last="a", inputs=F, **more):
    """Operators from x to a value, and a recurrent one that reads it."""
    rnn, arrays, states = rnn_of(rng, last, "y", inputs)
    return model_of(
        [*operators, rnn], {"x": more.pop("shape", (1, T, F))}, ["y"], {**(own or {}), **arrays},
        states, **more,
    )  # fmt: skip


def behind_rnn(rng, operators, own=None, outputs=("y",), units=4):
    """A recurrent operator from x to r, and operators that read it."""
    rnn, arrays, states = rnn_of(rng, "x", "r", F, units)
    own = {**(own or {}), **arrays}
    return model_of([rnn, *operators], {"x": (1, T, F)}, list(outputs), own, states)


def function(rng, kind, *options):
    return before_rnn(rng, [(kind, ["x"], ["a"], *options)])


def two(rng, kind, options):
    return before_rnn(rng, [("TANH", ["x"], ["t"]), (kind, ["x", "t"], ["a"], options)])


def with_row(rng, kind, options, fused=NONE, first=False):
    fields = {"fusedActivationFunction": fused}
    pair = ["c", "x"] if first else ["x", "c"]
    own = {"c": np.array([0.5, -1.5, 2.0, 1.0], np.float32)}
    return before_rnn(rng, [(kind, pair, ["a"], options, fields)], own)


def connected(rng, fused):
    own = {"k": weights(rng, 4, F), "b": weights(rng, 4)}
    options = {"fusedActivationFunction": fused, "keepNumDims": True}
    operator = ("FULLY_CONNECTED", ["x", "k", "b"], ["a"], "FullyConnectedOptions", options)
    return before_rnn(rng, [operator], own)


def connected_flat(rng):
    own = {"k": weights(rng, 5, F), "b": weights(rng, 5), "s": np.array([1, T, 5], np.int32)}
    return before_rnn(
        rng,
        [
            ("FULLY_CONNECTED", ["x", "k", None], ["f"], "FullyConnectedOptions", {}),
            ("ADD", ["f", "b"], ["g"], "AddOptions", {}),
            ("RESHAPE", ["g", "s"], ["a"], "ReshapeOptions", {"newShape": [1, T, 5]}),
        ],
        own, inputs=5,
    )  # fmt: skip


def convolution(rng, count=3, dilation=1, stride=1, before=None, depthwise=False, fused=NONE):
    before = (count - 1) * dilation if before is None else before
    kernel = (1, 1, count, F) if depthwise else (5, 1, count, F)
    own = {
        "k": weights(rng, *kernel), "b": weights(rng, F if depthwise else 5),
        "p": np.array([[0, 0], [before, 0], [0, 0]], np.int32), "e": np.array(1, np.int32),
    }  # fmt: skip
    options = {
        "padding": 1, "strideW": stride, "strideH": 1, "dilationWFactor": dilation,
        "fusedActivationFunction": fused,
    }  # fmt: skip
    options |= {"depthMultiplier": 1} if depthwise else {}
    kind = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    table = "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions"
    padded = [("PAD", ["x", "p"], ["q"], "PadOptions")] if before else []
    return before_rnn(
        rng,
        [
            *padded,
            ("EXPAND_DIMS", ["q" if before else "x", "e"], ["w"], "ExpandDimsOptions"),
            (kind, ["w", "k", "b"], ["c"], table, options),
            ("SQUEEZE", ["c"], ["a"], "SqueezeOptions", {"squeezeDims": [1]}),
        ],
        own, inputs=F if depthwise else 5,
    )  # fmt: skip


def pooled(rng, kind):
    options = {"padding": 1, "strideW": 2, "strideH": 1, "filterWidth": 2, "filterHeight": 1}
    own = {"e": np.array(1, np.int32)}
    return before_rnn(
        rng,
        [
            ("EXPAND_DIMS", ["x", "e"], ["w"], "ExpandDimsOptions"),
            (kind, ["w"], ["c"], "Pool2DOptions", options),
            ("SQUEEZE", ["c"], ["a"], "SqueezeOptions", {"squeezeDims": [1]}),
        ],
        own,
    )


def parts(rng, kind):
    """Features cut apart and joined the other way round."""
    own = {"axis": np.array(2, np.int32), "sizes": np.array([1, 3], np.int32)}
    cut = {
        "SPLIT": ("SPLIT", ["axis", "x"], ["l", "m"], "SplitOptions", {"numSplits": 2}),
        "SPLIT_V": ("SPLIT_V", ["x", "sizes", "axis"], ["l", "m"], "SplitVOptions",
                    {"numSplits": 2}),
    }[kind]  # fmt: skip
    joint = ("CONCATENATION", ["m", "l"], ["a"], "ConcatenationOptions", {"axis": 2})
    return before_rnn(rng, [cut, joint], own)


def sliced(rng, kind):
    own = {
        "b": np.array([0, 0, 1], np.int32), "e": np.array([1, T, 3], np.int32),
        "s": np.array([1, 1, 1], np.int32), "n": np.array([-1, -1, 2], np.int32),
    }  # fmt: skip
    operator = {
        "STRIDED_SLICE": ("STRIDED_SLICE", ["x", "b", "e", "s"], ["a"], "StridedSliceOptions",
                          {"beginMask": 3, "endMask": 3}),
        "SLICE": ("SLICE", ["x", "b", "n"], ["a"], "SliceOptions"),
    }[kind]  # fmt: skip
    return before_rnn(rng, [operator], own, inputs=2)


def last_step(rng, shrink=True):
    own = {
        "b": np.array([0, -1, 0], np.int32), "e": np.array([0, 0, 0], np.int32),
        "s": np.array([1, 1, 1], np.int32), "k": weights(rng, 2, 4),
    }  # fmt: skip
    options = {"beginMask": 5, "endMask": 5 if shrink else 7, "shrinkAxisMask": 2 * shrink}
    return behind_rnn(
        rng,
        [
            ("STRIDED_SLICE", ["r", "b", "e", "s"], ["l"], "StridedSliceOptions", options),
            ("FULLY_CONNECTED", ["l", "k", None], ["y"], "FullyConnectedOptions", {}),
        ],
        own,
    )


def gathered(rng, last=False):
    if last:
        own = {"i": np.array(T - 1, np.int32)}
        return behind_rnn(rng, [("GATHER", ["r", "i"], ["y"], "GatherOptions", {"axis": 1})], own)
    own = {"i": np.array([2, 0, 3], np.int32)}
    operator = ("GATHER", ["x", "i"], ["a"], "GatherOptions", {"axis": 2})
    return before_rnn(rng, [operator], own, inputs=3)


def packed(rng):
    """The features one by one, packed again in another order."""
    names = [f"u{index}" for index in range(F)]
    return before_rnn(
        rng,
        [
            ("UNPACK", ["x"], names, "UnpackOptions", {"num": F, "axis": 2}),
            ("PACK", names[::-1], ["a"], "PackOptions", {"valuesCount": F, "axis": 2}),
        ],
    )


def turned(rng):
    """Time first and back again by a transposition and a reshape."""
    own = {
        "p": np.array([1, 0, 2], np.int32), "s": np.array([1, T, F], np.int32),
        "k": weights(rng, F, F),
    }  # fmt: skip
    options = {"fusedActivationFunction": RELU, "keepNumDims": True}
    return before_rnn(
        rng,
        [
            ("TRANSPOSE", ["x", "p"], ["t"], "TransposeOptions"),
            ("FULLY_CONNECTED", ["t", "k", None], ["f"], "FullyConnectedOptions", options),
            ("RESHAPE", ["f", "s"], ["a"], "ReshapeOptions", {}),
        ],
        own,
    )


def multiplied(rng, adjoint):
    own = {"k": weights(rng, *((5, F) if adjoint else (F, 5)))}
    options = {"adjY": adjoint}
    operator = ("BATCH_MATMUL", ["x", "k"], ["a"], "BatchMatMulOptions", options)
    return before_rnn(rng, [operator], own, inputs=5)


def softmax(rng, beta):
    own = {"k": weights(rng, 5, 4)}
    options = {"keepNumDims": True}
    return behind_rnn(
        rng,
        [
            ("FULLY_CONNECTED", ["r", "k", None], ["f"], "FullyConnectedOptions", options),
            ("SOFTMAX", ["f"], ["y"], "SoftmaxOptions", {"beta": beta}),
        ],
        own,
    )


def slopes(rng):
    return before_rnn(rng, [("PRELU", ["x", "s"], ["a"])], {"s": weights(rng, F)})


def of_bits(rng):
    """Weights of 16 and of 8 bits that an operator makes real."""
    half = weights(rng, 4, F).astype(np.float16)
    own = {"k": half, "b": weights(rng, 4)}
    options = {"keepNumDims": True}
    return before_rnn(
        rng,
        [
            ("DEQUANTIZE", ["k"], ["w"], "DequantizeOptions"),
            ("FULLY_CONNECTED", ["x", "w", "b"], ["a"], "FullyConnectedOptions", options),
        ],
        own,
    )


def bounded(rng, kind):
    own = {"c": np.array(0.3, np.float32)}
    return before_rnn(rng, [(kind, ["x", "c"], ["a"], "MaximumMinimumOptions")], own)


CASES = {
    **{
        kind: (function, kind, *options)
        for kind, options in {
            "ELU": (), "EXP": ("ExpOptions",), "HARD_SWISH": ("HardSwishOptions",),
            "LEAKY_RELU": ("LeakyReluOptions", {"alpha": 0.3}), "LOGISTIC": (),
            "NEG": ("NegOptions",), "RELU": (), "RELU6": (), "RELU_0_TO_1": (),
            "RELU_N1_TO_1": (), "SQUARE": ("SquareOptions",), "TANH": (),
        }.items()
    },
    "GELU": (function, "GELU", "GeluOptions", {"approximate": False}),
    "GELU by tanh": (function, "GELU", "GeluOptions", {"approximate": True}),
    **{
        f"{kind} of two": (two, kind, options)
        for kind, options in {
            "ADD": "AddOptions", "MAXIMUM": "MaximumMinimumOptions", "MUL": "MulOptions",
            "MINIMUM": "MaximumMinimumOptions", "SUB": "SubOptions", "ADD_N": "AddNOptions",
        }.items()
    },
    **{
        f"{kind} of a row, {fused}": (with_row, kind, f"{kind.title()}Options", fused)
        for kind, fused in (("ADD", RELU), ("SUB", RELU), ("MUL", RELU6), ("DIV", RELU_N1_TO_1))
    },
    "a row SUB": (with_row, "SUB", "SubOptions", NONE, True),
    **{f"FULLY_CONNECTED, {fused}": (connected, fused) for fused in range(TANH)},
    "FULLY_CONNECTED of joined axes": (connected_flat,),
    "MAXIMUM of a number": (bounded, "MAXIMUM"),
    "MINIMUM of a number": (bounded, "MINIMUM"),
    "CONV_2D": (convolution,),
    "CONV_2D, dilated": (convolution, 3, 2),
    "CONV_2D, valid, strided": (convolution, 3, 1, 2, 0),
    "CONV_2D of one step": (convolution, 1, 1, 1, 0, False, RELU),
    "DEPTHWISE_CONV_2D": (convolution, 3, 1, 1, None, True, RELU6),
    "MAX_POOL_2D": (pooled, "MAX_POOL_2D"),
    "AVERAGE_POOL_2D": (pooled, "AVERAGE_POOL_2D"),
    "SPLIT": (parts, "SPLIT"),
    "SPLIT_V": (parts, "SPLIT_V"),
    "STRIDED_SLICE": (sliced, "STRIDED_SLICE"),
    "SLICE": (sliced, "SLICE"),
    "the last step": (last_step,),
    "the last step, kept": (last_step, False),
    "GATHER": (gathered,),
    "GATHER of the last step": (gathered, True),
    "PACK": (packed,),
    "TRANSPOSE": (turned,),
    "BATCH_MATMUL": (multiplied, False),
    "BATCH_MATMUL, transposed": (multiplied, True),
    "SOFTMAX": (softmax, 1.0),
    "SOFTMAX, steep": (softmax, 2.5),
    "PRELU": (slopes,),
    "DEQUANTIZE": (of_bits,),
}  # fmt: skip


def made(name):
    maker, *arguments = CASES[name]
    rng = np.random.default_rng(sorted(CASES).index(name))
    return maker(rng, *arguments)


def of_8_bits(rng, scale, *, real):
    """Weights of 8 bits beside real vectors, or the real numbers that they stand for."""
    codes = rng.integers(-127, 128, (4, F)).astype(np.int8)
    own = {"k": (codes * np.array(scale)[:, None]).astype(np.float32) if real else codes}
    operator = (
        "FULLY_CONNECTED", ["x", "k", None], ["a"], "FullyConnectedOptions", {"keepNumDims": True}
    )  # fmt: skip
    return before_rnn(rng, [operator], own, quantized={} if real else {"k": scale})


@pytest.mark.parametrize("scale", [[0.01], [0.01, 0.02, 0.005, 0.03]])
def test_weights_of_8_bits_are_the_numbers_they_stand_for(scale):
    found, wanted = (
        read_tflite(of_8_bits(np.random.default_rng(1), scale, real=real)) for real in (False, True)
    )
    xs = np.random.default_rng(2).normal(size=(1, T, F))
    np.testing.assert_allclose(answers(found, xs), answers(wanted, xs), atol=1e-6)


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    """Streams, and what the interpreter answers, by case."""
    folder = tmp_path_factory.mktemp("tflite")
    streams = {}
    for index, name in enumerate(CASES):
        (folder / f"{index}.tflite").write_bytes(made(name))
        streams[name] = np.random.default_rng(index).normal(size=(1, T, F)).astype(np.float32)
        np.savez(folder / f"{index}.npz", streams[name])
    found = interpreted(folder)
    return {name: (streams[name], found[str(index)][0]) for index, name in enumerate(CASES)}


@pytest.mark.parametrize("name", CASES)
def test_an_operator_is_what_the_interpreter_computes(name, wanted):
    xs, want = wanted[name]
    found = read_tflite(made(name))
    got = with_softmax(found, answers(found, xs.astype(np.float64)))
    if not found.return_sequences:
        got = got[:, -1:]
    np.testing.assert_allclose(got.reshape(want.shape), want, atol=1e-5)
