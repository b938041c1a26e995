"""Streams with their targets: the train, validation and test part of a task, without leakage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgernn.model.formats import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """B streams and what a model should say at every step.

    Attributes:
        x: float64 [B, T, I], physical units; each stream is run from the zero state.
        target: float64 [B, T, O], the truth; for classes [B, T, 1], the class number; for tokens
            that a decoder writes [B, U, 1], each row ended and then padded with the token 0.
        base: float64 [B, T, O], known at the step; prediction = base + model output.
        scored_from: first step that counts; the steps before it only warm the state up.
        lengths: int64 [B], steps of each stream where they differ; those after them are padding.
        last_only: only the last step of each stream counts.
    """

    x: FloatArray
    target: FloatArray
    base: FloatArray
    scored_from: int
    lengths: npt.NDArray[np.int64] | None = None
    last_only: bool = False

    @property
    def steps(self) -> npt.NDArray[np.int64]:
        """Steps of each stream without padding, int64 [B]."""
        batch, steps = self.x.shape[:2]
        return np.full(batch, steps) if self.lengths is None else self.lengths

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """Which steps are readings and no padding, bool [B, T]."""
        present: npt.NDArray[np.bool_] = np.arange(self.x.shape[1]) < self.steps[:, None]
        return present

    @property
    def counted(self) -> npt.NDArray[np.bool_]:
        """Which steps count, bool [B, T]."""
        step, end = np.arange(self.x.shape[1]), self.steps[:, None]
        first = end - 1 if self.last_only else self.scored_from
        counted: npt.NDArray[np.bool_] = (step >= first) & (step < end)
        return counted

    def scored(self, tensor: FloatArray) -> FloatArray:
        """The steps of a [B, T, ...] tensor that count, stream by stream: [N, ...]."""
        return tensor[self.counted]


def sequence_part(
    sources: Sequence[npt.ArrayLike], tokens: Sequence[Sequence[int]], outputs: int
) -> Part:
    """What an encoder reads, and the tokens that a decoder is to write.

    Args:
        sources: N sequences [T_i, I]; zeros pad them.
        tokens: N rows of tokens from 1.
        outputs: number of tokens, the end token 0 among them.
    """
    arrays = [np.asarray(source, dtype=np.float64) for source in sources]
    lengths = np.array([len(array) for array in arrays], np.int64)
    x = np.zeros((len(arrays), int(lengths.max()), arrays[0].shape[1]))
    target = np.zeros((len(tokens), max(map(len, tokens)) + 1, 1))
    for row, (array, written) in enumerate(zip(arrays, tokens, strict=True)):
        x[row, : len(array)] = array
        target[row, : len(written), 0] = written
    base = np.broadcast_to(np.zeros(1), (*x.shape[:2], outputs))
    return Part(x=x, target=target, base=base, scored_from=0, lengths=lengths)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Splits:
    """One task's data.

    Attributes:
        train: the only part that statistics, ranges and weights come from.
        validation: chooses the training step to keep; None keeps the last one.
        test: what is reported.
        target_scale: float64 [1], standard deviation of target - base in training.
        metric_scale: float64 [O] (or [1]), what errors are divided by in the metrics.
        naive: rules without a model: name -> predictions like ``test.target``.
        input_names: names of the I channels.
    """

    train: Part
    validation: Part | None
    test: Part
    target_scale: FloatArray
    metric_scale: FloatArray
    naive: dict[str, FloatArray]
    input_names: tuple[str, ...]


def level_free(values: FloatArray, mean_steps: int) -> FloatArray:
    """Causal features without the absolute level: [T, I] -> [T, 2I].

    First the changes since the previous step, then the deviations from the mean of the last
    ``mean_steps`` values, the present one included (of as many as there are at the start).
    """
    change = np.diff(values, axis=0, prepend=values[:1])
    total = np.cumsum(np.concatenate((np.zeros_like(values[:1]), values)), axis=0)
    now = np.arange(1, values.shape[0] + 1)
    count = np.minimum(now, mean_steps)
    mean = (total[now] - total[now - count]) / count[:, None]
    return np.concatenate((change, values - mean), axis=1)


def forecast_part(
    x: FloatArray,
    wanted: FloatArray,
    horizons: Sequence[int],
    first: int,
    last: int,
    warmup_steps: int,
) -> Part:
    """A single stream whose targets lie in rows [first, last) of the series.

    The first scored step stands one row before ``first``, so that the first target is row
    ``first`` (horizon 1); up to ``warmup_steps`` rows before it are streamed without being scored.

    Args:
        x: float64 [T, I], model inputs of the whole series.
        wanted: float64 [T, C], the channels to forecast.
        horizons: steps ahead; outputs are ordered horizon by horizon, then channel.
        first: first row of the part.
        last: row after the last of the part.
        warmup_steps: see above.
    """
    start = max(first - 1, 0)
    begin = max(start - warmup_steps, 0)
    stop = last - max(horizons)
    target = [wanted[begin + k : stop + k] for k in horizons]
    return Part(
        x=x[None, begin:stop],
        target=np.concatenate(target, axis=1)[None],
        base=np.tile(wanted[begin:stop], (1, len(horizons)))[None],
        scored_from=start - begin,
    )


def forecast_splits(
    x: FloatArray,
    wanted: FloatArray,
    *,
    horizons: Sequence[int],
    borders: tuple[int, int, int],
    warmup_steps: int,
    season_steps: int,
    input_names: tuple[str, ...],
    standardise: bool,
) -> Splits:
    """Train, validation and test in this order of time; statistics from the train part alone.

    Args:
        x: float64 [T, I], model inputs, causal.
        wanted: float64 [T, C], channels to forecast.
        horizons: steps ahead, each <= ``season_steps``.
        borders: rows after the last of train, validation and test.
        warmup_steps: rows before validation and test that only warm the state up.
        season_steps: period of the seasonal naive rule.
        input_names: names of the I channels.
        standardise: metrics on values divided by the train standard deviation, else in units.
    """
    train_end, validation_end, test_end = borders
    train = forecast_part(x, wanted, horizons, 0, train_end, 0)
    validation = forecast_part(x, wanted, horizons, train_end, validation_end, warmup_steps)
    test = forecast_part(x, wanted, horizons, validation_end, test_end, warmup_steps)
    season = [
        _season(wanted, k, season_steps, validation_end - 1 - test.scored_from, test)
        for k in horizons
    ]
    deviation = np.std(wanted[:train_end], axis=0) if standardise else np.ones(wanted.shape[1])
    return Splits(
        train=train,
        validation=validation,
        test=test,
        target_scale=change_scale(train),
        metric_scale=np.tile(deviation, len(horizons)),
        naive={
            "last value": test.base,
            f"value {season_steps} h before the target": np.concatenate(season, axis=1)[None],
        },
        input_names=input_names,
    )


def change_scale(train: Part) -> FloatArray:
    """Standard deviation of what the model has to say, float64 [1]."""
    return np.array([max(float(np.std(train.target - train.base)), 1e-9)])


def side_by_side(splits: Sequence[Splits]) -> Splits:
    """Several series of one kind as streams of one model: parts are joined along B.

    Args:
        splits: of equal length and borders, without separate metric scales.
    """
    train = _joined([s.train for s in splits])
    return Splits(
        train=train,
        validation=_joined([s.validation for s in splits if s.validation is not None]),
        test=_joined([s.test for s in splits]),
        target_scale=change_scale(train),
        metric_scale=splits[0].metric_scale,
        naive={name: np.concatenate([s.naive[name] for s in splits]) for name in splits[0].naive},
        input_names=splits[0].input_names,
    )


def _joined(parts: Sequence[Part]) -> Part:
    return Part(
        x=np.concatenate([p.x for p in parts]),
        target=np.concatenate([p.target for p in parts]),
        base=np.concatenate([p.base for p in parts]),
        scored_from=parts[0].scored_from,
    )


def _season(wanted: FloatArray, k: int, season_steps: int, begin: int, test: Part) -> FloatArray:
    """For every step t of the test stream the row t + k - season_steps, known at t."""
    if k > season_steps:
        raise ValueError(f"horizons: expected at most {season_steps} (the season), got {k}.")
    rows = np.maximum(np.arange(test.x.shape[1]) + begin + k - season_steps, 0)
    known: FloatArray = wanted[rows]
    return known
