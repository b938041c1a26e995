"""The public Silero VAD network: read as ONNX Runtime runs it, and quantized."""

import wave

import numpy as np
import pytest

from benchmarks import silero
from edgernn.errors import StreamKindWarning
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
