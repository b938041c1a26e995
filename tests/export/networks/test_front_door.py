"""Networks of every format come in by one door, which tells them by their content."""

import json

import numpy as np
import onnx
import pytest
import torch

from edgernn.cli import main
from edgernn.errors import EdgeRnnError, ShapeError, UnsupportedModelError
from edgernn_export import evaluate, quantize, quantize_programs
from edgernn_export.file_contents.contents import fields_of
from edgernn_export.float_model.model import FloatModel
from edgernn_export.float_model.program_sets.chunks import FloatChunks
from edgernn_export.float_model.program_sets.programs import FloatPrograms
from edgernn_export.keras_reader import read_keras
from edgernn_export.keras_reader.program_sets.passes import read_passes
from edgernn_export.keras_reader.program_sets.programs import read_programs
from edgernn_export.networks import read_network, read_one_stream
from edgernn_export.networks.formats import FORMATS
from edgernn_export.onnx_reader.reader import read_onnx
from edgernn_export.quantizer.sensitivity import scan
from edgernn_export.writers.onnx.float_operators import write_onnx_float
from tests.support.models.float import float_model
from tests.support.models.onnx_recurrent import matrices, one_operator

keras = pytest.importorskip("keras", reason="pip install 'edgernn[export]'")
pytestmark = pytest.mark.tf


def gru():
    given = keras.Input((None, 3))
    made = keras.layers.GRU(4, name="gru", return_sequences=True)(given)
    return keras.Model(given, keras.layers.Dense(2, name="dense")(made), name="one")


def both_ways():
    given = keras.Input((None, 3))
    made = keras.layers.Bidirectional(keras.layers.GRU(4, return_sequences=True))(given)
    return keras.Model(given, keras.layers.Dense(2)(made), name="both")


