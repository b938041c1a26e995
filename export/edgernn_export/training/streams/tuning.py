"""From windows to an endless stream: a window network is trained to keep its state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from edgernn.cli.text_tables import text_table
from edgernn.errors import TrainingError
from edgernn.model.formats import FloatArray
from edgernn_export.compress.checks import is_real
from edgernn_export.float_model import float_run
from edgernn_export.float_model.memories import FloatMemory
from edgernn_export.float_model.model import FloatModel
from edgernn_export.training.networks import repeatable_keras
from edgernn_export.training.streams.chunks import StepTargets, paired
from edgernn_export.training.streams.copies import endless_copy
from edgernn_export.training.streams.cut_windows import as_stream, padded
from edgernn_export.training.streams.truncated import StatefulTraining, fit_stateful

#: Windows that run at a time.
_BATCH: Final = 512
#: Windows and an endless network give the same values but for the rounding of float64.
_ROUNDING: Final = 1e-6
#: Streams on which that is checked, in windows.
_CHECKED: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTuning:
    """What training for endless streams gained, measured on readings that it never saw.

    Attributes:
        metric: "error rate" of classes; otherwise "RMS error" of the outputs.
        reference: what the errors are differences to: "targets", or "window outputs", those of the
            network on windows.
        windows: error of the window network on windows; 0 where its own outputs are the reference.
        before: error of the window network as an endless stream.
        after: error of the returned network as an endless stream.
        spread: standard deviation of the reference; NaN for classes.
        best_epoch: whose weights were kept, from 1; 0 where no epoch was better than none.
        readings: on which the errors were measured.
        training: how the network was trained.
    """

    metric: str
    reference: str
    windows: float
    before: float
    after: float
    spread: float
    best_epoch: int
    readings: int
    training: StatefulTraining

    def table(self) -> str:
        """The errors as text."""
        rows = [
            ["", self.metric],
            ["windows", f"{self.windows:.4g}"],
            ["endless stream, before", f"{self.before:.4g}"],
            ["endless stream, after", f"{self.after:.4g}"],
        ]
        note = f"against the {self.reference}, {self.readings:,} readings held out"
        if np.isfinite(self.spread):
            note += f"; standard deviation {self.spread:.4g}"
        return "\n".join([*text_table(rows, "<", ">"), note])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Streams from their beginnings, of which the readings from ``first`` on are judged."""

    x: list[FloatArray]
    wanted: list[StepTargets]
    first: list[int]


