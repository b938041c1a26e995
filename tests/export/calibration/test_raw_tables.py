"""Raw recordings prepared for training, and models quantized with them."""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import pytest

from edgernn.decide.decisions import Decisions
from edgernn.decide.drift import DriftAlarm, ReferenceValues
from edgernn.decide.threshold import Threshold
from edgernn.errors import CalibrationError, ClippedReadingsWarning, DeclarationError, EdgeRnnError
from edgernn.model.integer_model import IntegerModel
from edgernn.prepare.preparation import Preparation
from edgernn.prepare.resampling import Resampling
from edgernn.prepare.units import Clipping
from edgernn.prepare.windows import WindowFeatures
from edgernn.records.opening import TableOptions
from edgernn_export import prepare, quantize
from edgernn_export.calibration.raw_tables import prepare_groups
from edgernn_export.cli.surroundings import Surroundings, add_surroundings_arguments
from tests.support.models.float import float_model

RAW = Preparation(
    inputs=("t", "rh"),
    outputs=("t", "t_mean_6", "rh"),
    steps=(Resampling(period_s=60.0, reset_after=4), WindowFeatures(channel="t", readings=6)),
)
RNG = np.random.default_rng(0)
TIMES = 1_700_000_000.0 + np.cumsum(RNG.exponential(30.0, 600)) + np.arange(600) // 200 * 3600.0
TABLE = RNG.normal(size=(600, 2)).cumsum(axis=0)


def iso(time_s):
    return str(np.datetime64(round(time_s * 1000), "ms"))


def test_arrays_frames_and_files_give_the_same(tmp_path):
    pandas = pytest.importorskip("pandas")
    times = np.round(TIMES, 3)
    at, x = RAW.apply(times, TABLE)
    found = prepare(RAW, TABLE, times)
    assert found.times_s.tobytes() == at.tobytes()
    assert found.x.tobytes() == x.tobytes()
    assert found.names == ("t", "t_mean_6", "rh")
    frame = pandas.DataFrame({"rh": TABLE[:, 1], "when": times, "t": TABLE[:, 0]})
    assert prepare(RAW, frame, time_column="when").x.tobytes() == x.tobytes()
    lines = [
        f"{iso(t)},{b!r},{a!r}" for t, (a, b) in zip(times.tolist(), TABLE.tolist(), strict=True)
    ]
    path = tmp_path / "raw.csv"
    path.write_text("\n".join(["when,rh,t", *lines]))
    read = prepare(RAW, path, time_column="when")
    assert read.x.tobytes() == x.tobytes()
    assert np.allclose(read.times_s, at, rtol=0, atol=1e-3)


def test_lines_of_several_streams_are_prepared_each_on_its_own(tmp_path):
    times, lines, own = np.round(TIMES[:200], 3).tolist(), [], {"a": [], "7": []}
    for row, t in enumerate(times):
        for key, shift in (("a", 0), ("7", 200)):
            values = TABLE[row + shift].tolist()
            own[key].append((t, values))
            lines.append(f"{key},{iso(t)},{values[0]!r},{values[1]!r}")
    path = tmp_path / "raw.csv"
    path.write_text("\n".join(["device,when,t,rh", *lines]))
    found = prepare_groups(RAW, path, "device", time_column="when")
    assert len(found) == 2
    for one, rows in zip(found, own.values(), strict=True):
        x = RAW.apply(np.array([t for t, _ in rows]), np.array([x for _, x in rows]))[1]
        assert one.x.tobytes() == x.tobytes() and len(x)
        assert one.counts["late"] == one.counts["repeated"] == 0
    with pytest.raises(EdgeRnnError, match="devices"):
        prepare_groups(RAW, path, "devices", time_column="when")


def test_streams_of_a_table_calibrate_one_by_one(tmp_path):
    path = tmp_path / "raw.csv"
    rows = [f"{key},{t},{t % 7},1" for t in range(0, 60_000, 60) for key in "ab"]
    path.write_text("\n".join(["device,when,t,rh", *rows]))
    (tmp_path / "p.toml").write_text(
        'inputs = ["t", "rh"]\n[[steps]]\nkind = "resample"\nperiod_s = 60\nreset_after = 4\n'
    )
    parser = argparse.ArgumentParser()
    add_surroundings_arguments(parser)
    common = ["--preparation", str(tmp_path / "p.toml"), "--time-column", "when"]
    loaders = [
        Surroundings.given(parser.parse_args(common + more)).loader(
            ("t", "rh"), TableOptions(), "hold", ()
        )
        for more in ([], ["--group", "device"])
    ]
    with pytest.raises(EdgeRnnError, match="expected the readings of one sensor"):
        loaders[0](path)
    assert [len(stream) >= 999 for stream in loaders[1](path)] == [True, True]


