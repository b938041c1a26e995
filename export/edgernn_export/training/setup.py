"""Keras on the CPU, with results that repeat."""

from __future__ import annotations

import os
from typing import Any


def repeatable_keras(seed: int) -> Any:
    """Keras, seeded, with operations that repeat their bits.

    TensorFlow reads the variables once, when it is imported: no notes on stderr, no GPU, and no
    oneDNN, whose choice of kernels by processor would make training depend on the machine more
    than it must. Runs repeat bit for bit on one machine; another processor or TensorFlow build may
    differ in the last bits, and training amplifies them.

    Args:
        seed: of initial weights, order of examples and noise.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    import keras

    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    return keras
