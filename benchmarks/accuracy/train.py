"""Train a task's float model with Keras; one thread, seeded, weights cached on request."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import trange

from benchmarks.accuracy.tasks import Task
from edgernn.model.formats import FloatArray
from edgernn_export.datasets.splits import Part, Splits
from edgernn_export.float_model.model import FloatModel

#: How often the validation part is looked at, in updates.
_VALIDATE_EVERY = 100
Batch = tuple[FloatArray, FloatArray]


def float_model(task: Task, splits: Splits, seed: int, cache: Path | None) -> FloatModel:
    """The trained model of a task and seed, read from ``cache`` if it exists.

    Args:
        task: what to train.
        splits: its data.
        seed: of weights, windows and noise.
        cache: folder of .keras files, None trains and keeps nothing.

    Returns:
        The model as the quantizer sees it; its outputs are in physical units.
    """
    from edgernn_export.keras_reader import read_keras

    path = None if cache is None else cache / f"{task.name}_{seed}.keras"
    if path is None or not path.exists():
        model = _train(task, splits, seed)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            model.save(path)
    else:
        model = path
    return read_keras(model, input_names=splits.input_names)


def keras_on_one_thread() -> Any:
    """Keras on one thread and the CPU."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    import keras
    import tensorflow as tf

    if tf.config.threading.get_intra_op_parallelism_threads() != 1:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    return keras


def _train(task: Task, splits: Splits, seed: int) -> Any:
    keras, plan = keras_on_one_thread(), task.training
    keras.utils.set_random_seed(seed)
    model = _network(keras, task, splits)
    schedule = keras.optimizers.schedules.CosineDecay(plan.learning_rate, plan.updates)
    model.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=plan.weight_decay, clipnorm=1.0),
        loss=_loss(keras, task),
    )
    rng = np.random.default_rng(seed)
    best, best_value = model.get_weights(), np.inf
    for update in trange(1, plan.updates + 1, desc=f"{task.name} seed {seed}", leave=False):
        model.train_on_batch(*sample(rng, splits.train, splits.target_scale, task))
        if splits.validation is not None and update % _VALIDATE_EVERY == 0:
            value = _validate(model, task, splits, splits.validation)
            if value < best_value:
                best, best_value = model.get_weights(), value
    if splits.validation is not None:
        model.set_weights(best)
    _to_physical_units(model, splits.target_scale)
    return model


def _network(keras: Any, task: Task, splits: Splits) -> Any:
    """Normalization (train statistics), one recurrent layer, one Dense."""
    flat = splits.train.x.reshape(-1, splits.train.x.shape[2])
    layers = [
        keras.Input((None, flat.shape[1])),
        keras.layers.Normalization(mean=flat.mean(axis=0), variance=flat.var(axis=0)),
        keras.layers.GaussianNoise(task.training.input_noise),
        getattr(keras.layers, task.cell)(task.units, return_sequences=True),
        keras.layers.Dense(task.outputs),
    ]
    return keras.Sequential(layers, name=task.name)


def _loss(keras: Any, task: Task) -> Any:
    """The loss over the steps of a window that count."""
    first, ops = task.training.loss_from, keras.ops

    def forecast(target: Any, output: Any) -> Any:
        return ops.mean(keras.losses.huber(target[:, first:], output[:, first:], delta=2.0))

    def classes(target: Any, logits: Any) -> Any:
        return ops.mean(
            keras.losses.sparse_categorical_crossentropy(
                target[:, first:, 0], logits[:, first:], from_logits=True
            )
        )

    return classes if task.classes else forecast


def sample(rng: np.random.Generator, part: Part, scale: FloatArray, task: Task) -> Batch:
    """Random windows of random streams: x [B, T, I] and scaled targets [B, T, O]."""
    plan = task.training
    streams, steps = part.x.shape[:2]
    stream = rng.integers(streams, size=plan.batch)[:, None]
    start = rng.integers(steps - plan.window_steps + 1, size=plan.batch)[:, None]
    rows = start + np.arange(plan.window_steps)
    target = part.target[stream, rows]
    if not task.classes:
        target = (target - part.base[stream, rows]) / scale
    return part.x[stream, rows].astype(np.float32), target.astype(np.float32)


def _validate(model: Any, task: Task, splits: Splits, part: Part) -> float:
    """The primary error over the validation stream, run as one stream."""
    output = model.predict_on_batch(part.x.astype(np.float32)) * splits.target_scale
    return task.score(output.astype(np.float64), part, splits)[task.primary]


def _to_physical_units(model: Any, scale: FloatArray) -> None:
    """Fold the target scale into the last Dense."""
    dense = model.layers[-1]
    kernel, bias = dense.get_weights()
    dense.set_weights([kernel * scale, bias * scale])
