"""Read a Keras model into a float model: layers and weights, never a converter's graph.

Everything that cannot be read is refused by name, all reasons at once.
"""

from __future__ import annotations

from edgernn_export.keras_reader.reader import read_keras

__all__ = ["read_keras"]
