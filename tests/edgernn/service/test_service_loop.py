"""The loop: every reading once through model, sinks and store, whatever fails."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import shutil
import sqlite3
import time

import numpy as np
import pytest

import edgernn
from edgernn.connections.arrival import Arrival
from edgernn.errors import ConfigError, StoreError
from edgernn.model.integer_model import IntegerModel
from edgernn.service.assembly import assemble
from edgernn.service.config.settings import DeliverySettings
from edgernn.service.delivery import Delivery
from edgernn.store.state_store import StateStore
from tests.support.models.integer import random_model
from tests.support.results import opened
from tests.support.services import (
    DEMO,
    ListSink,
    ListSource,
    configured,
    demo_arrivals,
    eventually,
    in_thread,
    over,
)

pytestmark = [
    pytest.mark.device,
    pytest.mark.filterwarnings("ignore::edgernn.errors.ClippedReadingsWarning"),
]


def wanted(arrivals, model=DEMO):
    """Key, number and output of every reading, from one session per stream."""
    with edgernn.load(model, on_bad_reading="hold") as first:
        sessions = {}
        rows = []
        for arrival in arrivals:
            session = sessions.setdefault(arrival.key, first.new_stream())
            rows.append((arrival.key, arrival.sequence, *session.step(arrival.values)))
    return rows


class Clock:
    """The module time, on a day after 1970."""

    sleep, monotonic = staticmethod(time.sleep), staticmethod(time.monotonic)

    def __init__(self, day):
        self._day = day

    def time(self):
        return self._day * 86_400.0


def kept(sink):
    return [(result.key, result.sequence, *result.y) for result in sink.kept]


def equal(found, rows):
    assert [row[:2] for row in found] == [row[:2] for row in rows]
    np.testing.assert_array_equal([row[2:] for row in found], [row[2:] for row in rows])


def test_every_reading_is_answered_saved_and_acknowledged(tmp_path):
    arrivals = demo_arrivals(200)
    config = configured(tmp_path, f'[store]\npath = "{tmp_path}/s.db"\ncommit_readings = 30\n')
    source, sink = ListSource(arrivals), ListSink()
    over(config, source, sink).run()
    equal(kept(sink), wanted(arrivals))
    assert source.acknowledged == [*range(7, 200, 7), 200]
    sha = IntegerModel.load(DEMO).sha256
    with StateStore(tmp_path / "s.db", sha) as store:
        assert store.positions() == {"list": 200}
        assert len(store) == 3


def test_a_restart_goes_on_where_the_last_run_ended(tmp_path):
    arrivals = demo_arrivals(150)
    config = configured(tmp_path, f'[store]\npath = "{tmp_path}/s.db"\n')
    found = []
    for end in (40, 41, 150):
        source, sink = ListSource(arrivals[:end]), ListSink()
        over(config, source, sink).run()
        found += kept(sink)
    assert source.opened == [41]
    equal(found, wanted(arrivals))


def test_more_streams_than_memory_and_no_store_begin_anew_and_with_a_store_go_on(tmp_path):
    arrivals = demo_arrivals(200, keys=9)
    text = f'[streams]\ncapacity = 4\n[store]\npath = "{tmp_path}/s.db"\n'
    sink = ListSink()
    over(configured(tmp_path, text), ListSource(arrivals), sink).run()
    equal(kept(sink), wanted(arrivals))


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_sqlite_stores_readings_without_times_once_if_they_are_read_again(tmp_path, workers):
    arrivals = demo_arrivals(60)
    for end in (40, 60):  # nothing is saved: the second run begins at the first reading
        sink = opened(kind="sqlite", path=str(tmp_path / "out.sqlite"))
        config = configured(tmp_path, f"[service]\nworkers = {workers}\n")
        over(config, ListSource(arrivals[:end]), sink).run()
    with contextlib.closing(sqlite3.connect(tmp_path / "out.sqlite")) as database:
        rows = database.execute("SELECT key, sequence FROM results").fetchall()
    assert sorted(rows) == sorted((one.key, one.sequence) for one in arrivals)


def test_streams_that_do_not_come_back_are_forgotten_where_the_clock_is_set(tmp_path, monkeypatch):
    text = f'[store]\npath = "{tmp_path}/s.db"\nkeep_days = 7\n'
    arrivals = demo_arrivals(90, keys=9)
    more = [Arrival("k1", [0.5], sequence=n) for n in range(100, 103)]
    sha, left = IntegerModel.load(DEMO).sha256, []
    for end, day in ((90, 21_000), (91, 0), (92, 21_007), (93, 21_008)):
        monkeypatch.setattr("edgernn.service.service.time", Clock(day))
        over(configured(tmp_path, text), ListSource((arrivals + more)[:end]), ListSink()).run()
        with StateStore(tmp_path / "s.db", sha) as store:
            left.append(len(store))
    assert left == [9, 9, 9, 1]


def test_alarms_of_streams_that_left_memory_are_not_kept(tmp_path):
    text = (
        f'[streams]\ncapacity = 4\n[store]\npath = "{tmp_path}/s.db"\n[[decision]]\n'
        'kind = "threshold"\nname = "high"\nof = "co2_change_in_13_weeks"\non = -1000.0\n'
    )
    service = over(configured(tmp_path, text), ListSource(demo_arrivals(200, keys=9)), ListSink())
    service.run()
    assert service.figures.counts["alarms"] >= 9
    assert service.figures.alarms_on == len(service.pipeline) == 4


@pytest.mark.parametrize("fails", [{1}, {2}, {3}, {2, 3, 4}, {5, 9}])
def test_a_sink_that_fails_gets_everything_in_the_end(tmp_path, monkeypatch, fails):
    monkeypatch.setattr("edgernn.service.delivery.Backoff.wait_s", lambda self: 0.0)
    arrivals = demo_arrivals(60)
    good, bad = ListSink(), ListSink(fails)
    config = configured(tmp_path, "[store]\ncommit_readings = 20\n", sinks=2)
    over(config, ListSource(arrivals), good, bad).run()
    equal(kept(good), wanted(arrivals))
    equal(list(dict.fromkeys(kept(bad))), wanted(arrivals))  # at least once, in order


def test_nothing_is_saved_while_a_sink_fails_at_the_stop(tmp_path):
    arrivals = demo_arrivals(30)
    config = configured(tmp_path, f'[store]\npath = "{tmp_path}/s.db"\n[service]\nstop_s = 0.05\n')
    source, sink = ListSource(arrivals, endless=True), ListSink()
    sink.broken = True
    service = over(config, source, sink)
    thread = in_thread(service)
    eventually(lambda: service.deliveries[0].failures)
    assert service.health()["failing_sinks_s"].keys() == {"list"}
    service.stop()
    thread.join(20)
    assert not thread.is_alive()
    assert source.acknowledged == []
    again, whole = ListSource(arrivals), ListSink()
    over(config, again, whole).run()
    assert again.opened == [None]
    equal(kept(whole), wanted(arrivals))


def test_streams_that_left_memory_and_could_not_be_saved_go_on(tmp_path, monkeypatch):
    """The store fails until the service has to stop; what it has read by then is answered."""
    arrivals = demo_arrivals(120, keys=9)
    text = (
        f'[streams]\ncapacity = 2\n[store]\npath = "{tmp_path}/s.db"\ncommit_readings = 20\n'
        "[service]\nstop_s = 0.05\nbatch_readings = 20\n"
    )
    source, sink = ListSource(arrivals, endless=True), ListSink()
    service = over(configured(tmp_path, text), source, sink)
    commit, failed = StateStore.commit, []

    def failing(store, *arguments, **named):
        if store.positions() and service.figures.steps < len(arrivals):
            failed.append(store)
            raise StoreError("store: expected room, got none.")
        commit(store, *arguments, **named)

    monkeypatch.setattr(StateStore, "commit", failing)
    thread = in_thread(service)
    eventually(lambda: failed and source.next == len(arrivals))
    service.stop()
    thread.join(20)
    assert failed
    equal(kept(sink), wanted(arrivals))


def test_a_sink_may_drop_what_it_does_not_take():
    clock = itertools.count(0.0, 1.0)
    sink = ListSink()
    sink.broken = True
    settings = DeliverySettings(on_failure="drop", retry_s=3.0)
    delivery = Delivery(sink, settings, None, lambda s: True, clock=lambda: next(clock))
    assert delivery.write(["a", "b"])
    assert (delivery.dropped, delivery.failures) == (2, 4)
    assert delivery.write(["c"])
    assert (delivery.dropped, delivery.failures) == (3, 5)
    sink.broken = False
    assert delivery.write(["d"])
    assert delivery.flush()
    assert sink.kept == ["d"]
    assert delivery.failing_since_s is None


def test_a_source_that_fails_is_opened_again_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr("edgernn.service.intake.Backoff.wait_s", lambda self: 0.0)
    arrivals = demo_arrivals(80)
    source, sink = ListSource(arrivals, failures={0, 21, 77}), ListSink()
    service = over(configured(tmp_path), source, sink)
    service.run()
    assert source.opened == [None, None, 21, 77]
    equal(kept(sink), wanted(arrivals))
    assert service.threads[0].failures == 3


def test_a_source_ahead_of_the_sinks_waits(tmp_path):
    arrivals = demo_arrivals(3000)
    config = configured(tmp_path, "[service]\nqueue_readings = 50\nbatch_readings = 10\n")
    source, sink = ListSource(arrivals), ListSink()
    sink.broken = True
    service = over(config, source, sink)
    thread = in_thread(service)
    eventually(lambda: service.deliveries[0].failures > 1)
    assert source.next <= 10 + 50 + 2 * source.size
    sink.broken = False
    thread.join(30)
    equal(kept(sink), wanted(arrivals))


def test_a_source_that_waits_for_acknowledgement_gets_it_before_the_time_is_up(tmp_path):
    arrivals = demo_arrivals(14)
    config = configured(tmp_path, "[store]\ncommit_s = 600\ncommit_readings = 100000\n")
    source = ListSource(arrivals, endless=True, token="t")
    service = over(config, source, ListSink())
    thread = in_thread(service)
    eventually(lambda: source.acknowledged == [7, 14])
    service.stop()
    thread.join(20)


def test_a_model_is_exchanged_and_streams_of_the_same_form_go_on(tmp_path):
    old = random_model("gru_after", inputs=1, outputs=1)
    new = dataclasses.replace(old, name="next")
    file = old.save(tmp_path / "m.edgernn")
    arrivals = demo_arrivals(60)
    config = configured(tmp_path, f'[store]\npath = "{tmp_path}/s.db"\n', model=file)
    source, sink = ListSource(arrivals[:30], endless=True), ListSink()
    service = over(config, source, sink)
    thread = in_thread(service)
    eventually(lambda: len(source.acknowledged) == 5)
    new.save(tmp_path / "n.edgernn")
    (tmp_path / "n.edgernn").replace(file)
    service.reload()
    eventually(lambda: service.pipeline.interface.name == "next")
    source.arrivals = arrivals
    eventually(lambda: len(sink.kept) == 60)
    assert service.health()["model_sha256"] == new.sha256
    service.stop()
    thread.join(20)
    equal(kept(sink), wanted(arrivals, old))  # the weights are the same, and so is the stream
    with StateStore(tmp_path / "s.db", new.sha256) as store:
        assert len(store) == 3


def test_streams_of_another_form_begin_anew(tmp_path):
    file = random_model("gru_after", inputs=1, outputs=1).save(tmp_path / "m.edgernn")
    other = random_model("lstm", inputs=1, outputs=1)
    arrivals = demo_arrivals(60)
    source, sink = ListSource(arrivals[:30], endless=True), ListSink()
    service = over(configured(tmp_path, model=file), source, sink)
    thread = in_thread(service)
    eventually(lambda: len(sink.kept) == 30)
    other.save(file)
    service.reload()
    eventually(lambda: service.pipeline.interface.model_sha256 == other.sha256)
    source.arrivals = arrivals
    eventually(lambda: len(sink.kept) == 60)
    service.stop()
    thread.join(20)
    assert service.pipeline.counts["begun_anew"] == 3
    rows = wanted(arrivals[30:], other)
    np.testing.assert_array_equal([row[2:] for row in kept(sink)[30:]], [r[2:] for r in rows])


@pytest.mark.parametrize("damage", ["missing", "other channels", "no model"])
def test_a_model_that_does_not_fit_is_not_taken(tmp_path, damage):
    file = tmp_path / "m.edgernn"
    shutil.copy(DEMO, file)
    arrivals = demo_arrivals(40)
    source, sink = ListSource(arrivals[:20], endless=True), ListSink()
    service = over(configured(tmp_path, model=file), source, sink)
    thread = in_thread(service)
    eventually(lambda: len(sink.kept) == 20)
    if damage == "missing":
        file.unlink()
    elif damage == "other channels":
        random_model("lstm", inputs=2, outputs=1).save(file)
    else:
        file.write_bytes(b"no model")
    service.reload()
    eventually(lambda: any(event["kind"] == "error" for event in service.figures.events))
    source.arrivals = arrivals
    eventually(lambda: len(sink.kept) == 40)
    service.stop()
    thread.join(20)
    equal(kept(sink), wanted(arrivals))


def test_the_store_of_another_model_is_refused_at_the_start(tmp_path):
    text = f'[store]\npath = "{tmp_path}/s.db"\n'
    over(configured(tmp_path, text), ListSource(demo_arrivals(10)), ListSink()).run()
    file = random_model("lstm", inputs=1, outputs=1).save(tmp_path / "m.edgernn")
    service = over(configured(tmp_path, text, model=file), ListSource([]), ListSink())
    with pytest.raises(StoreError, match="expected states of the model"):
        service.run()


def test_parts_are_checked_together(tmp_path):
    config = configured(tmp_path, model="absent.edgernn", sinks=2)
    config = dataclasses.replace(config, sources=({"kind": "csvv"},))
    with pytest.raises(ConfigError) as caught:
        assemble(config)
    text = "\n".join(caught.value.reasons)
    assert len(caught.value.reasons) == 3
    assert "serve.toml, [model]" in text
    assert "[[source]] 1: expected a kind among" in text
    assert "[[sink]]: expected a different name for each, got 'stdout' 2 times" in text


def test_decisions_and_preparation_of_the_configuration_are_checked_against_the_model(tmp_path):
    text = '[[decision]]\nkind = "threshold"\nname = "high"\nof = "nothing"\non = 1.0\n'
    config = dataclasses.replace(configured(tmp_path, text), sources=({"kind": "demo"},))
    with pytest.raises(ConfigError, match="nothing"):
        assemble(config)


def test_a_decision_of_the_configuration_is_in_the_results(tmp_path):
    text = (
        '[[decision]]\nkind = "threshold"\nname = "high"\nof = "co2_change_in_13_weeks"\n'
        "on = 0.5\noff = 0.0\n"
    )
    levels = [1.5] * 20 + [-1.5] * 20
    arrivals = [Arrival("a", [x], sequence=n) for n, x in enumerate(levels * 2, 1)]
    sink = ListSink()
    over(configured(tmp_path, text), ListSource(arrivals), sink).run()
    on = False
    for result in sink.kept:
        on = result.y[0] >= 0.5 or (on and result.y[0] > 0.0)
        assert result.decisions == {"high": on}
    assert len({result.decisions["high"] for result in sink.kept}) == 2