def to_stream(
    network: Any,
    streams: Any,
    targets: Any = None,
    *,
    held_out: float = 0.2,
    loss: Any = None,
    steps: int | None = None,
    lanes: int = 16,
    epochs: int = 10,
    learning_rate: float = 1e-3,
    clip_norm: float | None = 1.0,
    clip_value: float | None = None,
    seed: int = 0,
) -> tuple[Any, StreamTuning]:
    """Turn a network that was trained on windows into one for endless streams.

    The layers and weights are kept, the network answers every reading, and it is trained on with
    states that are never reset (`fit_stateful`). Without targets, it learns to answer what the
    window network answers to the last T readings. The last parts of all streams are held out: one
    chooses the epoch whose weights are kept, the very last one gives the errors.

        endless, result = to_stream(network, stream, targets)
        print(result.table())
        model = quantize(endless, stream)

    Args:
        network: a Sequential or functional `keras.Model` that takes windows of T readings and
            answers once; not changed.
        streams: one long stream [T, I], streams [B, T, I], or a list of [T_i, I], in time order.
        targets: for each reading, of the same form; whole numbers are classes if the network has
            several outputs. None takes the outputs of the window network.
        held_out: share of each stream in each of the two parts that are held out.
        loss: a Keras loss; default cross-entropy for classes and for networks that end in a
            softmax, otherwise the squared error divided by the variance of the targets.
        steps: readings that gradients go back; default twice the window.
        lanes: see `fit_stateful`.
        epochs: see `fit_stateful`.
        learning_rate: see `fit_stateful`.
        clip_norm: see `fit_stateful`.
        clip_value: see `fit_stateful`.
        seed: see `fit_stateful`.

    Returns:
        The network [B, T, I] -> [B, T, O], and what it gained.

    Raises:
        TrainingError: a network that is not made for windows, layers that look at the steps of a
            window at once, streams that are too short, or a setting that is refused.
        UnsupportedModelError: the network uses something edgernn does not execute.
    """
    if not is_real(held_out) or not 0.0 < held_out < 0.5:
        raise TrainingError(f"held_out: expected a share between 0 and 0.5, got {held_out!r:.40}.")
    windowed, window = _window_network(network)
    pairs = _with_targets(windowed, window, streams, targets)
    repeatable_keras(seed)
    endless = endless_copy(network)
    before = _read(endless)
    _check_equal(windowed, before, window, [x for x, _ in pairs])
    classes = _are_classes(windowed, [y for _, y in pairs], targets is not None)
    learnt, chosen, tested = _parts(pairs, held_out, window)
    best = [_error(before, chosen, classes), 0, endless.get_weights()]

    def judge(epoch: int) -> None:
        error = _error(_read(endless), chosen, classes)
        if error < best[0]:
            best[:] = [error, epoch, endless.get_weights()]

    training = fit_stateful(
        endless,
        *zip(*learnt, strict=True),
        loss=_loss_of(windowed, [y for _, y in learnt], classes) if loss is None else loss,
        steps=2 * window if steps is None else steps,
        lanes=lanes,
        warm_up=window - 1,
        epochs=epochs,
        learning_rate=learning_rate,
        clip_norm=clip_norm,
        clip_value=clip_value,
        seed=seed,
        on_epoch=judge,
    )
    endless.set_weights(best[2])
    wanted = _judged(tested, tested.wanted)
    return endless, StreamTuning(
        metric="error rate" if classes else "RMS error",
        reference="window outputs" if targets is None else "targets",
        windows=_window_error(windowed, window, tested, classes),
        before=_error(before, tested, classes),
        after=_error(_read(endless), tested, classes),
        spread=float("nan") if classes else float(np.std(wanted)),
        best_epoch=best[1],
        readings=len(wanted),
        training=training,
    )


def _read(network: Any) -> FloatModel:
    from edgernn_export.keras_reader.reader import read_keras

    return read_keras(network)


def _window_network(network: Any) -> tuple[FloatModel, int]:
    model = _read(network)
    if model.window is None or model.rate is not None:
        found = "strides" if model.rate is not None else "outputs at every reading"
        if model.rate is None and model.steps is None:
            found = "an input of any length"
        raise TrainingError(
            f"{model.name}: expected a network for windows of T readings, keras.Input((T, I)), "
            f"with one output, got one with {found}. Build it with the length of its windows."
        )
    if any(isinstance(layer, FloatMemory) for layer in model.layers):
        raise _looks_at_all_steps(model)
    return model, model.window.steps


def _with_targets(
    model: FloatModel, window: int, streams: Any, targets: Any
) -> list[tuple[FloatArray, StepTargets]]:
    if targets is not None:
        return paired(streams, targets)
    several = isinstance(streams, (list, tuple)) or np.ndim(streams) == 3
    xs = [as_stream(one) for one in (streams if several else [streams])]
    return [(x, _window_answers(model, window, x)) for x in xs]


def _window_answers(model: FloatModel, window: int, x: FloatArray) -> FloatArray:
    """Answers [T, O] to the window that ends at each reading, the first of which are padded."""
    views = np.lib.stride_tricks.sliding_window_view(padded(x, window), window, axis=0)
    found = [
        float_run.run(model, views[at : at + _BATCH].swapaxes(1, 2))[0][:, -1]
        for at in range(0, len(views), _BATCH)
    ]
    return float_run.with_softmax(model, np.concatenate(found))


def _endless_answers(model: FloatModel, x: FloatArray) -> FloatArray:
    return float_run.with_softmax(model, float_run.run(model, x[None])[0][0])


