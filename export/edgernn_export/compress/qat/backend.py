"""What Keras must run on."""

from __future__ import annotations

from edgernn.errors import TrainingError


def check_backend() -> None:
    """Refuse a Keras that does not run on TensorFlow, whose integer operations are used.

    Raises:
        TrainingError: it runs on something else.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        raise TrainingError(
            f"quantization-aware training: expected Keras on TensorFlow, got "
            f"{keras.backend.backend()!r}. Set KERAS_BACKEND=tensorflow before Keras is imported."
        )
