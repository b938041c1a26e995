"""FSDD: readers of both layouts, log-mel features against a plain Fourier sum, the split."""

import numpy as np
import pytest

from edgernn.errors import DataUnavailable
from edgernn.prepare.audio.log_mel import LogMel, mel_bands
from edgernn_export.datasets import fsdd
from edgernn_export.datasets.audio.fsdd_digits import FEATURES, STEPS, features, load_fsdd
from tests.support.training.data_files import tone, write_recordings, write_wav


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGERNN_DATA", str(tmp_path))
    return tmp_path


# ---- recordings --------------------------------------------------------------------------------


def test_recordings_as_published(data):
    write_wav(data / "fsdd/recordings/7_bob_12.wav", [0, 16384, -32768])
    write_wav(data / "fsdd/recordings/3_ada_2.wav", [1])
    ada, bob = load_fsdd()
    assert (ada.speaker, ada.digit, ada.index) == ("ada", 3, 2)
    assert (bob.speaker, bob.digit, bob.index) == ("bob", 7, 12)
    np.testing.assert_array_equal(bob.sound, [0.0, 0.5, -1.0])


def test_packed_recordings_give_the_same(data):
    write_recordings(data)
    published = load_fsdd()
    pcm = {(c.speaker, c.digit, c.index): np.round(c.sound * 32768) for c in published}
    for path in (data / "fsdd/recordings").iterdir():
        path.unlink()
    for speaker in ("ada", "bob"):
        parts, info, start = [], [], 0
        for (name, digit, index), sound in pcm.items():
            if name == speaker:
                parts.append(sound.astype(np.int16))
                info.append((digit, index, start, sound.size))
                start += sound.size
        packed = {"pcm": np.concatenate(parts), "info": np.array(info, dtype=np.int32)}
        np.savez(data / f"fsdd/fsdd_{speaker}.npz", **packed)
    again = load_fsdd()
    assert len(again) == len(published) == 80
    for one, other in zip(published, again, strict=True):
        assert (one.speaker, one.digit, one.index) == (other.speaker, other.digit, other.index)
        np.testing.assert_array_equal(one.sound, other.sound)


def test_missing_recordings_are_named_with_home_and_licence(data):
    with pytest.raises(DataUnavailable) as caught:
        load_fsdd()
    assert str(caught.value) == (
        "EDGERNN_DATA: expected fsdd/recordings/*.wav or fsdd/fsdd_*.npz, got none (in "
        f"{data}). Public home: github.com/Jakobovski/free-spoken-digit-dataset, "
        "recordings/*.wav; license: CC BY-SA 4.0."
    )


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("digit.wav", lambda p: write_wav(p, [1]), r"expected a name DIGIT_SPEAKER_INDEX\.wav"),
        ("0_a_0.wav", lambda p: write_wav(p, [1], rate_hz=16000), r"8000 Hz, got \(1, 2, 16000\)"),
        ("0_a_0.wav", lambda p: write_wav(p, [1, 1], channels=2), r"got \(2, 2, 8000\)"),
        ("0_a_0.wav", lambda p: write_wav(p, []), "expected samples in every recording"),
        ("0_a_0.wav", lambda p: p.write_bytes(b"RIFF"), "expected a WAV file"),
        ("0_a_0.wav", lambda p: p.write_bytes(b"x" * 100), "expected a WAV file"),
    ],
)
def test_damaged_recordings_are_refused(data, name, write, words):
    path = data / "fsdd/recordings" / name
    path.parent.mkdir(parents=True)
    write(path)
    with pytest.raises(DataUnavailable, match=words):
        load_fsdd()


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"pcm": [1, 2]}, "expected a .npz file with pcm, info, got 'info is not a file"),
        ({"pcm": [1, 2], "info": [[0, 0, 0]]}, r"numbers \[any, 4\] in info, got int64 \[1, 3\]"),
        ({"pcm": ["a"], "info": [[0, 0, 0, 1]]}, r"numbers \[any\] in pcm, got str"),
        ({"pcm": [1, 2], "info": [[0, 0, 1, 2]]}, r"inside 2 samples, got digit 0 at 1\.\.3"),
        ({"pcm": [1, 2], "info": [[10, 0, 0, 1]]}, "got digit 10"),
        ({"pcm": [1, 2], "info": [[1, 0, 0, 0]]}, "expected samples in every recording"),
    ],
)
def test_damaged_packed_recordings_are_refused(data, arrays, words):
    (data / "fsdd").mkdir()
    np.savez(data / "fsdd/fsdd_ada.npz", **{name: np.array(v) for name, v in arrays.items()})
    with pytest.raises(DataUnavailable, match=rf"^fsdd_ada\.npz: .*{words}"):
        load_fsdd()


# ---- features ----------------------------------------------------------------------------------


