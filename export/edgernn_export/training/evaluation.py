"""Score float and integer models of a recipe by the same metric."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.backends import BackendName, model_backend
from edgernn.container.file import load_either
from edgernn.errors import TrainingError
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn.session.loading import load_chunks
from edgernn_export.calibration.unmasked import unmasked
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
        model: a `keras.Model`, a `FloatModel`, an `IntegerModel`, the `ProgramSet` of a network
            that answers whole chunks, or the path of a .keras or .edgernn file.
        recipe: what the model learnt.
        part: "train", "validation" or "test".
        data: the recipe's data set; None loads it.

    Returns:
        "accuracy"; "bits_per_character" and "accuracy"; or "mse", "rmse" and "mae"; and what the
        data set's own ``scorer`` gives.

    Raises:
        DataUnavailable: the data set is missing or damaged.
        TrainingError: an unknown part, or a model of other inputs or outputs.
    """
    if part not in PARTS:
        raise TrainingError(f"evaluate part: expected one of {', '.join(PARTS)}, got {part!r:.40}.")
    data = recipe.load() if data is None else data
    streams: Part = getattr(data, part)
    if recipe.method is not None:
        return recipe.method.evaluate(model, data, streams)
    model = _opened(model)
    _check_inputs(model, recipe, data)
    output = outputs(model, streams.x, streams.lengths)
    wanted = (*streams.x.shape[:2], len(data.output_names))
    if output.shape != wanted:
        raise TrainingError(
            f"evaluate: expected output shape {list(wanted)} for recipe {recipe.name}, got "
            f"{list(output.shape)}."
        )
    return data.score(output, streams)


def outputs(model: Any, x: FloatArray, lengths: npt.NDArray[np.int64] | None = None) -> FloatArray:
    """What a model answers to B streams, each from the zero state.

    Args:
        model: a `keras.Model`, a `FloatModel`, an `IntegerModel` or the `ProgramSet` of a network
            that answers whole chunks.
        x: float64 [B, T, I], physical units.
        lengths: int64 [B], steps of each stream, which ends there; None where all have T.

    Returns:
        float64 [B, T, O]; of a model that answers once per stream, that answer at every step.
        0 behind the end of a stream.
    """
    if lengths is None:
        return _outputs(model, x)
    if isinstance(model, ProgramSet):
        return _chunk_outputs(model, x, lengths)
    y: FloatArray = np.zeros(0)
    for length in np.unique(lengths):  # no model sees padding
        rows = np.flatnonzero(lengths == length)
        answers = _outputs(model, x[rows, :length])
        if not y.size:
            y = np.zeros((*x.shape[:2], answers.shape[2]))
        y[rows, :length] = answers
    return y


def _outputs(model: Any, x: FloatArray) -> FloatArray:
    """What a model answers to streams of one length."""
    if isinstance(model, ProgramSet):
        return _chunk_outputs(model, x, np.full(len(x), x.shape[1]))
    if isinstance(model, IntegerModel):
        if model.input.mask is not None:
            return np.stack([_masked_outputs(model, stream) for stream in x])
        return _integer_outputs(model, x)
    if isinstance(model, FloatModel):
        return float_run.answers(model, x)
    if len(x) <= _BATCH:  # far less work for Keras than predict
        answer = np.asarray(model.predict_on_batch(x.astype(np.float32)), dtype=np.float64)
    else:
        answer = np.asarray(
            model.predict(x.astype(np.float32), batch_size=_BATCH, verbose=0), dtype=np.float64
        )
    if answer.ndim == 2:
        return np.broadcast_to(answer[:, None], (*x.shape[:2], answer.shape[1]))
    return answer


def _chunk_outputs(model: ProgramSet, x: FloatArray, lengths: npt.NDArray[np.int64]) -> FloatArray:
    """What a network answers to whole streams; one answer is that of every step."""
    fastest: BackendName = "native" if model_backend() == "native" else "reference"
    with load_chunks(model, fastest) as session:
        answers = session.run_many(
            [stream[:length] for stream, length in zip(x, lengths, strict=True)]
        )
    y = np.zeros((*x.shape[:2], answers[0].shape[-1]))
    for row, length, answer in zip(y, lengths, answers, strict=True):
        row[:length] = answer
    return y


def _masked_outputs(model: IntegerModel, x: FloatArray) -> FloatArray:
    """What a model with a mask answers to one stream [T, I]; masked readings are no steps."""
    steps = unmasked(x, model.input.mask)
    first = model.interface().dequantize(np.array(model.output.masked, np.int16))
    ys = _integer_outputs(model, x[None, steps])[0]
    spread: FloatArray = np.concatenate([first[None], ys])[np.cumsum(steps)]
    return spread


def _integer_outputs(model: IntegerModel, x: FloatArray) -> FloatArray:
    interface = model.interface()
    codes = interface.quantize(x)
    if model_backend() == "native":
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
    elif isinstance(model, ProgramSet):
        width = model.programs[0].input.width
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
        return load_either(path)
    if path.suffix == ".keras":
        import keras

        return keras.saving.load_model(path, compile=False)
    raise TrainingError(f"evaluate: expected a .keras or .edgernn file, got '{path.name}'.")
