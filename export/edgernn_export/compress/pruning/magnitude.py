"""Magnitude pruning as a Keras 3 callback (Zhu & Gupta 2017)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np

from edgernn.errors import EdgeRnnWarning, PruningError
from edgernn.model.formats import BoolArray
from edgernn_export.compress.checks import MATRICES, choice, matrices_asked
from edgernn_export.compress.pruning.allocation import (
    ALLOCATIONS,
    DEFAULT_ALLOCATION,
    Density,
    Schedule,
    Shares,
    allocate,
    densities_asked,
)
from edgernn_export.compress.pruning.batch_callback import AfterBatch, callback_type
from edgernn_export.compress.pruning.density import (
    Densities,
    densities_of,
    density_table,
    starved_gates,
)
from edgernn_export.compress.pruning.keras_matrices import Matrix, find_matrices
from edgernn_export.compress.pruning.masks import NORMS, PATTERNS
from edgernn_export.compress.pruning.state_file import read_state, write_state
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
        choice("pattern", pattern, tuple(PATTERNS))
        choice("allocation", allocation, ALLOCATIONS)
        choice("norm", norm, NORMS)
        self._asked = densities_asked(initial_density, final_density, pattern)
        self._schedule = Schedule(
            begin_step=begin_step, end_step=end_step, frequency=frequency, power=power
        )
        self._settings: dict[str, Any] = {
            "final_density": self._asked.get("", self._asked),
            **asdict(self._schedule),
            "initial_density": initial_density,
            "pattern": pattern,
            "allocation": allocation,
            "norm": norm,
            "keep_diagonal": bool(keep_diagonal),
            "layers": None if layers is None else list(layers),
            "matrices": list(matrices_asked(matrices)),
        }
        self.step = 0
        self._masks: dict[str, BoolArray] = {}
        self._matrices: tuple[Matrix, ...] = ()
        self._shares: Shares = {}
        self._bound: Any = None

    @classmethod
    def resume(cls, path: str | PathLike[str]) -> Self:
        """Continue where `save` stopped, with the model that was saved at the same step.

        Raises:
            OSError: there is no readable file.
            PruningError: the file is not a pruning state.
        """
        step, settings, masks = read_state(Path(path))
        callback = cls(**settings)
        callback.step = step
        callback._masks = masks
        return callback

    def save(self, path: str | PathLike[str]) -> None:
        """Write settings, step and masks to an .npz file of exactly this name.

        Raises:
            OSError: the file could not be written.
            PruningError: training has not begun.
        """
        write_state(Path(path), self.step, self._settings, self.masks)

    @property
    def masks(self) -> dict[str, BoolArray]:
        """Copies of the masks [R, N] by matrix, in the integer model's orientation.

        Raises:
            PruningError: training has not begun.
        """
        if not self._masks:
            raise self._unused()
        return {name: mask.copy() for name, mask in self._masks.items()}

    @property
    def finished(self) -> bool:
        """Whether the final density has been reached."""
        return self.step >= self._schedule.end_step

    def densities(self) -> Densities:
        """Share of weights that are not zero, per matrix ("all") and gate.

        Raises:
            PruningError: training has not begun.
        """
        if not self._matrices:
            raise self._unused()
        return densities_of(self._matrices)

    def report(self) -> str:
        """The step and a table of `densities`.

        Raises:
            PruningError: training has not begun.
        """
        head = f"batch {self.step} of {self._schedule.end_step}, {self._settings['pattern']}"
        return f"{head}\n{density_table(self.densities())}"

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
            self._bind()
        self._apply()

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
        if self._schedule.due(self.step):
            self._renew()
        self._apply()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        """Zero what is masked once more: averaging optimizers overwrite weights at the end."""
        self._apply()

    def _bind(self) -> None:
        found = find_matrices(self.model, self._settings["layers"], self._settings["matrices"])
        for matrix in found:
            self._check_gates(matrix)
        if self._masks:
            self._check_resumed(found)
        self._matrices, self._bound = found, self.model
        self._shares = allocate(
            found,
            self._asked,
            allocation=self._settings["allocation"],
            pattern=self._settings["pattern"],
            initial=self._settings["initial_density"],
        )
        if not self._masks:
            self._masks = {m.name: np.ones(m.shape, dtype=np.bool_) for m in found}
            if self._schedule.due(self.step):
                self._renew()

    def _check_gates(self, matrix: Matrix) -> None:
        unknown = [gate for gate in self._asked if gate and gate not in matrix.gates]
        if unknown:
            raise PruningError(
                f"{matrix.name}: expected gates among {', '.join(matrix.gates)}, got "
                f"{unknown[0]!r} (final_density). Use one callback per kind of layer."
            )

    def _check_resumed(self, found: Sequence[Matrix]) -> None:
        """The model must have the saved state's matrices, with zeros where they are masked."""
        saved = {name: mask.shape for name, mask in self._masks.items()}
        live = {m.name: m.shape for m in found}
        if saved != live:
            raise PruningError(
                f"{owner_of(self.model)}: expected the matrices {saved} of the saved state, got "
                f"{live}. Load the model that was saved with it."
            )
        for matrix in found:
            weights = matrix.read().reshape(matrix.shape)
            lively = np.count_nonzero(weights[~self._masks[matrix.name]])
            if lively:
                raise PruningError(
                    f"{matrix.name}: expected zeros at the weights masked by the saved state, "
                    f"got {lively} nonzero weights. Load the model that was saved with it."
                )

    def _warn_of_starved(self) -> None:
        """Say which gates have lost nearly all they were to keep, once the masks are final."""
        kept = {
            m.name: dict(
                zip(
                    m.gates, self._masks[m.name].reshape(len(m.gates), -1).mean(axis=1), strict=True
                )
            )
            for m in self._matrices
        }
        starved = starved_gates(kept, self._asked)
        if starved:
            warnings.warn(
                f"pruning: {'; '.join(starved)}. Such a gate no longer depends on its input: "
                f"use allocation='{DEFAULT_ALLOCATION}', or a higher density.",
                EdgeRnnWarning,
                stacklevel=3,
            )

    def _renew(self) -> None:
        initial = self._settings["initial_density"]
        for matrix in self._matrices:
            densities = {
                gate: self._schedule.density(self.step, initial, final)
                for gate, final in self._shares[matrix.name].items()
            }
            self._masks[matrix.name] = matrix.renewed(
                self._masks[matrix.name],
                densities,
                pattern=self._settings["pattern"],
                norm=self._settings["norm"],
                keep_diagonal=self._settings["keep_diagonal"],
            )
        if self.finished:
            self._warn_of_starved()

    def _apply(self) -> None:
        for matrix in self._matrices:
            mask = self._masks[matrix.name]
            if not mask.all():
                matrix.apply(mask)

    @staticmethod
    def _unused() -> PruningError:
        return PruningError(
            "pruning: expected a callback that was used in fit, got an unused one. Pass it to "
            "model.fit(callbacks=[...]) first."
        )


@cache
def callback_class() -> type[Pruner]:
    """`MagnitudePruning`: a `Pruner` that is a `keras.callbacks.Callback`."""
    made: type[Pruner] = callback_type("MagnitudePruning", Pruner, __package__)
    return made
