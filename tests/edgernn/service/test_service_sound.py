"""Sound through `edgernn serve`: a recording and a microphone in, the reference's bits out."""

from __future__ import annotations

import dataclasses
import json
import os
import wave

import numpy as np
import pytest

import edgernn
from edgernn.model.formats import Precision
from edgernn.prepare.audio.front_end import FrontEnd
from edgernn.prepare.audio.log_mel import LogMel
from tests.support.services import Command, eventually
from tests.support.sounds import hearing_model, spoken_sound

pytestmark = [
    pytest.mark.device,
    pytest.mark.filterwarnings("ignore::edgernn.errors.ClippedReadingsWarning"),
]
RATE_HZ, BLOCK, BEGIN_S = 8000, 300, 1_700_000_000.0
SETTINGS = LogMel(rate_hz=RATE_HZ, frame=256, hop=128, bands=12, floor_db=-80.0)


@pytest.fixture
def heard(tmp_path):
    """The model's file, two seconds of sound, and what the session answers to its features."""
    model = hearing_model(SETTINGS, Precision.W8A8)
    model.save(tmp_path / "m.edgernn")
    samples = np.rint(20_000 * spoken_sound(RATE_HZ, 2)).astype(np.int16)
    samples = samples[: len(samples) // BLOCK * BLOCK]
    features = FrontEnd(SETTINGS).apply(samples)
    with edgernn.load(dataclasses.replace(model, preparation=None)) as session:
        return tmp_path, samples, session.run(features).tolist()


def serving(folder, source):
    (folder / "s.toml").write_text(
        f'[model]\npath = "m.edgernn"\n[store]\npath = "s.db"\n[[source]]\n{source}\n'
        f"rate_hz = {RATE_HZ}\nblock = {BLOCK}\n"
        '[[sink]]\nkind = "jsonl"\npath = "out.jsonl"\n'
    )


def answers(folder):
    file = folder / "out.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line) for line in lines]


def outputs(rows):
    fixed = ("time", "key", "sequence", "bad")
    return [[value for name, value in row.items() if name not in fixed] for row in rows]


def test_a_recording_is_answered_with_the_bits_of_the_session(heard):
    folder, samples, expected = heard
    with wave.open(str(folder / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(samples.tobytes())
    serving(folder, f'kind = "wav"\npath = "a.wav"\nkey = "hall"\nbegin_s = {BEGIN_S}')
    with Command(folder, "s.toml", listen=False) as service:
        assert service.process.wait(60) == 0, service.log.read_text()
    rows = answers(folder)
    assert len(rows) > 100
    assert outputs(rows) == expected
    assert {row["key"] for row in rows} == {"hall"}
    assert [row["sequence"] for row in rows] == list(range(1, len(rows) + 1))
    assert rows[0]["time"].startswith("2023-11-14T22:13:20.")
    assert "Traceback" not in service.log.read_text()


def test_a_microphone_is_answered_with_the_bits_of_the_session(heard):
    """A stand-in for arecord gives the samples and then, as a quiet room, nothing more."""
    folder, samples, expected = heard
    (folder / "sound").write_bytes(samples.astype("<i2").tobytes())
    program = folder / "bin" / "arecord"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat '{folder}/sound'\nexec sleep 100\n")
    program.chmod(0o755)
    serving(folder, 'kind = "microphone"\ndevice = "plughw:1,0"')
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    with Command(folder, "s.toml", listen=False, PATH=path) as service:
        eventually(lambda: len(answers(folder)) >= len(expected), 60)
        assert service.stop() == 0
    assert outputs(answers(folder)) == expected
    assert "Traceback" not in service.log.read_text()
