"""Readings from an MQTT broker, each acknowledged once its results are stored."""

from __future__ import annotations

import base64
import logging
import re
import threading
import time
from collections import deque
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, ClassVar, Final, NamedTuple

from edgernn.connections.arrival import Arrival, ArrivalBatch
from edgernn.connections.fields import (
    FIELD_OPTIONS,
    KEY_OPTION,
    Fields,
    field_problems,
    valid_key,
)
from edgernn.connections.mqtt_client import MQTT_OPTIONS, MqttClient, mqtt_problems
from edgernn.connections.options import ConnectionOption, OptionValues
from edgernn.connections.payloads import FORMATS, PayloadReader
from edgernn.connections.registry import Connection
from edgernn.connections.troubles import Troubles

_KEY: Final = "{key}"
#: Bytes of what tells one message from another.
_MARK_BYTES: Final = 10
#: For so long after a message was acknowledged the broker may not know it yet.
_RECENT_S: Final = 5.0
#: A full queue holds up messages of QoS 0 for this long; then they are dropped.
_HOLD_S: Final = 5.0


#: Topics whose keys are remembered.
_MOST_TOPICS: Final = 100_000
#: A reader that was woken waits so long for the messages that come close behind.
_GATHER_S: Final = 0.005


class _Message(NamedTuple):
    """One message of the broker.

    Attributes:
        topic: as received.
        payload: as received.
        mark: that distinguishes it from others, b"" for QoS 0.
        mid: its number at the broker.
        connection: number of the connection that it came through.
    """

    topic: str
    payload: bytes
    mark: bytes
    mid: int
    connection: int


