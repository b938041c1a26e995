"""Damaged and hostile ONNX files get one clear error: no crash, no hang, no huge allocation."""

import contextlib
import itertools
import random
import sys
import tracemalloc
import warnings

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgernn.errors import EdgeRnnError, UnsupportedModelError
from edgernn_export.onnx_reader.reader import read_onnx
from edgernn_export.writers.onnx.float_operators import write_onnx_float
from tests.support.models.onnx_files import model_of
from tests.support.models.onnx_loops import Step, gru_step, loop_file, lstm_step, scan_file
from tests.support.models.registered import float_network

#: Bytes that reading a small file may take at its peak.
MOST_BYTES = 64 << 20
#: Integers that break what trusts them.
NUMBERS = (-(2**63), -(2**31), -7, -1, 0, 1, 2, 3, 255, 2**16, 2**31 - 1, 2**40, 2**63 - 1)


def _small(seed=0):
    rng = np.random.default_rng(seed)

    def weights(*shape):
        return rng.normal(size=shape).astype(np.float32)

    nodes = [
        helper.make_node("Transpose", ["x"], ["a"], perm=[0, 2, 1]),
        helper.make_node("Conv", ["a", "k", "b"], ["c"], pads=[2, 0], strides=[1]),
        helper.make_node("BatchNormalization", ["c", "b", "b", "b", "v"], ["d"]),
        helper.make_node("Sigmoid", ["d"], ["e"]),
        helper.make_node("Mul", ["e", "d"], ["f"]),
        helper.make_node("Transpose", ["f"], ["g"], perm=[2, 0, 1]),
        helper.make_node("LSTM", ["g", "W", "R", "B", "", "h0", "c0"], ["h", "i", "j"],
                         hidden_size=2, direction="bidirectional",
                         activations=["Sigmoid", "Tanh", "Tanh"] * 2),
        helper.make_node("Transpose", ["h"], ["l"], perm=[2, 0, 1, 3]),
        helper.make_node("Shape", ["l"], ["s"]),
        helper.make_node("Slice", ["s", "n0", "n2"], ["t"]),
        helper.make_node("Concat", ["t", "minus"], ["u"], axis=0),
        helper.make_node("Reshape", ["l", "u"], ["m"]),
        helper.make_node("Split", ["m", "parts"], ["o", "p"], axis=2),
        helper.make_node("Concat", ["p", "o"], ["q"], axis=2),
        helper.make_node("MatMul", ["q", "w"], ["r"]),
        helper.make_node("Softmax", ["r"], ["y"], axis=-1),
    ]  # fmt: skip
    own = {
        "k": weights(3, 2, 3), "b": weights(3), "v": np.abs(weights(3)), "W": weights(2, 8, 3),
        "R": weights(2, 8, 2), "B": weights(2, 16), "h0": np.zeros((2, 1, 2), np.float32),
        "c0": np.zeros((2, 1, 2), np.float32), "n0": np.array([0]), "n2": np.array([2]),
        "minus": np.array([-1]), "parts": np.array([1, 3]), "w": weights(4, 2),
    }  # fmt: skip
    return model_of(nodes, {"x": ["b", "t", 2]}, ["y"], own)


def _streamed(seed=1):
    rng = np.random.default_rng(seed)
    nodes = [
        helper.make_node("Gather", ["table", "x"], ["a"]),
        helper.make_node("Unsqueeze", ["h", "n0"], ["h1"]),
        helper.make_node("GRU", ["a", "W", "R", "", "", "h1"], ["b", "c"], hidden_size=2),
        helper.make_node("Squeeze", ["b", "n1"], ["d"]),
        helper.make_node("Gemm", ["e", "w", "v"], ["y"], transB=1),
        helper.make_node("Gather", ["d", "last"], ["e"], axis=0),
        helper.make_node("Squeeze", ["c", "n0"], ["h2"]),
    ]
    own = {
        "table": rng.normal(size=(5, 3)), "W": rng.normal(size=(1, 6, 3)),
        "R": rng.normal(size=(1, 6, 2)), "w": rng.normal(size=(3, 2)), "v": rng.normal(size=3),
    }  # fmt: skip
    own = {name: value.astype(np.float32) for name, value in own.items()}
    own |= {"n0": np.array([0]), "n1": np.array([1]), "last": np.array(-1)}
    nodes[4], nodes[5] = nodes[5], nodes[4]
    shapes = {"x": (["t", "b"], TensorProto.INT64), "h": ["b", 2]}
    return model_of(nodes, shapes, ["y", "h2"], own)


