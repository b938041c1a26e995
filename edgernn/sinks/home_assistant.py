"""MQTT discovery: Home Assistant shows outputs as sensors and alarms as binary sensors.

Each stream is a device. Its sensors are announced once, in retained messages, and read the topic
of the results.
"""

from __future__ import annotations

import json
import re
import zlib
from typing import Any, Final

from edgernn.connections.arrival import Result
from edgernn.connections.options import ConnectionOption, OptionValues
from edgernn.model.interface import Interface
from edgernn.sinks.members import FIXED

HOME_ASSISTANT_OPTIONS: Final = (
    ConnectionOption(
        name="home_assistant",
        help="Announce outputs and decisions to Home Assistant.",
        kind="flag",
        default=False,
    ),
    ConnectionOption(
        name="discovery_prefix",
        help="Prefix of announcements, as set in Home Assistant.",
        default="homeassistant",
    ),
    ConnectionOption(
        name="max_announced",
        help="Streams that are announced; those after them are not.",
        kind="integer",
        default=200,
        low=1,
        high=100_000,
    ),
    ConnectionOption(
        name="expire_after_s",
        help="Seconds without a result after which a sensor is unavailable; 0: never.",
        kind="integer",
        default=0,
        low=0,
        high=10_000_000,
    ),
)
_NO_ID: Final = re.compile(r"[^a-zA-Z0-9_-]+")


class Announcer:
    """Announcements of the streams of one model.

    Args:
        values: with `HOME_ASSISTANT_OPTIONS`.
        interface: of the model.
        status_topic: whether the service runs.
    """

    def __init__(self, values: OptionValues, interface: Interface, status_topic: str) -> None:
        """Nothing announced."""
        self._prefix = values.text("discovery_prefix")
        self._most = values.integer("max_announced")
        self._expire_s = values.integer("expire_after_s")
        self._model, self._sha = interface.name, interface.model_sha256
        self._units = dict(zip(interface.output.names, interface.output.units, strict=True))
        self._status = status_topic
        self._announced: dict[str, frozenset[str]] = {}

    def announcements(
        self, result: Result, members: dict[str, Any], topic: str
    ) -> list[tuple[str, str]]:
        """Topics and payloads that announce what a result has and no earlier one had.

        Args:
            result: of one stream.
            members: of the message.
            topic: of the message.
        """
        known = self._announced.get(result.key)
        if known is None and len(self._announced) >= self._most:
            return []
        shown = {n: v for n, v in members.items() if n not in FIXED and n not in result.passed}
        if known is not None and known.issuperset(shown):
            return []
        self._announced[result.key] = frozenset(shown) | (known or frozenset())
        return [
            self._announcement(result.key, name, value, topic)
            for name, value in shown.items()
            if known is None or name not in known
        ]

    def _announcement(self, key: str, name: str, value: object, topic: str) -> tuple[str, str]:
        device = f"edgernn_{_identifier(self._model)}_{_identifier(key)}"
        unique = f"{device}_{_identifier(name)}"
        member = f"value_json[{json.dumps(name)}]"
        config: dict[str, Any] = {
            "name": name,
            "unique_id": unique,
            "state_topic": topic,
            "availability_topic": self._status,
            "device": {
                "identifiers": [device],
                "name": key,
                "manufacturer": "edgernn",
                "model": self._model,
                "sw_version": self._sha[:12],
            },
            "origin": {"name": "edgernn"},
        }
        if isinstance(value, bool):
            kind = "binary_sensor"
            config |= {
                "value_template": f"{{{{ 'ON' if {member} else 'OFF' }}}}",
                "device_class": "problem",
            }
        else:
            kind = "sensor"
            config["value_template"] = f"{{{{ {member} }}}}"
            if not isinstance(value, str):
                config["state_class"] = "measurement"
            if unit := self._units.get(name):
                config["unit_of_measurement"] = unit
        if self._expire_s:
            config["expire_after"] = self._expire_s
        return f"{self._prefix}/{kind}/{unique}/config", json.dumps(config, ensure_ascii=False)


def _identifier(text: str) -> str:
    """A text as Home Assistant allows it in topics; different texts stay different."""
    plain = _NO_ID.sub("_", text)
    if plain == text:
        return text
    return f"{plain}_{zlib.crc32(text.encode()):08x}"
