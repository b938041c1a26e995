"""Spoken digits and voice activity: sound, labels, splits, decisions, scores."""

import numpy as np
import pytest

from edgernn.errors import DataUnavailable, TrainingError
from edgernn.prepare.audio.front_end import FrontEnd
from edgernn_export.datasets import Part, spoken_digit, vad
from edgernn_export.datasets.audio import scenes, spoken_words, voice_activity
from edgernn_export.datasets.audio.fsdd_digits import load_fsdd
from tests.support.training.data_files import tone, write_recordings


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    write_recordings(folder)
    return folder


@pytest.fixture
def data(folder, monkeypatch):
    monkeypatch.setenv("EDGERNN_DATA", str(folder))
    monkeypatch.setattr(spoken_words, "COPIES", 1)
    monkeypatch.setattr(voice_activity, "_TRAIN_SCENES", 6)
    monkeypatch.setattr(voice_activity, "_ROUNDS", 1)
    monkeypatch.setattr(voice_activity, "CONDITIONS", (("white", 0.0), ("hum", np.inf)))


# ---- sound -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", scenes.NOISES)
def test_noise_has_one_loudness_and_comes_from_its_seed(kind):
    voices = [np.sin(np.arange(3000) / 3), np.sin(np.arange(5000) / 5)]
    one, same, other = (
        scenes.noise(kind, 16000, np.random.default_rng(seed), rate_hz=8000, voices=voices)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    assert np.sqrt(np.mean(one**2)) == pytest.approx(1.0)


def test_noises_are_what_they_are_called():
    def power(kind, low_hz, high_hz):
        sound = scenes.noise(kind, 80_000, np.random.default_rng(0), rate_hz=8000)
        hertz = np.fft.rfftfreq(sound.size, 1 / 8000)
        spectrum = np.abs(np.fft.rfft(sound)) ** 2
        return spectrum[(hertz >= low_hz) & (hertz < high_hz)].sum() / spectrum.sum()

    assert power("white", 2000, 4000) == pytest.approx(0.5, abs=0.02)
    # An octave of pink noise has the power of every other one.
    assert power("pink", 200, 400) == pytest.approx(power("pink", 1600, 3200), rel=0.1)
    assert power("hum", 0, 610) > 0.99
    clicks = scenes.noise("clicks", 80_000, np.random.default_rng(0), rate_hz=8000)
    assert np.median(np.abs(clicks)) < 0.05 < 5 < np.abs(clicks).max()


def test_a_recording_at_another_level_is_rounded_again_and_clipped():
    sound = np.array([0.5, -0.25, 1e-3, -1.0])
    np.testing.assert_array_equal(scenes.recorded(sound), [16384, -8192, 33, -32768])
    np.testing.assert_array_equal(scenes.recorded(sound, -40.0), [164, -82, 0, -328])
    np.testing.assert_array_equal(scenes.recorded(sound, 20.0), [32767, -32768, 328, -32768])


def test_speech_is_as_far_above_the_noise_as_asked(data):
    clips = load_fsdd()
    samples, spoken = voice_activity.scene(clips, "white", 10.0, np.random.default_rng(4))
    frames = np.lib.stride_tricks.sliding_window_view(samples / 32768.0, 200)[::80]
    power = np.mean(frames**2, axis=1)
    assert 0.1 < spoken.mean() < 0.7
    # Speech with noise is 11 times the noise. The hangover is left out at both ends of words.
    inner = np.convolve(spoken, np.ones(25), "same") == 25
    ratio = np.median(power[inner]) / np.median(power[~spoken])
    assert 10 * np.log10(ratio - 1) == pytest.approx(10.0, abs=1.5)


def test_speech_is_said_from_the_first_frame_that_hears_it_until_the_hangover(data, monkeypatch):
    clips = load_fsdd()[:1]
    monkeypatch.setattr(voice_activity, "_GAPS_S", (0.5, 0.5))
    _, spoken = voice_activity.scene(clips, "white", np.inf, np.random.default_rng(0))
    first = 4000  # 0.5 s
    last = first + clips[0].sound.size // 80 * 80 - 1
    wanted = np.flatnonzero(spoken)
    assert 80 * (wanted[0] - 1) + 199 < first <= 80 * wanted[0] + 199
    end = wanted[np.flatnonzero(np.diff(wanted) > 1)[0]]
    heard = end - voice_activity.HANGOVER_STEPS  # the first frame with the word's last block
    assert 80 * (heard - 1) + 199 < last - 79 <= 80 * heard + 199


# ---- spoken digits -----------------------------------------------------------------------------


def test_digits_of_the_official_split(data):
    task = spoken_digit()
    assert [len(part.x) for part in (task.train, task.validation, task.test)] == [40, 20, 20]
    assert task.train.x.shape[1:] == (spoken_words.STEPS, 20)
    assert task.classes[-1] == "none"
    truth = task.test.target[:, :, 0].min(axis=1)
    np.testing.assert_array_equal(np.sort(truth), np.repeat(np.arange(10), 2))
    task.labels()["decisions"].bound(task.input_names, task.output_names).stream()


def test_test_streams_are_the_samples_of_a_quieter_microphone(data):
    task = spoken_digit(level="-26")
    sound = np.zeros(256 + 87 * 128)
    pcm = tone(300 + 200 * 3, 1600)  # digit 3 of ada, index 0
    sound[9 * 128 : 9 * 128 + 1600] = pcm
    wanted = FrontEnd(spoken_words.FEATURES).apply(
        np.rint(sound * 10 ** (-26 / 20)).astype(np.int16)
    )
    np.testing.assert_array_equal(task.test.x[3], wanted)
    # 13 steps hear it, from step 8 on; the last 5 of them and 12 more name it.
    named = np.flatnonzero(task.test.target[3, :, 0] == 3)
    np.testing.assert_array_equal(named, np.arange(8 + 7, 8 + 13 + 12))
    assert set(task.test.target[3, :, 0]) == {3.0, 10.0}


def test_a_speaker_or_digits_may_be_left_out(data):
    task = spoken_digit(speaker="bob")
    assert [len(part.x) for part in (task.train, task.validation, task.test)] == [20, 10, 40]
    task = spoken_digit(unheard="89")
    for part in (task.train, task.validation, task.test):
        assert not np.isin(part.target, (8, 9)).any()
    assert len(task.test.x) == 16


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"level": "loud"}, "option level: expected -100 to 40 dB, got 'loud'"),
        ({"level": "nan"}, "option level: expected -100"),
        (
            {"speaker": "eve"},
            "option speaker: expected one of ada, bob, and two of them, got 'eve'",
        ),
        ({"unheard": "x"}, "option unheard: expected digits, as 89, got 'x'"),
    ],
)
def test_wrong_options_are_refused(data, options, words):
    with pytest.raises(TrainingError, match=words):
        spoken_digit(**options)


