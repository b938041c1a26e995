"""A Keras callback: validate before and after epochs, keep the best or the last weights."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any


class Keeper:
    """All of `KeepBest` but its base class, so that Keras loads on use only.

    Args:
        network: whose weights are kept; the fitted model, or a part of it.
        validate: gives the primary metric of the network.
        rising: whether more is better.
        others: callbacks that change weights; epochs in which one of them has a ``finished`` that
            is False are no candidates; those whose metric is not finite are none either.
        given: the network has been trained before: its weights are a candidate, epoch 0, as the
            other callbacks leave them when the fit begins.
        last: keep the last candidate, not the best.
        epochs: of the fit, for the bar.
        title: of the bar.
        progress: show a bar on stderr; None where it is a terminal.

    Attributes:
        start: the metric before the first epoch; None of a network that was not given.
        history: the metric after every epoch.
        best_epoch: the epoch whose weights are kept, 0 for the start; None while none is.
        best: the metric of the weights that are kept.
    """

    def __init__(
        self,
        network: Any,
        validate: Callable[[], float],
        *,
        rising: bool,
        others: Sequence[Any],
        given: bool,
        last: bool,
        epochs: int,
        title: str,
        progress: bool | None,
    ) -> None:
        from tqdm import tqdm

        super().__init__()
        self._network, self._validate = network, validate
        self._sign = 1.0 if rising else -1.0
        self._others, self._given, self._last = others, given, last
        self._kept: list[Any] = []
        self._bar = tqdm(
            total=epochs, desc=title, unit=" epochs", file=sys.stderr, leave=False,
            disable=None if progress is None else not progress,
        )  # fmt: skip
        self.start: float | None = None
        self.history: list[float] = []
        self.best_epoch: int | None = None
        self.best = math.nan

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Validate and keep the weights of a given network."""
        if self._given:
            self.start = self._validate()
            self._judge(0, self.start)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Validate; keep the weights where they are the best so far (the first among equals)."""
        value = self._validate()
        self.history.append(value)
        self._judge(len(self.history), value)
        self._bar.update()
        self._bar.set_postfix(validation=f"{value:.4f}", best=self.best_epoch)

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
        """Put the kept weights back."""
        self._bar.close()
        if self.best_epoch is not None:
            self._network.set_weights(self._kept)

    def _judge(self, epoch: int, value: float) -> None:
        finished = all(getattr(other, "finished", True) for other in self._others)
        if not finished or not math.isfinite(value):
            return
        better = self.best_epoch is None or self._sign * value > self._sign * self.best
        if better or self._last:
            self.best_epoch, self.best = epoch, value
            self._kept = self._network.get_weights()


@cache
def keep_best_class() -> type[Keeper]:
    """`KeepBest`: a `Keeper` that is a `keras.callbacks.Callback`."""
    import keras

    return type("KeepBest", (Keeper, keras.callbacks.Callback), {"__doc__": Keeper.__doc__})
