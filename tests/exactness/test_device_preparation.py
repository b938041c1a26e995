"""Preparation on a device: the reference against the twin, the C against it, and its error."""

import dataclasses
from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.errors import UnsupportedModelError
from edgernn.model.formats import Precision
from edgernn.prepare.preparation import Preparation
from edgernn_export.writers.c.preparation.compiled import device_preparation
from edgernn_export.writers.c.preparation.readings import golden_readings, readings_front
from edgernn_firmware_sim.reference.readings import (
    DeviceFeature,
    DevicePreparation,
    DeviceReadings,
    FeatureKind,
    RawChannel,
    feature_value,
)
from tests.exactness.twin import readings as twin
from tests.support.device_layers import (
    PREPARATION,
    prepared,
    preparing_model,
    run_layer,
    weather,
)

MAIN = """\
int main(void)
{
    static model_readings_t readings;
    int32_t x[MODEL_RAW_INPUTS];
    int32_t lost[MODEL_RAW_INPUTS];
    uint8_t missing[MODEL_RAW_INPUTS];
    model_input_t q_x[MODEL_INPUTS];
    int i;
    model_readings_init(&readings);
    while (fread(x, sizeof x, 1, stdin) == 1 && fread(lost, sizeof lost, 1, stdin) == 1) {
        int some = 0;
        for (i = 0; i < MODEL_RAW_INPUTS; ++i) {
            missing[i] = (uint8_t)lost[i];
            some |= lost[i];
        }
        model_prepare(&readings, x, some ? missing : 0, q_x);
        fwrite(q_x, sizeof q_x, 1, stdout);
    }
    return model_readings_self_test(&readings);
}
"""
#: 65534 values over 2^30 units: a value is the reading, less its last 14 bits.
PLAIN = RawChannel(name="x", frac_bits=0, center=0, reach=32768 << 14, multiplier=1 << 31, shift=13)


@st.composite
def preparations(draw):
    channels = [
        dataclasses.replace(
            PLAIN,
            center=draw(st.integers(-(2**29), 2**29)),
            multiplier=draw(st.integers(2**31, 2**32 - 1)),
            shift=draw(st.integers(12, 15)),
        )
        for _ in range(draw(st.integers(1, 2)))
    ]
    features = []
    for _ in range(draw(st.integers(1, 4))):
        ends = sorted(draw(st.tuples(*[st.integers(-32768, 32767)] * 2)))
        if draw(st.booleans()):
            ends = [-32768, 32767]
        features.append(
            DeviceFeature(
                channel=draw(st.integers(0, len(channels) - 1)),
                kind=draw(st.sampled_from(FeatureKind)),
                readings=draw(st.sampled_from([1, 2, 3, 4, 5, 7, 8, 33])),
                least=ends[0],
                greatest=ends[1],
                fraction=draw(st.integers(0, 14)),
                multiplier=draw(st.integers(-4095, 4095)),
                bias=draw(st.integers(-(2**28) + 1, 2**28 - 1)),
                shift=draw(st.integers(1, 28)),
                low=-8191,
                high=8191,
            )
        )
    return DevicePreparation(channels=tuple(channels), features=tuple(features), step=4)


@settings(max_examples=60, deadline=None)
@given(preparations(), st.integers(0, 2**32), st.sampled_from([0, 1, 40, 10**9]))
def test_the_reference_is_the_twin(of, seed, size):
    rng = np.random.default_rng(seed)
    rows = golden_readings(of, 40, seed)
    if size:  # values of a few units too, whose deviations are small
        rows = [
            [c.center + int(rng.integers(-size, size + 1)) * 16384 % 2**30 for c in of.channels]
            for _ in range(40)
        ]
        rows = [[x if rng.random() < 0.9 else None for x in row] for row in rows]
    stream = DeviceReadings(of)
    assert [stream.push(row) for row in rows] == twin.codes(of, rows)


@pytest.mark.parametrize("readings", [1, 2, 65, 1000, 4096])
@pytest.mark.parametrize("kind", FeatureKind)
def test_windows_of_every_length_are_those_of_the_twin(kind, readings):
    rng = np.random.default_rng(readings)
    for f in (0, 9, 14):
        own = DeviceFeature(
            channel=0, kind=kind, readings=readings, fraction=f, multiplier=1, bias=0, shift=1,
            low=0, high=0,
        )  # fmt: skip
        length = readings + kind.looks_back
        for size in (1, 300, 32767):
            for v in (rng.choice([-size, size], length), rng.integers(-size, size + 1, length)):
                assert feature_value(own, deque(v.tolist())) == twin.feature(own, v.tolist())


