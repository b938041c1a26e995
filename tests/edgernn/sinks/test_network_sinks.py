"""Results over the network: MQTT and Home Assistant, Prometheus, webhooks, InfluxDB."""

import json
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from edgernn.connections.registry import make_sink
from edgernn.errors import SinkError
from tests.support.broker import Broker, free_port
from tests.support.results import opened, result

paho = pytest.importorskip("paho.mqtt.client")

OUTPUT = "co2_change_in_13_weeks"


@pytest.fixture
def broker(tmp_path):
    broker = Broker(tmp_path / "broker")
    yield broker
    broker.stop()


class Listener:
    """Keeps the messages of a broker."""

    def __init__(self, port, topic="#"):
        self.messages, self.retained = [], {}
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self._client.on_message = self._take
        subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.subscribe(topic, qos=1)
        self._client.loop_start()
        assert subscribed.wait(10)

    def _take(self, client, data, message):
        self.messages.append((message.topic, message.payload.decode()))
        if message.retain:
            self.retained[message.topic] = message.payload.decode()

    def wait(self, topic, count=1):
        for _ in range(500):
            found = [payload for name, payload in self.messages if name == topic]
            if len(found) >= count:
                return found
            time.sleep(0.02)
        raise AssertionError(f"{topic}: {self.messages}")

    def wait_for_topics(self, beginning, count):
        for _ in range(500):
            if len({name for name, _ in self.messages if name.startswith(beginning)}) >= count:
                return
            time.sleep(0.02)
        raise AssertionError(f"{beginning}: {self.messages}")

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


def test_mqtt_keeps_the_last_result_of_each_stream(broker):
    sink = opened(kind="mqtt", port=broker.port)
    sink.write([result(y=0.25), result(y=0.5, sequence=2), result(key="a/b", y=1.0)])
    sink.flush()
    listener = Listener(broker.port)
    (text,) = listener.wait("edgernn/predictions/pump")
    assert json.loads(text)[OUTPUT] == 0.5 and json.loads(text)["sequence"] == 2
    assert json.loads(listener.wait("edgernn/predictions/a%2Fb")[0])["key"] == "a/b"
    assert listener.wait("edgernn/status") == ["online"]
    assert len(listener.retained) == 3
    sink.close()
    assert listener.wait("edgernn/status", 2) == ["online", "offline"]
    listener.close()


@pytest.mark.parametrize("qos", [0, 1])
def test_more_results_than_may_be_on_their_way_wait_for_the_broker(broker, monkeypatch, qos):
    monkeypatch.setattr("edgernn.sinks.mqtt._MOST_QUEUED", 40)
    sink = opened(kind="mqtt", port=broker.port, qos=qos)
    listener = Listener(broker.port, "edgernn/predictions/pump")
    sink.write([result(sequence=n) for n in range(1, 401)])
    sink.flush()
    found = [
        json.loads(text)["sequence"] for text in listener.wait("edgernn/predictions/pump", 400)
    ]
    assert found == list(range(1, 401))
    assert not sink._sent
    sink.close()
    listener.close()


def test_the_broker_says_offline_for_a_service_that_was_killed(broker):
    sink = opened(kind="mqtt", port=broker.port)
    sink.write([result()])
    sink.flush()
    listener = Listener(broker.port, "edgernn/status")
    listener.wait("edgernn/status")
    sink._client.client._sock.close()  # no farewell
    assert listener.wait("edgernn/status", 2)[1] == "offline"
    sink.close()
    listener.close()


def test_a_connection_that_breaks_while_the_sink_is_closed_is_no_error(broker):
    sink = opened(kind="mqtt", port=broker.port)
    sink.write([result()])
    sink.flush()
    client = sink._client.client
    sent = client.publish

    def publish(*args, **kwargs):
        client._sock.close()
        while client.is_connected():
            time.sleep(0.001)
        return sent(*args, **kwargs)

    client.publish = publish
    sink.close()
    listener = Listener(broker.port, "edgernn/status")
    assert listener.wait("edgernn/status") == ["offline"]
    listener.close()


