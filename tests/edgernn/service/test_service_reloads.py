"""Another model in a service of several processes: no stream and no reading is lost."""

from __future__ import annotations

import dataclasses
import json
import random
import signal
import time

import numpy as np
import pytest

import edgernn
from edgernn.model.integer_model import IntegerModel
from tests.support.models.integer import random_model
from tests.support.prepared_streams import json_line
from tests.support.services import (
    DEMO,
    Command,
    ListSink,
    ListSource,
    configured,
    demo_arrivals,
    eventually,
    in_thread,
    over,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::edgernn.errors.ClippedReadingsWarning"),
]
WORKERS = "[service]\nworkers = 2\n"


def with_another_answer(model):
    """The same states, and other outputs of them, which tell the model that answered."""
    other = random_model("gru_after", inputs=1, outputs=1, seed=1)
    return dataclasses.replace(model, name="next", layers=(*model.layers[:-1], other.layers[-1]))


def outputs(arrivals, models, exchanged):
    """Of one session per stream and model; those of the second from reading ``exchanged`` on."""
    rows = []
    for model in models:
        with edgernn.load(model, on_bad_reading="hold") as first:
            sessions = {}
            rows.append(
                [
                    sessions.setdefault(arrival.key, first.new_stream()).step(arrival.values)
                    for arrival in arrivals
                ]
            )
    return rows[0][:exchanged] + rows[1][exchanged:]


@pytest.mark.parametrize("kept", [True, False], ids=["store", "memory"])
def test_streams_of_several_processes_go_on_with_another_model(tmp_path, kept):
    """In memory or, with room for a part of them, mostly in the store."""
    old = random_model("gru_after", inputs=1, outputs=1)
    store = f'[store]\npath = "{tmp_path}/s.db"\n[streams]\ncapacity = 6\n'
    path = old.save(tmp_path / "m.edgernn")
    config = configured(tmp_path, WORKERS + (store if kept else ""), model=path)
    arrivals = demo_arrivals(200, keys=15)
    source, sink = ListSource(arrivals[:110], endless=True), ListSink()
    service = over(config, source, sink)
    thread = in_thread(service)
    eventually(lambda: source.acknowledged and source.acknowledged[-1] == 110)
    new = with_another_answer(old)
    new.save(path)
    service.reload()
    eventually(lambda: service.pipeline.interface.name == "next")
    source.arrivals = arrivals
    eventually(lambda: len(sink.kept) == 200)
    assert service.pipeline.counts["begun_anew"] == 0
    service.stop()
    thread.join(30)
    np.testing.assert_array_equal([r.y for r in sink.kept], outputs(arrivals, (old, new), 110))


def exchange_again_and_again(folder, exchanges, readings, workers):
    """Replace the model of a service, and send SIGHUP, while readings come; what was sent."""
    rng = random.Random(exchanges)
    demo = IntegerModel.load(DEMO)
    demo.save(folder / "m.edgernn")
    (folder / "s.toml").write_text(
        '[model]\npath = "m.edgernn"\nwatch = false\n[store]\npath = "s.db"\ncommit_readings = 40\n'
        f"[streams]\ncapacity = 9\n[service]\nworkers = {workers}\n[[source]]\n"
        'kind = "jsonl"\npath = "in.jsonl"\nfollow = true\n[[sink]]\nkind = "jsonl"\n'
        'path = "out.jsonl"\n'
    )
    (folder / "in.jsonl").touch()
    sent = []

    def send(count):
        more = demo_arrivals(count, keys=20, start=len(sent))
        with (folder / "in.jsonl").open("a") as lines:
            lines.writelines(json_line(arrival, "co2_change") for arrival in more)
        sent.extend(more)

    with Command(folder, "s.toml") as service:
        service.state()
        for number in range(exchanges):
            send(readings)
            dataclasses.replace(demo, name=f"m{number}").save(folder / "new.edgernn")
            (folder / "new.edgernn").replace(folder / "m.edgernn")
            service.process.send_signal(signal.SIGHUP)
            until = time.monotonic() + 60
            while json.loads(service.get("/healthz")[1])["model"] != f"m{number}":
                assert time.monotonic() < until, service.log.read_text()
                send(rng.randint(1, 10))
                time.sleep(0.02)
        send(readings)
        lines = folder / "out.jsonl"
        eventually(lambda: lines.read_bytes().count(b"\n") >= len(sent), 60)
        assert service.stop() == 0
    assert "begins again" not in service.log.read_text()
    return sent


def check_each_once(folder, sent):
    """Every reading has one result, with the bits of a session that never ended."""
    rows = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    found = [(row["key"], row["sequence"], row["co2_change_in_13_weeks"]) for row in rows]
    with edgernn.load(DEMO, on_bad_reading="hold") as first:
        sessions, expected = {}, []
        for arrival in sent:
            session = sessions.setdefault(arrival.key, first.new_stream())
            y = float(session.step(arrival.values)[0])
            expected.append((arrival.key, arrival.sequence, None if y != y else y))
    assert found == expected


def test_readings_that_come_during_an_exchange_are_answered_once(tmp_path):
    check_each_once(tmp_path, exchange_again_and_again(tmp_path, 2, 100, 2))


@pytest.mark.long
def test_many_exchanges_lose_and_double_nothing(tmp_path):
    check_each_once(tmp_path, exchange_again_and_again(tmp_path, 12, 400, 3))
