"""The model inside the package runs on numpy alone and gives the codes written down for it."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

import edgernn
from edgernn.cli import main

pytestmark = pytest.mark.device

DATA = Path(edgernn.__file__).parent / "data"
GOLDEN = json.loads(
    (Path(__file__).parents[2] / "golden" / "packaged_demo.json").read_text(encoding="utf-8")
)


def packaged_rows():
    with (DATA / "demo_readings.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def packaged_readings():
    return np.array([[float(row["co2_change"])] for row in packaged_rows()])


@pytest.fixture
def session():
    with edgernn.load(DATA / "demo.edgernn") as opened:
        yield opened


def test_golden_file_belongs_to_the_packaged_model(session):
    assert session.interface.model_sha256 == GOLDEN["model_sha256"]


def test_readings_become_the_golden_codes(session):
    q_xs = session.interface.quantize(packaged_readings())
    assert q_xs.ravel().tolist() == GOLDEN["q_xs"]


def test_codes_and_final_state_are_golden(session):
    q_ys = session.run_codes(np.array(GOLDEN["q_xs"])[:, None])
    assert q_ys.ravel().tolist() == GOLDEN["q_ys"]
    (state,) = session.state.values()
    assert state.tolist() == GOLDEN["final_state"]


def test_step_by_step_forecasts_are_the_golden_codes_in_ppm(session):
    scale = float(session.interface.output.scale[0])
    for x, q_y in zip(packaged_readings(), GOLDEN["q_ys"], strict=True):
        assert session.step(x).tolist() == [q_y * scale]


def test_forecasts_beat_both_naive_rules_on_the_packaged_readings(session):
    horizon, year = 13, 52
    level = np.array([float(row["co2_level"]) for row in packaged_rows()])
    forecast = session.run(packaged_readings())[:, 0]
    # The stream starts from zero here: the first year brings the state up to date.
    at = np.arange(year, len(level) - horizon)
    ahead = level[at + horizon] - level[at]
    year_ago = level[at - year + horizon] - level[at - year]

    def rmse(change):
        return np.sqrt(np.mean((change - ahead) ** 2))

    assert rmse(forecast[at]) < 0.9 * rmse(year_ago) < rmse(np.zeros(len(at)))


def test_sample_is_consistent():
    rows = packaged_rows()
    level = np.array([float(row["co2_level"]) for row in rows])
    assert np.allclose(np.diff(level), packaged_readings()[1:, 0], atol=0.051)
    weeks = np.array([row["week"] for row in rows], dtype="datetime64[D]")
    assert set(np.diff(weeks).astype(int).tolist()) == {7}


def test_channels_have_names_and_units(session):
    source, sink = session.interface.input, session.interface.output
    assert (source.names, source.units) == (("co2_change",), ("ppm",))
    assert (sink.names, sink.units) == (("co2_change_in_13_weeks",), ("ppm",))


def test_the_command_streams_the_packaged_model(session, capsys):
    assert main(["run", "--model", "demo", "--input", str(DATA / "demo_readings.csv")]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[0] == ["co2_change_in_13_weeks"]
    scale = float(session.interface.output.scale[0])
    # The digits are few and tell every code.
    assert [round(float(row[0]) / scale) for row in rows[1:]] == GOLDEN["q_ys"]
    assert max(len(row[0]) for row in rows[1:]) <= len("-99.9999")
