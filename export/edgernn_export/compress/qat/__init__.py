"""Quantization-aware training: Keras models whose forward pass is the integer model's.

    from edgernn_export.compress.qat import integer_model, qat_model

    model = qat_model("model.keras", calibration=streams, precision="w8a8")
    model.compile("adam", "mse")
    model.fit(x, y, epochs=5)
    integer_model(model).save("model.edgernn")

With ``distil_from=True`` the integers learn to answer as the float network does, and `fit` needs no
labels. `edgernn_export.training.train_integers` does so for the network of a recipe, with settings
that have proven good.
Keras may run on TensorFlow, JAX or Torch. Importing this package loads NumPy only; Keras is loaded
with the first call.
"""

from __future__ import annotations

from os import PathLike
from typing import Any, Final

from edgernn.errors import TrainingError
from edgernn.model.formats import Precision, PrecisionName
from edgernn.model.integer_model import IntegerModel

__all__ = [
    "check_backend",
    "check_network",
    "integer_model",
    "qat_model",
]


#: What Keras may run on.
BACK_ENDS: Final = ("tensorflow", "jax", "torch")


def check_backend() -> None:
    """Refuse a Keras that runs on what cannot train.

    Raises:
        TrainingError: it runs on none of `BACK_ENDS`.
    """
    import keras

    found = keras.backend.backend()
    if found not in BACK_ENDS:
        raise TrainingError(
            f"quantization-aware training: expected Keras on {', '.join(BACK_ENDS)}, got "
            f"{found!r}. Set KERAS_BACKEND to one of them before Keras is imported."
        )


def check_network(source: Any | str | PathLike[str]) -> None:
    """Refuse what `qat_model` does not train as integers, trained or not.

    Args:
        source: a keras.Model or a path Keras can load.

    Raises:
        UnsupportedModelError: the network uses something edgernn does not execute.
        TrainingError: it does not answer every reading.
    """
    from edgernn_export.compress.qat.conversion import check

    check(source)


def qat_model(
    source: Any | str | PathLike[str],
    calibration: Any,
    precision: PrecisionName | Precision = "w8a8",
    **options: Any,
) -> Any:
    """A Keras model that computes what the integer model computes, and can be trained.

    It starts at the integers of `edgernn_export.quantize`. Its weights are float32; every pass
    rounds them, and gradients pass the rounding straight through (Jacob et al. 2018).

    Args:
        source: a keras.Model or a path Keras can load.
        calibration: representative real streams, as for `quantize`; of an encoder and a decoder, as
            for `quantize_programs`.
        precision: as for `quantize`.
        options: further arguments of these two, and three of distillation. ``distil_from``: True
            lets the model learn from the answers of the float network, a keras.Model or a path
            from those of another with the same inputs and outputs; ``fit`` then needs no labels.
            ``distil_weight``: share of these answers in the loss where labels are given, above 0,
            at most 1, default 0.7. ``temperature``: of softmax and sigmoid outputs, default 1.

    Returns:
        A keras.Model with the input and output of ``source``, ready for compile and fit. Layers
        that act in training only (Dropout and the like) are left out.

    Raises:
        UnsupportedModelError: the network uses something edgernn does not execute.
        QuantizationError: as `quantize`.
        DistillationError: the network to learn from does not fit, or a number is refused.
        TrainingError: Keras runs on something that does not train, the network is one that
            `check_network` refuses, or the batch size of a stateful network is not known.
    """
    check_backend()
    from edgernn_export.compress.qat.conversion import make

    return make(source, calibration, precision, **options)


def integer_model(model: Any) -> IntegerModel:
    """The integer model of a `qat_model` as its weights are now; a `ProgramSet` of programs.

    Its outputs are those of the training graph, code by code. Where the last batch of training
    made an accumulator unsafe, the steps of its row or layer become coarser, in ``model`` too.

    Raises:
        TrainingError: the model does not come from `qat_model`, or a weight is not finite.
        OverflowRefused: no allowed step keeps an accumulator within its bound.
    """
    from edgernn_export.compress.qat.conversion import extract

    return extract(model)