def _mixed(seed=2):
    rng = np.random.default_rng(seed)

    def weights(*shape):
        return rng.normal(size=shape).astype(np.float32)

    nodes = [
        helper.make_node("MatMul", ["m", "x"], ["a"]),
        helper.make_node("PRelu", ["a", "slope"], ["c"]),
        helper.make_node("Clip", ["c", "low", "high"], ["d"]),
        helper.make_node("Pad", ["d", "pads"], ["e"]),
        helper.make_node("Conv", ["e", "k"], ["f"], group=4),
        helper.make_node("MaxPool", ["f"], ["g"], kernel_shape=[2], strides=[2]),
        helper.make_node("Transpose", ["g"], ["h"], perm=[2, 0, 1]),
        helper.make_node("RNN", ["h", "W", "R"], ["", "i"], hidden_size=2,
                         activations=["LeakyRelu"], activation_alpha=[0.1]),
        helper.make_node("Flatten", ["i"], ["j"], axis=-1),
        helper.make_node("Sub", ["one", "j"], ["l"]),
        helper.make_node("Max", ["l", "j"], ["y"]),
    ]  # fmt: skip
    own = {
        "m": weights(4, 6), "slope": weights(4, 1), "k": weights(4, 1, 3),
        "W": weights(1, 2, 4), "R": weights(1, 2, 2),
    }  # fmt: skip
    own |= {"low": np.float32(-1), "high": np.float32(2), "one": np.float32(1)}
    own |= {"pads": np.array([0, 0, 2, 0, 0, 0])}
    return model_of(nodes, {"x": ["b", 6, 9]}, ["y"], own)


def _looped(seed=3):
    step = gru_step(np.random.default_rng(seed), inputs=2, units=2)
    return loop_file(step, inputs=2)


def _scanned(seed=4):
    step = lstm_step(np.random.default_rng(seed), inputs=2, units=2)
    return scan_file(step, inputs=2, back=True, turned=True, captured=False, streams=1)


def _own():
    return write_onnx_float(float_network("minimal_gru", units=3))


def _chosen(seed=3):
    """Conditions, one inside of the other, and a pooling of all steps."""
    rng = np.random.default_rng(seed)
    value = helper.make_tensor_value_info("i", TensorProto.FLOAT, None)

    def condition(chosen, given):
        other = [helper.make_node("Det", ["b"], ["i"])]
        branches = {
            name: helper.make_graph(nodes, name, [], [value])
            for name, nodes in (("then_branch", chosen), ("else_branch", other))
        }
        return helper.make_node("If", ["flat"], [given], **branches)

    nodes = [
        helper.make_node("GRU", ["x", "W", "R"], ["a"], hidden_size=2),
        helper.make_node("Squeeze", ["a", "n1"], ["b"]),
        helper.make_node("Shape", ["b"], ["sizes"]),
        helper.make_node("Size", ["sizes"], ["rank"]),
        helper.make_node("Equal", ["rank", "three"], ["flat"]),
        condition([condition([helper.make_node("Tanh", ["b"], ["i"])], "i")], "c"),
        helper.make_node("ReduceMean", ["c"], ["d"], axes=[0], keepdims=0),
        helper.make_node("MatMul", ["d", "w"], ["y"]),
    ]
    own = {"W": (1, 6, 3), "R": (1, 6, 2), "w": (2, 2)}
    own = {name: rng.normal(size=size).astype(np.float32) for name, size in own.items()}
    own |= {"n1": np.array([1]), "three": np.array(3)}
    return model_of(nodes, {"x": [7, "b", 3]}, ["y"], own, opset=13)


