"""Results as metrics: the last output and decision of each stream, and counts."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, ClassVar

from edgernn.connections.arrival import Result
from edgernn.connections.options import ConnectionOption, OptionValues
from edgernn.connections.registry import Connection
from edgernn.errors import SinkError
from edgernn.model.interface import Interface


class PrometheusSink(Connection):
    """The last values of the streams that were heard from last."""

    KIND: ClassVar[str] = "prometheus"
    HELP: ClassVar[str] = "Metrics for Prometheus: last outputs and decisions by stream, counts."
    EXTRA: ClassVar[str] = "serve"
    LIBRARY: ClassVar[str] = "prometheus_client"
    OPTIONS: ClassVar[tuple[ConnectionOption, ...]] = (
        ConnectionOption(
            name="listen",
            help="Address and port of a separate server; by default the service shows the metrics "
            "under /metrics.",
            default="",
            example="127.0.0.1:9109",
        ),
        ConnectionOption(
            name="max_keys",
            help="Streams that are shown: those with the newest results.",
            kind="integer",
            default=1000,
            low=1,
            high=1_000_000,
        ),
    )

    def __init__(self, values: OptionValues) -> None:
        """Register nothing."""
        super().__init__(values)
        self._most = values.integer("max_keys")
        self._lock = threading.Lock()
        #: Time, outputs and decisions; not the fields that pass through, which may be large.
        self._last: OrderedDict[str, tuple[float, Any, Any]] = OrderedDict()
        self._counts = {"results": 0, "bad_results": 0}
        self._registry: Any = None
        self._server: Any = None
        self._model = ""

    @classmethod
    def problems(cls, values: OptionValues, channels: Any) -> list[str]:  # noqa: ARG003
        """See `Connection.problems`."""
        listen = values.text("listen")
        host, _, port = listen.rpartition(":")
        if not listen or (host and port.isdecimal() and int(port) < 65_536):
            return []
        return [f'listen: expected an address and a port as in "127.0.0.1:9109", got "{listen}".']

    def open(self, interface: Interface) -> None:
        """See `ResultSink.open`."""
        from prometheus_client import REGISTRY, CollectorRegistry, start_http_server

        self._model = interface.name
        listen = self.values.text("listen")
        if listen:
            self._registry = CollectorRegistry()
            host, _, port = listen.rpartition(":")
            try:
                self._server, _ = start_http_server(int(port), host, self._registry)
            except OSError as error:
                raise SinkError(
                    f"{self.values.where}, listen: expected an address that is free, got {error}."
                ) from error
        else:
            self._registry = REGISTRY
        self._registry.register(self)

    @property
    def address(self) -> tuple[str, int]:
        """Address and port of the server."""
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    def describe(self) -> list[Any]:
        """Names are not known before the first result (`prometheus_client.registry.Collector`)."""
        return []

    def collect(self) -> Iterator[Any]:
        """The metrics (`prometheus_client.registry.Collector`)."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        with self._lock:
            last, counts = list(self._last.items()), dict(self._counts)
        labels = ["model", "key", "name"]
        outputs = GaugeMetricFamily("edgernn_output", "Last output.", labels=labels)
        decisions = GaugeMetricFamily("edgernn_decision", "Last decision.", labels=labels)
        times = GaugeMetricFamily(
            "edgernn_result_time_seconds", "Time of the last reading.", labels=labels[:2]
        )
        for key, (time_s, values, decided) in last:
            own = [self._model, key]
            for name, value in values.items():
                outputs.add_metric([*own, name], value)
            for name, decision in decided.items():
                if not isinstance(decision, str):
                    decisions.add_metric([*own, name], float(decision))
            if math.isfinite(time_s):
                times.add_metric(own, time_s)
        yield from (outputs, decisions, times)
        for name, text in (("results", "Results."), ("bad_results", "Results of bad readings.")):
            count = CounterMetricFamily(f"edgernn_sink_{name}", text, labels=labels[:1])
            count.add_metric([self._model], counts[name])
            yield count

    def write(self, results: list[Result]) -> None:
        """See `ResultSink.write`."""
        if self._registry is None:
            raise SinkError(f"{self.name}: expected an open sink, got one that is closed.")
        with self._lock:
            for result in results:
                self._last[result.key] = result.time_s, result.outputs, result.decisions
                self._last.move_to_end(result.key)
                self._counts["bad_results"] += result.bad
            self._counts["results"] += len(results)
            while len(self._last) > self._most:
                self._last.popitem(last=False)

    def flush(self) -> None:
        """See `ResultSink.flush`: there is nothing to wait for."""

    def close(self) -> None:
        """See `ResultSink.close`."""
        registry, self._registry = self._registry, None
        if registry is not None:
            registry.unregister(self)
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