def test_missing_recordings_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGERNN_DATA", str(tmp_path))
    for load in (spoken_digit, vad):
        with pytest.raises(DataUnavailable, match="fsdd/recordings"):
            load()
    write_recordings(tmp_path, indices=(0, 5), speakers=("ada",))
    with pytest.raises(DataUnavailable, match="FSDD: expected recordings of every part"):
        spoken_digit()
    with pytest.raises(DataUnavailable, match="expected at least 2 speakers, got ada"):
        vad()


def test_votes_are_the_decisions_that_models_record():
    answers = np.random.default_rng(0).choice([3, 7, 10], p=[0.2, 0.3, 0.5], size=(200, 2))
    stream = spoken_words.DECISIONS.bound(("x",), spoken_words.CLASSES)
    for column, voted in zip(answers.T, spoken_words.votes(answers).T, strict=True):
        decisions = stream.stream()
        wanted = [decisions.push(None, None, np.eye(11)[a])["word"] for a in column]
        assert [spoken_words.CLASSES[v] for v in voted] == wanted


def test_a_word_is_the_last_one_named_before_the_vote_ends():
    none = 10
    voted = np.array([none, 3, 3, 5, none, none, 5, none, 2])
    assert spoken_words.words(voted) == [5, 5, 2]
    assert spoken_words.words(np.array([none, none])) == []