def _of_bytes(data, draw):
    """A file with some bytes changed, cut off, put in or repeated."""
    made = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 5))):
        place = draw.randrange(len(made))
        way = draw.randrange(5)
        if way == 0:
            made[place] = draw.randrange(256)
        elif way == 1:
            made[place] ^= 1 << draw.randrange(8)
        elif way == 2:
            del made[place : place + draw.choice((1, 1, 4, 64))]
        elif way == 3:
            made[place:place] = bytes(draw.randrange(256) for _ in range(draw.choice((1, 4))))
        else:
            made[place:place] = made[place : place + draw.choice((4, 32, 256))]
        if not made:
            return b""
    return bytes(made[: draw.randrange(len(made))]) if draw.random() < 0.1 else bytes(made)


def _of_fields(data, draw):
    """A model with some fields changed to what is valid protobuf and nonsense otherwise."""
    model = onnx.load_model_from_string(data)
    bodies = [one.g for node in model.graph.node for one in node.attribute if one.g.node]
    graph = draw.choice([model.graph, *bodies])
    names = [one for node in graph.node for one in (*node.input, *node.output)]
    for _ in range(draw.choice((1, 2, 3))):
        node = draw.choice(graph.node)
        way = draw.randrange(10)
        if way == 0 and node.input:
            node.input[draw.randrange(len(node.input))] = draw.choice(names)
        elif way == 1:
            node.op_type = draw.choice(graph.node).op_type
        elif way == 2 and node.attribute:
            attribute = draw.choice(node.attribute)
            attribute.i = draw.choice(NUMBERS)
            if attribute.ints:
                attribute.ints[draw.randrange(len(attribute.ints))] = draw.choice(NUMBERS)
        elif way == 3:
            tensor = draw.choice(model.graph.initializer)
            if tensor.dims:
                tensor.dims[draw.randrange(len(tensor.dims))] = draw.choice(NUMBERS)
        elif way == 4:
            draw.choice(model.graph.initializer).data_type = draw.randrange(24)
        elif way == 5:
            node.output[draw.randrange(len(node.output))] = draw.choice(names)
        elif way == 6:
            tensor = draw.choice(model.graph.initializer)
            values = np.frombuffer(tensor.raw_data, np.uint8).copy()
            if values.size:
                values[draw.randrange(values.size)] = draw.randrange(256)
            tensor.raw_data = values.tobytes()
        elif way == 7:
            del graph.node[draw.randrange(len(graph.node))]
        elif way == 8:
            dims = model.graph.input[0].type.tensor_type.shape.dim
            if dims:
                dims[draw.randrange(len(dims))].dim_value = draw.choice(NUMBERS)
        else:
            node.input.extend([draw.choice(names)])
        if not graph.node:
            break
    return model.SerializeToString()


def _fuzz(seeds):
    """Read a mutation for every seed; how many were read, and how many refused."""
    bases = (_small(), _streamed(), _mixed(), _looped(), _scanned(), _own(), _chosen())
    counts = {"read": 0, "refused": 0}
    for seed in seeds:
        draw = random.Random(seed)
        data = (_of_bytes if seed % 2 else _of_fields)(draw.choice(bases), draw)
        with warnings.catch_warnings(), contextlib.suppress(EdgeRnnError):
            warnings.simplefilter("ignore")
            counts["refused"] += 1
            read_onnx(data)
            counts["refused"] -= 1
            counts["read"] += 1
    return counts


def test_the_files_that_are_damaged_here_are_good():
    for data in (_small(), _streamed(), _mixed(), _looped(), _scanned(), _own(), _chosen()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read_onnx(data)


@pytest.mark.parametrize(
    "seeds",
    [range(300)]
    + [
        pytest.param(range(1000 * part, 1000 * (part + 1)), marks=pytest.mark.long)
        for part in range(20)
    ],
    ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}",
)
def test_mutations_are_read_or_refused(seeds):
    tracemalloc.start()
    counts = _fuzz(seeds)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert counts["refused"] > len(seeds) // 2
    assert peak < MOST_BYTES


