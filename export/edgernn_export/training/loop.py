"""The training loop: Keras's own fit, the best epoch by validation kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edgernn.errors import TrainingError
from edgernn_export.datasets import Dataset
from edgernn_export.training.best_weights import Keeper, keep_best_class
from edgernn_export.training.carried_states import carrying, reset_callback
from edgernn_export.training.evaluation import evaluate
from edgernn_export.training.fit_arrays import fit_arguments, updates
from edgernn_export.training.networks import clipping, loss_of, repeatable_keras
from edgernn_export.training.recipe import Network, Recipe, Training


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """What a training was and gave.

    Attributes:
        recipe: its name.
        network: the given size; None if the network was given.
        seed: of weights, order and noise.
        epochs: done.
        best_epoch: whose weights were kept, from 1; 0 where a given network was best untrained.
        metric: name of the primary metric.
        validation: the primary metric of the kept weights.
        start_validation: the primary metric of a given network before its first epoch; None of a
            new network.
        history: the primary metric after every epoch.
        parameters: of the network.
        updates: batches done.
        seconds: of the fit, validation included.
    """

    recipe: str
    network: Network | None
    seed: int
    epochs: int
    best_epoch: int
    metric: str
    validation: float
    start_validation: float | None
    history: tuple[float, ...]
    parameters: int
    updates: int
    seconds: float


def train(
    recipe: Recipe,
    seed: int = 0,
    *,
    data: Dataset | None = None,
    network: Network | None = None,
    epochs: int | None = None,
    learning_rate: float | None = None,
    callbacks: Sequence[Any] = (),
    start: Any = None,
    learner: Callable[[Any], Any] | None = None,
    progress: bool | None = None,
) -> tuple[Any, TrainingResult]:
    """Train a recipe's network and keep the epoch that is best by the validation part, or the last.

    Args:
        recipe: what to learn and how.
        seed: of initial weights, order of examples and noise; the same seed gives the same weights.
        data: the recipe's data set; None loads it.
        network: its size; default the recipe's.
        epochs: passes over the examples; default the recipe's.
        learning_rate: its start; default the recipe's.
        callbacks: Keras callbacks that change weights, as `MagnitudePruning`. Epochs in which one
            has a ``finished`` that is False are not kept.
        start: a built Keras model to train on; default a new network. Its own weights are validated
            first, as the callbacks leave them when the fit begins, and kept if no epoch is better,
            for every choice of the recipe.
        learner: returns the Keras model that is compiled and fitted in place of the network, as
            a distiller does; the network itself is validated, kept and returned.
        progress: show a bar on stderr; None where it is a terminal.

    Returns:
        The `keras.Model` with the weights of its best epoch, the first among equals, or of the last
        if the recipe keeps that, and a record.

    Raises:
        DataUnavailable: the data set is missing or damaged.
        TrainingError: a setting is refused, or no epoch may be kept.
    """
    if not 0 <= seed < 2**32:
        raise TrainingError(f"training seed: expected a number 0..4294967295, got {seed}.")
    data = recipe.load() if data is None else data
    plan = _plan(recipe.training, epochs, learning_rate)
    if start is not None:
        plan = replace(plan, keep="best")
    recipe = replace(recipe, training=plan)
    size = None if start is not None else network or recipe.network
    if recipe.method is not None:
        if size is None or learner is not None or callbacks:
            raise TrainingError(
                f"recipe {recipe.name}: expected no start, learner or callbacks, which its method "
                "of training does not take, got one. Omit it."
            )
        return recipe.method.train(recipe, seed, data=data, network=size, progress=progress)
    keras = repeatable_keras(seed)
    model = start if size is None else recipe.build(recipe, size, data)
    carried = plan.carry_state and learner is None
    fitted = model if learner is None else learner(model)
    if carried:
        fitted = carrying(model, plan.batch)
        callbacks = [*callbacks, reset_callback(fitted)]
    batches = updates(recipe, data)
    schedule = keras.optimizers.schedules.CosineDecay(plan.learning_rate, batches)
    fitted.compile(
        optimizer=keras.optimizers.AdamW(
            schedule,
            weight_decay=plan.weight_decay,
            **clipping(plan.clip_norm, plan.clip_value),
        ),
        loss=loss_of(data, plan),
    )
    keeper = keep_best_class()(
        model,
        lambda: evaluate(model, recipe, part="validation", data=data)[data.metric],
        rising=data.rising,
        others=callbacks,
        given=start is not None,
        last=plan.keep == "last",
        epochs=plan.epochs,
        title=f"{recipe.name} seed {seed}",
        progress=progress,
    )
    begin_s = time.perf_counter()
    fitted.fit(
        **fit_arguments(recipe, data, model, seed),
        epochs=plan.epochs,
        callbacks=[*callbacks, keeper],
        verbose=0,
        shuffle=not carried,
    )
    return model, TrainingResult(
        recipe=recipe.name,
        network=size,
        seed=seed,
        epochs=plan.epochs,
        best_epoch=best_epoch(recipe, keeper),
        metric=data.metric,
        validation=keeper.best,
        start_validation=keeper.start,
        history=tuple(keeper.history),
        parameters=sum(math.prod(v.shape) for v in model.trainable_weights),
        updates=batches,
        seconds=time.perf_counter() - begin_s,
    )


def _plan(plan: Training, epochs: int | None, learning_rate: float | None) -> Training:
    return replace(
        plan,
        epochs=plan.epochs if epochs is None else epochs,
        learning_rate=plan.learning_rate if learning_rate is None else learning_rate,
    )


def best_epoch(recipe: Recipe, keeper: Keeper) -> int:
    """The epoch that a training kept.

    Raises:
        TrainingError: none may be kept.
    """
    if keeper.best_epoch is None:
        raise TrainingError(
            f"recipe {recipe.name}: expected an epoch with a finite metric after the callbacks "
            f"finished, got none of {len(keeper.history)}. Train for more epochs, let their "
            "schedules end earlier, or lower the learning rate."
        )
    return keeper.best_epoch
