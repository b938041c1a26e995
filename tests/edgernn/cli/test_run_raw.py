"""`edgernn run` and `edgernn info` with models that record a preparation or decisions."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from edgernn.decide.decisions import Decisions
from edgernn.decide.threshold import Threshold
from edgernn.prepare.calendar_features import CalendarFeatures
from edgernn.prepare.preparation import Preparation
from edgernn.prepare.resampling import Resampling
from edgernn.prepare.times import TimeReader
from edgernn.prepare.units import GainOffset
from edgernn.prepare.windows import Difference
from tests.support.models.integer import random_model
from tests.support.run_command import RunCommand

pytestmark = [
    pytest.mark.device,
    pytest.mark.filterwarnings("ignore::edgernn.ClippedReadingsWarning"),
]

RAW = Preparation(
    inputs=("t", "rh"),
    outputs=("t", "rh", "t_difference_1"),
    steps=(
        GainOffset(channels=("t",), gain=0.1, offset=-1.0),
        Resampling(period_s=60.0, reset_after=5),
        Difference(channel="t"),
    ),
)
ROWS = [
    (f"2024-10-27 0{2 + m // 60 if m < 60 else 2}:{m % 60:02d}:{s:02d}", t, rh)
    for m, s, t, rh in [
        (30, 0, 11.5, 0.3), (30, 20, 12.5, 0.1), (31, 0, 13.0, 0.2), (33, 30, 9.0, -0.4),
        (34, 0, 8.0, 0.5), (34, 0, 8.0, 0.5), (59, 0, 1.0, 0.1), (59, 50, 2.0, 0.4),
    ]
]  # fmt: skip
TEXT = "".join(["when,rh,t\n", *(f"{at},{rh},{t}\n" for at, t, rh in ROWS)])


def base(preparation=RAW, decisions=True):
    model = random_model("gru_after")
    names = ("t", "rh", "t_difference_1")
    model = dataclasses.replace(model, input=dataclasses.replace(model.input, names=names))
    made = Decisions(decisions=(Threshold(name="alarm", of=model.output.names[0], on=0.0),))
    return dataclasses.replace(
        model,
        preparation=preparation,
        decisions=made.bound(names, model.output.names) if decisions else None,
    )


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    def made(model):
        return RunCommand(model.save(tmp_path / "m.edgernn"), tmp_path, monkeypatch, capsys)

    return made


def wanted(model):
    """Times, what is decided and outputs by the parts themselves."""
    reader = TimeReader("Europe/Berlin")
    times = [reader.seconds(at) for at, _, _ in ROWS]
    stream, decisions = RAW.stream(), model.decisions.stream()
    found = []
    with edgernn.load(model) as session:
        for time_s, (_, t, rh) in zip(times, ROWS, strict=True):
            for one in stream.push(time_s, [t, rh]):
                if one.reset:
                    session.reset()
                    decisions.reset()
                y = session.step(one.x).tolist()
                found.append((one.time_s, decisions.push(one.time_s, one.x, y)["alarm"], y))
    return found


def test_raw_lines_are_prepared_and_decided(command):
    model = base()
    run = command(model)
    arguments = ("--time-column", "when", "--time-zone", "Europe/Berlin")
    code, out, err = run(TEXT, *arguments, "--output-format", "jsonl")
    assert code == 0, err
    lines = [json.loads(line) for line in out]
    found = wanted(model)
    assert len(lines) == len(found) == 6
    for line, (time_s, alarm, y) in zip(lines, found, strict=True):
        at = TimeReader().seconds(line.pop("time"))
        assert at == time_s
        assert line.pop("alarm") is alarm
        steps = model.output.scale
        assert np.all(np.abs(np.array(list(line.values())) - y) < steps)
    assert "2024-10-27T00:30:00Z" in "".join(out)
    assert "8 readings" in err
    code, out, _ = run(TEXT, *arguments)
    header, first, *_ = out
    assert header == f"time,alarm,{','.join(model.output.names)}"
    assert first.startswith("2024-10-27T00:30:00Z,")


def test_lines_that_are_prepared_already(command):
    run = command(base())
    code, out, _ = run("t,rh,t_difference_1\n0.1,0.2,0.3\n", "--prepared")
    assert code == 0
    assert out[0] == "y0,y1"


def test_what_does_not_fit_is_refused(command):
    for model, arguments, match in (
        (base(), (), "--time-column: expected the column with the times"),
        (base(), ("--time-column", "when", "--codes"), "expected none of them with a model"),
        (base(None, False), ("--time-column", "when"), "expected a model that records"),
        (base(), ("--time-column", "when", "--prepared"), "expected a model that records"),
        (base(), ("--time-column", "where"), "where"),
    ):
        code, _, err = command(model)(TEXT, *arguments)
        assert code == 2
        assert match in err


def test_bad_lines_and_times_are_named(command):
    run = command(base())
    code, _, err = run("when,rh,t\nnoon,1,2\n", "--time-column", "when")
    assert code == 2
    assert "line 2: time: expected seconds since 1970 or ISO 8601, got 'noon'" in err
    code, out, err = run(
        "when,rh,t\n60,1,2\n120,1\n180,,\n240,1,2\n", "--time-column", "when",
        "--on-bad-reading", "hold",
    )  # fmt: skip
    assert code == 0
    assert len(out) == 5
    assert "4 readings, 2 bad (hold)" in err


def test_decisions_alone_take_readings_as_they_are(command):
    run = command(base(None))
    code, out, _ = run("t,rh,t_difference_1\n0.1,0.2,0.3\n")
    assert code == 0
    assert out[0] == "alarm,y0,y1"


def test_info_shows_both(tmp_path, capsys):
    steps = (*RAW.steps, CalendarFeatures())
    model = base(dataclasses.replace(RAW, steps=steps))
    path = model.save(tmp_path / "m.edgernn")
    assert main(["info", str(path)]) == 0
    out = capsys.readouterr().out
    assert "raw channels  t, rh" in out
    assert "resample  period_s 60, reset_after 5" in out
    assert "alarm: threshold  of y0, on 0" in out
    assert main(["info", str(path), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert Preparation.from_table(record["preparation"]) == model.preparation
    assert Decisions.from_table(record["decisions"]) == model.decisions