def translator():
    first, second = keras.Input((None, 3), name="a"), keras.Input((None, 2), name="b")
    _, state = keras.layers.GRU(4, return_state=True)(first)
    made = keras.layers.GRU(4, return_sequences=True)(second, initial_state=state)
    return keras.Model([first, second], keras.layers.Dense(2)(made), name="pair")


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Live models, and their files under names that tell nothing."""
    folder, made = tmp_path_factory.mktemp("networks"), {}
    for model in (gru(), both_ways(), translator()):
        model.save(folder / f"{model.name}.keras")
        made[model.name] = model, (folder / f"{model.name}.keras").rename(folder / model.name)
    return made


def test_a_network_is_read_as_what_it_is(networks):
    for name, kind, reader in [
        ("one", FloatModel, read_keras),
        ("both", FloatChunks, read_passes),
        ("pair", FloatPrograms, read_programs),
    ]:
        live, path = networks[name]
        wanted = reader(live)
        for source in (live, path, str(path)):
            found = read_network(source)
            assert type(found) is kind
            if kind is FloatModel:
                assert found.sha256 == wanted.sha256
            else:
                assert [one.sha256 for one in found.programs] == [
                    one.sha256 for one in wanted.programs
                ]


def test_names_and_units_reach_the_reader(networks):
    names = {"input_names": ["a", "b", "c"], "output_units": ["m", "s"]}
    one = read_network(networks["one"][1], **names)
    assert one.input_names == ("a", "b", "c")
    assert one.output_units == ("m", "s")
    both = read_network(networks["both"][1], **names)
    assert both.programs[0].input_names == ("a", "b", "c")
    assert both.programs[-1].output_units == ("m", "s")
    again = read_network(one, input_names=["x", "y", "z"])
    assert again.input_names == ("x", "y", "z")
    with pytest.raises(ShapeError):
        read_network(one, input_names="xyz")
    with pytest.raises(EdgeRnnError, match=r"both: expected no input_names for passes that were"):
        read_network(both, input_names=["x", "y", "z"])


def test_options_of_another_format_are_refused(networks):
    with pytest.raises(EdgeRnnError, match=r"^layout: expected it with another format, got it for"):
        read_network(networks["one"][1], layout="layout.toml")
    with pytest.raises(EdgeRnnError, match=r"^layout, weights: .* for a network that was read"):
        read_network(float_model("lstm", inputs=2, units=3), layout="a", weights="b")


def test_what_needs_one_stream_says_what_it_got(networks):
    assert read_one_stream(networks["one"][0]).name == "one"
    with pytest.raises(UnsupportedModelError, match=r"both: .* got one that reads its steps back"):
        read_one_stream(networks["both"][0])
    with pytest.raises(UnsupportedModelError, match=r"pair: .*edgernn_export.quantize_programs"):
        read_one_stream(networks["pair"][1])
    with pytest.raises(UnsupportedModelError, match=r"pair: .*edgernn_export.quantize_programs"):
        quantize(networks["pair"][1], np.zeros((20, 5)))
    with pytest.raises(UnsupportedModelError, match=r"one: .* got none. Read it as one network"):
        quantize_programs(networks["one"][1], {})


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            b"something",
            r"expected a trained network, got a file of another format. These are read: Keras",
        ),
        (b"", r"got an empty file. Save the network again."),
        (b"PK\x03\x04 cut off", r"expected a whole ZIP archive, got a damaged one."),
    ],
)
def test_a_file_of_no_format_is_refused_once_with_all_formats(tmp_path, content, text):
    path = tmp_path / "m.keras"
    path.write_bytes(content)
    with pytest.raises(UnsupportedModelError, match=text) as caught:
        read_network(path)
    (reason,) = caught.value.reasons
    if "ZIP" not in text:
        assert all(row.accepted in reason for row in FORMATS)


def test_an_object_of_no_format_is_refused_with_all_formats(tmp_path):
    with pytest.raises(UnsupportedModelError, match=r"source: .*, got builtins.int\.") as caught:
        read_network(3)
    assert all(row.accepted in str(caught.value) for row in FORMATS)
    with pytest.raises(FileNotFoundError, match="expected a trained network, got nothing at this"):
        read_network(tmp_path / "none.keras")


@pytest.mark.filterwarnings("ignore::edgernn.errors.StreamKindWarning")
def test_onnx_is_told_by_its_content(tmp_path):
    model = onnx.load_from_string(write_onnx_float(float_model("lstm", inputs=2, units=3)))
    wanted = read_onnx(model)
    (tmp_path / "m.keras").write_bytes(model.SerializeToString())
    for source in (model, model.SerializeToString(), tmp_path / "m.keras"):
        assert read_network(source).sha256 == wanted.sha256
    with pytest.raises(EdgeRnnError, match=r"weights: .* got it for a network from ONNX"):
        read_network(model, weights="w.h5")
    # Another protocol buffer: the graph of a SavedModel, whose fields are a version and graphs.
    (tmp_path / "m.onnx").write_bytes(b"\x08\x01\x12\x02ab")
    with pytest.raises(UnsupportedModelError, match="got a protocol buffer that is no ONNX model"):
        read_network(tmp_path / "m.onnx")
    with pytest.raises(UnsupportedModelError, match=r"source: .* got builtins.bytes"):
        read_network(b"\x08\x01\x12\x02ab")


def test_fields_of_damaged_protocol_buffers_are_followed_as_far_as_they_go():
    whole = b"\x08\x07\x3a\x02ab\x42\x00"
    assert fields_of(whole) == {1, 7, 8}
    assert fields_of(whole[:4]) == {1, 7}
    assert fields_of(b"\x08\x07\x3a" + b"\xff" * 20) == {1, 7}
    assert fields_of(b"") == fields_of(b"\x00\x01") == frozenset()
    assert 127 not in fields_of(b"\x0f\x08\x01")


@pytest.mark.filterwarnings("ignore::edgernn.errors.StreamKindWarning")
def test_info_describes_a_network_before_it_is_quantized(tmp_path, capsys):
    model = one_operator("GRU", matrices("GRU", 3, 6), linear_before_reset=1)
    (tmp_path / "m.bin").write_bytes(model.SerializeToString())
    assert main(["info", str(tmp_path / "m.bin")]) == 0
    text = capsys.readouterr().out
    size = (tmp_path / "m.bin").stat().st_size
    assert f"trained network, not quantized  m.bin, {size} bytes" in text
    assert "format      ONNX\nparameters  198\nstream      one output per reading\n" in text
    assert "gru   3 -> 6            198" in text
    assert main(["info", str(tmp_path / "m.bin"), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    (one,) = record["networks"]
    assert [layer["kind"] for layer in one["layers"]] == ["gru"]
    assert record["parameters"] == 3 * 6 * (3 + 6 + 2)
    assert main(["info", str(tmp_path / "m.bin"), "--program", "x"]) == 2
    assert "--program: expected an .edgernn file with it, got a trained" in capsys.readouterr().err
    assert main(["run", str(tmp_path / "m.bin")]) == 2
    assert "got an ONNX model of another tool ('m.bin'). Quantize it" in capsys.readouterr().err


def test_info_of_networks_of_several_parts(networks, capsys):
    assert main(["info", str(networks["both"][1])]) == 0
    text = capsys.readouterr().out
    assert "stream      whole chunks, which it reads backward too" in text
    assert "\nforward1\n" in text
    assert "\nbackward1\n" in text
    assert main(["info", str(networks["pair"][1])]) == 0
    assert "stream      several streams, which pass on states" in capsys.readouterr().out


def test_info_lists_every_reason_in_the_words_of_the_format(tmp_path, capsys):
    model = one_operator("GRU", matrices("GRU", 3, 6), linear_before_reset=1)
    for place in (0, 1):
        node = onnx.helper.make_node("Det", ["Y"], [f"z{place}"], name=f"det{place}")
        model.graph.node.append(node)
        model.graph.output.append(
            onnx.helper.make_tensor_value_info(f"z{place}", onnx.TensorProto.FLOAT, None)
        )
    onnx.save(model, tmp_path / "m.onnx")
    assert main(["info", str(tmp_path / "m.onnx")]) == 2
    text = capsys.readouterr().err
    assert "node 'det0' (Det)" in text
    assert "node 'det1' (Det)" in text


def test_info_says_what_an_archive_of_weights_holds(tmp_path, capsys):
    rng = np.random.default_rng(3)
    shapes = {"rnn.weight_ih_l0": (18, 3), "rnn.weight_hh_l0": (18, 6), "rnn.bias_ih_l0": (18,),
              "rnn.bias_hh_l0": (18,)}  # fmt: skip
    np.savez(tmp_path / "w.npz", **{name: rng.normal(size=size) for name, size in shapes.items()})
    (tmp_path / "w.toml").write_text('layers = [{GRU = "rnn"}]\n')
    assert main(["info", str(tmp_path / "w.npz"), "--layout", str(tmp_path / "w.toml")]) == 0
    assert "gru   3 -> 6            198" in capsys.readouterr().out
    np.savez(tmp_path / "readings.npz", a=np.zeros((20, 3)))
    assert main(["info", str(tmp_path / "readings.npz")]) == 2
    assert "There is no recurrent layer." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "text", "wanted"),
    [
        ("--input-value", "sr=fast", "expected a name and a number"),
        ("--input-value", "16000", "expected a name and a number"),
        ("--input-shape", "x=1,three", "expected a name and sizes"),
    ],
)
def test_what_inputs_of_a_command_cannot_be(capsys, option, text, wanted):
    assert main(["info", "m.onnx", option, text]) == 2
    assert wanted in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore::edgernn.errors.StreamKindWarning")
def test_commands_tell_the_inputs_of_a_network(tmp_path, capsys):
    model = one_operator("GRU", matrices("GRU", 3, 6), linear_before_reset=1)
    value = onnx.helper.make_tensor_value_info
    model.graph.input.append(value("sr", onnx.TensorProto.INT64, []))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(8), "eight"))
    branches = {
        f"{name}_branch": onnx.helper.make_graph(
            [onnx.helper.make_node(kind, ["Y"], ["inner"])], name, [],
            [value("inner", onnx.TensorProto.FLOAT, None)],
        )
        for name, kind in (("then", "Tanh"), ("else", "Det"))
    }  # fmt: skip
    model.graph.node.append(onnx.helper.make_node("Equal", ["sr", "eight"], ["slow"]))
    model.graph.node.append(onnx.helper.make_node("If", ["slow"], ["z"], **branches))
    del model.graph.output[:]
    model.graph.output.append(value("z", onnx.TensorProto.FLOAT, None))
    onnx.save(model, tmp_path / "m.onnx")
    command = ["info", str(tmp_path / "m.onnx")]
    assert main(command) == 2
    assert "--input-value sr=VALUE" in capsys.readouterr().err
    assert main([*command, "--input-value", "sr=8"]) == 0
    assert "pointwise" in capsys.readouterr().out
    assert main([*command, "--input-value", "sr=8", "--input-value", "sr=9"]) == 2
    assert "--input-value: expected one for each input, got two." in capsys.readouterr().err
    assert main([*command, "--input-value", "sr=8", "--input-shape", "sr=1"]) == 2
    assert "expected a value or a shape, got both" in capsys.readouterr().err


def test_calibration_is_the_example_of_a_torch_module():
    class Recurrent(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.gru = torch.nn.GRU(1, 4, batch_first=True)

        def forward(self, given):
            return self.gru(given)[0]

    module = Recurrent().eval()
    xs = np.random.default_rng(0).normal(size=300)
    made = [
        quantize(module, calibration, stream="endless", progress=False)
        for calibration in (xs, xs[:, None], [xs[:, None]], {"x0": xs})
    ]
    assert len({model.sha256 for model in made}) == 1
    assert evaluate(made[0], xs[:, None], float_model=module, progress=False).with_float
    result, _ = scan(module, xs, stream="endless", progress=False)
    assert [cost.layer for cost in result.layers] == ["gru"]