def test_log_mel_is_the_fourier_sum_written_out():
    settings = LogMel(frame=64, hop=24, bands=5, floor_db=-70.0)
    sound = np.random.default_rng(0).normal(size=64 + 24 * 3 + 7)
    rows = settings.float_features(sound)
    assert rows.shape == (4, 5)
    n, k = np.arange(64), np.arange(33)[:, None]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * n / 64)
    waves = np.exp(-2j * np.pi * k * n / 64)
    for t in range(4):
        frame = sound[24 * t : 24 * t + 64] * window
        power = np.abs(waves @ frame) ** 2 / window.sum() ** 2
        wanted = 10 * np.log10(mel_bands(settings) @ power + 1e-7)
        np.testing.assert_allclose(rows[t], wanted, rtol=1e-9)


def test_mel_bands_are_triangles_that_meet():
    settings = LogMel()
    bands = mel_bands(settings)
    hertz = np.arange(129) * 8000 / 256
    peaks = hertz[bands.argmax(axis=1)]
    assert bands.shape == (20, 129)
    assert np.all(bands >= 0)
    assert np.all(bands <= 1)
    assert np.all(np.diff(peaks) > 0)
    assert np.all(bands[:, (hertz <= 100) | (hertz >= 4000)] == 0)
    inner = (hertz > 200) & (hertz < 3500)
    np.testing.assert_allclose(bands.sum(axis=0)[inner], 1.0)
    # 1000 mel is 1000 Hz: a band that is centred there is as wide as its neighbours say.
    mel = 2595 * np.log10(1 + hertz / 700)
    edges = np.linspace(2595 * np.log10(1 + 100 / 700), 2595 * np.log10(1 + 4000 / 700), 22)
    for b in range(20):
        outside = (mel <= edges[b]) | (mel >= edges[b + 2])
        assert np.all(bands[b, outside] == 0)
        assert np.all(bands[b, ~outside] > 0)


@pytest.mark.parametrize("hertz", [300, 1000, 3000])
def test_a_tone_is_loudest_in_its_band_at_its_level(hertz):
    rows = FEATURES.float_features(tone(hertz, 2000) / 32768)
    bins = np.arange(129) * 8000 / 256
    band = mel_bands(FEATURES)[:, np.abs(bins - hertz).argmin()].argmax()
    assert np.all(rows.argmax(axis=1) == band)
    # A sine of amplitude a has a line of power (a / 2)^2; the band adds the window's side lines.
    level = 20 * np.log10(8000 / 32768 / 2)
    assert np.all(np.abs(rows[:, band] - level) < 3.0)


@pytest.mark.parametrize("step", [0, 5, 11])
def test_features_of_a_step_know_nothing_of_later_sound(step):
    rng = np.random.default_rng(step)
    sound = rng.normal(size=256 + 128 * 12)
    changed = sound.copy()
    changed[128 * step + 256 :] += 1.0
    before, after = FEATURES.float_features(sound), FEATURES.float_features(changed)
    np.testing.assert_array_equal(before[: step + 1], after[: step + 1])
    assert np.all(before[step + 1] != after[step + 1])


def test_silence_comes_before_the_recording_and_its_end_is_the_last_step():
    sound = tone(1000, 1600) / 32768
    rows = features(sound)
    silent = FEATURES.float_features(np.zeros(256))[0]
    assert rows.shape == (STEPS, 20)
    np.testing.assert_array_equal(rows[:50], np.tile(silent, (50, 1)))
    np.testing.assert_array_equal(rows[-1], FEATURES.float_features(sound[-256:])[0])
    np.testing.assert_allclose(silent, -80.0)


def test_long_recordings_keep_their_beginning():
    sound = np.random.default_rng(1).normal(size=20_000)
    np.testing.assert_array_equal(features(sound), FEATURES.float_features(sound[:8320]))


# ---- the task ----------------------------------------------------------------------------------


def test_split_by_index(data):
    write_recordings(data)
    task = fsdd()
    shapes = [part.x.shape for part in (task.train, task.validation, task.test)]
    assert shapes == [(40, 64, 20), (20, 64, 20), (20, 64, 20)]
    for part, indices in ((task.train, (10, 11)), (task.validation, (5,)), (task.test, (0,))):
        np.testing.assert_array_equal(
            np.sort(part.target[:, -1, 0]), np.repeat(np.arange(10), 2 * len(indices))
        )
        wanted = [
            features(tone(300 + 200 * digit + 5 * index, 1600 + 40 * index) / 32768)
            for _ in range(2) for digit in range(10) for index in indices
        ]  # fmt: skip
        np.testing.assert_array_equal(part.x, wanted)
        assert part.scored(part.x).shape == part.x[:, 0].shape
    assert task.classes[7] == "seven"
    assert "speakers: ada, bob." in task.protocol


@pytest.mark.parametrize(("indices", "part"), [((5, 10), "test"), ((0, 5), "train")])
def test_a_part_without_recordings_is_refused(data, indices, part):
    write_recordings(data, indices=indices, speakers=("ada",))
    with pytest.raises(DataUnavailable, match=f"FSDD: expected recordings of the {part} part"):
        fsdd()
