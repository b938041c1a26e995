"""The figures of a service in the form that Prometheus reads."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Final

from edgernn.service.figures import LATENCY_BOUNDS_S
from edgernn.service.service import Service

#: What happened to readings: name in the counts of the pipeline, and what it means.
_COUNTS: Final = {
    "readings": "Readings that were taken",
    "steps": "Steps of the model",
    "bad": "Readings that lacked a value",
    "repeated": "Readings that had come before and were left out",
    "unreadable": "Lines and messages without a reading",
    "begun_anew": "Streams whose saved state could not be used",
    "evicted": "Streams that left memory",
    "recalled": "Streams that came back from the store",
}


def metrics_text(service: Service) -> bytes:
    """All metrics, in the text format of Prometheus.

    Args:
        service: the one to describe.

    Raises:
        ImportError: prometheus-client is not installed.
    """
    from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
    from prometheus_client.registry import Collector

    class _Reader(Collector):
        def collect(self) -> Iterator[Any]:
            return _families(service)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Reader())
    text = generate_latest(registry)
    if any(getattr(delivery.sink, "KIND", "") == "prometheus" for delivery in service.deliveries):
        text += generate_latest(REGISTRY)  # where that kind of sink keeps its values
    return text


def _families(service: Service) -> Iterator[Any]:
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        InfoMetricFamily,
    )

    figures, health = service.figures, service.health()
    interface = figures.interface
    yield InfoMetricFamily(
        "edgernn_model",
        "The model that runs",
        {"name": interface.name, "sha256": interface.model_sha256},
    )
    for name, text in _COUNTS.items():
        yield CounterMetricFamily(f"edgernn_{name}", text, service.pipeline.counts[name])
    yield CounterMetricFamily("edgernn_alarms", "Alarms that began", figures.counts["alarms"])
    for name, text, value in (
        ("up", "1 where the service works, 0 where it stalls", health["status"] != "stalled"),
        ("streams", "Streams in memory", figures.keys_in_memory),
        ("alarms_on", "Alarms that hold", figures.alarms_on),
        ("waiting_readings", "Readings that wait for the model", health["waiting_readings"]),
        ("last_round_seconds", "Time since the loop went round", health["last_round_s"]),
    ):
        yield GaugeMetricFamily(f"edgernn_{name}", text, float(value))
    for title, text, names, counts in (
        ("clipped", "Values outside the calibrated range", interface.input.names, figures.clipped),
        ("saturated", "Outputs at the end of their range", figures.output_names,
         figures.saturated),
    ):  # fmt: skip
        family = CounterMetricFamily(f"edgernn_{title}", text, labels=["channel"])
        for channel, count in zip(names, counts, strict=False):
            family.add_metric([channel], count)
        yield family
    yield _sources(service, CounterMetricFamily)
    for title, text in (
        ("written", "Results that a sink keeps"),
        ("dropped", "Results that were given up"),
        ("failures", "Attempts of a sink that failed"),
    ):
        family = CounterMetricFamily(f"edgernn_sink_{title}", text, labels=["sink"])
        for delivery in service.deliveries:
            family.add_metric([delivery.sink.name], getattr(delivery, title))
        yield family
    with figures.lock:
        counts, total_s = list(figures.latencies.counts), figures.latencies.sum_s
    bounds = [*(f"{bound:g}" for bound in LATENCY_BOUNDS_S), "+Inf"]
    yield HistogramMetricFamily(
        "edgernn_latency_seconds",
        "Time from the arrival of a reading until every sink has its result",
        buckets=list(zip(bounds, map(float, itertools.accumulate(counts)), strict=True)),
        sum_value=total_s,
    )


def _sources(service: Service, family_type: Any) -> Any:
    family = family_type(
        "edgernn_source_readings", "Readings that a source delivered", labels=["source"]
    )
    for thread in service.threads:
        family.add_metric([thread.source.name], thread.readings)
    return family
