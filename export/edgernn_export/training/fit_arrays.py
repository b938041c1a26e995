"""What a network is fitted to: arrays cut from the parts that it learns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.errors import TrainingError
from edgernn_export.datasets import Dataset, Part
from edgernn_export.training.recipe import Recipe
from edgernn_export.training.streams.buckets import equal_batches, equal_lengths

Examples = tuple[npt.NDArray[Any], ...]


def training_data(recipe: Recipe, data: Dataset) -> Examples:
    """Inputs and targets for `keras.Model.fit`, and weights of padded streams.

    Windows of streams of unequal length are cut where they fit; streams shorter than one are left
    out. Without windows, streams are padded at the end.

    Returns:
        x float32 [N, T, I]; y int64 [N], the class of each stream, int64 [N, T], the class at each
        step or the next token of a model of text, or float32 [N, T, O], what a forecaster has to
        say at each step (target - base, physical units), [N, O] where only the last step counts.
        Where steps are padding, also weights float32 [N, T] of a mean of 1: 0 for these steps;
        without the first steps of a forecaster that do not count in its loss.

    Raises:
        TrainingError: the train streams are shorter than one window, states are to be carried
            along streams of unequal length, or a forecaster is to keep its last epoch.
    """
    parts = _learnt(recipe, data)
    if recipe.training.carry_state:
        return _in_turn(recipe, data)
    dtype = np.int64 if data.classes else np.float32
    x = _joined([part.x for part in parts]).astype(np.float32)
    if data.train.last_only:
        answers = [part.scored(_wanted(part, data)) for part in parts]
        return x, np.concatenate(answers).astype(dtype)
    y = _joined([_wanted(part, data) for part in parts])
    ends = np.concatenate([part.steps for part in parts])
    steps = recipe.training.window_steps
    if steps is not None:
        cuts = [(at, ends >= at + steps) for at in _starts(recipe, int(ends.max()))]
        x, y = (np.concatenate([v[rows, at : at + steps] for at, rows in cuts]) for v in (x, y))
        return x, y.astype(dtype)
    if all(part.lengths is None for part in parts):
        return x, y.astype(dtype)
    first = 0 if data.classes else recipe.training.loss_from
    counted = (np.arange(x.shape[1]) < ends[:, None])[:, first:]
    return x, y.astype(dtype), (counted * (counted.size / counted.sum())).astype(np.float32)


def fit_arguments(recipe: Recipe, data: Dataset, network: Any, seed: int = 0) -> dict[str, Any]:
    """Arguments of `keras.Model.fit` that say what a network is fitted to.

    Args:
        recipe: says how examples are cut.
        data: its data set.
        network: a built keras.Model.
        seed: of the order of batches of equal lengths.

    Raises:
        TrainingError: as `training_data`, or the network would read padding.
    """
    x, y, *weight = training_data(recipe, data)
    plan = recipe.training
    lengths = _lengths(recipe, data)
    if lengths is None or not plan.equal_lengths:
        if lengths is not None:
            _check_reads_no_padding(recipe, data, network)
        arrays = {"x": x, "y": y, "batch_size": plan.batch}
        return arrays | ({"sample_weight": weight[0]} if weight else {})
    xs = [stream[:end] for stream, end in zip(x, lengths, strict=True)]
    ys = (
        list(y)
        if data.train.last_only
        else [row[:end] for row, end in zip(y, lengths, strict=True)]
    )
    return {"x": equal_lengths(xs, ys, batch=plan.batch, seed=seed)}


def _check_reads_no_padding(recipe: Recipe, data: Dataset, network: Any) -> None:
    """Refuse padded batches for a network whose answers would depend on the padding."""
    from edgernn_export.keras_reader.program_sets.passes import has_passes

    masks = any(
        type(layer).__name__ == "Masking" or getattr(layer, "mask_zero", False)
        for layer in getattr(network, "layers", ())
    )
    if not masks and (data.train.last_only or has_passes(network)):
        raise TrainingError(
            f"recipe {recipe.name}, training equal_lengths: expected True for streams of unequal "
            "length and a network that reads backward or answers once for each stream, got False. "
            "Set equal_lengths=True, or begin the network with a Masking layer."
        )


def _wanted(part: Part, data: Dataset) -> npt.NDArray[Any]:
    """What a model has to say at every step: [B, T] for classes, else [B, T, O]."""
    return part.target[..., 0] if data.classes else part.target - part.base


def _joined(tensors: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Tensors [B, T, ...] along B, padded with zeros to one T."""
    most = max(tensor.shape[1] for tensor in tensors)
    return np.concatenate(
        [np.pad(t, [(0, 0), (0, most - t.shape[1]), *[(0, 0)] * (t.ndim - 2)]) for t in tensors]
    )


