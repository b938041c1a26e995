"""Log-mel settings, the error of the integer features, and streams of samples."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.errors import DeclarationError, ShapeError, StateError
from edgernn.prepare.audio.front_end import FrontEnd
from edgernn.prepare.audio.log_mel import PRESETS, LogMel, mel_bands, mel_edges_hz
from tests.support.sounds import FRONT_ENDS, hostile_samples, spoken_sound

DIGITS = LogMel(floor_db=-80.0)


def errors_db(of, level_db):
    """Sizes of the integer features' errors in bands that are heard.

    Those 3 dB above the floor or more, and at most 40 dB below the loudest band of their frame.
    """
    sound = spoken_sound(of.rate_hz, 12) * 10 ** (level_db / 20)
    samples = np.clip(np.rint(sound * 32768), -32768, 32767).astype(np.int16)
    exact = of.float_features(samples / 32768)
    heard = (exact > of.floor_db + 3) & (exact > exact.max(axis=1, keepdims=True) - 40)
    assert heard.sum() > 3000
    return np.abs(FrontEnd(of).apply(samples) - exact)[heard]


@pytest.mark.parametrize("level_db", [0.0, -20.0, -40.0])
@pytest.mark.parametrize(
    "of",
    [
        DIGITS,
        LogMel(frame=200, hop=80, bands=32, floor_db=-80.0),
        LogMel(
            rate_hz=16000,
            frame=480,
            hop=160,
            bands=40,
            low_hz=125.0,
            high_hz=7500.0,
            floor_db=-90.0,
        ),
    ],
)
def test_integer_features_are_close_to_the_exact_ones(of, level_db):
    errors = errors_db(of, level_db)
    assert errors.mean() < 0.05
    assert np.quantile(errors, 0.999) < 1.0
    assert errors.max() < 2.5
    if level_db:
        assert errors.mean() < 0.03
        assert errors.max() < 1.0


def test_mfcc_is_close_to_the_exact_one():
    of = LogMel(coefficients=13)
    samples = np.rint(spoken_sound(8000, 8) * 20000).astype(np.int16)
    exact = of.float_features(samples / 32768)
    errors = np.abs(FrontEnd(of).apply(samples) - exact).mean(axis=0)
    assert (errors < 0.02 * exact.std(axis=0)).all()


@pytest.mark.parametrize("of", FRONT_ENDS.values(), ids=FRONT_ENDS)
def test_settings_survive_a_table(of):
    assert LogMel.from_table(json.loads(json.dumps(of.to_table()))) == of
    assert "mel" not in LogMel().to_table()


@pytest.mark.parametrize("library", PRESETS)
def test_presets_change_what_libraries_do_differently(library):
    of = LogMel.preset(library, bands=16)
    assert of.reference == "power"
    assert of == LogMel.from_table({"preset": library, "bands": 16})


def test_levels_of_presets_are_those_of_a_plain_power_spectrum():
    # A tone of amplitude 0.5 on a bin: |X|^2 = (0.25 sum(w))^2, in the band with weight 1 there.
    of = LogMel.preset("torchaudio", bands=20)
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(256) / 8000)
    spectrum = (
        np.abs(np.fft.rfft(tone * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(256) / 256)))) ** 2
    )
    wanted = 10 * np.log10(mel_bands(of) @ spectrum)
    got = FrontEnd(of).apply(np.rint(tone * 32768).astype(np.int16))[0]
    loud = wanted > wanted.max() - 30
    np.testing.assert_allclose(got[loud], wanted[loud], atol=0.05)


def test_slaney_edges_are_the_published_ones():
    of = LogMel(
        rate_hz=22050, frame=1024, hop=512, bands=38, low_hz=0.0, high_hz=11025.0, mel="slaney"
    )
    # librosa.mel_frequencies(n_mels=40), from its documentation.
    wanted = {0: 0.0, 1: 85.317, 5: 426.586, 11: 938.49, 12: 1024.856, 13: 1119.114, 39: 11025.0}
    edges = mel_edges_hz(of)
    assert {index: round(edges[index], 3) for index in wanted} == wanted


def test_slaney_norm_is_half_the_width_of_a_band():
    plain = LogMel(mel="slaney", norm="none")
    normed = dataclasses.replace(plain, norm="slaney")
    samples = hostile_samples(plain, 8)
    edges = mel_edges_hz(plain)
    change = FrontEnd(normed).apply(samples) - FrontEnd(plain).apply(samples)
    np.testing.assert_allclose(
        change,
        np.broadcast_to(10 * np.log10(2 / (edges[2:] - edges[:-2])), change.shape),
        atol=1e-9,
    )


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 700), max_size=20), st.sampled_from(sorted(FRONT_ENDS)), st.data())
def test_blocks_of_samples_do_not_matter(lengths, name, data):
    of = FRONT_ENDS[name]
    samples = hostile_samples(of, 9)
    front_end = FrontEnd(of)
    whole = front_end.stream().push_levels(samples)
    stream, at, rows = front_end.stream(), 0, []
    moved = data.draw(st.integers(0, max(0, len(lengths))))
    for index, length in enumerate([*lengths, len(samples)]):
        if index == moved:
            blob = stream.to_bytes()
            stream = front_end.stream()
            stream.from_bytes(blob)
        rows.append(stream.push_levels(samples[at : at + length]))
        at += length
    np.testing.assert_array_equal(np.concatenate(rows), whole)
    assert whole.shape == (9, of.width) == (of.rows(len(samples)), of.width)


def test_states_of_others_are_refused():
    stream = FrontEnd(DIGITS).stream()
    blob = stream.to_bytes()
    with pytest.raises(StateError, match="the same settings"):
        FrontEnd(LogMel()).stream().from_bytes(blob)
    for damaged in (b"", blob[:-1], bytes([blob[0] ^ 1]) + blob[1:]):
        with pytest.raises(StateError, match="got other bytes"):
            stream.from_bytes(damaged)


@pytest.mark.parametrize("samples", [np.zeros(4), np.zeros((4, 2), np.int16), [0.5]])
def test_only_samples_of_16_bits_are_taken(samples):
    with pytest.raises(ShapeError, match=r"expected samples int16 \[N\].*Multiply"):
        FrontEnd(DIGITS).stream().push(samples)


@pytest.mark.parametrize(
    ("table", "reasons"),
    [
        ({"rate_hz": 0, "mel": "bark"}, ["rate_hz: expected 1 to", "mel: expected"]),
        ({"fft": 200}, ["fft: expected 0 or one of 256, 512, 1024, got 200"]),
        ({"high_hz": 4001.0, "coefficients": 21}, ["high_hz: expected", "coefficients: expected"]),
        ({"bands": 64, "coefficients": 13}, ["at most 63 bands"]),
        ({"bands": 120}, ["expected a bin of 31.25 Hz in every band, got none in band"]),
        ({"bands": 2, "frame": 1024, "low_hz": 1.0}, ["weights of at most 95 bins"]),
        ({"preset": "kaldi"}, ["expected preset ="]),
        ({"band": 20}, ['Did you mean "bands"']),
    ],
)
def test_wrong_settings_are_told_with_all_reasons(table, reasons):
    with pytest.raises(DeclarationError) as caught:
        LogMel.from_table(table)
    text = str(caught.value)
    assert all(reason in text for reason in reasons), text
