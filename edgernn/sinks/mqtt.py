"""Results to an MQTT broker, and the announcements by which Home Assistant shows them."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from typing import Any, ClassVar, Final

from edgernn.connections.arrival import Result
from edgernn.connections.mqtt_client import MQTT_OPTIONS, MqttClient, mqtt_problems
from edgernn.connections.options import ConnectionOption, OptionValues
from edgernn.connections.registry import Connection
from edgernn.connections.troubles import Troubles
from edgernn.errors import SinkError
from edgernn.model.interface import Interface
from edgernn.sinks.home_assistant import HOME_ASSISTANT_OPTIONS, Announcer
from edgernn.sinks.members import newest, result_members

_KEY: Final = "{key}"
#: Results on their way to the broker; before there are more, the broker must confirm them.
_MOST_QUEUED: Final = 10_000
_CONNECT_S: Final = 2.0


class MqttSink(Connection):
    """One JSON object per result; the broker keeps the last one of each stream."""

    KIND: ClassVar[str] = "mqtt"
    HELP: ClassVar[str] = "Messages to an MQTT broker, one topic per stream; Home Assistant too."
    EXTRA: ClassVar[str] = "mqtt"
    LIBRARY: ClassVar[str] = "paho"
    OPTIONS: ClassVar[tuple[ConnectionOption, ...]] = (
        ConnectionOption(
            name="topic",
            help="Topic of results; {key} stands for the name of the stream.",
            default="edgernn/predictions/{key}",
        ),
        ConnectionOption(
            name="status_topic",
            help='Topic that says "online" or "offline".',
            default="edgernn/status",
        ),
        ConnectionOption(
            name="qos",
            help="0: results may be lost; 1: they arrive at least once.",
            kind="integer",
            default=1,
            low=0,
            high=1,
        ),
        ConnectionOption(
            name="retain",
            help="The broker keeps the last result of each stream for those who subscribe later.",
            kind="flag",
            default=True,
        ),
        ConnectionOption(
            name="every",
            help="Send every result, not only the newest of each stream at a time.",
            kind="flag",
            default=True,
        ),
        ConnectionOption(
            name="timeout_s",
            help="Seconds in which the broker must confirm what was sent.",
            kind="number",
            default=10.0,
            low=0.1,
            high=600.0,
        ),
        *HOME_ASSISTANT_OPTIONS,
        *MQTT_OPTIONS,
    )

    def __init__(self, values: OptionValues) -> None:
        """Connect to nothing."""
        super().__init__(values)
        self.troubles = Troubles(logging.getLogger("edgernn.sinks.mqtt"), self.name)
        self._topic, self._status = values.text("topic"), values.text("status_topic")
        self._qos, self._retain = values.integer("qos"), values.flag("retain")
        self._timeout_s = values.number("timeout_s")
        self._client: MqttClient | None = None
        self._announcer: Announcer | None = None
        self._sent: list[Any] = []

    @classmethod
    def problems(cls, values: OptionValues, channels: Any) -> list[str]:  # noqa: ARG003
        """See `Connection.problems`."""
        problems = mqtt_problems(values)
        for name in ("topic", "status_topic"):
            topic = values.text(name)
            if not topic or any(sign in topic for sign in "+#"):
                problems.append(f'{name}: expected a topic without + and #, got "{topic:.60}".')
        if _KEY not in values.text("topic"):
            topic = values.text("topic")
            problems.append(
                f'topic: expected {_KEY} in it, got "{topic:.60}". Add it, as in '
                f'"edgernn/predictions/{_KEY}".'
            )
        return problems

    def open(self, interface: Interface) -> None:
        """See `ResultSink.open`."""
        if self.values.flag("home_assistant"):
            self._announcer = Announcer(self.values, interface, self._status)
        client = self._client = MqttClient(self.values, f"{self.name}-sink")
        client.client.will_set(self._status, "offline", qos=1, retain=True)
        client.client.on_connect = self._on_connect
        client.on_troubles(self.troubles.tell)
        client.start()

    def _on_connect(self, client: Any, data: Any, flags: Any, code: Any, more: Any) -> None:  # noqa: ARG002
        if self._client is None:  # it is being closed
            return
        if code == 0:
            client.publish(self._status, "online", qos=1, retain=True)
        else:
            self.troubles.tell(f"expected to be let in at {self._client.address}, got {code}")

    def _connected(self) -> Any:
        """The client.

        Raises:
            SinkError: there is no connection.
        """
        if self._client is None:
            raise SinkError(f"{self.name}: expected an open sink, got one that is closed.")
        deadline = time.monotonic() + _CONNECT_S
        while not self._client.client.is_connected():
            if time.monotonic() >= deadline:
                raise SinkError(
                    f"{self.name}: expected a connection to {self._client.address}, got none."
                )
            time.sleep(0.02)
        return self._client.client

    def write(self, results: list[Result]) -> None:
        """See `ResultSink.write`."""
        client = self._connected()
        for result in results if self.values.flag("every") else newest(results):
            topic = self._topic.replace(_KEY, topic_level(result.key))
            members = result_members(result)
            if self._announcer is not None:
                for place, payload in self._announcer.announcements(result, members, topic):
                    self._send(client, place, payload, retain=True)
            self._send(client, topic, json.dumps(members, ensure_ascii=False), self._retain)

    def _send(self, client: Any, topic: str, payload: str, retain: bool) -> None:
        if len(self._sent) >= _MOST_QUEUED:
            self.flush()
        info = client.publish(topic, payload, qos=self._qos, retain=retain)
        self._sent.append(info)

    def flush(self) -> None:
        """See `ResultSink.flush`."""
        sent, self._sent = self._sent, []
        deadline = time.monotonic() + self._timeout_s
        for info in sent:
            try:
                info.wait_for_publish(max(0.0, deadline - time.monotonic()))
                done = info.is_published()
            except (RuntimeError, ValueError):
                done = False
            if not done:
                raise SinkError(
                    f"{self.name}: expected the broker to confirm {len(sent)} messages within "
                    f"{self._timeout_s:g} s, got no confirmation."
                )

    def close(self) -> None:
        """See `ResultSink.close`; the status is offline then."""
        client, self._client = self._client, None
        if client is not None:
            if client.client.is_connected():
                info = client.client.publish(self._status, "offline", qos=1, retain=True)
                # If the connection breaks now, the broker publishes the last will instead.
                with contextlib.suppress(RuntimeError, ValueError):
                    info.wait_for_publish(_CONNECT_S)
            client.stop()


def topic_level(key: str) -> str:
    """A key as one level of a topic: what has a meaning in topics is %-coded."""
    for sign in "%/+#":
        key = key.replace(sign, f"%{ord(sign):02X}")
    return key
