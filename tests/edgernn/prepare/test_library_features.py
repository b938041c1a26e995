"""Features are those of librosa, torchaudio, tf.signal; codes are those of TensorFlow Lite Micro.

The values of the libraries are in tests/golden/sound.
"""

import numpy as np
import pytest

from edgernn.prepare.audio.front_end import FrontEnd
from edgernn.prepare.audio.log_mel import LogMel
from tests.support.documents import ROOT

FRAMES = {
    "librosa": {
        "rate_hz": 16000, "frame": 512, "hop": 160, "bands": 40, "low_hz": 100.0,
        "high_hz": 8000.0,
    },
    "torchaudio": {
        "rate_hz": 16000, "frame": 400, "fft": 512, "hop": 160, "bands": 32, "low_hz": 60.0,
        "high_hz": 8000.0,
    },
    "tf.signal": {"rate_hz": 8000, "frame": 200, "hop": 80, "bands": 16},
}  # fmt: skip


def golden(name):
    return np.load(ROOT / f"tests/golden/sound/{name}.npz")


CASES = [
    ("librosa", "librosa", {}, "slaney_log_mel"),
    ("librosa", "librosa", {"coefficients": 13}, "slaney_mfcc"),
    ("librosa", "librosa", {"mel": "htk", "norm": "none"}, "htk_log_mel"),
    ("librosa", "librosa", {"mel": "htk", "norm": "none", "coefficients": 13}, "htk_mfcc"),
    ("torchaudio", "torchaudio", {}, "log_mel"),
    ("torchaudio", "torchaudio", {"coefficients": 13}, "mfcc"),
    ("tf.signal", "tf_signal", {}, "log_mel"),
]


@pytest.mark.parametrize(("library", "file", "own", "name"), CASES)
def test_presets_give_the_features_of_their_library(library, file, own, name):
    stored = golden(file)
    # 140 dB below full scale, the added floor changes no band of this sound.
    of = LogMel.preset(library, floor_db=-140.0, **FRAMES[library] | own)
    # torch.stft puts a window that is shorter than the transform into its middle.
    later = (of.transform - of.frame) // 2 if library == "torchaudio" else 0
    samples = stored["samples"][later:]
    exact = of.float_features(samples / 32768)
    wanted = stored[name][: len(exact)]
    assert len(wanted) > 15
    np.testing.assert_allclose(exact[: len(wanted)], wanted, atol=2e-4, rtol=0)
    integers = FrontEnd(of).apply(samples)[: len(wanted)]
    if of.coefficients:
        errors = np.abs(integers - wanted).mean(axis=0)
        assert (errors < 0.03 * wanted.std(axis=0)).all()
    else:
        decibels = np.abs(integers - wanted) * (10 / np.log(10) if of.log == "ln" else 1)
        assert decibels.mean() < 0.05
        assert decibels.max() < 1.0
