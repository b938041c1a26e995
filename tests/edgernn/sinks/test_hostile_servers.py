"""Servers and streams that would have results lost, secrets shown or a sink blocked for ever."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from edgernn.connections.registry import make_sink
from edgernn.errors import SinkError
from edgernn.service.config.settings import DeliverySettings
from edgernn.service.delivery import Delivery
from tests.support.results import demo_interface, opened, result

pytestmark = pytest.mark.device


@pytest.fixture
def server():
    """Answers every request with `server.status`, and a redirect leads to another path."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.server.bodies.append(body.decode())
            self.server.requests.append((self.command, self.path))
            moved = 300 <= self.server.status < 400 and self.path == "/hook"
            refused = self.server.refuses(self.server.bodies[-1])
            self.send_response(self.server.status if moved or refused else 200)
            if moved:
                self.send_header("Location", "/elsewhere")
            self.end_headers()

        do_GET = do_POST = _answer

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests, server.bodies, server.status = [], [], 200
    server.refuses = lambda body: False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_taken_for_a_delivery(server, status):
    server.status = status
    sink = opened(kind="webhook", url=f"{server.url}/hook", when="always")
    with pytest.raises(SinkError, match=f"got {status} .*it leads to '/elsewhere'"):
        sink.write([result()])
    assert server.requests == [("POST", "/hook")]


@pytest.mark.parametrize("kind", ["webhook", "influx"])
@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_result_that_a_server_refuses_is_dropped_and_the_others_arrive(
    server, kind, status, caplog
):
    server.status, server.refuses = status, lambda body: "poison" in body
    own = {"when": "always"} if kind == "webhook" else {}
    sink = opened(kind=kind, url=server.url, **own)
    keys = ["a", "b", "poison", "d", "e", "poison", "g"]
    results = [result(key=key, sequence=n) for n, key in enumerate(keys)]
    delivery = Delivery(sink, DeliverySettings(), demo_interface(), lambda seconds: False)
    assert delivery.write(results) and delivery.flush()
    taken = "".join(body for body in server.bodies if not server.refuses(body))
    assert re.findall(r'key(?:=|": ")(\w+)', taken) == ["a", "b", "d", "e", "g"]
    assert (delivery.written, delivery.dropped, delivery.failures) == (5, 2, 0)
    (message,) = [record.getMessage() for record in caplog.records]
    assert f"got {status}" in message and message.endswith("Result 2 of 'poison' is dropped.")


@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_a_server_that_may_take_results_later_gets_all_of_them_again(server, status):
    server.status, server.refuses = status, lambda body: True
    sink = opened(kind="webhook", url=server.url, when="always")
    with pytest.raises(SinkError, match=f"got {status}"):
        sink.write([result(), result(sequence=2)])
    assert len(server.requests) == 1 and sink.refused == 0


@pytest.mark.parametrize("when", ["always", "alarm"])
def test_a_server_that_fails_now_and_then_gets_through_a_large_batch_once(server, when):
    server.status, server.refuses = 503, lambda body: len(server.bodies) % 5 == 3
    sink = opened(kind="webhook", url=server.url, when=when, max_results=2)
    results = [result(sequence=n, alarm=n % 2 == 0) for n in range(80)]
    delivery = Delivery(sink, DeliverySettings(), demo_interface(), lambda seconds: True)
    assert delivery.write(results[:70]) and delivery.write(results[70:]) and delivery.flush()
    arrived = [body for number, body in enumerate(server.bodies, 1) if number % 5 != 3]
    numbers = [int(n) for body in arrived for n in re.findall(r'"sequence": (\d+)', body)]
    assert numbers == list(range(0, 80, 1 if when == "always" else 2))
    assert (delivery.written, delivery.dropped) == (80, 0)


@pytest.mark.parametrize("token", ["abc\ndef", "abc\u20ac", ""])
def test_a_token_that_no_header_can_have_is_not_shown(server, monkeypatch, token):
    monkeypatch.setenv("EDGERNN_TEST_TOKEN", token)
    with pytest.raises(SinkError, match="token: expected one line of ASCII characters") as caught:
        opened(kind="webhook", url=server.url, token={"env": "EDGERNN_TEST_TOKEN"})
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize("kind", ["webhook", "influx"])
def test_an_address_has_no_password(kind):
    errors = []
    make_sink({"kind": kind, "url": "http://ada:s3cret@example.org/"}, "serve.toml", errors)
    assert len(errors) == 1
    assert "expected an address without a user" in errors[0] and "s3cret" not in errors[0]


@pytest.mark.parametrize("key", ["\\", "a\\", "a\\\\", "a b\\\\\\"])
def test_a_key_that_ends_with_a_backslash_stays_a_key(tmp_path, key):
    opened(kind="influx", path=str(tmp_path / "lines")).write([result(key=key)])
    line = (tmp_path / "lines").read_text()
    tags, _, _ = line.removeprefix("edgernn,key=").partition(",model=")
    assert tags and not tags.endswith("\\") and tags.startswith(key.replace(" ", "\\ "))


def test_a_key_with_every_sign_of_line_protocol_is_one_tag(tmp_path):
    opened(kind="influx", path=str(tmp_path / "lines")).write([result(key='a,b=c d"e')])
    assert (tmp_path / "lines").read_text().startswith('edgernn,key=a\\,b\\=c\\ d"e,model=')