def test_a_stream_is_right_if_it_says_its_digit_once():
    target = np.full((4, 40, 1), 10.0)
    target[:, 10:30] = 4
    part = Part(x=target, target=target, base=np.zeros((4, 40, 11)), scored_from=0)
    answers = target[..., 0].astype(int)
    answers[1, 10:30] = 10  # nothing
    answers[2, 10:30] = 6  # another digit
    answers[3, 0:15] = answers[3, 27:40] = 4  # twice
    answers[3, 15:27] = 10
    found = spoken_words.scores(np.eye(11)[answers], part)
    assert found == {"accuracy": 0.25, "missed": 0.25, "digit_accuracy": 0.5}


# ---- voice activity ----------------------------------------------------------------------------


def test_the_speaker_of_the_test_part_is_in_no_other(data, monkeypatch):
    seen = []
    original = voice_activity.scene

    def noted(clips, *arguments):
        seen.append({(clip.speaker, clip.index) for clip in clips})
        return original(clips, *arguments)

    monkeypatch.setattr(voice_activity, "scene", noted)
    task = vad(speaker="bob")
    assert [len(part.x) for part in (task.train, task.validation, task.test)] == [6, 2, 2]
    train, validation, test = seen[0], seen[6], seen[8]
    assert train == {("ada", 10), ("ada", 11)}
    assert validation == {("ada", 0), ("ada", 5)}
    assert {name for name, _ in test} == {"bob"}
    with pytest.raises(TrainingError, match="expected one of ada, bob, got 'eve'"):
        vad(speaker="eve")


def test_the_energy_rule_and_its_decisions_look_back_only(data):
    part = vad().test
    before = voice_activity.energy_rule(part)
    changed = part.x.copy()
    changed[:, 250:] += np.random.default_rng(0).normal(size=changed[:, 250:].shape)
    after = voice_activity.energy_rule(
        Part(x=changed, target=part.target, base=part.base, scored_from=0)
    )
    np.testing.assert_array_equal(before[:, :250], after[:, :250])
    assert not np.array_equal(before[:, 250:], after[:, 250:])
    assert before.min() == 0.0
    silent = vad().test.x[1]  # in no noise
    assert before[1].max() > 40 > 0 == before[1, 0, 0] < silent.max() - silent.min()


def test_decisions_are_those_that_models_record():
    values = np.random.default_rng(2).normal(scale=0.15, size=(3, 300))
    bound = voice_activity.DECISIONS.bound(("x",), ("activity",))
    for row, said in zip(values, voice_activity.decided(values), strict=True):
        stream = bound.stream()
        assert [stream.push(None, None, [v])["speech"] for v in row] == said.tolist()


def test_the_area_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(3)
    values, positive = rng.integers(0, 9, (4, 25)).astype(float), rng.random((4, 25)) < 0.4
    ones, others = values[positive], values[~positive]
    pairs = (ones[:, None] > others) + 0.5 * (ones[:, None] == others)
    assert voice_activity.auc(values, positive) == pytest.approx(pairs.mean())


def test_scores_count_steps():
    target = np.where(np.arange(40) < 20, 1.0, -1.0)[None, :, None]
    part = Part(x=target, target=target, base=np.zeros_like(target), scored_from=0)
    output = target.copy()
    output[0, :5] = -1.0  # missed at the beginning; the end holds on for two steps
    found = voice_activity.scores(output, part)
    assert found["missed"] == 5 / 20
    assert found["false_alarms"] == 2 / 20
    assert found["f1"] == pytest.approx(2 * 15 / (2 * 15 + 2 + 5))
