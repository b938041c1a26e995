"""Preparations of sound: blocks of any length, times of rows, states, what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgernn.errors import DeclarationError, ReadingError, StateError
from edgernn.prepare.audio.front_end import FrontEnd
from edgernn.prepare.audio.log_mel import LogMel
from edgernn.prepare.preparation import Preparation
from edgernn.prepare.units import GainOffset

pytestmark = pytest.mark.device

MEL = LogMel(rate_hz=8000, frame=64, hop=40, bands=8)
SOUND = Preparation(inputs=("microphone",), audio=MEL)
SAMPLES = np.random.default_rng(0).integers(-9000, 9000, 2_000).astype(np.int16)


def test_the_declaration_is_read_and_written():
    assert Preparation.from_json(SOUND.to_json()) == SOUND
    assert SOUND.channels == MEL.outputs
    assert SOUND.period_s == 0.005
    table = {"inputs": ["m"], "audio": {"preset": "librosa", "bands": 8}}
    assert Preparation.from_table(table).audio == LogMel.preset("librosa", bands=8)
    with pytest.raises(DeclarationError, match=r"prep\.toml, audio: .*hop: expected 1 to"):
        Preparation.from_table({"inputs": ["m"], "audio": {"hop": 0}}, "prep.toml")
    with pytest.raises(DeclarationError, match="expected one raw channel and no steps"):
        Preparation(inputs=("a", "b"), audio=MEL)
    with pytest.raises(DeclarationError, match="expected one raw channel and no steps"):
        Preparation(inputs=("a",), audio=MEL, steps=(GainOffset(channels=("a",)),))


def test_blocks_of_any_length_and_states_give_the_rows_of_the_whole():
    wanted = FrontEnd(MEL).apply(SAMPLES)
    at, x = SOUND.apply(None, SAMPLES[:, None])
    assert x.tobytes() == wanted.tobytes()
    assert np.allclose(at, (np.arange(len(x)) * 40 + 64) / 8000, rtol=0, atol=1e-12)
    stream, got, begin = SOUND.stream(), [], 0
    for length in np.random.default_rng(1).integers(0, 130, 60).tolist():
        blob = stream.to_bytes()
        stream = SOUND.stream()
        stream.from_bytes(blob)
        got += stream.push(None, SAMPLES[begin : begin + length].tolist())
        begin += length
    assert begin > 2_000
    assert np.array([one.x for one in got]).tobytes() == wanted.tobytes()
    assert np.allclose([one.time_s for one in got], at, rtol=0, atol=1e-12)


def test_rows_have_the_time_of_their_last_sample():
    stream = SOUND.stream()
    got = stream.push(100.0, SAMPLES[:120].tolist())
    assert [one.time_s for one in got] == pytest.approx([100 - 56 / 8000, 100 - 16 / 8000])
    assert stream.push(100.0, SAMPLES[120:240].tolist()) == []
    assert stream.counts["repeated"] == 1


def test_samples_that_are_none_are_silence_or_clipped():
    stream = SOUND.stream()
    got = stream.push(None, [math.nan, 1e9, -1e9, math.inf, *[0.0] * 60])
    assert len(got) == 1
    assert stream.counts["filled"] == 1
    assert stream.counts["clipped"] == 3
    with pytest.raises(ReadingError, match="expected samples"):
        stream.push(None, ["x"])
    blob = bytearray(stream.to_bytes())
    blob[9] ^= 1
    with pytest.raises(StateError, match="stream of sound"):
        stream.from_bytes(bytes(blob))
