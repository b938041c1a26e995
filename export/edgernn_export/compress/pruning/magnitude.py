"""Magnitude pruning as a Keras 3 callback (Zhu & Gupta 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any, Self

from edgernn.errors import PruningError
from edgernn.model.formats import BoolArray
from edgernn_export.compress.checks import MATRICES
from edgernn_export.compress.pruning.allocation import DEFAULT_ALLOCATION, Density
from edgernn_export.compress.pruning.batch_callback import AfterBatch, callback_type
from edgernn_export.compress.pruning.density import Densities, densities_of
from edgernn_export.compress.pruning.keras_matrices import find_matrices
from edgernn_export.compress.pruning.mask_run import MaskRun
from edgernn_export.keras_reader.findings import owner_of


class Pruner(AfterBatch):
    """All of `MagnitudePruning` but its base class, so that Keras loads on use only.

    Kernels and recurrent kernels grow sparse by the polynomial schedule; after every batch the
    masked weights are set to zero again, regardless of what the optimizer's momentum did. One
    callback serves one model; give layers different settings with one callback for each.

    Args:
        final_density: share of weights that stay, in (0, 1]: one number, or a dict of gates (LSTM
            i f g o, GRU z r n, SimpleRNN h, Dense and convolutions y); gates left out stay dense.
        end_step: batches done when the final density is reached.
        begin_step: batches done when pruning begins.
        frequency: batches between two renewals of the masks.
        power: exponent of the schedule.
        initial_density: density at ``begin_step``.
        pattern: a name in `PATTERNS`, rows x columns of the integer model's matrices.
        allocation: who shares a density. "erdos-renyi": each gate has it, its kernel and its
            recurrent kernel together, in proportion to the sums of their sides in groups (Mocanu
            et al. 2018). "gate": each gate of each matrix has it. "matrix": the gates of a matrix
            compete for one number, and those of a dict have each their own.
        norm: size of a block, "l1" (mean absolute value) or "l2" (root mean square).
        keep_diagonal: keep the weights from a unit to itself in recurrent kernels.
        layers: names of recurrent, Dense, Conv1D and SeparableConv1D layers, the last with their
            pointwise kernels; None takes all recurrent layers.
        matrices: "kernel", "recurrent_kernel" or both.

    Attributes:
        step: batches done.

    Raises:
        PruningError: a setting is refused; names are checked when training begins.
    """

    def __init__(
        self,
        final_density: Density,
        *,
        end_step: int,
        begin_step: int = 0,
        frequency: int = 100,
        power: int = 3,
        initial_density: float = 1.0,
        pattern: str = "unstructured",
        allocation: str = DEFAULT_ALLOCATION,
        norm: str = "l1",
        keep_diagonal: bool = False,
        layers: Sequence[str] | None = None,
        matrices: Sequence[str] = MATRICES,
    ) -> None:
        super().__init__()
        self._run = MaskRun(
            "callback",
            final_density,
            end_step=end_step,
            begin_step=begin_step,
            frequency=frequency,
            power=power,
            initial_density=initial_density,
            pattern=pattern,
            allocation=allocation,
            norm=norm,
            keep_diagonal=keep_diagonal,
            layers=layers,
            matrices=matrices,
        )
        self._bound: Any = None

    @property
    def step(self) -> int:
        """Batches done."""
        return self._run.step

    @step.setter
    def step(self, done: int) -> None:
        self._run.step = done

    @classmethod
    def resume(cls, path: str | PathLike[str]) -> Self:
        """Continue where `save` stopped, with the model that was saved at the same step.

        Raises:
            OSError: there is no readable file.
            PruningError: the file is not a pruning state.
        """
        run = MaskRun.resumed("callback", Path(path))
        callback = cls(**run.settings)
        callback._run = run
        return callback

    def save(self, path: str | PathLike[str]) -> None:
        """Write settings, step and masks to an .npz file of exactly this name.

        Raises:
            OSError: the file could not be written.
            PruningError: training has not begun.
        """
        self._check_used()
        self._run.save(Path(path))

    @property
    def masks(self) -> dict[str, BoolArray]:
        """Copies of the masks [R, N] by matrix, in the integer model's orientation.

        Raises:
            PruningError: training has not begun.
        """
        self._check_used()
        return {name: mask.copy() for name, mask in self._run.masks.items()}

    @property
    def finished(self) -> bool:
        """Whether the final density has been reached."""
        return self._run.finished

    def densities(self) -> Densities:
        """Share of weights that are not zero, per matrix ("all") and gate.

        Raises:
            PruningError: training has not begun.
        """
        self._check_used(bound=True)
        return densities_of(self._run.matrices)

    def report(self) -> str:
        """The step and a table of `densities`.

        Raises:
            PruningError: training has not begun.
        """
        self._check_used(bound=True)
        return self._run.report()

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        """Find the matrices; prune before the first batch where the schedule begins at 0.

        Raises:
            PruningError: a name is unknown, a weight is not finite, or the model is not the one
                this callback, or the state it resumes, belongs to.
        """
        self._check_model(
            "Masks act", "Create a new callback, or load a saved state with resume()."
        )
        if self._bound is None:
            settings = self._run.settings
            found = find_matrices(self.model, settings["layers"], settings["matrices"])
            self._run.bind(found, owner_of(self.model))
            self._bound = self.model
        self._run.apply()

    def on_train_batch_end(
        self,
        batch: int,  # noqa: ARG002
        logs: Mapping[str, Any] | None = None,  # noqa: ARG002
    ) -> None:
        """Count the batch, renew the masks where due, and zero what is masked.

        Raises:
            PruningError: a weight is NaN or infinite when masks are renewed.
        """
        self._count_batch()
        self._run.settle()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        """Zero what is masked once more: averaging optimizers overwrite weights at the end."""
        self._run.apply()

    def _check_used(self, *, bound: bool = False) -> None:
        """Refuse a callback without masks, or one whose model is not known yet."""
        if not self._run.masks or (bound and not self._run.matrices):
            raise PruningError(
                "pruning: expected a callback that was used in fit, got an unused one. Pass it to "
                "model.fit(callbacks=[...]) first."
            )


@cache
def callback_class() -> type[Pruner]:
    """`MagnitudePruning`: a `Pruner` that is a `keras.callbacks.Callback`."""
    made: type[Pruner] = callback_type("MagnitudePruning", Pruner, __package__)
    return made
