"""MQTT readings: keys from topics, nothing lost and nothing doubled over breaks and restarts."""

import json
import struct
import time

import pytest

from edgernn.connections.registry import make_source
from tests.support.broker import Broker

paho = pytest.importorskip("paho.mqtt.client")


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    broker = Broker(tmp_path_factory.mktemp("broker"))
    yield broker
    broker.stop()


@pytest.fixture
def publish(broker):
    """Publish with QoS 1, and wait until the broker has it."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)

    def send(topic, payload, qos=1, retain=False):
        if not client.is_connected():
            client.connect("127.0.0.1", broker.port)
            client.loop_start()
        client.publish(topic, payload, qos=qos, retain=retain).wait_for_publish(20)

    yield send
    client.disconnect()
    client.loop_stop()


def source(broker, **table):
    errors = []
    table = {"kind": "mqtt", "port": broker.port} | table
    made = make_source(table, "serve.toml, [[source]] 1", ("temp", "hum"), errors)
    assert errors == []
    return made


def ready(made, position=None):
    """Open a source and wait until it has subscribed."""
    made.open(position)
    for _ in range(500):
        if made._connection:
            time.sleep(0.05)
            return made
        time.sleep(0.02)
    raise AssertionError("no connection")


def collect(made, count, acknowledge=True, wait_s=10.0):
    """At least ``count`` arrivals and the last batch with any."""
    arrivals, last, end = [], None, time.monotonic() + wait_s
    while len(arrivals) < count and time.monotonic() < end:
        batch = made.read(7, 0.05)
        if batch.arrivals:
            arrivals, last = arrivals + batch.arrivals, batch
            if acknowledge:
                made.acknowledge(batch)
    return arrivals, last


def test_one_or_many_readings_of_the_stream_that_the_topic_names(broker, publish):
    made = ready(source(broker, topic="a/{key}/r", client_id="a"))
    publish("a/pump/r", "[1, 2]")
    publish(
        "a/fan/r", '[{"t": 5, "seq": 9, "temp": 3, "hum": 4, "truth": 1}, {"temp": 5, "hum": 6}]'
    )
    publish("a/fan/other", "[7, 8]")
    arrivals, _ = collect(made, 3)
    assert [(a.key, a.values, a.time_s, a.sequence) for a in arrivals] == [
        ("pump", [1.0, 2.0], None, None),
        ("fan", [3.0, 4.0], 5.0, 9),
        ("fan", [5.0, 6.0], None, None),
    ]
    assert arrivals[1].passed == {"truth": 1}
    made.close()


def test_raw_numbers_and_keys_in_payloads(broker, publish):
    raw = ready(source(broker, topic="b/{key}", payload="float32", client_id="b"))
    keyed = ready(source(broker, topic="c/+", client_id="c", key_field="id", name="c"))
    publish("b/x", struct.pack("<4f", 1, 2, 3, 4))
    publish("c/1", json.dumps({"id": "y", "temp": 1, "hum": 2}))
    assert [(a.key, a.values) for a in collect(raw, 2)[0]] == [("x", [1, 2]), ("x", [3, 4])]
    assert [(a.key, a.values) for a in collect(keyed, 1)[0]] == [("y", [1, 2])]
    raw.close()
    keyed.close()


def test_retained_readings_are_old_ones(broker, publish):
    publish("d/x", "[1, 2]", retain=True)
    made = ready(source(broker, topic="d/{key}", client_id="d1"))
    old = ready(source(broker, topic="d/{key}", client_id="d2", retained=True))
    publish("d/x", "[3, 4]")
    assert [a.values for a in collect(made, 1)[0]] == [[3, 4]]
    assert [a.values for a in collect(old, 2)[0]] == [[1, 2], [3, 4]]
    made.close()
    old.close()


def test_what_is_not_acknowledged_comes_again_after_a_restart(broker, publish):
    made = ready(source(broker, topic="e/{key}", client_id="e"))
    for i in range(20):
        publish("e/x", f"[{i}, 0]")
    first, last = collect(made, 7)  # acknowledged and stored: 0…6 at least
    rest, unstored = collect(made, 20 - len(first), acknowledge=False)
    assert len(first) + len(rest) == 20 and unstored.position
    made.close()
    made = ready(source(broker, topic="e/{key}", client_id="e"), last.position)
    again, _ = collect(made, len(rest))
    assert [a.values for a in again] == [a.values for a in rest]
    assert collect(made, 1, wait_s=0.3)[0] == []
    made.close()


def test_what_is_stored_but_not_acknowledged_is_not_delivered_again(broker, publish):
    made = ready(source(broker, topic="f/{key}", client_id="f"))
    for i in range(20):
        publish("f/x", f"[{i}, 0]")
    arrivals, last = collect(made, 20, acknowledge=False)
    assert len(arrivals) == 20
    made.close()  # the process ends between the store's commit and the acknowledgement
    made = ready(source(broker, topic="f/{key}", client_id="f"), last.position)
    publish("f/x", "[20, 0]")
    assert [a.values for a in collect(made, 1)[0]] == [[20.0, 0.0]]
    assert collect(made, 1, wait_s=0.3)[0] == []
    made.close()
    made = ready(source(broker, topic="f/{key}", client_id="f"))  # the broker has forgotten them
    assert collect(made, 1, wait_s=0.3)[0] == []
    made.close()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_broker_that_restarts_loses_and_doubles_nothing(tmp_path, protocol):
    broker = Broker(tmp_path / "broker")
    table = {"topic": "g/{key}", "client_id": "g", "protocol": protocol}
    made = ready(source(broker, **table))
    sender = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="s", clean_session=False)
    sender.reconnect_delay_set(1, 1)
    sender.connect("127.0.0.1", broker.port)
    sender.loop_start()
    arrivals, waiting = [], []
    for i in range(60):
        while not sender.is_connected():
            time.sleep(0.02)
        sender.publish("g/x", f"[{i}, 0]", qos=1).wait_for_publish(20)  # in order, then
        if i in (20, 40):
            broker.stop()
            broker.start()
        batch = made.read(5, 0.02)  # acknowledged late: often after the broker's restart
        arrivals, waiting = arrivals + batch.arrivals, [*waiting, batch]
        if len(waiting) > 3:
            made.acknowledge(waiting.pop(0))
    for batch in waiting:
        made.acknowledge(batch)
    more, _ = collect(made, 60 - len(arrivals), wait_s=20)
    extra, _ = collect(made, 1, wait_s=0.5)
    assert [a.values[0] for a in arrivals + more + extra] == list(range(60))
    made.close()
    sender.disconnect()
    sender.loop_stop()
    broker.stop()


def test_user_and_password_come_from_the_environment_or_a_file(tmp_path, monkeypatch, caplog):
    import subprocess

    passwords = tmp_path / "passwords"
    passwords.write_text("ada:secret\n")
    subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True)
    broker = Broker(tmp_path / "broker", f"password_file {passwords}", "allow_anonymous false")
    (tmp_path / "word").write_text("secret\n")
    monkeypatch.setenv("EDGERNN_TEST_USER", "ada")
    table = {"user": {"env": "EDGERNN_TEST_USER"}, "password": {"file": str(tmp_path / "word")}}
    ready(source(broker, topic="h/{key}", **table)).close()
    made = source(broker, topic="h/{key}", user=table["user"])
    made.open(None)
    for _ in range(500):
        if "expected to be let in" in caplog.text:
            break
        time.sleep(0.02)
    assert f"mqtt: expected to be let in at 127.0.0.1:{broker.port}, got Not auth" in caplog.text
    made.close()
    broker.stop()


# paho-mqtt leaves the socket of a refused handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_encrypted_connection_checks_who_the_broker_is(tmp_path, caplog):
    import subprocess

    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        "-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out ca.pem"
    )
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    broker = Broker(
        tmp_path / "broker", "allow_anonymous true", f"certfile {tmp_path}/ca.pem",
        f"keyfile {tmp_path}/key.pem",
    )  # fmt: skip
    ca_file = str(tmp_path / "ca.pem")
    ready(source(broker, topic="t/{key}", tls=True, ca_file=ca_file)).close()
    made = source(broker, topic="t/{key}", tls=True)  # nobody vouches for this broker
    made.open(None)
    for _ in range(500):
        if "with a certificate of ca_file, got no connection" in caplog.text:
            break
        time.sleep(0.02)
    assert not made._connection and "with a certificate of ca_file" in caplog.text
    made.close()
    broker.stop()