def test_mqtt_says_so_while_the_broker_is_away_and_goes_on(broker):
    sink = opened(kind="mqtt", port=broker.port, timeout_s=0.5)
    sink.write([result()])
    sink.flush()
    broker.stop()
    for _ in range(100):
        try:
            sink.write([result(sequence=2)])
            sink.flush()
        except SinkError as error:
            assert "expected" in str(error)
            break
    else:
        raise AssertionError("no error")
    broker.start()
    listener = Listener(broker.port, "edgernn/predictions/pump")
    for _ in range(50):
        try:
            sink.write([result(sequence=2)])
            sink.flush()
            break
        except SinkError:
            continue
    listener.wait("edgernn/predictions/pump")
    assert {json.loads(text)["sequence"] for _, text in listener.messages[1:]} <= {1, 2}
    sink.close()
    listener.close()


def render(template, payload):
    """What Home Assistant makes of a message."""
    import jinja2

    text = jinja2.Environment().from_string(template)
    return text.render(value_json=json.loads(payload))


def test_home_assistant_discovers_outputs_and_alarms(broker):
    sink = opened(kind="mqtt", port=broker.port, home_assistant=True, max_announced=2)
    one = result(key="Pümp 1", y=0.125, alarm=True, label="dry", score=2.0, passed={"truth": 1})
    for sequence in (1, 2):
        sink.write([one, result(key="fan", y=float("nan")), result(key="third")])
        sink.flush()
        one.decisions["drift"] = False  # appears with the second result
        one.sequence = sequence
    listener = Listener(broker.port)
    state = listener.wait("edgernn/predictions/Pümp 1")[0]
    listener.wait("edgernn/predictions/third")
    listener.wait_for_topics("homeassistant/", 6)  # the broker sends what it kept in any order
    configs = {
        topic.split("/")[2]: (topic.split("/")[1], json.loads(text))
        for topic, text in listener.messages
        if topic.startswith("homeassistant/")
    }
    assert all(topic.split("/")[0::3] == ["homeassistant", "config"]
               for topic, _ in listener.messages if topic.startswith("homeassistant"))  # fmt: skip
    devices = {config["device"]["name"] for _, config in configs.values()}
    assert devices == {"Pümp 1", "fan"}
    mine = {c["name"]: (kind, c) for kind, c in configs.values() if c["device"]["name"] == "Pümp 1"}
    assert {name: kind for name, (kind, _) in mine.items()} == {
        OUTPUT: "sensor", "alarm": "binary_sensor", "label": "sensor", "score": "sensor",
        "drift": "binary_sensor",
    }  # fmt: skip
    shown = {name: render(c["value_template"], state) for name, (_, c) in mine.items()}
    assert shown == {OUTPUT: "0.125", "alarm": "ON", "label": "dry", "score": "2.0", "drift": "OFF"}
    for unique, (_, config) in configs.items():
        assert config["unique_id"] == unique and unique.isascii()
        assert set(unique) <= set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
        )
        assert config["availability_topic"] == "edgernn/status"
        assert config["origin"] == {"name": "edgernn"} and len(config["device"]["identifiers"]) == 1
    assert mine[OUTPUT][1]["unit_of_measurement"] == "ppm"
    assert mine[OUTPUT][1]["state_class"] == "measurement" and "state_class" not in mine["label"][1]
    fan = listener.wait("edgernn/predictions/fan")[0]
    assert render(mine[OUTPUT][1]["value_template"], fan) == "None"  # unknown, not zero
    sink.close()
    listener.close()