def _refused(data):
    with pytest.raises(UnsupportedModelError) as caught:
        read_onnx(data)
    return list(caught.value.reasons)


def _with(changed):
    model = onnx.load_model_from_string(_small())
    changed(model)
    return model.SerializeToString()


def test_a_truncated_file():
    data = _small()
    assert _refused(data[: len(data) // 2]) == [
        "model.onnx: expected an ONNX model, got a damaged or different file. Export or copy the "
        "file again."
    ]


def test_sizes_beyond_the_data():
    def changed(model):
        model.graph.initializer[0].dims[:] = [2**40, 2**20, 3]

    (reason,) = _refused(_with(changed))
    assert reason.startswith("weights 'k': expected as many values as their shape says")


def test_a_constant_may_not_be_huge():
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["h"]),
        helper.make_node("Add", ["x", "h"], ["y"]),
    ]
    data = model_of(nodes, {"x": ["b", "t", 2]}, ["y"], {"size": np.array([2**40, 2])})
    (reason,) = _refused(data)
    assert "expected a constant of moderate size, got shape (1099511627776, 2)" in reason


def test_operators_in_a_circle():
    nodes = [
        helper.make_node("Add", ["x", "b"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["b"], name="second"),
    ]
    (reason,) = _refused(model_of(nodes, {"x": ["b", "t", 2]}, ["b"]))
    assert reason.startswith("node 'first' (Add): expected inputs that are given")


def test_operators_in_a_circle_in_a_body():
    nodes = [
        helper.make_node("Add", ["x", "b"], ["a"]),
        helper.make_node("Tanh", ["a"], ["b"]),
    ]
    weights = {"W": np.ones((2, 2), np.float32)}
    (reason,) = _refused(scan_file(Step(tuple(nodes), ("b",), weights, (2,), "b"), inputs=2))
    assert reason == (
        "node 'steps' (Scan): expected inputs that are given, or come from earlier operators, got "
        "'b' in its body, which does not. Export the network again."
    )


def test_bodies_within_bodies():
    """Only the outermost one is looked at; deeper ones are no steps of a cell."""
    node = onnx.load_model_from_string(_scanned()).graph.node[0]
    for depth in range(12):
        given, results = (
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
            for names in (("h", "c", "x"), ("ends0", "ends1", "y"))
        )
        body = helper.make_graph([node], f"body_{depth}", given, results)
        node = helper.make_node("Scan", ["start0", "start1", "readings"], ["ends0", "ends1", "y"],
                                name="steps", body=body, num_scan_inputs=1)  # fmt: skip
    starts = {name: np.zeros((1, 2), np.float32) for name in ("start0", "start1")}
    *_, reason = _refused(model_of([node], {"readings": ["t", "b", 2]}, ["y"], starts))
    assert reason.startswith("node 'steps' (Scan): expected a body that is one step of a")
    assert "got one with Scan. " in reason


def test_functions_that_call_themselves():
    model = onnx.load_model_from_string(_small())
    body = [helper.make_node("F", ["p"], ["q"], domain="own")]
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
    model.functions.append(helper.make_function("own", "F", ["p"], ["q"], body, opsets))
    model.graph.node.append(helper.make_node("F", ["y"], ["z"], domain="own"))
    (reason,) = _refused(model.SerializeToString())
    assert "expected functions that do not call themselves, got 'F'" in reason


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/passwd", "", "sub/../../weights.bin"])
def test_weights_outside_the_folder(tmp_path, location):
    (tmp_path / "weights.bin").write_bytes(bytes(72))
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)

    def changed(model):
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    (folder / "a.onnx").write_bytes(_with(changed))
    (reason,) = _refused(folder / "a.onnx")
    assert reason.startswith("weights 'k': expected external data in the folder of the model")


