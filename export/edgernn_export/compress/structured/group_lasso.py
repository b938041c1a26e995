"""Group lasso on hidden units as a Keras 3 callback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from edgernn.errors import PruningError
from edgernn.model.formats import BoolArray, FloatArray
from edgernn_export.compress.checks import nonnegative, whole_number
from edgernn_export.compress.pruning.batch_callback import AfterBatch, callback_type
from edgernn_export.compress.structured.keras_chain import read_chain
from edgernn_export.compress.structured.unit_groups import UnitGroups, groups_of
from edgernn_export.compress.structured.unit_removal import norm_table

Strength = float | Mapping[str, float]


class Lasso(AfterBatch):
    """All of `GroupLasso` but its base class, so that Keras loads on use only.

    The penalty is the sum over all units of strength * sqrt(weights in the group) * group norm
    (Yuan & Lin 2006); groups are the intrinsic sparse structures of Wen et al. 2018. After every
    batch each group goes through the proximal step of that penalty: its norm shrinks by learning
    rate * strength * sqrt(weights), and what would fall below 0 becomes exactly 0. Weights that
    belong to two groups are shrunk by both. A group that is 0 stays 0, regardless of what the
    optimizer's momentum does; the largest group of a layer is never removed. The reported loss is
    without penalty.

    Args:
        strength: factor of the penalty, per layer where it is a dict by name.
        begin_step: batches done when shrinking begins.
        threshold: groups of a norm up to this go as well.
        layers: names of recurrent layers; None takes the names in the dict, or else all that
            another layer reads.

    Attributes:
        step: batches done.

    Raises:
        PruningError: a setting is refused; names are checked when training begins.
    """

    def __init__(
        self,
        strength: Strength,
        *,
        begin_step: int = 0,
        threshold: float = 0.0,
        layers: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        whole_number("begin_step", begin_step, least=0)
        if isinstance(strength, Mapping):
            if layers is not None:
                raise PruningError(
                    "layers: expected None together with a dict of strengths, got layers. Omit "
                    "layers; the dict names them."
                )
            layers = list(strength)
            for name, value in strength.items():
                nonnegative(f"strength[{name!r}]", value)
        else:
            nonnegative("strength", strength)
        self._strength, self._begin = strength, begin_step
        self._threshold = nonnegative("threshold", threshold)
        self._layers = layers
        self.step = 0
        self._groups: dict[str, UnitGroups] = {}
        self._alive: dict[str, BoolArray] = {}
        self._bound: Any = None

    @property
    def finished(self) -> bool:
        """Whether groups have shrunk at all: a network before that is not pruned."""
        return self.step > self._begin

    def norms(self) -> dict[str, FloatArray]:
        """Group norms [H] by layer.

        Raises:
            PruningError: training has not begun, or a weight is NaN or infinite.
        """
        if not self._groups:
            raise PruningError(
                "group lasso: expected a callback that was used in fit, got an unused one. "
                "Pass it to model.fit(callbacks=[...]) first."
            )
        return {name: groups.norms() for name, groups in self._groups.items()}

    def report(self) -> str:
        """The step and a table of group norms.

        Raises:
            PruningError: training has not begun, or a weight is NaN or infinite.
        """
        table = norm_table(self.norms())
        return f"batch {self.step}\n{table}"

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        """Find the groups; those that are 0 stay 0.

        Raises:
            UnsupportedModelError: the Keras reader refuses the model.
            PruningError: a name is unknown, a weight is not finite, or the model is not that of
                the earlier fit.
        """
        self._check_model("Groups shrink", "Create a new callback.")
        chain = read_chain(self.model)
        found = [groups_of(chain, index) for index in chain.removable(self._layers)]
        self._groups = {groups.layer.name: groups for groups in found}
        self._alive = {name: groups.norms() > 0.0 for name, groups in self._groups.items()}
        self._bound = self.model

    def on_train_batch_end(
        self,
        batch: int,  # noqa: ARG002
        logs: Mapping[str, Any] | None = None,  # noqa: ARG002
    ) -> None:
        """Count the batch and shrink all groups.

        Raises:
            PruningError: a weight is NaN or infinite.
        """
        self._count_batch()
        if self.step <= self._begin:
            return
        rate = float(np.asarray(self.model.optimizer.learning_rate))
        # All factors come from the weights before any group shrinks: the order does not matter.
        factors = {name: self._factors(name, rate) for name in self._groups}
        for name, groups in self._groups.items():
            groups.scale(factors[name])

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        """Zero what is gone once more: averaging optimizers overwrite weights at the end."""
        for name, groups in self._groups.items():
            groups.scale(self._alive[name].astype(np.float64))

    def _factors(self, name: str, rate: float) -> FloatArray:
        """Factor of every group [H]; marks those that go."""
        groups, alive = self._groups[name], self._alive[name]
        strength = self._strength[name] if isinstance(self._strength, Mapping) else self._strength
        norms = np.where(alive, groups.norms(), 0.0)
        left = norms - rate * strength * np.sqrt(groups.size)
        stays = alive & (left > self._threshold)
        if not stays.any() and alive.any():
            stays[np.argmax(norms)] = True
        alive &= stays
        factors: FloatArray = np.divide(left, norms, out=np.zeros_like(norms), where=alive)
        return np.where(alive & (left <= 0.0), 1.0, factors)


@cache
def lasso_class() -> type[Lasso]:
    """`GroupLasso`: a `Lasso` that is a `keras.callbacks.Callback`."""
    made: type[Lasso] = callback_type("GroupLasso", Lasso, __package__)
    return made
