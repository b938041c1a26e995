"""Convolutions along the features of a step, such as a frame of sound, are matrices of windows."""

import numpy as np
import pytest
from onnx import helper

from edgernn.backends.native import NativeBackend
from edgernn.errors import QuantizationError, StreamKindWarning, UnsupportedModelError
from edgernn.model.merges import MergeOperation
from edgernn_export.float_model.float_run import answers
from edgernn_export.float_model.model import FloatDenseRows, FloatLSTM, FloatMerge
from edgernn_export.onnx_reader.reader import read_onnx
from edgernn_export.quantizer.quantizer import quantize
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.onnx_files import model_of, runtime_outputs

FRAME = 48
BINS = 9
UNITS = 6


def weights(rng, *shape):
    return (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


def node(kind, read, made, **attributes):
    return helper.make_node(kind, read.split(), made.split(), **attributes)


def sliced(read, made, name, start, stop, axis):
    """A slice and its parameters."""
    given = {f"{name}0": [start], f"{name}1": [stop], f"{name}2": [axis]}
    found = {key: np.array(value, np.int64) for key, value in given.items()}
    return node("Slice", f"{read} {' '.join(found)}", made), found


def voice_network(seed=0):
    """A spectrum of each frame, convolutions over its positions, an LSTM over the frames."""
    rng = np.random.default_rng(seed)
    inner, first = sliced("spectrum", "whole", "drop", 1, 2**40, 2)
    real, second = sliced("whole", "real", "real", 0, BINS, 1)
    imaginary, third = sliced("whole", "imaginary", "imaginary", BINS, 2**40, 1)
    nodes = [
        node("Pad", "x pads", "padded", mode="reflect"),
        node("Unsqueeze", "padded one", "signal"),
        node("Conv", "signal basis", "spectrum", strides=[8]),
        inner, real, imaginary,
        node("Pow", "real two", "a"),
        node("Pow", "imaginary two", "b"),
        node("Add", "a b", "c"),
        node("Sqrt", "c", "magnitude"),
        node("Conv", "magnitude k0 b0", "d", pads=[1, 1]),
        node("Relu", "d", "e"),
        node("Conv", "e k1 b1", "f", pads=[1, 1], strides=[2]),
        node("Relu", "f", "g"),
        node("Conv", "g k2 b2", "h", pads=[1, 1], strides=[3]),
        node("Relu", "h", "i"),
        node("Transpose", "i", "j", perm=[0, 2, 1]),
        node("LSTM", "j W R B _ h0 c0".replace("_", "none"), "k hn cn", hidden_size=UNITS),
        node("Squeeze", "k one", "l"),
        node("Transpose", "l", "m", perm=[1, 2, 0]),
        node("Conv", "m k3 b3", "n"),
        node("Sigmoid", "n", "o"),
        node("Reshape", "o flat", "y"),
    ]  # fmt: skip
    for one in nodes:
        one.input[:] = ["" if name == "none" else name for name in one.input]
    held = {
        "pads": np.array([0, 8, 0, 8]), "one": np.array([1]), "two": np.array(2.0, np.float32),
        "flat": np.array([-1]), "basis": weights(rng, 2 * BINS, 1, 16),
        "k0": 3 * weights(rng, 5, BINS, 3), "b0": weights(rng, 5),
        "k1": weights(rng, 4, 5, 3), "b1": weights(rng, 4),
        "k2": weights(rng, 7, 4, 3), "b2": weights(rng, 7),
        "k3": 30 * weights(rng, 1, UNITS, 1), "b3": weights(rng, 1),
        "W": 20 * weights(rng, 1, 4 * UNITS, 7), "R": weights(rng, 1, 4 * UNITS, UNITS),
        "B": weights(rng, 1, 8 * UNITS), **first, **second, **third,
    }  # fmt: skip
    state = [1, 1, UNITS]
    inputs = {"x": ["t", FRAME], "h0": state, "c0": state}
    return model_of(nodes, inputs, ["y", "hn", "cn"], held, opset=16)


def read(data):
    with pytest.warns(StreamKindWarning, match="has its states as inputs"):
        return read_onnx(data)


def sound(seed, steps=60):
    rng = np.random.default_rng(seed)
    level = 10.0 ** rng.uniform(-3.0, 0.0, (steps, 1))
    return np.clip(rng.normal(size=(steps, FRAME)) * level / 3, -1.0, 1.0)


@pytest.fixture(scope="module")
def network():
    return read(voice_network())


def test_it_is_what_onnx_runtime_computes(network):
    xs, zero = sound(1), np.zeros((1, 1, UNITS), np.float32)
    fed = {"x": xs.astype(np.float32), "h0": zero, "c0": zero}
    want = runtime_outputs(voice_network(), fed)[0]
    np.testing.assert_allclose(answers(network, xs[None])[0, :, 0], want, atol=1e-5)


def test_windows_that_are_alike_share_a_matrix(network):
    """Of six windows of the first convolution, the first is dropped and not computed."""
    spectrum, magnitude, *others = network.layers
    assert isinstance(spectrum, FloatDenseRows)
    assert (spectrum.count, spectrum.dense.kernel.shape) == (6, (2 * BINS, 16))
    assert isinstance(magnitude, FloatMerge)
    assert magnitude.operation is MergeOperation.HYPOTENUSE
    assert magnitude.units == 6 * BINS
    columns = sorted(
        (one.dense if isinstance(one, FloatDenseRows) else one).kernel.shape[1]
        for one in others
        if one.kind in ("dense", "dense_rows") and one.units != 1
    )
    # Ends that are padded have fewer columns; the last convolution gives one position.
    assert columns == sorted([2 * BINS, 3 * BINS, 2 * BINS, 2 * 5, 3 * 5, 2 * 4])
    assert sum(isinstance(one, FloatLSTM) for one in others) == 1


def test_the_integer_model_follows_it_and_is_exact(network):
    calibration = sound(2, 400)
    model = quantize(network, calibration, "w8a16", input_range=[(-1.0, 1.0)] * FRAME)
    xs = sound(3, 100)
    codes = model.interface().quantize(xs)
    wanted, _ = Reference(model).run(codes)
    stream = NativeBackend(model).new_stream()
    got = np.array([stream.advance(row[None])[0] for row in codes])
    np.testing.assert_array_equal(got.reshape(wanted.shape), wanted)
    real = answers(network, xs[None])[0]
    assert np.abs(wanted * model.output.scale - real).max() < 0.02
    assert np.ptp(real) > 0.3


def test_channels_that_share_weights_share_a_range(network):
    calibration = sound(2, 400) * np.linspace(0.2, 1.0, FRAME)
    scale = quantize(network, calibration, "w8a16").input.scale
    # A window begins every 8 samples, and the mirror joins the rest.
    assert all(len(set(scale[first::8])) == 1 for first in range(8))
    ranges = [(-1.0, 1.0)] * (FRAME - 1) + [(-2.0, 2.0)]
    with pytest.raises(QuantizationError, match="one range for all of the 6 channels"):
        quantize(network, calibration, "w8a16", input_range=ranges)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("pads", [(0, 0), (1, 2), (2, 0)], ids=str)
def test_any_window_within_a_step(pads, dilation, stride):
    rng = np.random.default_rng(4)
    kinds = {"strides": [stride], "dilations": [dilation], "pads": list(pads)}
    nodes = [
        node("Pad", "x mirror", "p", mode="reflect"),
        node("Unsqueeze", "p one", "s"),
        node("Conv", "s k0", "a", **kinds),
        node("Conv", "a k1 b1", "b", **kinds),
        node("Transpose", "b", "c", perm=[0, 2, 1]),
        node("Reshape", "c flat", "d"),
        node("GRU", "d W R B", "e", hidden_size=2, linear_before_reset=1),
        node("Squeeze", "e one", "y"),
    ]
    count = windows(windows(22, 4, pads, dilation, stride), 3, pads, dilation, stride)
    held = {
        "mirror": np.array([0, 2, 0, 0]), "one": np.array([1]),
        "flat": np.array([0, 1, 3 * count]),
        "k0": weights(rng, 2, 1, 4), "k1": weights(rng, 3, 2, 3), "b1": weights(rng, 3),
        "W": weights(rng, 1, 6, 3 * count), "R": weights(rng, 1, 6, 2), "B": weights(rng, 1, 12),
    }  # fmt: skip
    data = model_of(nodes, {"x": ["t", 20]}, ["y"], held)
    xs = rng.normal(size=(9, 20))
    want = runtime_outputs(data, {"x": xs.astype(np.float32)})[0]
    got = answers(read_onnx(data), xs[None])[0]
    np.testing.assert_allclose(got, want.reshape(got.shape), atol=1e-5)


def windows(length, count, pads, dilation, stride):
    return (length + sum(pads) - (count - 1) * dilation - 1) // stride + 1


@pytest.mark.parametrize(
    ("changed", "attributes", "reason"),
    [
        ("x", {"pads": [4, 4]}, "windows that read the signal, got one that reads zeros alone"),
        ("x", {"group": 2}, "one group of 1 channels within a step, got 2 groups"),
    ],
)
def test_what_is_refused(changed, attributes, reason):
    rng = np.random.default_rng(5)
    channels = attributes.get("group", 1)
    nodes = [
        node("Pad", f"{changed} mirror", "p", mode="reflect"),
        node("Unsqueeze", "p one", "s"),
        node("Conv", "s k", "a", **attributes),
        node("Transpose", "a", "b", perm=[0, 2, 1]),
        node("Reshape", "b flat", "y"),
    ]
    held = {
        "mirror": np.array([0, 2, 0, 0]), "one": np.array([1]), "flat": np.array([0, -1]),
        "k": weights(rng, 2, 1, 3 // channels),
    }  # fmt: skip
    with pytest.raises(UnsupportedModelError, match=reason):
        read_onnx(model_of(nodes, {"x": ["t", 20]}, ["y"], held))


@pytest.mark.parametrize(
    ("size", "mirror", "reason"),
    [
        (2**16, 2, "at most 256 results within a step, got 65536"),
        (2**16, 2**15, "at most 512 mirrored features, got 32768"),
        (2**40, 2, "at most 65536 elements along axis 1, got 1099511627776"),
        ("open", 2, "2 and 0 of an open number of features"),
    ],
)
def test_sizes_that_no_step_has_cost_nothing(size, mirror, reason):
    nodes = [
        node("Pad", "x mirror", "p", mode="reflect"),
        node("Unsqueeze", "p one", "s"),
        node("Conv", "s k", "y"),
    ]
    held = {
        "mirror": np.array([0, mirror, 0, 0]), "one": np.array([1]),
        "k": np.ones((1, 1, 3), np.float32),
    }  # fmt: skip
    with pytest.raises(UnsupportedModelError, match=reason):
        read_onnx(model_of(nodes, {"x": ["t", size]}, ["y"], held))


def test_another_root_or_a_mirror_of_too_much_is_refused():
    nodes = [
        node("Pad", "x mirror", "p", mode="reflect"),
        node("Sqrt", "x", "y"),
    ]
    held = {"mirror": np.array([0, 20, 0, 0])}
    data = model_of(nodes, {"x": ["t", 20]}, ["y", "p"], held)
    with pytest.raises(UnsupportedModelError) as refused:
        read_onnx(data)
    assert "the root of a sum of two squares, got another root" in str(refused.value)
    assert "fewer mirrored features than there are, got 20 and 0 of 20" in str(refused.value)