def test_a_link_out_of_the_folder(tmp_path):
    (tmp_path / "weights.bin").write_bytes(bytes(72))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "weights.bin")

    def changed(model):
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="link")

    (folder / "a.onnx").write_bytes(_with(changed))
    assert "in the folder of the model" in _refused(folder / "a.onnx")[0]


def test_weights_beside_the_file_are_read(tmp_path):
    model = onnx.load_model_from_string(_small())
    want = read_onnx(_small())
    onnx.save(model, tmp_path / "a.onnx", save_as_external_data=True, size_threshold=0,
              location="a.bin")  # fmt: skip
    found = read_onnx(tmp_path / "a.onnx")
    assert [p.sha256 for p in found.programs] == [p.sha256 for p in want.programs]
    (tmp_path / "a.bin").write_bytes(bytes(10))
    assert "expected as many bytes as the shape says" in _refused(tmp_path / "a.onnx")[0]
    (tmp_path / "a.bin").unlink()
    assert "expected a file of external data beside the model" in _refused(tmp_path / "a.onnx")[0]


def test_thousands_of_operators_in_a_row():
    rng = np.random.default_rng(0)
    names = ["x", *(f"n{index}" for index in range(3000))]
    nodes = [helper.make_node("Neg", [a], [b]) for a, b in itertools.pairwise(names)]
    nodes += [
        helper.make_node("GRU", [names[-1], "W", "R"], ["f"], hidden_size=2, direction="reverse"),
        helper.make_node("Squeeze", ["f", "one"], ["y"]),
    ]
    own = {"W": rng.normal(size=(1, 6, 2)), "R": rng.normal(size=(1, 6, 2))}
    own = {k: v.astype(np.float32) for k, v in own.items()} | {"one": np.array([1])}
    found = read_onnx(model_of(nodes, {"x": ["t", "b", 2]}, ["y"], own))
    assert [layer.kind for layer in found.programs[-1].layers] == ["gru"]


def test_old_and_new_sets_of_operators():
    def opset(version):
        def changed(model):
            model.opset_import[0].version = version

        return changed

    assert "got opset 6. Export the model again" in _refused(_with(opset(6)))[0]
    assert "got opset 9999. Update the package" in _refused(_with(opset(9999)))[0]


def _changed(kind, attribute, value, base=_small):
    model = onnx.load_model_from_string(base())
    (node,) = [node for node in model.graph.node if node.op_type == kind]
    kept = [one for one in node.attribute if one.name != attribute]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(attribute, value)])
    return model.SerializeToString()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_changed("Conv", "dilations", [2**40]), "at most 16384 steps"),
        (_changed("Conv", "strides", [2**40]), "at most 16384 steps"),
        (_changed("MaxPool", "kernel_shape", [2**40], _mixed), "at most 16384 steps"),
    ],
)
def test_windows_of_billions_of_steps(data, message):
    (reason,) = _refused(data)
    assert message in reason


def test_vectors_that_double_again_and_again():
    nodes = [
        helper.make_node("Concat", [f"n{index}"] * 2, [f"n{index + 1}"], axis=-1)
        for index in range(60)
    ]
    data = model_of(nodes, {"n0": ["b", "t", 2]}, ["n60"])
    (reason,) = _refused(data)
    assert "expected at most 65536 features, got 131072" in reason


def test_inputs_with_billions_of_features():
    nodes = [helper.make_node("Sigmoid", ["x"], ["y"])]
    (reason,) = _refused(model_of(nodes, {"x": ["b", "t", 2**40]}, ["y"]))
    assert reason.startswith("input 'x': expected at most 65536 elements along axis 2")


def test_names_that_are_no_text():
    data = _small().replace(b"\n\x01y", b"\n\x01\xff")
    assert "expected texts in UTF-8" in _refused(data)[0]


def test_frameworks_are_not_needed(monkeypatch):
    for name in ("h5py", "jax", "keras", "tensorflow", "torch"):
        monkeypatch.setitem(sys.modules, name, None)
    read_onnx(_small())
