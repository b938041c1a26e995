"""Sound from WAV files and from a stand-in for ALSA's arecord."""

import itertools
import os
import stat
import struct
import time
import wave
from types import SimpleNamespace

import numpy as np
import pytest

from edgernn.connections.arrival import EndOfSource
from edgernn.connections.registry import make_source
from edgernn.errors import SourceError
from edgernn.prepare.audio.log_mel import LogMel
from edgernn.prepare.preparation import Preparation

pytestmark = pytest.mark.device


def source(channels=("s",), **table):
    errors = []
    made = make_source(table, "serve.toml, [[source]] 1", channels, errors)
    assert errors == []
    return made


def all_of(made, most=3, position=None):
    made.open(position)
    arrivals = []
    try:
        while True:
            batch = made.read(most, 0.0)
            arrivals += batch.arrivals
    except EndOfSource:
        made.close()
    return arrivals


def write_wav(path, samples, width=2, channels=1, rate=16_000):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        for sample in samples:
            for channel in range(channels):
                value = sample if channel == 0 else 77
                if width == 1:
                    file.writeframes(bytes([(value >> 8) + 128]))
                else:
                    wide = (value << 8 * (width - 2)) + (1 if width > 2 else 0)
                    file.writeframes(wide.to_bytes(width, "little", signed=True))


@pytest.mark.parametrize(("width", "channels"), [(1, 1), (2, 1), (2, 2), (3, 1), (4, 2)])
def test_a_wav_file_is_read_in_blocks(tmp_path, width, channels):
    samples = [0, 256, -256, 32_512, -32_768, 512, 1024]
    write_wav(tmp_path / "a.wav", samples, width, channels)
    made = source(kind="wav", path=str(tmp_path / "a.wav"), block=2, begin_s=5.0, key="room")
    arrivals = all_of(made)
    assert [a.values for a in arrivals] == [[0, 256], [-256, 32_512], [-32_768, 512]]
    assert [a.time_s for a in arrivals] == [5.0 + n * 2 / 16_000 for n in (1, 2, 3)]
    assert {a.key for a in arrivals} == {"room"}


def test_rows_of_a_wav_file_have_the_times_at_which_their_frames_ended(tmp_path):
    write_wav(tmp_path / "a.wav", range(4000))
    mel = LogMel.from_table({"preset": "tf.signal", "rate_hz": 16_000}, "audio")
    stream = Preparation(inputs=("microphone",), audio=mel).stream()
    made = source(kind="wav", path=str(tmp_path / "a.wav"), block=300, begin_s=1000.0)
    rows = [row for a in all_of(made) for row in stream.push(a.time_s, a.values)]
    ends = [1000 + (n * mel.hop + mel.frame) / 16_000 for n in range(len(rows))]
    assert len(rows) > 3
    assert [row.time_s for row in rows] == pytest.approx(ends, abs=1e-6)


def test_a_wav_file_goes_on_at_a_block(tmp_path):
    samples = np.random.default_rng(1).integers(-32_768, 32_767, 50).tolist()
    write_wav(tmp_path / "a.wav", samples)
    table = {"kind": "wav", "path": str(tmp_path / "a.wav"), "unit": "full_scale"}
    whole = all_of(source(("p", "q"), **table))
    assert [x for a in whole for x in a.values] == [s / 32_768 for s in samples]
    made = source(("p", "q"), **table)
    made.open(None)
    batch = made.read(7, 0.0)
    made.close()
    rest = all_of(source(("p", "q"), **table), position=batch.position)
    assert [(a.time_s, a.values) for a in batch.arrivals + rest] == [
        (a.time_s, a.values) for a in whole
    ]


def test_files_that_are_no_wav_or_have_another_rate_are_refused(tmp_path):
    write_wav(tmp_path / "a.wav", [1, 2], rate=8000)
    with pytest.raises(SourceError, match="expected 16000 samples per second, got 8000"):
        source(kind="wav", path=str(tmp_path / "a.wav")).open(None)
    for content in (b"", b"RIFF", b"ID3\x04 no sound", os.urandom(100)):
        (tmp_path / "b.wav").write_bytes(content)
        with pytest.raises(SourceError, match="path: expected a WAV file of whole numbers, got"):
            source(kind="wav", path=str(tmp_path / "b.wav")).open(None)


def test_a_wav_file_that_was_cut_ends_at_its_last_block(tmp_path):
    write_wav(tmp_path / "a.wav", range(100))
    data = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(data[:-51])
    arrivals = all_of(source(kind="wav", path=str(tmp_path / "a.wav"), block=10))
    assert [a.values[0] for a in arrivals] == [0, 10, 20, 30, 40, 50, 60]


@pytest.fixture
def arecord(tmp_path, monkeypatch):
    """A program that writes samples as arecord does, and ends."""
    program = tmp_path / "bin" / "arecord"
    program.parent.mkdir()
    (tmp_path / "sound").write_bytes(struct.pack("<6h", 1, -2, 3, -4, 5, -6))
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\ncat {tmp_path}/sound\n'
        "echo 'arecord: main:850: audio open error: Device or resource busy' >&2\nexit 1\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return tmp_path


