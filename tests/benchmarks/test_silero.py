"""The public Silero VAD network: read as ONNX Runtime runs it, and quantized."""

import dataclasses
import wave

import numpy as np
import onnxruntime
import pytest

from benchmarks import silero
from edgernn.errors import StreamKindWarning, UnsupportedModelError
from edgernn_export import quantize
from edgernn_export.datasets.audio.fsdd_digits import load_fsdd
from edgernn_export.float_model.float_run import answers
from edgernn_export.onnx_reader.reader import read_onnx


@pytest.fixture(scope="module")
def network():
    with pytest.warns(StreamKindWarning):
        return read_onnx(silero.network_path())


def test_the_float_network_is_what_onnx_runtime_computes(network):
    rng = np.random.default_rng(1)
    level = np.repeat(10.0 ** rng.uniform(-3, -0.5, 40), 512)
    read = silero.frames(np.clip(rng.normal(size=level.size) * level, -1, 1))
    assert read.shape == (40, 576)
    np.testing.assert_array_equal(read[1:, :64], read[:-1, -64:])
    wanted = silero.runtime_answers(silero.network_path(), read)
    np.testing.assert_allclose(answers(network, read[None])[0, :, 0], wanted, atol=1e-5)
    kinds = [layer.kind for layer in network.layers]
    assert (kinds.count("dense_rows"), kinds.count("lstm"), kinds.count("delay")) == (2, 1, 0)


#: Other files of the package: what their inputs are told to be.
FILES = {
    "silero_vad": {"input_values": {"sr": 16000}, "input_shapes": {"input": (1, 576)}},
    "silero_vad_16k_op15": {"input_values": {"sr": 16000}, "input_shapes": {"input": (1, 576)}},
    "silero_vad_openvino_16k": {},
    "silero_vad_half": {"input_shapes": {"input": (1, 576)}},
    "8 kHz": {"input_values": {"sr": 8000}, "input_shapes": {"input": (1, 288)}},
}


def of_file(name):
    path = silero.network_path().with_name(f"{'silero_vad' if name == '8 kHz' else name}.onnx")
    with pytest.warns(StreamKindWarning, match="states as inputs"):
        return path, read_onnx(path, **FILES[name])


@pytest.mark.parametrize("name", FILES)
def test_files_that_take_one_frame_and_the_state(name):
    """Frame by frame, as ONNX Runtime computes them; four have conditions inside."""
    path, read = of_file(name)
    rng = np.random.default_rng(3)
    frames = rng.normal(size=(12, read.inputs)) * 10.0 ** rng.uniform(-3, -1, size=(12, 1))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    fixed = {key: np.array(v) for key, v in FILES[name].get("input_values", {}).items()}
    state, wanted = np.zeros((2, 1, 128), np.float32), []
    for frame in frames.astype(np.float32):
        y, state = session.run(None, {"input": frame[None], "state": state, **fixed})
        wanted.append(y[0, 0])
    np.testing.assert_allclose(answers(read, frames[None])[0, :, 0], wanted, atol=1e-5)


def unnamed(record):
    """A record, or a list of them, without names of layers."""
    if isinstance(record, (list, tuple)):
        return [unnamed(one) for one in record]
    if not dataclasses.is_dataclass(record):
        return record
    fields = [field.name for field in dataclasses.fields(record) if field.name != "name"]
    return {name: unnamed(getattr(record, name)) for name in fields}


@pytest.mark.parametrize("name", ["silero_vad", "silero_vad_16k_op15", "silero_vad_openvino_16k"])
def test_they_are_the_same_network(name, network):
    np.testing.assert_equal(unnamed(of_file(name)[1].layers), unnamed(network.layers))


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*that never do")
def test_their_integers_are_the_same(network):
    read = np.random.default_rng(4).normal(size=(40, 576)) * 0.1
    made = [unnamed(quantize(one, read).layers) for one in (network, of_file("silero_vad")[1])]
    np.testing.assert_equal(*made)


def test_a_cell_written_out_with_its_state_as_an_input_is_refused():
    path = silero.network_path().with_name("silero_vad_op18_ifless.onnx")
    with pytest.raises(UnsupportedModelError) as caught:
        read_onnx(path, **FILES["silero_vad"])
    assert "expected 1 to 8 recurrent layers, got 0" in caught.value.reasons[0]


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*that never do")
def test_it_agrees_with_the_float_network_on_speech(network, tmp_path):
    """Digits of FSDD in noise: calibrated on two speakers, tested on two others."""
    for clip in load_fsdd():
        folder = tmp_path / clip.speaker
        folder.mkdir(exist_ok=True)
        with wave.open(str(folder / f"{clip.digit}_{clip.index}.wav"), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(np.rint(clip.sound * 32767).astype("<i2").tobytes())
    paths = {one.name: sorted(one.glob("*.wav")) for one in sorted(tmp_path.iterdir())}
    first, second, *others = paths
    calibration = [silero.frames(silero.speech(paths[one], 60, 1)) for one in (first, second)]
    model = silero.integer_model(network, calibration, "w8a16", "percentile")
    for one in others:
        read = silero.frames(silero.speech(paths[one], 100, 2))
        found = silero.scored(model, read, silero.runtime_answers(silero.network_path(), read))
        assert found["agreeing"] > 0.99 * found["frames"]
        assert found["decided"] > 0.998
