"""Another model in a running service: streams and their saved states outlive the exchange."""

from __future__ import annotations

import dataclasses
import sqlite3

import numpy as np
import pytest

import edgernn
from edgernn.backends.streams.stream_bytes import streams_continue
from edgernn.errors import StateError, StoreError
from edgernn.model.interface import Window
from edgernn.store.state_store import StateStore
from tests.support.models.integer import random_model
from tests.support.services import (
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


@pytest.fixture
def old():
    return random_model("gru_after", inputs=1, outputs=1)


@pytest.fixture
def config(tmp_path, old):
    text = f'[store]\npath = "{tmp_path}/s.db"\n'
    return configured(tmp_path, text, model=old.save(tmp_path / "m.edgernn"))


def outputs(arrivals, model):
    """Of every reading, from one session per stream."""
    with edgernn.load(model, on_bad_reading="hold") as first:
        sessions = {}
        return [
            sessions.setdefault(arrival.key, first.new_stream()).step(arrival.values)
            for arrival in arrivals
        ]


def events(service, kind):
    return [event["text"] for event in service.figures.events if event["kind"] == kind]


def test_streams_without_a_reading_since_the_exchange_go_on_after_a_restart(tmp_path, config, old):
    arrivals = demo_arrivals(30)
    source, sink = ListSource(arrivals, endless=True), ListSink()
    service = over(config, source, sink)
    thread = in_thread(service)
    eventually(lambda: source.acknowledged and source.acknowledged[-1] == 30)
    dataclasses.replace(old, name="next").save(tmp_path / "m.edgernn")
    service.reload()
    eventually(lambda: service.pipeline.interface.name == "next")
    service.stop()
    thread.join(20)
    more = demo_arrivals(60)
    after = ListSink()
    again = over(config, ListSource(more), after)
    again.run()
    assert again.pipeline.counts["begun_anew"] == 0
    np.testing.assert_array_equal([r.y for r in after.kept], outputs(more, old)[30:])


def test_saved_streams_are_not_given_up_for_a_model_of_another_form(tmp_path, config, old):
    arrivals = demo_arrivals(60)
    source, sink = ListSource(arrivals[:30], endless=True), ListSink()
    service = over(config, source, sink)
    thread = in_thread(service)
    eventually(lambda: source.acknowledged and source.acknowledged[-1] == 30)
    random_model("lstm", inputs=1, outputs=1).save(tmp_path / "m.edgernn")
    service.reload()
    eventually(lambda: events(service, "error"))
    assert "expected a model with states like those of" in events(service, "error")[0]
    source.arrivals = arrivals
    eventually(lambda: len(sink.kept) == 60)
    service.stop()
    thread.join(20)
    np.testing.assert_array_equal([r.y for r in sink.kept], outputs(arrivals, old))


@pytest.mark.parametrize("window", [None, Window(steps=3)])
def test_windows_of_readings_in_another_scale_do_not_go_on(old, window):
    """States of steps do; a window holds readings as codes."""
    before = dataclasses.replace(old, window=window)
    input = dataclasses.replace(old.input, scale=2 * old.input.scale)
    after = dataclasses.replace(before, input=input)
    first, second = before.interface(), after.interface()
    assert first.carried == second.carried
    assert streams_continue(first, first)
    with edgernn.load(before) as one, edgernn.load(after) as two:
        one.step([0.25])
        if streams_continue(first, second):
            two.from_bytes(one.to_bytes(), migrate=True)
        else:
            with pytest.raises(StateError):
                two.from_bytes(one.to_bytes(), migrate=True)
    assert streams_continue(first, second) == (window is None)


def test_a_store_that_does_not_take_the_new_model_keeps_the_old_one(
    tmp_path, config, old, monkeypatch
):
    arrivals = demo_arrivals(60)
    source, sink = ListSource(arrivals[:30], endless=True), ListSink()
    service = over(config, source, sink)
    thread = in_thread(service)
    eventually(lambda: source.acknowledged and source.acknowledged[-1] == 30)

    def full(db, name, value):
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr("edgernn.store.schema.write_fact", full)
        dataclasses.replace(old, name="next").save(tmp_path / "m.edgernn")
        service.reload()
        eventually(lambda: events(service, "error"))
    source.arrivals = arrivals
    eventually(lambda: len(sink.kept) == 60)
    service.stop()
    thread.join(20)
    np.testing.assert_array_equal([r.y for r in sink.kept], outputs(arrivals, old))
    with StateStore(tmp_path / "s.db", old.sha256) as store:
        assert store.positions() == {"list": 60}


def test_a_store_changes_its_model_while_it_is_open(tmp_path):
    with StateStore(tmp_path / "s.db", "a" * 64) as store:
        store.commit({"k": b"state"})
        store.claim("b" * 64, "next", migrate=True)
        with pytest.raises(StoreError, match="expected states of the model"):
            store.claim("c" * 64)
    with StateStore(tmp_path / "s.db", "b" * 64) as store:
        assert store.load() == {"k": b"state"}


def test_health_does_not_ask_the_store(config, monkeypatch):
    service = over(config, ListSource(demo_arrivals(3), endless=True), ListSink())
    thread = in_thread(service)
    eventually(lambda: service.threads)
    monkeypatch.setattr(StateStore, "__len__", lambda store: 1 / 0)
    assert service.health()["last_save_s"] >= 0.0
    service.stop()
    thread.join(20)
