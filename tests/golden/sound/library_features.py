"""Features of other libraries for one second of sound, in tests/golden/sound/*.npz.

    python -m venv build/other
    build/other/bin/pip install librosa==0.11.0 pymicro-features==2.0.2 torchaudio==2.11.0
    build/other/bin/python -m tests.golden.sound.library_features librosa torchaudio tflm
    python -m tests.golden.sound.library_features tf_signal

The first three libraries are not installed with edgernn, so their values are stored. Only this
program imports the libraries.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent


def sound(rate_hz: int, seconds: float) -> Any:
    """A rising tone with a harmonic, louder and quieter, over noise: int16 [N]."""
    rng = np.random.default_rng(11)
    time_s = np.arange(int(rate_hz * seconds)) / rate_hz
    turns = 300 * time_s + 0.2 * rate_hz / seconds * time_s**2
    tone = np.sin(2 * np.pi * turns) + 0.5 * np.sin(2 * np.pi * 2.5 * turns)
    loud = 0.05 + 0.25 * np.sin(np.pi * time_s / seconds) ** 2
    noise = 0.02 * rng.normal(size=time_s.size)
    return np.rint(32767 * (loud * tone + noise)).astype(np.int16)


def librosa() -> dict[str, Any]:
    """Log-mel and MFCC of librosa with its own mel scale and norm, and with those of HTK."""
    import librosa as library

    samples = sound(16000, 0.25)
    real = samples / 32768.0
    options = {
        "sr": 16000, "n_fft": 512, "hop_length": 160, "center": False, "n_mels": 40,
        "fmin": 100.0, "fmax": 8000.0,
    }  # fmt: skip
    found = {"samples": samples}
    for name, own in (("slaney", {}), ("htk", {"htk": True, "norm": None})):
        power = library.feature.melspectrogram(y=real, power=2.0, **options, **own)
        level = library.power_to_db(power, ref=1.0, amin=1e-30, top_db=None)
        found[f"{name}_log_mel"] = level.T
        found[f"{name}_mfcc"] = library.feature.mfcc(S=level, n_mfcc=13, norm="ortho").T
    return found


def torchaudio() -> dict[str, Any]:
    """Mel energies in dB of power, and MFCC, with the defaults of torchaudio except centering."""
    import torch
    import torchaudio as library

    samples = sound(16000, 0.25)
    real = torch.from_numpy(samples / 32768.0)
    frames = {
        "n_fft": 512, "win_length": 400, "hop_length": 160, "center": False, "n_mels": 32,
        "f_min": 60.0, "f_max": 8000.0,
    }  # fmt: skip
    power = library.transforms.MelSpectrogram(16000, power=2.0, **frames).double()(real)
    level = library.functional.amplitude_to_DB(power, 10.0, 1e-30, 0.0)
    mfcc = torch.matmul(level.T, library.functional.create_dct(13, 32, "ortho").double())
    return {"samples": samples, "log_mel": level.numpy().T, "mfcc": mfcc.numpy()}


def tf_signal() -> dict[str, Any]:
    """Logarithms of mel energies and MFCC, as the documentation of tf.signal computes them."""
    import tensorflow as tf

    samples = sound(8000, 0.25)
    real = tf.constant(samples / 32768.0, tf.float64)
    transform = tf.signal.stft(real, frame_length=200, frame_step=80, fft_length=256)
    weights = tf.signal.linear_to_mel_weight_matrix(16, 129, 8000, 125.0, 3800.0, tf.float64)
    level = tf.math.log(tf.matmul(tf.abs(transform) ** 2, weights))
    # mfccs_from_log_mel_spectrograms has another factor in its first row than the orthonormal DCT.
    return {"samples": samples, "log_mel": level.numpy()}


def tflm() -> dict[str, Any]:
    """Features of the audio front end of TensorFlow Lite Micro, as its uint16 integers."""
    import pymicro_features

    samples = sound(16000, 0.5)
    front_end, rows = pymicro_features.MicroFrontend(), []
    left = samples.tobytes()
    while left:
        heard = front_end.process_samples(left)
        left = left[2 * heard.samples_read :]
        rows += [heard.features] if heard.features else []
        if not heard.samples_read:
            break
    return {"samples": samples, "features": np.rint(25.6 * np.array(rows)).astype(np.uint16)}


def main(names: list[str]) -> None:
    """Write the files that are named."""
    for name in names:
        makers = {
            "librosa": librosa, "torchaudio": torchaudio, "tf_signal": tf_signal, "tflm": tflm,
        }  # fmt: skip
        arrays = makers[name]()
        np.savez_compressed(FOLDER / f"{name}.npz", **arrays)


if __name__ == "__main__":
    main(sys.argv[1:])
