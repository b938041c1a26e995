"""Preparation and decisions inside a service: streams go on through them after a restart."""

from __future__ import annotations

import dataclasses
import json
import math
import random
import warnings

import numpy as np
import pytest

import edgernn
from edgernn.connections.arrival import Arrival
from edgernn.decide.decisions import Decisions
from edgernn.errors import ClippedReadingsWarning
from edgernn.prepare.audio.log_mel import LogMel
from edgernn.prepare.preparation import Preparation
from edgernn.service.pipeline import Pipeline
from tests.support.models.integer import random_model
from tests.support.prepared_streams import TABLES, raw
from tests.support.services import DEMO, ListSink, ListSource, configured, over

pytestmark = [
    pytest.mark.device,
    pytest.mark.filterwarnings("ignore::edgernn.errors.ClippedReadingsWarning"),
]


def wanted(preparation, decisions, arrivals):
    """One preparation, session and decision stream per device, by hand."""
    rows = []
    with edgernn.load(DEMO, on_bad_reading="hold") as first:
        streams = {}
        for arrival in arrivals:
            if arrival.key not in streams:
                decided = decisions.bound(("co2_change",), ("co2_change_in_13_weeks",))
                streams[arrival.key] = [
                    preparation.stream(), first.new_stream(), decided.stream(), 0
                ]  # fmt: skip
            parts = streams[arrival.key]
            for prepared in parts[0].push(arrival.time_s, arrival.values):
                if prepared.reset:
                    parts[1].reset()
                    parts[2].reset()
                y = parts[1].step(prepared.x).tolist()
                parts[3] += 1
                found = parts[2].push(prepared.time_s, prepared.x, y)
                rows.append((arrival.key, parts[3], prepared.time_s, y, found))
    return rows


@pytest.mark.parametrize("seed", range(3))
def test_restarts_between_any_two_batches_change_nothing(tmp_path, seed):
    rng = random.Random(seed)
    arrivals = list(raw(rng, 400))
    config = configured(tmp_path, f'{TABLES}\n[store]\npath = "{tmp_path}/s.db"\n')
    config.file.write_text("")  # not read again
    preparation = Preparation.from_table(dict(config.preparation))
    decisions = Decisions.from_table({"decisions": [dict(t) for t in config.decisions]})
    found, ends = [], sorted(rng.sample(range(1, 400), 5))
    for end in [*ends, 400]:
        sink = ListSink()
        over(config, ListSource(arrivals[:end], size=rng.randint(1, 40)), sink).run()
        found += [(r.key, r.sequence, r.time_s, r.y, r.decisions) for r in sink.kept]
    expected = wanted(preparation, decisions, arrivals)
    assert len(found) == len(expected) > 150
    assert sum(row[4]["high"] for row in found) > 5
    for one, other in zip(found, expected, strict=True):
        assert one[:3] == other[:3]
        assert one[4] == other[4]
        np.testing.assert_array_equal(one[3], other[3])


def test_blocks_of_sound_of_any_length_reach_the_preparation():
    mel = LogMel(rate_hz=8000, frame=200, hop=80, bands=4)
    preparation = Preparation(inputs=("microphone",), audio=mel)
    model = random_model("gru_after", inputs=4, outputs=1)
    model = dataclasses.replace(
        model, input=dataclasses.replace(model.input, names=preparation.channels)
    )
    sound = np.random.default_rng(3).integers(-3000, 3000, 2000).astype(float)
    blocks = np.split(sound, [160, 161, 480, 480, 1500])
    arrivals = [Arrival("mic", b.tolist(), 10.0 + i) for i, b in enumerate(blocks) if len(b)]
    pipeline = Pipeline(model, preparation=preparation)
    found = [result for arrival in arrivals for result in pipeline.process([arrival])]
    pipeline.close()
    stream = preparation.stream()
    with edgernn.load(model) as session:
        rows = [row for a in arrivals for row in stream.push(a.time_s, a.values)]
        expected = [session.step(row.x) for row in rows]
    assert len(found) == len(expected) > 15
    np.testing.assert_array_equal([result.y for result in found], expected)
    assert [result.time_s for result in found] == [row.time_s for row in rows]


def test_a_preparation_for_other_channels_is_refused(tmp_path):
    preparation = Preparation.from_table({"inputs": ["a"], "outputs": ["a"]})
    with pytest.raises(edgernn.errors.DeclarationError, match="expected the channels co2_change"):
        Pipeline(DEMO, preparation=preparation)


def test_a_reading_with_an_impossible_time_is_told_and_left_out(tmp_path):
    table = {
        "inputs": ["x0"],
        "outputs": ["x0"],
        "steps": [{"kind": "resample", "period_s": 1.0}],
    }
    model = random_model("lstm", inputs=1, outputs=1)
    table["outputs"] = table["inputs"] = list(model.input.names)
    pipeline = Pipeline(model, preparation=Preparation.from_table(table))
    told = []
    pipeline.tell(lambda key, text: told.append((key, text)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClippedReadingsWarning)
        pipeline.process([Arrival("a", [0.5], math.nan), Arrival("a", [0.5], 1e300)])
        results = pipeline.process([Arrival("a", [0.5], float(t)) for t in range(5)])
    assert [key for key, _ in told] == ["a", "a"]
    assert pipeline.counts["unreadable"] == 2
    assert len(results) >= 4
    assert json.dumps(results[0].y)
    pipeline.close()
