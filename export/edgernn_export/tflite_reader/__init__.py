"""Read TFLite files of float networks: the flatbuffer, its weights, and what its operators do.

numpy is all it needs.
"""

from __future__ import annotations

from edgernn_export.tflite_reader.reader import read_tflite

__all__ = ["read_tflite"]