def test_a_microphone_that_fails_is_started_again(arecord, caplog):
    made = source(("p", "q"), kind="microphone", device="plughw:1,0", rate_hz=8000)
    made.open(None)
    arrivals, end = [], time.monotonic() + 10
    while len(arrivals) < 6 and time.monotonic() < end:
        arrivals += made.read(100, 0.05).arrivals
        made._try_at_s = 0.0
    made.close()
    assert [a.values for a in arrivals[:6]] == 2 * [[1, -2], [3, -4], [5, -6]]
    assert arrivals[1].time_s - arrivals[0].time_s == pytest.approx(2 / 8000, abs=1e-6)
    calls = (arecord / "calls").read_text().splitlines()
    assert calls[0] == "-D plughw:1,0 -q -t raw -f S16_LE -c 1 -r 8000" and len(calls) >= 2
    assert "expected sound from plughw:1,0, got arecord: main:850: audio open error" in caplog.text


class PacedClock:
    """The machine's clock, as it stands when samples come."""

    def __init__(self, monkeypatch, made):
        self.now_s, self.made = 1e9, made
        made._begin_s = self.now_s - 0.7  # the device took a while to begin
        ours, theirs = os.pipe()
        self.pipe = theirs
        monkeypatch.setattr("edgernn.sources.audio.time.time", lambda: self.now_s)
        stderr = os.fdopen(os.open(os.devnull, os.O_RDONLY), "rb")
        made._process = SimpleNamespace(stdout=os.fdopen(ours, "rb"), stderr=stderr)

    def hear(self, seconds, passed_s):
        """Samples of so many seconds come while the clock goes on by `passed_s`."""
        self.now_s += passed_s
        os.write(self.pipe, bytes(2 * int(seconds * 1000)))
        arrivals = []
        while batch := self.made.read(1000, 0.0).arrivals:
            arrivals += batch
        return [arrival.time_s - self.now_s for arrival in arrivals]


@pytest.fixture
def paced(monkeypatch):
    made = source(kind="microphone", rate_hz=1000, block=100)
    clock = PacedClock(monkeypatch, made)
    yield clock
    process, made._process = made._process, None
    process.stdout.close()
    process.stderr.close()
    os.close(clock.pipe)


def test_a_block_of_the_microphone_has_the_time_at_which_it_ended(paced):
    assert paced.hear(1.0, 1.0) == pytest.approx([n / 10 - 1 for n in range(1, 11)], abs=1e-6)


@pytest.mark.parametrize("drift", [-0.005, 0.005])
def test_times_of_the_microphone_stay_within_a_second_of_the_clock(paced, drift):
    times, offs = [], []
    for _ in range(800):  # 4 s apart without a correction
        off = paced.hear(1.0, 1.0 + drift)
        times += [paced.now_s + o for o in off]
        offs.append(abs(off[-1]))
    assert 0.9 < max(offs) < 1.02
    assert all(a < b for a, b in itertools.pairwise(times)), "a time went back"


@pytest.mark.parametrize("jump_s", [5.0, 1e6, -1e6])
def test_lost_samples_and_a_clock_that_is_set_move_the_times(paced, jump_s, caplog):
    caplog.set_level("INFO")
    paced.hear(1.0, 1.0)
    assert paced.hear(1.0, 1.0 + jump_s)[-1] == pytest.approx(0.0, abs=1e-6)
    assert f"times of the sound are moved by {jump_s:.1f} s" in caplog.text


def test_sound_that_waited_in_the_pipe_moves_no_times(paced, monkeypatch, caplog):
    caplog.set_level("INFO")
    paced.hear(1.0, 1.0)
    monkeypatch.setattr("edgernn.sources.audio._CHUNK", 2000)
    offs = paced.hear(20.0, 20.0)  # the service was away
    assert offs == pytest.approx([n / 10 - 20 for n in range(1, 201)], abs=1e-6)
    assert "moved" not in caplog.text


def test_a_microphone_goes_on_however_much_its_program_says(arecord):
    program = arecord / "bin" / "arecord"
    program.write_text(
        "#!/bin/sh\ni=0; while [ $i -lt 40 ]; do i=$((i + 1))\n"
        f"head -c 5000 /dev/zero | tr '\\0' x >&2; cat {arecord}/sound\ndone\nexec sleep 60\n"
    )
    made = source(("p", "q"), kind="microphone", rate_hz=8000)
    made.open(None)
    arrivals, end = [], time.monotonic() + 10
    while len(arrivals) < 120 and time.monotonic() < end:
        arrivals += made.read(100, 0.05).arrivals
    assert len(made._said) <= 4096
    made.close()
    assert len(arrivals) == 120


def test_without_arecord_the_package_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SourceError, match="sudo apt install alsa-utils"):
        source(kind="microphone").open(None)
