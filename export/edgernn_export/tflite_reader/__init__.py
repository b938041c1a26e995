"""Read TFLite files of float networks: the flatbuffer, its weights, and what its operators do.

No runtime and no other package is needed.
"""

from __future__ import annotations

from edgernn_export.tflite_reader.reader import read_tflite

__all__ = ["read_tflite"]