@pytest.fixture
def server():
    """A web server that keeps what is posted, and answers with `server.status`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.posts.append((self.path, dict(self.headers), body.decode()))
            self.send_response(self.server.status)
            self.end_headers()
            self.wfile.write(b"who are you?")

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.posts, server.status = [], 200
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_gets_alarms_that_turn_on(server, monkeypatch):
    monkeypatch.setenv("EDGERNN_TEST_TOKEN", "abc")
    token = {"env": "EDGERNN_TEST_TOKEN"}
    sink = opened(kind="webhook", url=f"{server.url}/hook", token=token, headers={"Title": "Pumps"})
    alarms = [False, True, True, False, True]
    sink.write([result(sequence=i, alarm=alarm) for i, alarm in enumerate(alarms, 1)])
    sink.write([result(sequence=6, alarm=True), result(key="fan", alarm=True)])
    assert [path for path, _, _ in server.posts] == ["/hook", "/hook"]
    _, headers, body = server.posts[0]
    assert [r["sequence"] for r in json.loads(body)["results"]] == [2, 5]
    assert headers["Authorization"] == "Bearer abc" and headers["Title"] == "Pumps"
    assert [r["key"] for r in json.loads(server.posts[1][2])["results"]] == ["fan"]
    sink.close()


def test_a_webhook_that_failed_gets_the_alarm_again(server):
    sink = opened(kind="webhook", url=server.url, form="text", when="change")
    server.status = 503
    with pytest.raises(SinkError, match=r"webhook: expected 127.0.0.1:\d+ to take .* got 503"):
        sink.write([result(alarm=True)])
    server.status = 200
    sink.write([result(alarm=True)])
    sink.write([result(alarm=False)])
    assert [body for _, _, body in server.posts[1:]] == [
        f"pump: alarm ({OUTPUT} 0.25) at 2026-01-02T03:04:05.500Z",
        f"pump: no alarm ({OUTPUT} 0.25) at 2026-01-02T03:04:05.500Z",
    ]
    sink.close()


def test_a_server_that_is_not_there_is_an_error():
    sink = opened(kind="influx", url=f"http://127.0.0.1:{free_port()}/write?db=x")
    with pytest.raises(SinkError, match=r"influx: expected an answer from 127.0.0.1"):
        sink.write([result()])


def test_influx_posts_lines(server, tmp_path):
    (tmp_path / "token").write_text("xyz\n")
    token = {"file": str(tmp_path / "token")}
    sink = opened(kind="influx", url=f"{server.url}/api/v2/write?org=o&bucket=b", token=token)
    sink.write([result(), result(sequence=2)])
    ((path, headers, body),) = server.posts
    assert path == "/api/v2/write?org=o&bucket=b" and headers["Authorization"] == "Token xyz"
    assert body.count("\n") == 2 and body.startswith("edgernn,key=pump,model=co2_forecaster ")


@pytest.mark.parametrize("own", [False, True])
def test_prometheus_reads_the_last_values_of_a_bounded_number_of_streams(own):
    client = pytest.importorskip("prometheus_client")
    from prometheus_client.parser import text_string_to_metric_families

    listen = {"listen": "127.0.0.1:0"} if own else {}
    sink = opened(kind="prometheus", max_keys=3, **listen)
    sink.write([result(key=f"k{i}", y=i / 4, alarm=i > 2, label="x") for i in range(5)])
    sink.write([result(key='q"\n', y=0.5, bad=True)])
    sink.flush()
    if own:
        host, port = sink.address
        text = urllib.request.urlopen(f"http://{host}:{port}/metrics").read().decode()
    else:
        text = client.generate_latest().decode()
    samples = {
        (s.name, s.labels.get("key"), s.labels.get("name")): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
        if s.name.startswith("edgernn_")
    }
    shown = {key: value for (name, key, _), value in samples.items() if name == "edgernn_output"}
    assert shown == {"k3": 0.75, "k4": 1.0, 'q"\n': 0.5}
    assert samples["edgernn_decision", "k4", "alarm"] == 1.0
    assert samples["edgernn_result_time_seconds", "k4", None] == 1767323045.5
    assert samples["edgernn_sink_results_total", None, None] == 6
    assert samples["edgernn_sink_bad_results_total", None, None] == 1
    sink.close()
    assert b"edgernn_output" not in client.generate_latest()


def test_errors_of_tables_are_all_told():
    errors = []
    where = "serve.toml, [[sink]] 1"
    table = {"kind": "mqtt", "password": "word", "topic": "a/#", "ca_file": "x"}
    assert make_sink(table, where, errors) is None
    assert make_sink({"kind": "influx", "url": "ftp://x"}, where, errors) is None
    assert make_sink({"kind": "prometheus", "listen": "9109"}, where, errors) is None
    assert errors == [
        f"{where}, password: expected {{ env = \"NAME\" }} or {{ file = \"PATH\" }}, got the value "
        "itself. Put it into an environment variable or a file.",
        f'{where}: url: expected an address that begins with http:// or https://, got "ftp://x".',
        f'{where}: listen: expected an address and a port as in "127.0.0.1:9109", got "9109".',
    ]  # fmt: skip
    errors.clear()
    make_sink(table | {"password": {"env": "WORD"}}, where, errors)
    assert errors == [
        f"{where}: tls: expected true with ca_file, got false. Add tls = true.",
        f'{where}: topic: expected a topic without + and #, got "a/#".',
        f'{where}: topic: expected {{key}} in it, got "a/#". Add it, as in '
        '"edgernn/predictions/{key}".',
    ]