def _lengths(recipe: Recipe, data: Dataset) -> npt.NDArray[np.int64] | None:
    """Steps of the streams that are learnt whole, where they differ; else None."""
    parts = _learnt(recipe, data)
    windows = recipe.training.window_steps is not None and not data.train.last_only
    if windows or recipe.training.carry_state or all(part.lengths is None for part in parts):
        return None
    return np.concatenate([part.steps for part in parts])


def _in_turn(recipe: Recipe, data: Dataset) -> Examples:
    """Windows of which those of a batch continue those of the batch before, row by row.

    All train streams, one behind the other, are cut into as many rows as a batch has.
    """
    (part,) = _learnt(recipe, data)
    if part.lengths is not None:
        raise TrainingError(
            f"recipe {recipe.name}, training carry_state: expected False for streams of unequal "
            "length, got True. A window would continue another stream; set carry_state=False."
        )
    wanted = _wanted(part, data)
    count, window = _windows(recipe, part.x.shape[0] * part.x.shape[1])
    batch = recipe.training.batch

    def cut(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        flat = values.reshape(-1, *values.shape[2:])
        rows = flat[: len(flat) // batch * batch].reshape(batch, -1, *flat.shape[1:])
        windows = rows[:, : count * window].reshape(batch, count, window, *flat.shape[1:])
        return np.swapaxes(windows, 0, 1).reshape(-1, window, *flat.shape[1:])

    return cut(part.x).astype(np.float32), cut(wanted).astype(
        np.int64 if data.classes else np.float32
    )


def _windows(recipe: Recipe, steps: int) -> tuple[int, int]:
    """Windows of every row of a batch whose states are carried, and their length.

    Raises:
        TrainingError: there is none.
    """
    plan = recipe.training
    window = plan.window_steps or steps
    count = steps // plan.batch // window
    if not count:
        raise TrainingError(
            f"recipe {recipe.name}: expected train streams of at least {plan.batch} windows of "
            f"{window} steps, got {steps} steps. Lower batch or window_steps."
        )
    return count, window


def updates(recipe: Recipe, data: Dataset, epochs: int | None = None) -> int:
    """Training batches of a whole training.

    Args:
        recipe: says how examples are cut.
        data: its data set.
        epochs: default those of the recipe.
    """
    if recipe.training.carry_state:
        count, _ = _windows(recipe, data.train.x.shape[0] * data.train.x.shape[1])
        return count * (recipe.training.epochs if epochs is None else epochs)
    batch = recipe.training.batch
    lengths = _lengths(recipe, data)
    if lengths is not None and recipe.training.equal_lengths:
        batches = equal_batches(lengths, batch)
    else:
        batches = math.ceil(_examples(recipe, data) / batch)
    return batches * (recipe.training.epochs if epochs is None else epochs)


def _examples(recipe: Recipe, data: Dataset) -> int:
    """How many examples the streams are cut into."""
    ends = np.concatenate([part.steps for part in _learnt(recipe, data)])
    steps = recipe.training.window_steps
    if data.train.last_only or steps is None:
        return len(ends)
    return sum(int(np.sum(ends >= at + steps)) for at in _starts(recipe, int(ends.max())))


def _learnt(recipe: Recipe, data: Dataset) -> tuple[Part, ...]:
    """The train part; the validation part too where it has nothing to choose."""
    if recipe.training.keep == "best":
        return (data.train,)
    if not data.classes or data.symbols:
        raise TrainingError(
            f"recipe {recipe.name}, training keep: expected best for a forecaster, got "
            f"{recipe.training.keep}: its validation part continues the train part and is not "
            "used for training."
        )
    return data.train, data.validation


def _starts(recipe: Recipe, steps: int) -> range:
    """First steps of the windows that fit into streams of ``steps`` steps."""
    window = recipe.training.window_steps or steps
    if steps < window:
        raise TrainingError(
            f"recipe {recipe.name}: expected train streams of at least {window} steps "
            f"(window_steps), got {steps}."
        )
    return range(0, steps - window + 1, recipe.training.stride_steps)
