"""Streams on disk: their states as bytes, and where each source goes on, in one SQLite file."""

from edgernn.store.state_store import StateStore

__all__ = ["StateStore"]
