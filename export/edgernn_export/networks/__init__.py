"""The front door for trained networks: it tells their format and reads any of them."""

from __future__ import annotations

from edgernn_export.networks.front_door import AnyNetwork, read_network, read_one_stream

__all__ = ["AnyNetwork", "read_network", "read_one_stream"]
