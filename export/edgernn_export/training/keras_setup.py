"""Keras on the CPU, with results that repeat."""

from __future__ import annotations

import os
from typing import Any


def keras_on_cpu() -> Any:
    """Keras, imported with few notes on stderr, no GPU and no oneDNN.

    TensorFlow reads these variables once, when it is imported. oneDNN chooses kernels by
    processor, which would make training depend on the machine more than it must.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    import keras

    return keras


def repeatable_keras(seed: int) -> Any:
    """Keras, seeded, with operations that repeat their bits.

    Runs repeat bit for bit on one machine; another processor or TensorFlow build may differ in the
    last bits, and training amplifies them.

    Args:
        seed: of initial weights, order of examples and noise.
    """
    keras = keras_on_cpu()
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    return keras
