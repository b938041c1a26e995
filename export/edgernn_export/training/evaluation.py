"""Score float and integer models of a recipe by the same metric."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn.backends import model_backend
from edgernn.errors import TrainingError
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn_export.datasets import Dataset, Part
from edgernn_export.float_model import float_run
from edgernn_export.float_model.model import FloatModel
from edgernn_export.training.recipe import Recipe

PARTS: Final = ("train", "validation", "test")
#: Streams that Keras runs at once.
_BATCH: Final = 512


def evaluate(
    model: Any, recipe: Recipe, *, part: str = "test", data: Dataset | None = None
) -> dict[str, float]:
    """Metrics of a model over a part of the recipe's data; every stream from the zero state.

    Args:
        model: a `keras.Model`, a `FloatModel`, an `IntegerModel`, or the path of a .keras or
            .edgernn file.
        recipe: what the model learnt.
        part: "train", "validation" or "test".
        data: the recipe's data set; None loads it.

    Returns:
        "accuracy", or "mse", "rmse" and "mae".

    Raises:
        DataUnavailable: the data set is missing or damaged.
        TrainingError: an unknown part, or a model of other inputs or outputs.
    """
    if part not in PARTS:
        raise TrainingError(f"evaluate part: expected one of {', '.join(PARTS)}, got {part!r:.40}.")
    data = recipe.load() if data is None else data
    streams: Part = getattr(data, part)
    model = _opened(model)
    _check_inputs(model, recipe, data)
    output = outputs(model, streams.x)
    wanted = (*streams.x.shape[:2], len(data.output_names))
    if output.shape != wanted:
        raise TrainingError(
            f"evaluate: expected output shape {list(wanted)} for recipe {recipe.name}, got "
            f"{list(output.shape)}."
        )
    return data.score(output, streams)


def outputs(model: Any, x: FloatArray) -> FloatArray:
    """What a model answers to B streams, each from the zero state.

    Args:
        model: a `keras.Model`, a `FloatModel` or an `IntegerModel`.
        x: float64 [B, T, I], physical units.

    Returns:
        float64 [B, T, O]; of a Keras model that answers once per stream, that answer at every
        step.
    """
    if isinstance(model, IntegerModel):
        return _integer_outputs(model, x)
    if isinstance(model, FloatModel):
        return float_run.run(model, x)[0]
    answer = np.asarray(
        model.predict(x.astype(np.float32), batch_size=_BATCH, verbose=0), dtype=np.float64
    )
    if answer.ndim == 2:
        return np.broadcast_to(answer[:, None], (*x.shape[:2], answer.shape[1]))
    return answer


def _integer_outputs(model: IntegerModel, x: FloatArray) -> FloatArray:
    interface = model.interface()
    codes = interface.quantize(x)
    if model_backend() == "native" and not model.input.vocabulary:
        from edgernn.backends.native import NativeBackend

        backend = NativeBackend(model)
        q_ys = np.stack([backend.new_stream().advance(stream) for stream in codes])
    else:
        from edgernn_firmware_sim.reference.reference import Reference

        q_ys, _ = Reference(model).run(codes)
    return interface.dequantize(q_ys)


def _check_inputs(model: Any, recipe: Recipe, data: Dataset) -> None:
    width: int | None
    if isinstance(model, IntegerModel):
        width = model.input.width
    elif isinstance(model, FloatModel):
        width = model.inputs
    else:
        # A subclass of keras.Model need not know its inputs.
        width = (getattr(model, "input_shape", None) or (None,))[-1]
    if width not in (None, len(data.input_names)):
        raise TrainingError(
            f"evaluate: expected {len(data.input_names)} inputs for recipe {recipe.name}, got "
            f"{width}."
        )


def _opened(model: Any) -> Any:
    if not isinstance(model, (str, PathLike)):
        return model
    path = Path(model)
    if path.suffix == ".edgernn":
        return IntegerModel.load(path)
    if path.suffix == ".keras":
        import keras

        return keras.saving.load_model(path, compile=False)
    raise TrainingError(f"evaluate: expected a .keras or .edgernn file, got '{path.name}'.")
