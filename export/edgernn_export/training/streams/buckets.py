"""Batches of sequences of about one length, or of exactly one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.errors import TrainingError
from edgernn_export.calibration.unmasked import unmasked


def length_buckets(
    sequences: Sequence[npt.ArrayLike],
    targets: Sequence[npt.ArrayLike] | npt.ArrayLike,
    *,
    batch: int = 32,
    mask: float = 0.0,
    seed: int = 0,
) -> Any:
    """Batches for `keras.Model.fit` of a network that begins with a Masking layer or mask_zero.

    A batch has sequences of about one length, so that few steps are padding. It is padded at the
    end with masked readings up to its longest sequence. Every epoch has other batches, in another
    order.

        batches = length_buckets(sequences, labels, batch=32, mask=-1.0)
        model.fit(batches, epochs=20)

    Args:
        sequences: N sequences of readings [T_i, I], or of tokens [T_i]; physical units.
        targets: one for each sequence, [N] or [N, ...]; or N sequences [T_i, O], one for each
            reading. Padded steps then have the sample weight 0.
        batch: sequences in a batch.
        mask: the mask_value of the Masking layer; 0 for tokens.
        seed: of the order.

    Returns:
        A `keras.utils.PyDataset` of batches (x, y), or (x, y, sample_weight) for a target at each
        reading: x float32 [B, T, I], of tokens int32 [B, T].

    Raises:
        TrainingError: no sequences, an empty one, another number of targets, or a reading that the
            mask would hide.
    """
    xs = _checked(sequences, mask)
    ys = [np.asarray(target) for target in targets]  # type: ignore[union-attr]
    each = all(y.ndim > 0 and len(y) == len(x) for x, y in zip(xs, ys, strict=False)) and any(
        len(x) != len(xs[0]) for x in xs
    )
    shapes = {y.shape[1:] if each else y.shape for y in ys}
    if len(ys) != len(xs) or len(shapes) != 1:
        raise TrainingError(
            f"length_buckets: expected targets for {len(xs)} sequences, one for each of them or "
            f"one for each reading, got {len(ys)} of shapes {sorted(map(str, shapes))[:3]}."
        )
    if batch < 1:
        raise TrainingError(f"length_buckets batch: expected at least 1, got {batch}.")
    return _bucket_class()(xs, ys, each, batch, mask, seed)


def equal_lengths(
    sequences: Sequence[npt.ArrayLike],
    targets: Sequence[npt.ArrayLike],
    *,
    batch: int = 32,
    seed: int = 0,
) -> Any:
    """Batches for `keras.Model.fit` of sequences of exactly one length each: nothing is padded.

    For networks that read backward, too, or answer once for each sequence, without a mask. Every
    epoch has other batches, in another order. Lengths that few sequences have make small batches.

    Args:
        sequences: N sequences of readings [T_i, I].
        targets: one for each sequence, [N] or [N, ...], or one for each reading, [T_i, ...].
        batch: most sequences in a batch.
        seed: of the order.

    Returns:
        A `keras.utils.PyDataset` of batches (x, y), x float32 [B, T, I].
    """
    xs, ys = ([np.asarray(value) for value in values] for values in (sequences, targets))
    return _bucket_class()(xs, ys, False, batch, None, seed)


def equal_batches(lengths: npt.NDArray[np.int64], batch: int) -> int:
    """How many batches `equal_lengths` has for sequences of these lengths."""
    _, counts = np.unique(lengths, return_counts=True)
    return int(np.sum(-(-counts // batch)))


def _checked(sequences: Sequence[npt.ArrayLike], mask: float) -> list[npt.NDArray[Any]]:
    """Sequences as arrays that can be padded."""
    xs = [np.asarray(sequence) for sequence in sequences]
    ranks = {x.ndim for x in xs}
    if len(ranks) != 1 or not ranks <= {1, 2} or not all(map(len, xs)):
        raise TrainingError(
            "length_buckets: expected sequences [T, I] or tokens [T], none of them empty, got "
            f"{len(xs)} of {sorted(ranks)} axes, {sum(len(x) == 0 for x in xs)} empty."
        )
    for number, x in enumerate(xs):
        hidden = np.flatnonzero(~unmasked(x.reshape(len(x), -1), mask))
        if len(hidden):
            raise TrainingError(
                f"length_buckets mask: expected a value that no reading has, got {mask:g}, which "
                f"masks reading {hidden[0]} of sequence {number}. Use another mask_value, or "
                "number tokens from 1."
            )
    return xs


@cache
def _bucket_class() -> type:
    """The data set as a class of Keras, which is imported on use."""
    import keras

    class LengthBuckets(keras.utils.PyDataset):  # type: ignore[misc]
        """Batches of sequences of about one length; without a mask, of exactly one."""

        def __init__(
            self,
            xs: list[npt.NDArray[Any]],
            ys: list[npt.NDArray[Any]],
            each: bool,
            batch: int,
            mask: float | None,
            seed: int,
        ) -> None:
            super().__init__()
            self._xs, self._ys, self._each, self._mask = xs, ys, each, mask
            self._lengths = np.array([len(x) for x in xs])
            self._rng = np.random.default_rng(seed)
            self._size = batch
            self._batches: list[npt.NDArray[np.intp]] = []
            self.on_epoch_end()

        def on_epoch_end(self) -> None:
            """Other batches in another order."""
            ties = self._rng.permutation(len(self._xs))
            order = ties[np.argsort(self._lengths[ties], kind="stable")]
            runs = [order]
            if self._mask is None:
                runs = np.split(order, np.flatnonzero(np.diff(self._lengths[order])) + 1)
            batches = [
                run[at : at + self._size] for run in runs for at in range(0, len(run), self._size)
            ]
            self._batches = [batches[i] for i in self._rng.permutation(len(batches))]

        def __len__(self) -> int:
            return len(self._batches)

        def __getitem__(self, index: int) -> tuple[npt.NDArray[Any], ...]:
            which = self._batches[index]
            longest = int(self._lengths[which].max())
            tokens = self._xs[0].ndim == 1
            dtype = np.int32 if tokens else np.float32
            x = np.full((len(which), longest, *self._xs[0].shape[1:]), self._mask or 0, dtype)
            for row, n in enumerate(which):
                x[row, : self._lengths[n]] = self._xs[n]
            if not self._each:
                return x, np.stack([self._ys[n] for n in which])
            y = np.zeros((len(which), longest, *self._ys[0].shape[1:]), self._ys[0].dtype)
            weight: npt.NDArray[np.float32] = np.zeros((len(which), longest), np.float32)
            for row, n in enumerate(which):
                y[row, : self._lengths[n]] = self._ys[n]
                weight[row, : self._lengths[n]] = 1.0
            return x, y, weight

    return LengthBuckets