@pytest.mark.parametrize("precision", Precision)
def test_every_code_of_the_c_is_the_reference_s(precision, tmp_path):
    model = preparing_model(precision)
    of = device_preparation(PREPARATION, model.input, precision)
    rows = golden_readings(of, 300, seed=1)
    xs = np.array(
        [[[0 if x is None else x for x in r], [int(x is None) for x in r]] for r in rows], "<i4"
    )
    front = readings_front(model, PREPARATION, "model")
    written = run_layer(model, front, MAIN, tmp_path, xs.tobytes())
    stream = DeviceReadings(of)
    wanted = np.array([stream.push(row) for row in rows])
    got = np.frombuffer(written, model.code_dtype).reshape(wanted.shape)
    np.testing.assert_array_equal(got, wanted)
    assert (np.ptp(wanted, axis=0) > 20).all()


@pytest.mark.parametrize("precision", Precision)
def test_codes_are_close_to_those_of_floating_point(precision):
    model = preparing_model(precision)
    of = device_preparation(PREPARATION, model.input, precision)
    raw = weather(400, seed=6)
    exact = prepared(PREPARATION, raw)
    step, low, high = (4, -8191, 8191) if precision is Precision.W8A16 else (1, -128, 127)
    quotient = (exact - model.input.offset) / (step * model.input.scale)
    stream = DeviceReadings(of)
    rows = [
        stream.push([round(x * 2.0**c.frac_bits) for x, c in zip(row, of.channels, strict=True)])
        for row in raw.tolist()
    ]
    errors = np.abs(np.array(rows) / step - np.clip(quotient, low, high))
    per_value = np.array([abs(f.multiplier) / 2.0**f.shift for f in of.features])
    # NUMERICS.md 12: half a code, and what one value of a raw channel is worth (12.4).
    room = dict.fromkeys(FeatureKind, 0.6)
    room |= {FeatureKind.MEAN: 1.1, FeatureKind.DIFFERENCE: 1.1}
    for index, feature in enumerate(of.features):
        values = room[feature.kind]
        if feature.kind is FeatureKind.DEVIATION:
            values = 2.0 * 2**feature.fraction
        largest = 65535 if feature.kind is FeatureKind.DIFFERENCE else 32767
        bound = 0.5 + values * per_value[index] + (largest + 1) / 2.0 ** (feature.shift + 1)
        assert errors[:, index].max() <= bound, (feature, bound, errors[:, index].max())
        assert bound < (1.2 if precision is Precision.W8A8 else 30)


def test_a_missing_reading_is_the_one_before():
    of = device_preparation(PREPARATION, preparing_model(Precision.W8A8).input, Precision.W8A8)
    rows = golden_readings(of, 60)
    held, last = [], [c.center for c in of.channels]
    for row in rows:
        last = [x if x is not None else before for x, before in zip(row, last, strict=True)]
        held.append(last)
    one, other = DeviceReadings(of), DeviceReadings(of)
    assert [one.push(row) for row in rows] == [other.push(row) for row in held]


def test_all_that_a_device_cannot_do_is_told_at_once():
    steps = [
        {"kind": "resample", "period_s": 60.0, "method": "linear"},
        {"kind": "log", "channels": ["b"]},
        {"kind": "window", "channel": "a", "readings": 5},
        {"kind": "difference", "channel": "a_mean_5"},
        {"kind": "gain", "channels": ["a"], "gain": 0.0},
    ]
    of = Preparation.from_table({"inputs": ["a", "b"], "steps": steps})
    model = preparing_model(Precision.W8A8)
    with pytest.raises(UnsupportedModelError) as caught:
        device_preparation(of, model.input, Precision.W8A8)
    assert len(caught.value.reasons) == 4
    text = str(caught.value)
    for expected in (
        'step 1 ("resample"): expected method = "mean" or "last"',
        'step 2 ("log"): expected a step that a device can compute',
        'step 4 ("difference"): expected a raw channel "a" or "b"',
        'step 5 ("gain"): expected a gain other than 0',
    ):
        assert expected in text


def test_the_range_of_a_channel_must_be_known():
    table = {
        "inputs": ["a"],
        "outputs": ["a_difference_2"],
        "steps": [{"kind": "difference", "channel": "a", "readings": 2}],
    }
    raw = weather(100)[:, :1]
    model = preparing_model(Precision.W8A8, Preparation.from_table(table), raw)
    with pytest.raises(UnsupportedModelError, match=r"expected the range of 'a'.*kind = \"clip\""):
        device_preparation(Preparation.from_table(table), model.input, Precision.W8A8)
    clip = {"kind": "clip", "channels": ["a"], "low": 0.0, "high": 200.0}
    cured = Preparation.from_table({**table, "steps": [clip, *table["steps"]]})
    assert len(device_preparation(cured, model.input, Precision.W8A8).features) == 1