def _check_equal(
    windowed: FloatModel, endless: FloatModel, window: int, streams: Sequence[FloatArray]
) -> None:
    """Refuse networks whose last output needs more than the state at the last reading."""
    x = max(streams, key=len)[: window + _CHECKED]
    views = np.lib.stride_tricks.sliding_window_view(x, window, axis=0).swapaxes(1, 2)
    wanted, got = (float_run.run(one, views)[0][:, -1] for one in (windowed, endless))
    if not np.allclose(wanted, got, rtol=_ROUNDING, atol=_ROUNDING * float(np.abs(wanted).max())):
        raise _looks_at_all_steps(windowed)


def _looks_at_all_steps(windowed: FloatModel) -> TrainingError:
    return TrainingError(
        f"{windowed.name}: expected outputs that depend on the last step of the recurrent layers, "
        "got layers that look at all steps of a window. Set return_sequences=False in the last "
        "recurrent layer, so that what follows reads its last step."
    )


def _are_classes(model: FloatModel, targets: Sequence[StepTargets], given: bool) -> bool:
    whole = all(np.issubdtype(y.dtype, np.integer) and y.ndim == 1 for y in targets)
    return given and whole and model.outputs > 1


def _parts(
    pairs: Sequence[tuple[FloatArray, StepTargets]], held_out: float, window: int
) -> tuple[list[tuple[FloatArray, StepTargets]], _Part, _Part]:
    """What is learnt, what chooses the epoch and what is measured, in time order."""
    cuts = [(round(len(x) * (1 - 2 * held_out)), round(len(x) * (1 - held_out))) for x, _ in pairs]
    short = [len(x) for (x, _), (a, b) in zip(pairs, cuts, strict=True) if a < window or b <= a]
    if short:
        raise TrainingError(
            f"streams: expected a window of {window} readings to fit into the first "
            f"{1 - 2 * held_out:.0%} of each, got one of {min(short)} readings. Join consecutive "
            "streams, or leave short ones out."
        )
    learnt = [(x[:a], y[:a]) for (x, y), (a, _) in zip(pairs, cuts, strict=True)]
    chosen = _Part(
        x=[x[:b] for (x, _), (_, b) in zip(pairs, cuts, strict=True)],
        wanted=[y[:b] for (_, y), (_, b) in zip(pairs, cuts, strict=True)],
        first=[a for a, _ in cuts],
    )
    tested = _Part(
        x=[x for x, _ in pairs], wanted=[y for _, y in pairs], first=[b for _, b in cuts]
    )
    return learnt, chosen, tested


def _judged(part: _Part, values: Sequence[StepTargets]) -> StepTargets:
    """The rows of all streams that are judged, [N, ...]."""
    return np.concatenate([v[a:] for v, a in zip(values, part.first, strict=True)])


def _error(model: FloatModel, part: _Part, classes: bool) -> float:
    """Of the network as an endless stream, from the beginning of every stream."""
    got = _judged(part, [_endless_answers(model, x) for x in part.x])
    return _difference(_judged(part, part.wanted), got, classes)


def _window_error(model: FloatModel, window: int, part: _Part, classes: bool) -> float:
    tails = [x[a - window + 1 :] for x, a in zip(part.x, part.first, strict=True)]
    got = [_window_answers(model, window, x)[window - 1 :] for x in tails]
    return _difference(_judged(part, part.wanted), np.concatenate(got), classes)


def _difference(wanted: StepTargets, got: FloatArray, classes: bool) -> float:
    if classes:
        return float(np.mean(got.argmax(axis=1) != wanted))
    return float(np.sqrt(np.mean(np.square(got - wanted.reshape(got.shape)))))


def _loss_of(model: FloatModel, targets: Sequence[StepTargets], classes: bool) -> Any:
    import keras

    if classes:
        logits = model.final_activation != "softmax"
        return keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
    if model.final_activation == "softmax":
        return keras.losses.CategoricalCrossentropy()
    variance = float(np.var(np.concatenate(targets))) or 1.0

    def scaled_squared_error(wanted: Any, got: Any) -> Any:
        return keras.losses.mean_squared_error(wanted, got) / variance

    return scaled_squared_error
