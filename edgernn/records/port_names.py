"""What channels are called in tables, where a model has several inputs or outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgernn.errors import ReadingError
from edgernn.model.interface import Port, port_slices


def column_names(channels: Sequence[str], ports: Sequence[Port]) -> tuple[str, ...]:
    """Names of the columns of all channels.

    They are those of the channels where there are no ports, else ``port`` alone where it has one
    channel, the channel's own name where that begins with the port's, or ``port.channel``.

    >>> ports = (Port(name="wind", width=2), Port(name="load", width=1), Port(name="u", width=2))
    >>> column_names(("speed", "angle", "kW", "u_0", "u_1"), ports)
    ('wind.speed', 'wind.angle', 'load', 'u_0', 'u_1')
    """
    if not ports:
        return tuple(channels)
    return tuple(
        _column_name(port, channel)
        for port, own in zip(ports, port_slices(tuple(ports)).values(), strict=True)
        for channel in channels[own]
    )


def _column_name(port: Port, channel: str) -> str:
    if port.width == 1:
        return port.name
    return channel if channel.startswith(f"{port.name}_") else f"{port.name}.{channel}"


class InputNames:
    """Names under which tables and objects may hold the channels of a model.

    A channel is found by its name, as ``port.channel``, and where it is the only one of its
    port, by the name of the port.

    Args:
        channels: channel names I.
        ports: the inputs; none where there is one.

    Attributes:
        channels: as given.
    """

    def __init__(self, channels: Sequence[str], ports: Sequence[Port] = ()) -> None:
        """Look up what is called how."""
        self.channels = tuple(channels)
        self._ports = port_slices(tuple(ports))
        self._others = {
            f"{port}.{channel}": channel
            for port, own in self._ports.items()
            for channel in self.channels[own]
        }
        short = dict(zip(column_names(channels, ports), channels, strict=True))
        self._others |= {name: channel for name, channel in short.items() if name != channel}

    @property
    def ports(self) -> tuple[str, ...]:
        """Names of the inputs; none where there is one."""
        return tuple(self._ports)

    def channel(self, name: str) -> str:
        """The channel that is also called so; other names stay unchanged."""
        return name if name in self.channels else self._others.get(name, name)

    def is_fed(self, key: str) -> bool:
        """Whether what an object has under this key feeds the model."""
        return key in self._ports or key in self._others or key in self.channels

    def by_channel(self, value: Mapping[str, object]) -> dict[str, object]:
        """An object with all members, those that feed a channel by the channel's own name.

        An input is a list of its channels in their order, an object with their names, null, or
        the value of its only channel.

        Raises:
            ReadingError: an input is none of these, or a channel occurs twice.
        """
        if not self._ports:
            return dict(value)
        found: dict[str, object] = {}
        for key, member in value.items():
            is_input = key in self._ports and key not in self.channels
            members = self._of_input(key, member) if is_input else {self.channel(key): member}
            twice = found.keys() & members.keys()
            if twice:
                raise ReadingError(
                    f"expected one value per channel, got two for {', '.join(sorted(twice)):.60}"
                )
            found |= members
        return found

    def _of_input(self, name: str, value: object) -> dict[str, object]:
        channels = self.channels[self._ports[name]]
        if isinstance(value, dict):
            return {channel: value[channel] for channel in channels if channel in value}
        cells = value if isinstance(value, list) else [value]
        if value is None:
            cells = [None] * len(channels)
        if len(cells) != len(channels):
            raise ReadingError(
                f"expected a list of {len(channels)} values for the input '{name:.40}', "
                f"got {value!r:.40}"
            )
        return dict(zip(channels, cells, strict=True))
