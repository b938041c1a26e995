"""Masks of one network while it is trained (Zhu & Gupta 2017), whatever library trains it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

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
from edgernn_export.compress.pruning.density import densities_of, density_table, starved_gates
from edgernn_export.compress.pruning.masks import NORMS, PATTERNS
from edgernn_export.compress.pruning.matrices import Matrix
from edgernn_export.compress.pruning.state_file import read_state, write_state


class MaskRun:
    """Masks that grow sparse by the polynomial schedule, and the batches done.

    Args:
        name: of what the user made, for messages.
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
        layers: names of layers; None takes all recurrent ones.
        matrices: "kernel", "recurrent_kernel" or both.

    Attributes:
        settings: the arguments but the name.
        schedule: when masks are renewed.
        step: batches done.
        masks: by matrix, [R, N] in the integer model's orientation; none before `bind`.
        matrices: what is pruned; none before `bind`.

    Raises:
        PruningError: a setting is refused.
    """

    def __init__(
        self,
        name: str,
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
        choice("pattern", pattern, tuple(PATTERNS))
        choice("allocation", allocation, ALLOCATIONS)
        choice("norm", norm, NORMS)
        self._asked = densities_asked(initial_density, final_density, pattern)
        self.schedule = Schedule(
            begin_step=begin_step, end_step=end_step, frequency=frequency, power=power
        )
        self.settings: dict[str, Any] = {
            "final_density": self._asked.get("", self._asked),
            **asdict(self.schedule),
            "initial_density": initial_density,
            "pattern": pattern,
            "allocation": allocation,
            "norm": norm,
            "keep_diagonal": bool(keep_diagonal),
            "layers": None if layers is None else list(layers),
            "matrices": list(matrices_asked(matrices)),
        }
        self._name = name
        self.step = 0
        self.masks: dict[str, BoolArray] = {}
        self.matrices: tuple[Matrix, ...] = ()
        self._shares: Shares = {}

    @classmethod
    def resumed(cls, name: str, path: Path) -> MaskRun:
        """Where `save` stopped.

        Raises:
            OSError: there is no readable file.
            PruningError: the file is not a pruning state.
        """
        step, settings, masks = read_state(path)
        run = cls(name, **settings)
        run.step, run.masks = step, masks
        return run

    def save(self, path: Path) -> None:
        """Write settings, step and masks to an .npz file of exactly this name.

        Raises:
            OSError: the file could not be written.
        """
        write_state(path, self.step, self.settings, self.masks)

    @property
    def finished(self) -> bool:
        """Whether the final density has been reached."""
        return self.step >= self.schedule.end_step

    def report(self) -> str:
        """The step, and a table of the densities."""
        head = f"batch {self.step} of {self.schedule.end_step}, {self.settings['pattern']}"
        return f"{head}\n{density_table(densities_of(self.matrices))}"

    def bind(self, found: Sequence[Matrix], owner: str) -> None:
        """Take the matrices, and prune them where the schedule begins at 0.

        Args:
            found: of the network.
            owner: of them, for messages.

        Raises:
            PruningError: a gate is unknown, a weight is not finite, or the matrices are not those
                of the state that is resumed.
        """
        for matrix in found:
            self._check_gates(matrix)
        if self.masks:
            self._check_resumed(found, owner)
        self.matrices = tuple(found)
        self._shares = allocate(
            found,
            self._asked,
            allocation=self.settings["allocation"],
            pattern=self.settings["pattern"],
            initial=self.settings["initial_density"],
        )
        if not self.masks:
            self.masks = {m.name: np.ones(m.shape, dtype=np.bool_) for m in found}
            if self.schedule.due(self.step):
                self._renew()

    def _check_gates(self, matrix: Matrix) -> None:
        unknown = [gate for gate in self._asked if gate and gate not in matrix.gates]
        if unknown:
            raise PruningError(
                f"{matrix.name}: expected gates among {', '.join(matrix.gates)}, got "
                f"{unknown[0]!r} (final_density). Use one {self._name} per kind of layer."
            )

    def _check_resumed(self, found: Sequence[Matrix], owner: str) -> None:
        """The model must have the saved state's matrices, with zeros where they are masked."""
        saved = {name: mask.shape for name, mask in self.masks.items()}
        live = {m.name: m.shape for m in found}
        if saved != live:
            raise PruningError(
                f"{owner}: expected the matrices {saved} of the saved state, got "
                f"{live}. Load the model that was saved with it."
            )
        for matrix in found:
            weights = matrix.read().reshape(matrix.shape)
            lively = np.count_nonzero(weights[~self.masks[matrix.name]])
            if lively:
                raise PruningError(
                    f"{matrix.name}: expected zeros at the weights masked by the saved state, "
                    f"got {lively} nonzero weights. Load the model that was saved with it."
                )

    def _warn_of_starved(self) -> None:
        """Say which gates have lost nearly all they were to keep, once the masks are final."""
        kept = {
            m.name: dict(
                zip(m.gates, self.masks[m.name].reshape(len(m.gates), -1).mean(axis=1), strict=True)
            )
            for m in self.matrices
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
        initial = self.settings["initial_density"]
        for matrix in self.matrices:
            densities = {
                gate: self.schedule.density(self.step, initial, final)
                for gate, final in self._shares[matrix.name].items()
            }
            self.masks[matrix.name] = matrix.renewed(
                self.masks[matrix.name],
                densities,
                pattern=self.settings["pattern"],
                norm=self.settings["norm"],
                keep_diagonal=self.settings["keep_diagonal"],
            )
        if self.finished:
            self._warn_of_starved()

    def batch_done(self) -> None:
        """Count a batch, renew the masks where due, and zero what is masked.

        Raises:
            PruningError: a weight is NaN or infinite when masks are renewed.
        """
        self.step += 1
        self.settle()

    def settle(self) -> None:
        """Renew the masks where due after the batches done, and zero what is masked.

        Raises:
            PruningError: as `batch_done`.
        """
        if self.schedule.due(self.step):
            self._renew()
        self.apply()

    def apply(self) -> None:
        """Zero what is masked."""
        for matrix in self.matrices:
            mask = self.masks[matrix.name]
            if not mask.all():
                matrix.apply(mask)
