"""The HTTP server of a service: the live page, its data, health and metrics."""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from edgernn.errors import EdgeRnnError
from edgernn.install import library_hint
from edgernn.service.config.reading import address
from edgernn.service.figures import LATENCY_BOUNDS_S
from edgernn.service.service import Service
from edgernn.service.web.metrics import metrics_text

_LOG: Final = logging.getLogger("edgernn.service.http")
#: Seconds after which a client that says nothing is disconnected.
_TIMEOUT_S: Final = 20
#: Connections at a time, each of which has a thread; more are closed.
_MOST_CONNECTIONS: Final = 64
#: Nothing but the page itself may load or run anything.
_POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)
_JSON: Final = "application/json"


class LiveServer:
    """Serves what a service shows, in threads, until `close`.

    Args:
        service: the one to show.

    Attributes:
        url: of the live page.

    Raises:
        EdgeRnnError: the address is in use, or not one of this machine.
    """

    def __init__(self, service: Service) -> None:
        """Listen."""
        listen = service.config.http.listen
        found = address(listen)
        assert found is not None  # which the configuration was checked for
        handler = type("_BoundHandler", (_Handler,), {"service": service})
        try:
            self._server = _Server(found, handler, bind_and_activate=True)
        except OSError as error:
            raise EdgeRnnError(
                f"http: expected a free address of this machine, got '{listen}' "
                f"({error.strerror}). Change listen in [http]; an empty text turns HTTP off."
            ) from error
        host, port = self._server.server_address[:2]
        shown = f"[{host!s}]" if ":" in str(host) else str(host)
        self.url = f"http://{shown}:{port}/"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.2,), name="http", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 32

    def __init__(self, place: tuple[str, int], handler: Any, bind_and_activate: bool) -> None:
        if ":" in place[0]:
            import socket

            self.address_family = socket.AF_INET6
        self._places = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        super().__init__(place, handler, bind_and_activate)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        _LOG.debug("a request failed", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    service: Service
    server_version = "edgernn"
    sys_version = ""
    timeout = _TIMEOUT_S

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        answer = _ROUTES.get(parts.path)
        if answer is None:
            self._send(404, "text/plain", f"404: expected one of {', '.join(_ROUTES)}\n".encode())
            return
        self._send(*answer(self.service, parse_qs(parts.query)))

    do_HEAD = do_GET

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        _LOG.debug(format, *args)


_Answer = tuple[int, str, bytes]
_Query = dict[str, list[str]]


def _page(service: Service, query: _Query) -> _Answer:  # noqa: ARG001
    return 200, "text/html", (resources.files(__package__) / "page.html").read_bytes()


def _health(service: Service, query: _Query) -> _Answer:  # noqa: ARG001
    health = service.health()
    return 503 if health["status"] == "stalled" else 200, _JSON, _json(health)


def _metrics(service: Service, query: _Query) -> _Answer:  # noqa: ARG001
    try:
        return 200, "text/plain; version=0.0.4", metrics_text(service)
    except ImportError:
        hint = library_hint("prometheus_client", "serve")
        text = f"expected the library prometheus-client, got none. Install it with: {hint}\n"
        return 501, "text/plain", text.encode()


def _state(service: Service, query: _Query) -> _Answer:  # noqa: ARG001
    return 200, _JSON, _json(state_record(service))


def _stream(service: Service, query: _Query) -> _Answer:
    found = service.figures.history(query.get("key", [""])[0])
    if found is None:
        return 404, _JSON, _json({"error": "expected the key of a stream that is shown"})
    return 200, _JSON, _json(found)


_ROUTES: Final[dict[str, Callable[[Service, _Query], _Answer]]] = {
    "/": _page,
    "/healthz": _health,
    "/metrics": _metrics,
    "/api/state": _state,
    "/api/stream": _stream,
}


def state_record(service: Service) -> dict[str, Any]:
    """Everything that the page and `edgernn watch` show, as JSON values, except for NaN."""
    figures, interface = service.figures, service.figures.interface
    counts = service.pipeline.counts
    steps = max(1, figures.steps)
    latencies = figures.latencies
    return {
        "time_s": time.time(),
        "title": service.config.http.title or interface.name,
        "truth": service.config.http.truth,
        "health": service.health(),
        "rate_hz": figures.rate_hz(),
        "results": figures.steps,
        "counts": dict(counts),
        "streams_in_memory": figures.keys_in_memory,
        "alarms_on": figures.alarms_on,
        "alarms": figures.counts["alarms"],
        "problems": figures.counts["problems"],
        "inputs": [
            {"name": name, "unit": unit, "clipped": count, "share": count / steps}
            for name, unit, count in zip(
                interface.input.names, interface.input.units, figures.clipped, strict=True
            )
        ],
        "outputs": [
            {"name": name, "unit": unit, "saturated": count, "share": count / steps}
            for name, unit, count in zip(
                interface.output.names, interface.output.units, figures.saturated, strict=True
            )
        ],
        "latency": {
            "bounds_s": LATENCY_BOUNDS_S,
            "counts": latencies.counts,
            "p50_s": latencies.quantile_s(0.5),
            "p99_s": latencies.quantile_s(0.99),
        },
        "sinks": [
            {
                "name": delivery.sink.name,
                "written": delivery.written,
                "dropped": delivery.dropped,
                "failures": delivery.failures,
                "failing": delivery.failing_since_s is not None,
            }
            for delivery in service.deliveries
        ],
        "events": list(figures.events)[::-1],
        "streams": figures.overview(),
    }


def _json(value: Any) -> bytes:
    """JSON in which numbers that are not finite are null."""
    return json.dumps(_finite(value), separators=(",", ":"), default=str).encode()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return value