@pytest.mark.parametrize("policy", ["hold", "skip"])
def test_streams_of_a_prepared_table(policy, tmp_path):
    """Lines of several streams may alternate; what is held is a value of the same stream."""
    path = tmp_path / "prepared.csv"
    path.write_text("who,t,rh\na,1,2\nb,3,4\na,,6\nb,7,\na,9,10\nc,,\n")
    parser = argparse.ArgumentParser()
    add_surroundings_arguments(parser)
    surroundings = Surroundings.given(parser.parse_args(["--group", "who"]))
    load = surroundings.loader(("t", "rh"), TableOptions(), policy, ())
    hold = policy == "hold"
    a = [[1, 2], *[[1, 6]] * hold, [9, 10]]
    b = [[3, 4], *[[7, 4]] * hold]
    assert [stream.tolist() for stream in load(path)] == [a, b]
    np.save(tmp_path / "x.npy", np.ones((5, 2)))
    with pytest.raises(EdgeRnnError, match="--group: expected a table with a column 'who'"):
        load(tmp_path / "x.npy")


def test_streams_begin_where_the_recording_has_a_gap():
    found = prepare(RAW, TABLE, TIMES)
    assert found.counts["resets"] == 2
    assert len(found.streams) == 3
    assert np.array_equal(np.concatenate(found.streams), found.x)
    for begin in found.begins[1:]:
        assert found.times_s[begin] - found.times_s[begin - 1] >= 3600
        assert found.x[begin, 0] == found.x[begin, 1]  # the window begins anew


def test_targets_are_those_known_at_the_time():
    found = prepare(RAW, TABLE, TIMES)
    targets = found.values_at(TIMES + 100.0, np.arange(600.0))
    for time_s, target in zip(found.times_s, targets, strict=True):
        past = np.flatnonzero(time_s >= TIMES + 100.0)
        assert target == past[-1] if past.size else np.isnan(target)


def test_a_model_records_what_its_readings_went_through(tmp_path):
    network = replace(float_model("gru_after"), input_names=("t", "t_mean_6", "rh"))
    found = prepare(RAW, TABLE, TIMES)
    decisions = Decisions(
        decisions=(Threshold(name="alarm", of="y0", on=0.5), DriftAlarm(name="drift"))
    )
    options = {"on_missing": "hold", "progress": False, "stream": "endless"}
    plain = quantize(network, found.streams, **options)
    model = quantize(network, found.streams, preparation=RAW, decisions=decisions, **options)
    assert model.preparation == RAW
    assert model.decisions.outputs == ("y0", "y1")
    seen = np.concatenate(found.streams)
    wanted = tuple(ReferenceValues.of(n, seen[:, i]) for i, n in enumerate(network.input_names))
    assert model.decisions.decisions[1].references == wanted
    assert replace(model, preparation=None, decisions=None) == plain
    loaded = IntegerModel.load(model.save(tmp_path / "m.edgernn"))
    assert loaded == model
    assert prepare(loaded, TABLE, TIMES).x.tobytes() == found.x.tobytes()
    unnamed = quantize(float_model("gru_after"), found.streams, preparation=RAW, **options)
    assert unnamed.input.names == RAW.channels


def test_what_does_not_fit_a_network_is_refused():
    network = float_model("gru_after")
    decisions = Decisions(softmax=True, decisions=(Threshold(name="alarm", of="z", on=0.5),))
    with pytest.raises(DeclarationError) as caught:
        quantize(
            network, np.zeros((20, 3)), input_names=("a", "b", "c"), preparation=RAW,
            decisions=decisions,
        )  # fmt: skip
    said = str(caught.value)
    assert "preparation.outputs: expected the inputs [a, b, c] of the network" in said
    assert "of: expected" in said
    assert "decisions.softmax: expected a network that ends in a softmax" in said
    with pytest.raises(CalibrationError, match="expected a model that records a preparation"):
        prepare(quantize(network, np.random.default_rng(1).normal(size=(300, 3))), TABLE)


def test_clipping_is_told_once_with_its_number():
    limited = Preparation(inputs=("a",), steps=(Clipping(channels=("a",), low=0.0, high=1.0),))
    with pytest.warns(ClippedReadingsWarning, match="got 2 beyond them") as told:
        prepare(limited, [[0.5], [2.0], [-1.0]])
    assert len(told) == 1
