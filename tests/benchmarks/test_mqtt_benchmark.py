"""The benchmark of readings over MQTT: one run of a case, and its page."""

import pytest

from benchmarks import mqtt
from benchmarks.pages.mqtt import page
from tests.support.broker import Broker


def case(qos, readings, payload, work, protocol, rate, received=1.0):
    return {
        "qos": qos, "readings": readings, "payload": payload, "work": work, "protocol": protocol,
        "readings_per_cpu_s": rate, "received": received,
    }  # fmt: skip


def test_the_page_shows_every_case():
    cases = [
        case(qos, n, payload, work, protocol, 1000 * n + number, 1.0 if qos else 0.5)
        for number, (work, protocol) in enumerate(mqtt.WORKS)
        for qos in (0, 1)
        for n in (1, 20)
        for payload in mqtt.PAYLOADS
    ]
    setup = {"processor": "P", "load": 1.5, "streams": 7, "rounds": 3, "channels": 8,
             "messages": {"1": 30, "20": 4}}  # fmt: skip
    text = page({"setup": setup, "cases": cases})
    assert "| 1 | 20 | float32 | 20,000 | 20,001 | 20,002 |" in text
    assert "1,001 readings per CPU second with one reading" in " ".join(text.split())
    assert "All readings with QoS 1 arrived; of those with QoS 0, at least 50.00%" in text


def test_a_run_reads_everything_that_was_sent(tmp_path):
    pytest.importorskip("paho.mqtt.client")
    broker = Broker(tmp_path / "broker")
    one = {"qos": 1, "readings": 20, "payload": "float32", "work": "step", "protocol": "5"}
    found = mqtt.run(one | {"messages": 30, "topic": "bench"}, broker.port)
    broker.stop()
    assert found["received"] == 1.0 and found["rate"] > 0
