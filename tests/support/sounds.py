"""Sounds and front ends that tests of log-mel features share."""

import dataclasses

import numpy as np

from edgernn.model.formats import Precision
from edgernn.prepare.audio.codes import codes_of_levels, level_codes
from edgernn.prepare.audio.front_end import FrontEnd
from edgernn.prepare.audio.log_mel import LogMel
from edgernn.prepare.preparation import Preparation
from tests.support.models.integer import random_model

FRONT_ENDS = {
    "digits": LogMel(floor_db=-80.0),
    "torchaudio": LogMel.preset(
        "torchaudio", rate_hz=16000, frame=400, hop=160, bands=32, low_hz=60.0, high_hz=8000.0
    ),
    "tf.signal": LogMel.preset("tf.signal", frame=200, hop=80, bands=16, floor_db=-100.0),
    "librosa": LogMel.preset(
        "librosa", rate_hz=16000, frame=512, hop=160, bands=40, low_hz=100.0, high_hz=8000.0
    ),
    "mfcc": LogMel(coefficients=13, pre_emphasis=0.97, window="hamming"),
    "short": LogMel(frame=60, hop=97, bands=5, high_hz=3900.0, window="rectangular"),
    "long": LogMel(rate_hz=22050, frame=1024, hop=512, bands=63, coefficients=20, high_hz=11025.0),
}


def hostile_samples(settings, frames, seed=0):
    """Noise, tones, silence, clipping, steps and single samples: int16, that many rows."""
    rng = np.random.default_rng(seed)
    count = settings.frame + (frames - 1) * settings.hop
    kinds = [
        lambda n: rng.normal(0, 3000, n),
        lambda n: rng.choice([-32768, 32767], n),
        lambda n: np.zeros(n),
        lambda n: 32767 * np.sin(2 * np.pi * 1000 * np.arange(n) / settings.rate_hz),
        lambda n: np.full(n, -32768),
        lambda n: rng.normal(0, 2, n),
        lambda n: rng.choice([-23000, 23000], n),
        lambda n: np.eye(1, n)[0],
    ]
    length = max(1, -(-count // len(kinds)))
    blocks = [kind(length) for kind in kinds]
    return np.clip(np.rint(np.concatenate(blocks)[:count]), -32768, 32767).astype(np.int16)


def hearing_model(settings, precision):
    """A random model whose inputs are these features, calibrated on hostile samples."""
    model = random_model("gru_after", precision, inputs=settings.width, units=6, outputs=3)
    features = FrontEnd(settings).apply(hostile_samples(settings, 40, seed=7))
    low, high = features.min(axis=0), features.max(axis=0)
    span = np.maximum(high - low, 1e-3)
    codes = 255 if precision is Precision.W8A8 else 65528
    source = dataclasses.replace(
        model.input, names=settings.outputs, scale=span / codes, offset=(low + high) / 2
    )
    preparation = Preparation(inputs=("sample",), audio=settings)
    return dataclasses.replace(model, input=source, preparation=preparation)


def codes_of_sound(model, settings, samples):
    """Input codes of samples, in the type of the model's codes."""
    wide = model.precision is Precision.W8A16
    constants = level_codes(settings, model.input.scale, model.input.offset, wide=wide)
    levels = FrontEnd(settings).stream().push_levels(samples)
    return codes_of_levels(levels, constants, wide=wide).astype(model.code_dtype)


def spoken_sound(rate_hz, seconds, seed=4):
    """Something like speech: harmonics under two formants, noise and pauses, in [-1, 1]."""
    rng = np.random.default_rng(seed)
    t = np.arange(rate_hz * seconds) / rate_hz
    pitch = np.cumsum(120 + 40 * np.sin(2 * np.pi * 0.7 * t)) / rate_hz
    voiced = np.zeros_like(t)
    for harmonic in range(1, int(0.45 * rate_hz / 160)):
        hertz = 120.0 * harmonic
        formants = sum(1 / (1 + ((hertz - f) / 150) ** 2) for f in (500, 1500, 2500))
        voiced += formants * np.sin(2 * np.pi * harmonic * pitch + harmonic)
    noise = np.convolve(rng.standard_normal(len(t)), [1, -0.9], "same")
    syllables = np.maximum(0, np.sin(2 * np.pi * 1.9 * t)) ** 2
    hisses = np.maximum(0, -np.sin(2 * np.pi * 1.9 * t)) ** 6
    sound = voiced * syllables + 0.3 * noise * hisses + 0.002 * noise
    return 0.9 * sound / np.abs(sound).max()
