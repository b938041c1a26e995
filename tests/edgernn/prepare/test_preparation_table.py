"""Preparations from tables and JSON: round trips, and every problem at once."""

from __future__ import annotations

import pickle
import tomllib

import pytest

from edgernn.declared import json_table
from edgernn.errors import DeclarationError
from edgernn.prepare.preparation import STEPS, Preparation
from edgernn.prepare.resampling import Resampling

pytestmark = pytest.mark.device

TEXT = """
inputs = ["t", "rh"]
outputs = ["rh", "t_mean_12", "hour_sin"]
set_back_s = 3600
[[steps]]
kind = "resample"
period_s = 300
[[steps]]
kind = "window"
channel = "t"
readings = 12
features = ["mean", "max"]
[[steps]]
kind = "calendar"
zone = "Europe/Berlin"
"""
MADE = Preparation.from_table(tomllib.loads(TEXT))


def test_json_gives_the_same_preparation_and_the_same_text():
    text = MADE.to_json()
    assert Preparation.from_json(text) == MADE
    assert Preparation.from_json(text).to_json() == text
    assert '"method"' not in text  # defaults are not written, so later ones change no file
    assert pickle.loads(pickle.dumps(MADE)).sha256 == MADE.sha256
    assert MADE.channels == ("rh", "t_mean_12", "hour_sin")
    assert MADE.period_s == 300.0


def test_every_kind_of_step_is_read_and_written():
    least = {
        "resample": {"period_s": 1},
        "convert": {"channels": ["a"], "source": "K", "target": "degC"},
        "gain": {"channels": ["a"]},
        "clip": {"channels": ["a"], "low": 0, "high": 1},
        "log": {"channels": ["a"]},
        "window": {"channel": "a", "readings": 3},
        "difference": {"channel": "a"},
        "lag": {"channel": "a"},
        "calendar": {},
        "elapsed": {},
    }
    assert set(least) == set(STEPS)
    tables = [{"kind": kind, **fields} for kind, fields in least.items()]
    preparation = Preparation.from_table({"inputs": ["a"], "steps": tables})
    assert Preparation.from_json(preparation.to_json()) == preparation
    assert preparation.timed


def test_all_problems_come_at_once():
    table = {
        "inputs": ["t"],
        "steps": [
            {"kind": "resmple", "period_s": 60},
            {"kind": "clip", "channels": ["t"], "low": 3, "high": 1},
            {"kind": "window", "channel": "t", "reading": 5},
            {"kind": "calendar", "zone": "Mars/Olympus"},
            {"kind": "gain", "channels": "t"},
            {"kind": "log", "channels": ["t"], "floor": -1},
            {"kind": "convert", "channels": ["t"], "source": "degF", "target": "Pa"},
            7,
        ],
    }
    with pytest.raises(DeclarationError) as caught:
        Preparation.from_table(table, "prep.toml")
    reasons = caught.value.reasons
    wanted = (
        'step 1: expected kind = "resample"',
        "step 2: clip.high: expected more than low (3), got 1.",
        "step 3: expected channel, readings, features, names, got 'reading'. Did you mean",
        "step 3: expected readings (length of the window), got none",
        "step 4: calendar.zone: expected a time zone, got 'Mars/Olympus'.",
        "step 5: gain.channels: expected a list, got 't'.",
        "step 6: log.floor: expected at least 1e-300, got -1.",
        "step 7: convert.target: expected a unit of the quantity of degF, got Pa.",
        "step 8: expected kind",
    )
    assert len(reasons) == len(wanted)
    for reason, part in zip(reasons, wanted, strict=True):
        assert part in reason
        assert reason.startswith("prep.toml, step")
        assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("table", "match"),
    [
        ({}, r"expected inputs \(names of the raw channels\), got none"),
        ({"inputs": []}, "inputs: expected distinct names"),
        ({"inputs": ["a", "a"]}, "inputs: expected distinct names"),
        ({"inputs": ["a"], "outputs": ["b"]}, 'outputs: expected "a", got .b.'),
        ({"inputs": ["a"], "outputs": ["a", "a"]}, "outputs: expected distinct names"),
        ({"inputs": ["a"], "repeated": "keeps"}, 'got .keeps.. Did you mean "keep"'),
        ({"inputs": ["a"], "output": ["a"]}, "got 'output'. Did you mean"),
        ({"inputs": ["a"], "steps": 3}, "expected steps as an array of tables"),
        (
            {"inputs": ["a"], "steps": [{"kind": "resample", "period_s": 1}] * 2},
            'at most one of kind "resample"',
        ),
        (
            {"inputs": ["a"], "steps": [{"kind": "lag", "channel": "b"}]},
            r'steps 1 \("lag"\): expected a channel "a", got .b.',
        ),
        (
            {"inputs": ["a"], "steps": [{"kind": "lag", "channel": "a"}] * 2},
            r"steps 2 \(\"lag\"\): expected a new channel name, got .a_lag_1., which is taken",
        ),
        ({"inputs": ["a"], "set_back_s": True}, "set_back_s: expected a number, got True"),
        ({"inputs": ["a"], "set_back_s": 10**400}, "set_back_s: expected 0 to 1e.11, got"),
        ([], "expected a table, got"),
        (None, "expected a table, got None"),
    ],
)
def test_what_a_table_must_not_be(table, match):
    with pytest.raises(DeclarationError, match=match):
        Preparation.from_table(table)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "nul", '{"inputs": ["a"], "steps": NaN}'])
def test_what_is_no_json(text):
    with pytest.raises(DeclarationError, match=r"preparation: expected|expected steps"):
        Preparation.from_json(text)


def test_numbers_that_are_none_are_refused():
    for value in (float("nan"), float("inf"), "60", 0.0):
        with pytest.raises(DeclarationError, match=r"resample\.period_s: expected"):
            Resampling(period_s=value)
    assert json_table('{"a": 1}', "x") == {"a": 1}
