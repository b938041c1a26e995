"""A Keras callback: validate after every epoch, keep the best weights, show progress."""

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
            is False are no candidates, nor are those whose metric is not finite.
        epochs: of the fit, for the bar.
        title: of the bar.
        progress: show a bar on stderr.

    Attributes:
        history: the metric after every epoch.
        best_epoch: the epoch whose weights are kept, from 1; 0 while none is.
    """

    def __init__(
        self,
        network: Any,
        validate: Callable[[], float],
        *,
        rising: bool,
        others: Sequence[Any],
        epochs: int,
        title: str,
        progress: bool,
    ) -> None:
        from tqdm import tqdm

        super().__init__()
        self._network, self._validate = network, validate
        self._sign = 1.0 if rising else -1.0
        self._others = others
        self._best: list[Any] = []
        self._bar = tqdm(
            total=epochs, desc=title, unit=" epochs", file=sys.stderr, disable=not progress,
            leave=False,
        )  # fmt: skip
        self.history: list[float] = []
        self.best_epoch = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Validate; keep the weights where they are the best so far (the first among equals)."""
        value = self._validate()
        self.history.append(value)
        finished = all(getattr(other, "finished", True) for other in self._others)
        if finished and math.isfinite(value):
            best = self.history[self.best_epoch - 1] if self.best_epoch else None
            if best is None or self._sign * value > self._sign * best:
                self.best_epoch, self._best = len(self.history), self._network.get_weights()
        self._bar.update()
        self._bar.set_postfix(validation=f"{value:.4f}", best=self.best_epoch)

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
        """Put the best weights back."""
        self._bar.close()
        if self.best_epoch:
            self._network.set_weights(self._best)


@cache
def keep_best_class() -> type[Keeper]:
    """`KeepBest`: a `Keeper` that is a `keras.callbacks.Callback`."""
    import keras

    return type("KeepBest", (Keeper, keras.callbacks.Callback), {"__doc__": Keeper.__doc__})