class MqttSource(Connection):
    """Subscribes to a topic, in a session that outlives the process with QoS 1.

    The broker sends a message again until it is acknowledged, which happens when its results are
    stored. A message that comes again although its results are stored is known by its number and
    content, which are a part of the stored position, and is only acknowledged.
    """

    KIND: ClassVar[str] = "mqtt"
    HELP: ClassVar[str] = "Messages of an MQTT broker, each with one or many readings."
    EXTRA: ClassVar[str] = "mqtt"
    LIBRARY: ClassVar[str] = "paho"
    OPTIONS: ClassVar[tuple[ConnectionOption, ...]] = (
        ConnectionOption(
            name="topic",
            help="Topic to subscribe to; {key} stands for the level that names the stream, + for "
            "any level, # for all levels behind.",
            example="sensors/{key}/readings",
        ),
        ConnectionOption(
            name="qos",
            help="0: messages may be lost; 1: each is kept until its results are stored.",
            kind="integer",
            default=1,
            low=0,
            high=1,
        ),
        ConnectionOption(
            name="payload",
            help="Form of payloads; raw numbers are little-endian.",
            default="json",
            choices=FORMATS,
        ),
        ConnectionOption(
            name="retained",
            help="Read messages too that the broker has retained from before the subscription.",
            kind="flag",
            default=False,
        ),
        ConnectionOption(
            name="max_waiting",
            help="Messages that may wait here; with QoS 1, those that are not acknowledged yet.",
            kind="integer",
            default=4000,
            low=1,
            high=65_535,
        ),
        ConnectionOption(
            name="max_payload_bytes",
            help="Longest payload; longer ones are dropped.",
            kind="integer",
            default=1 << 20,
            low=1,
            high=1 << 28,
        ),
        *MQTT_OPTIONS,
        KEY_OPTION,
        *FIELD_OPTIONS,
    )

    def __init__(self, values: OptionValues, channels: Sequence[str]) -> None:
        """Connect to nothing."""
        super().__init__(values)
        self.troubles = Troubles(logging.getLogger("edgernn.sources.mqtt"), self.name)
        levels = values.text("topic").split("/")
        self._key_level = levels.index(_KEY) if _KEY in levels else None
        self._topic = "/".join("+" if level == _KEY else level for level in levels)
        self._qos, self._retained = values.integer("qos"), values.flag("retained")
        self._most = values.integer("max_waiting")
        self._most_recent = 2 * self._most
        fields = Fields(values, channels, values.text("key") or self.name)
        form, longest = values.text("payload"), values.integer("max_payload_bytes")
        self._payloads = PayloadReader(fields, form, longest)
        self._client: MqttClient | None = None
        self._waiting: deque[_Message] = deque()
        self._news = threading.Condition()
        self._connection = 0
        self._keys: dict[str, str] = {}
        #: Marks of messages that arrived: True once acknowledged.
        self._delivered: dict[bytes, bool] = {}
        #: Marks of those that were read and are not acknowledged, the oldest first.
        self._read: dict[bytes, None] = {}
        #: Marks of delivered messages that came again through the present connection.
        self._again: dict[bytes, int] = {}
        self._recent: deque[tuple[float, bytes]] = deque()

    @classmethod
    def problems(cls, values: OptionValues, channels: Sequence[str]) -> list[str]:
        """See `Connection.problems`."""
        problems = [*mqtt_problems(values), *field_problems(values, channels)]
        topic = values.text("topic")
        if not re.fullmatch(
            r"(?:[^+#{}/]*|\+|\{key\})(?:/(?:[^+#{}/]*|\+|\{key\}))*(?:/#)?", topic
        ):
            problems.append(
                f'topic: expected levels that are names, + or {_KEY}, got "{topic:.60}". '
                'Write it as in "sensors/{key}/readings".'
            )
        elif topic.count(_KEY) > 1:
            problems.append(f'topic: expected one {_KEY}, got "{topic:.60}".')
        return problems

    def open(self, position: Any) -> None:
        """See `ReadingSource.open`; the broker need not be there yet."""
        if isinstance(position, dict) and isinstance(position.get("stored"), str):
            stored = base64.b64decode(position["stored"])
            for at in range(0, len(stored), _MARK_BYTES):
                mark = stored[at : at + _MARK_BYTES]
                self._delivered[mark] = True
                self._recent.append((time.monotonic(), mark))
        self._client = MqttClient(
            self.values, self.name, keep_session=self._qos == 1, window=self._most
        )
        self._client.client.on_connect = self._on_connect
        self._client.client.on_message = self._on_message
        self._client.on_troubles(self.troubles.tell)
        self._client.start()

    def _on_connect(self, client: Any, data: Any, flags: Any, code: Any, more: Any) -> None:  # noqa: ARG002
        if code != 0:
            assert self._client is not None
            self.troubles.tell(f"expected to be let in at {self._client.address}, got {code}")
            return
        with self._news:
            self._connection += 1
            self._again.clear()
            # What the last connection did not bring to the broker comes again through this one.
            now = time.monotonic()
            self._recent = deque((now, mark) for _, mark in self._recent)
        client.subscribe(self._topic, qos=self._qos)

    def _on_message(self, client: Any, data: Any, message: Any) -> None:  # noqa: ARG002
        try:
            topic = message.topic
        except UnicodeError:
            topic = ""
        if message.retain and not self._retained:
            client.ack(message.mid, message.qos)
            return
        mark = _mark(message.mid, topic, message.payload) if message.qos else b""
        with self._news:
            if message.dup and mark in self._delivered:
                if self._delivered[mark]:
                    client.ack(message.mid, 1)
                else:
                    self._again[mark] = message.mid
                return
            if not message.qos and not self._has_room():
                self.troubles.tell(
                    f"expected at most {self._most} messages to wait, got more. Those of QoS 0 "
                    "are dropped; send with QoS 1, or more readings in a message"
                )
                return
            if mark:
                self._delivered[mark] = False
            self._waiting.append(
                _Message(topic, message.payload, mark, message.mid, self._connection)
            )
            if len(self._waiting) == 1:
                self._news.notify_all()

    def _has_room(self) -> bool:
        """Hold up the connection while too many messages wait."""
        return self._news.wait_for(lambda: len(self._waiting) < self._most, _HOLD_S)

    def read(self, most: int, timeout_s: float) -> ArrivalBatch:
        """See `ReadingSource.read`."""
        with self._news:
            idle = not self._waiting
            self._news.wait_for(lambda: self._waiting, timeout_s)
        if idle and self._waiting and most > 1:
            time.sleep(min(_GATHER_S, timeout_s))
        with self._news:
            messages: list[_Message] = []
            arrivals: list[Arrival] = []
            while self._waiting and len(arrivals) < most:
                message = self._waiting.popleft()
                arrivals += self._arrivals(message)
                if message.mark:
                    messages.append(message)
                    self._read[message.mark] = None
            self._news.notify_all()
            position = self._position() if messages else None
        return ArrivalBatch(arrivals, position, messages)

    def _arrivals(self, message: _Message) -> list[Arrival]:
        key = ""
        if self._key_level is not None:
            key = self._keys.get(message.topic) or self._key(message.topic, self._key_level)
            if not key:
                topic = message.topic
                problem = f"expected a topic with a level that names the stream, got {topic!r:.80}"
                return [Arrival("", [], problem=problem)]
        return self._payloads.arrivals(message.payload, key)

    def _key(self, topic: str, level: int) -> str:
        """The stream that a topic names, "" if none; looked up once for each topic."""
        levels = topic.split("/")
        if len(levels) <= level or not valid_key(levels[level]):
            return ""
        if len(self._keys) >= _MOST_TOPICS:
            self._keys.clear()
        return self._keys.setdefault(topic, levels[level])

    def _position(self) -> dict[str, str]:
        """Marks of messages that are stored by then, and that the broker may send again."""
        begin = time.monotonic() - _RECENT_S
        while self._recent and (
            self._recent[0][0] < begin or len(self._recent) > self._most_recent
        ):
            _, mark = self._recent.popleft()
            if self._delivered.get(mark):
                del self._delivered[mark]
        marks = [*(mark for _, mark in self._recent), *self._read]
        return {"stored": base64.b64encode(b"".join(marks)).decode()}

    def acknowledge(self, batch: ArrivalBatch) -> None:
        """See `ReadingSource.acknowledge`."""
        messages = batch.token if isinstance(batch.token, list) else []
        with self._news:
            client = self._client.client if self._client else None
            now = time.monotonic()
            for message in messages:
                self._delivered[message.mark] = True
                self._read.pop(message.mark, None)
                self._recent.append((now, message.mark))
                mid = self._again.pop(message.mark, None)
                if mid is None and message.connection == self._connection:
                    mid = message.mid
                if client is not None and mid is not None:
                    client.ack(mid, 1)

    def close(self) -> None:
        """See `ReadingSource.close`; the broker keeps unacknowledged messages."""
        client, self._client = self._client, None
        if client is not None:
            client.stop()


def _mark(mid: int, topic: str, payload: bytes) -> bytes:
    digest = blake2b(topic.encode() + b"\0" + payload, digest_size=_MARK_BYTES - 2)
    return mid.to_bytes(2, "big") + digest.digest()
