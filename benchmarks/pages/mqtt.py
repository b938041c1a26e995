"""docs/results/mqtt.md."""

from __future__ import annotations

from benchmarks.pages.markdown import Record, bullets, generated, joined, paragraph, table


def page(record: Record) -> str:
    """The whole page on readings over MQTT."""
    setup, cases = record["setup"], record["cases"]
    (single, many) = sorted(map(int, setup["messages"]))
    return joined(
        [
            "# Readings over MQTT",
            paragraph(
                "This page shows how many readings a process takes from an MQTT broker for each "
                "second of CPU time, and how much it helps to send several readings in a message."
            ),
            bullets(_in_short(cases, single, many)),
            generated("mqtt"),
            table(
                ["QoS", "readings per message", "payload", "read", "read and step", "MQTT 3.1.1"],
                [
                    [str(qos), str(readings), payload, *_rates(cases, qos, readings, payload)]
                    for qos in (0, 1)
                    for readings in (single, many)
                    for payload in ("json", "float32")
                ],
            ),
            paragraph(
                f"Readings per CPU second of the process that reads, the median of "
                f"{setup['rounds']} runs of {setup['messages'][str(single)]:,} messages with one "
                f"reading, or {setup['messages'][str(many)]:,} with {many}, from "
                f"{setup['streams']:,} streams. A reading has {setup['channels']} channels. "
                "The column `read` is the source alone: messages to readings by key, "
                "acknowledged with QoS 1. In `read and step`, `StreamPool.step_many` advances a "
                "GRU-32 (`w8a8`, native back-end) by batches of at most 500 readings. The last "
                "column is the same with version 3.1.1 of MQTT instead of 5: the client library, "
                "paho-mqtt, builds a set of properties for every message of version 5. The broker "
                "is mosquitto on the same machine; its CPU time and that of the publisher do not "
                f"count. Processor: {setup['processor']}, two cores, which other programs used too "
                f"(load average {setup['load']})."
            ),
            paragraph(_losses(cases)),
        ]
    )


def _find(cases: list[Record], **wanted: object) -> Record:
    return next(c for c in cases if all(c[name] == value for name, value in wanted.items()))


def _rates(cases: list[Record], qos: int, readings: int, payload: str) -> list[str]:
    found = [
        _find(cases, qos=qos, readings=readings, payload=payload, work=work, protocol=protocol)
        for work, protocol in (("read", "5"), ("step", "5"), ("step", "3.1.1"))
    ]
    return [f"{case['readings_per_cpu_s']:,}" for case in found]


def _in_short(cases: list[Record], single: int, many: int) -> list[str]:
    texts = []
    for payload in ("json", "float32"):
        one, more = (
            _find(cases, qos=1, readings=n, payload=payload, work="step", protocol="5")[
                "readings_per_cpu_s"
            ]
            for n in (single, many)
        )
        texts.append(
            f"With QoS 1, `{payload}` payloads and a GRU-32 behind the source: {one:,} readings "
            f"per CPU second with one reading in a message, {more:,} with {many} "
            f"({more / one:.1f} times as many)."
        )
    return texts


def _losses(cases: list[Record]) -> str:
    worst = {qos: min(c["received"] for c in cases if c["qos"] == qos) for qos in (0, 1)}
    one = "All readings with QoS 1 arrived" if worst[1] == 1 else f"{worst[1]:.2%} arrived (QoS 1)"
    zero = "all" if worst[0] == 1 else f"at least {worst[0]:.2%} in every run"
    return f"{one}; of those with QoS 0, {zero}."
