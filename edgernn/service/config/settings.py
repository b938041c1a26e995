"""The tables of the file that configures a service, as records.

Every field says in its metadata what it means and which values it takes. The reader checks a file
against that, and the commented example and the reference table of the guide are written from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

BACKENDS: Final = ("auto", "native", "reference", "tflite", "onnx")
DURABILITY: Final = ("normal", "full")
LOG_FORMATS: Final = ("auto", "logfmt", "json")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
ON_FAILURE: Final = ("block", "drop")


def _setting(
    default: Any,
    text: str,
    *,
    choices: tuple[str, ...] = (),
    low: float | None = None,
    high: float | None = None,
) -> Any:
    """A field: its default, what it means, and the values that it takes."""
    facts = {"help": text, "choices": choices, "low": low, "high": high}
    return field(default=default, metadata=facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """`[model]`: which model runs, and how."""

    path: str = _setting("", "the model: an .edgernn, .tflite or .onnx file, or demo")
    backend: str = _setting("auto", "what runs the model", choices=BACKENDS)
    on_bad_reading: str | float | Mapping[str, Any] = _setting(
        "hold",
        "what a missing value does: hold, skip, raise or a number; a table gives one per channel",
    )
    warm_up: str = _setting(
        "nothing",
        "what a window model answers before its first window is full",
        choices=("nothing", "pad"),
    )
    softmax: bool = _setting(False, "give probabilities where the model ends in a softmax")
    watch: bool = _setting(True, "load the model again when its file changes")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings:
    """`[streams]`: how many streams stay in memory."""

    capacity: int = _setting(
        100_000,
        "streams in memory; beyond that, the least recently used move to the store; "
        "without a store there is no limit",
        low=1,
    )
    idle_s: float | None = _setting(
        None, "a stream without a reading for so long moves to the store, in seconds", low=0.001
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """`[store]`: where states are kept, and how often they are saved."""

    path: str = _setting("", "the file with the states; empty: states are lost at the end")
    durable: str = _setting(
        "normal", "full also survives a power cut, at the cost of a disk sync", choices=DURABILITY
    )
    commit_readings: int = _setting(500, "save after this many readings at the latest", low=1)
    commit_s: float = _setting(1.0, "save after this many seconds at the latest", low=0.0)
    keep_days: float = _setting(
        0.0, "forget streams that had no reading for this many days; 0: never", low=0.0
    )
    migrate: bool = _setting(
        False, "take the states of another model whose states have the same names and formats"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """`[service]`: batches, queues, processes, logs."""

    workers: int = _setting(1, "processes that share the streams", low=1, high=256)
    batch_readings: int = _setting(1000, "most readings in one batch", low=1)
    queue_readings: int = _setting(
        10_000, "most readings that wait; a source that is ahead is not read until there is room",
        low=1,
    )  # fmt: skip
    stall_s: float = _setting(
        60.0, "the service is reported as stalled if the loop does not go round for so long",
        low=1.0,
    )  # fmt: skip
    stop_s: float = _setting(
        20.0, "how long a stopping service waits for a sink that fails, in seconds", low=0.0
    )
    log: str = _setting(
        "auto", "form of the log lines; auto: logfmt, with priorities under systemd",
        choices=LOG_FORMATS,
    )  # fmt: skip
    log_level: str = _setting("info", "the least level that is logged", choices=LOG_LEVELS)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """`[http]`: the live page, /healthz and /metrics."""

    listen: str = _setting("127.0.0.1:8765", "address and port; empty: no HTTP")
    title: str = _setting("", "title of the live page; empty: the name of the model")
    history: int = _setting(300, "points per stream that the live page keeps", low=10, high=10_000)
    max_keys: int = _setting(
        200, "streams that the live page keeps, the most recent ones", low=1, high=10_000
    )
    truth: str = _setting(
        "", "what the first output is compared with: a field of the readings, or an input channel"
    )
    truth_after: int = _setting(
        0, "readings by which the truth comes later than its prediction", low=0, high=10_000
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySettings:
    """`[[sink]]`: what every sink takes besides the options of its kind."""

    on_failure: str = _setting(
        "block",
        "block: wait until the sink works again; drop: give up after retry_s, and count it",
        choices=ON_FAILURE,
    )
    retry_s: float = _setting(
        300.0, "with drop: how long a batch is tried again, in seconds", low=0.0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeConfig:
    """A whole file.

    Attributes:
        file: the file.
        model: the table [model].
        streams: [streams].
        store: [store].
        service: [service].
        http: [http].
        sources: the tables [[source]].
        sinks: the tables [[sink]], without what `deliveries` has of them.
        deliveries: how each sink is treated when it fails.
        preparation: [preparation]; None: what the model records.
        decisions: the tables [[decision]]; none: what the model records.
    """

    file: Path
    model: ModelSettings
    streams: StreamSettings = StreamSettings()
    store: StoreSettings = StoreSettings()
    service: ServiceSettings = ServiceSettings()
    http: HttpSettings = HttpSettings()
    sources: tuple[Mapping[str, Any], ...] = ()
    sinks: tuple[Mapping[str, Any], ...] = ()
    deliveries: tuple[DeliverySettings, ...] = ()
    preparation: Mapping[str, Any] | None = None
    decisions: tuple[Mapping[str, Any], ...] = ()


#: Tables that are read into records, in the order of the example.
TABLES: Final[dict[str, type[Any]]] = {
    "model": ModelSettings,
    "streams": StreamSettings,
    "store": StoreSettings,
    "service": ServiceSettings,
    "http": HttpSettings,
}
