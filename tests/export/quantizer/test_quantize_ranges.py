"""Ranges of inputs: what headroom covers, what is given, what is refused and what is said."""

from __future__ import annotations

import json
import re
import warnings
from typing import Any

import numpy as np
import pytest

from edgernn.errors import DepartureWarning, QuantizationError, SaturationWarning
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn_export.float_model.float_run import run
from edgernn_export.quantizer.quantizer import quantize
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.float import FLOAT_CELLS, float_model, stream

PRECISIONS = ("w8a8", "w8a16")
#: Room on each side, as a share of the span that calibration saw (docs/explanation/precision.md).
HEADROOM = {"w8a8": 63 / 128, "w8a16": 1.0}
SENSORS = {"input_names": ("temperature", "humidity", "level")}


def ends(model: IntegerModel) -> tuple[FloatArray, FloatArray]:
    """What a channel's outermost codes on both sides stand for."""
    reach = model.precision.input_high * model.input.scale
    return model.input.offset - reach, model.input.offset + reach


@pytest.mark.parametrize("precision", PRECISIONS)
def test_ranges_have_headroom_on_both_sides(precision: str) -> None:
    xs = stream(500, 3) * [1.0, 4.0, 0.1] + [0.0, 3.0, -5.0]
    low, high = ends(quantize(float_model("gru_after"), xs, precision, progress=False))
    room = HEADROOM[precision] * (xs.max(axis=0) - xs.min(axis=0))
    assert np.allclose(low, xs.min(axis=0) - room)
    assert np.allclose(high, xs.max(axis=0) + room)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("cell", FLOAT_CELLS)
def test_readings_beyond_calibration_are_followed(cell: str, precision: str) -> None:
    """A level that rises by 40 % of the calibrated span after calibration."""
    model = float_model(cell)
    seen = stream(1500, 3)
    risen = stream(400, 3, seed=2) + 0.4 * (seen.max(axis=0) - seen.min(axis=0))
    truth = run(model, risen[None])[0][0]
    integer = quantize(model, seen, precision, progress=False)
    interface = integer.interface()
    answer = interface.dequantize(Reference(integer).run(interface.quantize(risen))[0])
    error = np.sqrt(np.mean(np.square(answer - truth))) / truth.std()
    assert error < {"w8a8": 0.12, "w8a16": 0.04}[precision]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_given_range_is_taken_as_it_is_and_recorded(precision: str) -> None:
    xs = stream(300, 3)
    given = {"temperature": (-40, 85)}
    model = quantize(
        float_model("lstm"), xs, precision, input_range=given, progress=False, **SENSORS
    )
    low, high = ends(model)
    assert (low[0], high[0]) == (pytest.approx(-40.0), pytest.approx(85.0))
    room = HEADROOM[precision] * (xs.max(axis=0) - xs.min(axis=0))
    assert np.allclose(high[1:], (xs.max(axis=0) + room)[1:])
    recorded = dict(model.provenance.settings)
    assert json.loads(recorded["input_range"]) == {"temperature": [-40.0, 85.0]}
    assert float(recorded["input_headroom"]) == HEADROOM[precision]
    wide = [(-40.0, 85.0), None, None]
    same = quantize(float_model("lstm"), xs, precision, input_range=wide, progress=False, **SENSORS)
    assert same == model


def test_both_ends_of_a_given_range_have_codes_of_clause_2_3() -> None:
    xs = stream(300, 3)
    ranges = [(-40.0, 85.0), (0.0, 1e-3), (900.0, 1100.0)]
    for precision in PRECISIONS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SaturationWarning)
            warnings.simplefilter("ignore", DepartureWarning)
            model = quantize(float_model("lstm"), xs, precision, input_range=ranges, progress=False)
        codes = model.interface().quantize(np.array(ranges).T)
        top, step = model.precision.input_high, model.precision.input_step
        assert codes.tolist() == [[-top] * 3, [top] * 3]
        assert not np.any(codes % step)


def test_one_range_for_every_channel_that_has_none() -> None:
    given = {"level": (-1, 1), "*": (-9, 9)}
    xs, model = stream(300, 3), float_model("lstm")
    with pytest.warns(SaturationWarning, match="input level"):
        low, high = ends(quantize(model, xs, input_range=given, progress=False, **SENSORS))
    names = list(SENSORS["input_names"])
    wanted = [1.0 if name == "level" else 9.0 for name in names]
    assert high == pytest.approx(wanted)
    assert low == pytest.approx([-end for end in wanted])


def test_many_clipped_channels_are_told_in_one_sentence() -> None:
    xs = stream(300, 12) + 10.0
    with pytest.warns(SaturationWarning, match="clipped") as told:
        quantize(float_model("lstm", inputs=12), xs, input_range={"*": (-1, 1)}, progress=False)
    clipped = [str(one.message) for one in told if "clipped" in str(one.message)]
    assert len(clipped) == 1
    assert re.match(r"input x\d+ and 11 more: expected calibration values in -1 to 1", clipped[0])


def test_a_given_range_that_calibration_leaves_is_said() -> None:
    xs = stream(300, 3)
    given = {"level": (-1, 1)}
    text = (
        r"input level: expected calibration values in -1 to 1, got .*\d% of them outside\. "
        r".* wider range"
    )
    with pytest.warns(SaturationWarning, match=text):
        quantize(float_model("lstm"), xs, input_range=given, progress=False, **SENSORS)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"presure": (0, 1)}, "channels among temperature, humidity, level, got 'presure'"),
        ({"level": (1, 0)}, r".* low < high, got \(1, 0\) \(level\)"),
        ({"level": (0, float("inf"))}, r"finite \(low, high\)"),
        ({"level": 3}, r"finite \(low, high\) with low < high, got 3"),
        ({"level": ("a", "b")}, r".* got \('a', 'b'\)"),
        ([(0, 1)], "3 pairs for the channels temperature, humidity, level, got 1"),
        ("level", "ranges by name, or one .* got 'level'"),
        (7, "ranges by name, or one .* got 7"),
    ],
)
def test_what_are_no_ranges_is_refused(given: Any, text: str) -> None:
    with pytest.raises(QuantizationError, match=f"quantize input_range: expected {text}"):
        quantize(float_model("lstm"), stream(50, 3), input_range=given, progress=False, **SENSORS)


def test_what_a_percentile_cuts_off_is_said() -> None:
    xs = stream(20_000, 3)
    xs[1234, 0] = 500.0
    text = (
        r"input x0: .* got -\S+ to 500, 0\.0\d% of them outside\. .* clipped: use "
        r"range_method='minmax' \(--range minmax\)"
    )
    with pytest.warns(SaturationWarning) as caught:
        quantize(float_model("lstm"), xs, range_method="percentile", progress=False)
    assert re.match(text, str(caught[0].message))


@pytest.mark.filterwarnings("ignore::edgernn.SaturationWarning")
@pytest.mark.parametrize("method", ["percentile", "mse"])
def test_methods_that_save_codes_get_no_headroom(method: str) -> None:
    xs = np.clip(stream(2000, 3), -2.0, 2.0)
    model = quantize(float_model("lstm"), xs, range_method=method, progress=False)
    low, high = ends(model)
    assert np.all(low >= -2.0 - 1e-9)
    assert np.all(high <= 2.0 + 1e-9)
    assert dict(model.provenance.settings)["input_headroom"] == "0.0"
