"""The figures of the drift benchmark on states whose drift is known."""

import numpy as np
import pytest

from benchmarks import drift
from edgernn.model.formats import QFormat
from edgernn.model.layer_record import StateSpec


def noise(growth, segments=drift.SEGMENTS):
    """Mean squares of a difference that grows by ``growth`` of its middle over the stream."""
    rng = np.random.default_rng(5)
    rms = (1.0 + growth * (np.linspace(0, 1, segments) - 0.5)) * rng.normal(1.0, 0.05, segments)
    return np.square(0.01 * rms).tolist()


FRESH = [0.01**2] * drift.SEGMENTS


def test_steady_difference_has_no_trend():
    found = drift.trend(noise(0.0), FRESH)
    assert not found["growth_trend"]
    assert found["growth_interval_95"][0] < 0 < found["growth_interval_95"][1]
    assert found["last_over_first"] == pytest.approx(1.0, abs=0.1)
    assert found["rms_by_tenth"] == pytest.approx([0.01] * drift.TENTHS, rel=0.1)


def test_growing_difference_is_found():
    found = drift.trend(noise(0.4), FRESH)
    assert found["growth_trend"]
    assert found["growth"] == pytest.approx(0.4, abs=0.1)
    assert found["last_over_first"] > 1.3


def test_harder_readings_are_not_taken_for_growth():
    found = drift.trend(noise(0.4), noise(0.4))
    assert not found["growth_trend"]
    assert found["age_ratio_by_tenth"] == [1.0] * drift.TENTHS


def test_tenths_by_hand():
    squares = [1.0, 3.0] * (drift.TENTHS // 2) + [4.0, 16.0] * (drift.TENTHS // 2)
    found = drift.trend(squares, [0.5] * len(squares))
    assert found["rms_by_tenth"] == pytest.approx([2**0.5] * 5 + [10**0.5] * 5)
    assert found["age_ratio_by_tenth"] == pytest.approx([2.0] * 5 + [20**0.5] * 5)


def test_comparison_keeps_states_apart():
    specs = [
        StateSpec(name="lstm.h", units=2, format=QFormat(bits=16, frac_bits=15)),
        StateSpec(name="lstm.c", units=2, format=QFormat(bits=16, frac_bits=13)),
    ]
    comparison = drift.Comparison(specs)
    original = np.array([[0.5, -0.5, 3.0, 4.5], [0.5, -0.5, 3.0, 3.0]])
    got = original + np.array([0.1, 0.1, 0.0, -0.5])
    for _ in range(drift.TENTHS):
        comparison.add(got, original)
    figures = comparison.figures(np.full((2, drift.TENTHS), 1.0))
    assert set(figures) == {"h", "c"}
    assert figures["h"]["rms_by_tenth"] == pytest.approx([0.1] * drift.TENTHS)
    assert figures["c"]["rms_by_tenth"] == pytest.approx([0.125**0.5] * drift.TENTHS)
    assert figures["h"]["float_rms"] == pytest.approx(0.5)
    assert figures["h"]["outside_format_by_tenth"] == [0.0] * drift.TENTHS
    assert figures["c"]["outside_format_by_tenth"] == [0.25] * drift.TENTHS


def test_sentence_says_what_was_found():
    figures = {
        **drift.trend(noise(0.4), FRESH),
        "float_rms": 0.5,
        "outside_format_by_tenth": [0.0] * 10,
    }
    assert "GRU w8a8 h: GROWTH TREND" in drift.sentence("GRU w8a8 h", figures)


def test_missing_data_is_named(monkeypatch, capsys):
    monkeypatch.delenv("EDGERNN_DATA", raising=False)
    assert drift.main([]) == 2
    assert "EDGERNN_DATA: expected the folder" in capsys.readouterr().err
