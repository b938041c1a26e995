"""A client of an MQTT broker, for the source and for the sink."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Final, cast

from edgernn.connections.options import ConnectionOption, OptionValues
from edgernn.errors import BackendUnavailable, SourceError
from edgernn.install import library_hint

#: A session that is kept for a service that is away, in seconds.
_WEEK_S: Final = 7 * 86_400

MQTT_OPTIONS: Final = (
    ConnectionOption(name="host", help="Name or address of the broker.", default="127.0.0.1"),
    ConnectionOption(
        name="port",
        help="Port of the broker; 0: 1883, or 8883 with TLS.",
        kind="integer",
        default=0,
        low=0,
        high=65_535,
    ),
    ConnectionOption(
        name="user",
        help="User, from the environment or a file.",
        kind="secret",
        example={"env": "MQTT_USER"},
    ),
    ConnectionOption(
        name="password",
        help="Password, from the environment or a file.",
        kind="secret",
        example={"file": "/etc/edgernn/mqtt_password"},
    ),
    ConnectionOption(name="tls", help="Encrypt the connection.", kind="flag", default=False),
    ConnectionOption(
        name="ca_file",
        help="Certificates of authorities to trust; by default those of the system.",
        default="",
        example="/etc/edgernn/ca.pem",
    ),
    ConnectionOption(
        name="cert_file",
        help="Certificate of this client, with its key in key_file.",
        default="",
        example="/etc/edgernn/client.pem",
    ),
    ConnectionOption(
        name="key_file",
        help="Key of the client's certificate.",
        default="",
        example="/etc/edgernn/client.key",
    ),
    ConnectionOption(
        name="protocol",
        help="Version of MQTT.",
        default="5",
        choices=("5", "3.1.1"),
    ),
    ConnectionOption(
        name="client_id",
        help="Name of this client; no two clients of a broker may share one. By default edgernn, "
        "the name of the machine, and that of this table.",
        default="",
        example="edgernn-cellar",
    ),
    ConnectionOption(
        name="keep_alive_s",
        help="Seconds without a sign of life after which a connection counts as broken.",
        kind="integer",
        default=30,
        low=2,
        high=3600,
    ),
)


def mqtt_problems(values: OptionValues) -> list[str]:
    """What is wrong with `MQTT_OPTIONS` together."""
    problems = []
    files = [name for name in ("ca_file", "cert_file", "key_file") if values.text(name)]
    if files and not values.flag("tls"):
        problems.append(f"tls: expected true with {files[0]}, got false. Add tls = true.")
    if bool(values.text("cert_file")) != bool(values.text("key_file")):
        problems.append("cert_file: expected cert_file and key_file together, got one of them.")
    return problems


class MqttClient:
    """A connection that is opened again whenever it breaks.

    Args:
        values: with `MQTT_OPTIONS`.
        name: of the table, the last part of the default client name.
        keep_session: the broker keeps messages while this client is away.
        window: most messages that it sends before they are acknowledged.

    Attributes:
        address: of the broker, for messages.
        client: of paho-mqtt.
    """

    def __init__(
        self, values: OptionValues, name: str, *, keep_session: bool = False, window: int = 20
    ) -> None:
        """Build the client; nothing is connected.

        Raises:
            BackendUnavailable: paho-mqtt is not installed.
            SourceError: user, password or a certificate cannot be read.
        """
        try:
            from paho.mqtt.client import Client, MQTTv5, MQTTv311
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError as error:
            raise BackendUnavailable(
                f"{values.where}: expected the library paho-mqtt, which is not installed. "
                f"Install it with: {library_hint('paho', 'mqtt')}"
            ) from error
        five = values.text("protocol") == "5"
        client_id = values.text("client_id") or f"edgernn-{socket.gethostname()}-{name}"
        self.client: Any = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if five else not keep_session,
            protocol=MQTTv5 if five else MQTTv311,
            manual_ack=True,
        )
        self._connect: dict[str, Any] = {}
        if five:
            self._connect = self._properties(keep_session, window)
        self._host, self._tls = values.text("host"), values.flag("tls")
        self._port = values.integer("port") or (8883 if self._tls else 1883)
        self.address = f"{self._host}:{self._port}"
        self._keep_alive_s = values.integer("keep_alive_s")
        user, password = values.secret("user"), values.secret("password")
        if user is not None:
            self.client.username_pw_set(user, password)
        if self._tls:
            self.client.tls_set_context(_tls_context(values))
        self.client.reconnect_delay_set(min_delay=1, max_delay=60)

    def _properties(self, keep_session: bool, window: int) -> dict[str, Any]:
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        properties: Any = cast(Any, Properties)(PacketTypes.CONNECT)
        properties.ReceiveMaximum = window
        if keep_session:
            properties.SessionExpiryInterval = _WEEK_S
        return {"clean_start": not keep_session, "properties": properties}

    def start(self) -> None:
        """Connect in a thread, which tries again for as long as it takes."""
        self.client.connect_async(
            self._host, self._port, keepalive=self._keep_alive_s, **self._connect
        )
        self.client.loop_start()

    def stop(self) -> None:
        """Disconnect, and wait for the thread."""
        self.client.disconnect()
        self.client.loop_stop()

    def on_troubles(self, tell: Callable[[str], None]) -> None:
        """Pass on why the broker cannot be reached, or a connection broke."""

        def failed(client: Any, data: Any) -> None:  # noqa: ARG001
            trusted = " with a certificate of ca_file" if self._tls else ""
            tell(
                f"expected an MQTT broker at {self.address}{trusted}, got no connection. "
                "Trying again"
            )

        def broken(client: Any, data: Any, flags: Any, code: Any, more: Any) -> None:  # noqa: ARG001
            if code != 0:
                tell(f"the connection to {self.address} broke ({code}). Connecting again")

        self.client.on_connect_fail = failed
        self.client.on_disconnect = broken


def _tls_context(values: OptionValues) -> Any:
    import ssl

    try:
        context = ssl.create_default_context(cafile=values.text("ca_file") or None)
        if values.text("cert_file"):
            context.load_cert_chain(values.text("cert_file"), values.text("key_file"))
    except OSError as error:
        raise SourceError(
            f"{values.where}: expected certificates that this user can read, got {error}."
        ) from error
    return context
