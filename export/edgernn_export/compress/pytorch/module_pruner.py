"""Magnitude pruning of PyTorch modules while they are trained (Zhu & Gupta 2017)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Self

from torch import nn

from edgernn.errors import PruningError
from edgernn.model.formats import BoolArray
from edgernn_export.compress.checks import MATRICES
from edgernn_export.compress.pruning.allocation import Density
from edgernn_export.compress.pruning.density import Densities, densities_of
from edgernn_export.compress.pruning.mask_run import MaskRun
from edgernn_export.compress.pruning.matrices import Matrix, checked_matrices, record_matrices
from edgernn_export.compress.pytorch.layers import AffineLayer
from edgernn_export.compress.pytorch.module_weights import module_layers

_NAME = "ModulePruner"


class ModulePruner:
    """What `edgernn_export.compress.pruning.MagnitudePruning` is to Keras, for a module.

    Call `step` after every step of the optimizer: it renews the masks where they are due and
    sets what is masked to zero again, also where the optimizer's momentum has moved it. Parameters
    stay what they are, so optimizers and state dicts need nothing else.

    Args:
        module: a module with nn.LSTM, nn.GRU, nn.RNN and their cells, nn.Linear and nn.Conv1d, or
            one of `qat_module`.
        final_density: share of weights that stay, in (0, 1]: one number, or a dict of gates.
        **settings: the other arguments of `MagnitudePruning`. ``layers`` are paths such as
            "encoder.rnn", with "encoder.rnn.l1" for a level of several; None takes all recurrent
            layers.

    Raises:
        PruningError: a setting is refused, a name is unknown, or a weight is not finite.
    """

    def __init__(self, module: nn.Module, final_density: Density, **settings: Any) -> None:
        self._begin(module, MaskRun(_NAME, final_density, **settings))

    @classmethod
    def resume(cls, path: str | PathLike[str], module: nn.Module) -> Self:
        """Continue where `save` stopped, with the module of the same step.

        Raises:
            OSError: there is no readable file.
            PruningError: the file is not a pruning state, or that of another module.
        """
        made = cls.__new__(cls)
        made._begin(module, MaskRun.resumed(_NAME, Path(path)))
        return made

    def _begin(self, module: nn.Module, run: MaskRun) -> None:
        self._run = run
        found = module_matrices(module, run.settings["layers"], run.settings["matrices"])
        run.bind(found, type(module).__name__)
        run.apply()

    def step(self) -> None:
        """Count a batch, renew the masks where due, and zero what is masked.

        Raises:
            PruningError: a weight is NaN or infinite when masks are renewed.
        """
        self._run.batch_done()

    def save(self, path: str | PathLike[str]) -> None:
        """Write settings, batches and masks to an .npz file of exactly this name.

        Raises:
            OSError: the file could not be written.
        """
        self._run.save(Path(path))

    @property
    def batches(self) -> int:
        """Batches done."""
        return self._run.step

    @property
    def finished(self) -> bool:
        """Whether the final density has been reached."""
        return self._run.finished

    @property
    def masks(self) -> dict[str, BoolArray]:
        """Copies of the masks [R, N] by matrix, in the integer model's orientation."""
        return {name: mask.copy() for name, mask in self._run.masks.items()}

    def densities(self) -> Densities:
        """Share of weights that are not zero, per matrix ("all") and gate."""
        return densities_of(self._run.matrices)

    def report(self) -> str:
        """The batches done, and a table of `densities`."""
        return self._run.report()


def module_matrices(
    module: nn.Module, layers: Sequence[str] | None, matrices: Sequence[str] = MATRICES
) -> tuple[Matrix, ...]:
    """Matrices of the named layers of a module, in its order.

    Args:
        module: any.
        layers: paths; None takes all recurrent layers.
        matrices: "kernel", "recurrent_kernel" or both.

    Raises:
        PruningError: a name is unknown, or a layer has nothing to prune.
    """
    known: dict[str, list[Matrix]] = {}
    recurrent = set()
    for path, is_recurrent, found in _by_layer(module, matrices):
        known.setdefault(path, []).extend(found)
        if is_recurrent:
            recurrent.add(path)
    chosen = [path for path in known if path in recurrent] if layers is None else list(layers)
    for path in chosen:
        if path not in known:
            raise PruningError(
                f"layers: expected paths of recurrent or linear layers or convolutions, got "
                f"{path!r}. This module has {', '.join(map(repr, known)) or 'none'}."
            )
    result = [matrix for path in chosen for matrix in known[path]]
    others = "linear layers and convolutions"
    return checked_matrices(result, type(module).__name__, matrices, others)


def _by_layer(
    module: nn.Module, matrices: Sequence[str]
) -> Iterator[tuple[str, bool, list[Matrix]]]:
    for layer in module.modules():
        if isinstance(layer, AffineLayer) and [*layer.parameters(recurse=False)]:
            found = record_matrices(layer, [layer.name], matrices)
            yield layer.name, bool(layer.record.states), found
    for plain in module_layers(module):
        if getattr(plain.module, "groups", 1) != 1:
            continue  # its kernel is no matrix: every weight is a constant of its own
        found = []
        for kind in matrices:
            variable = plain.weights.get(kind)
            if variable is None:
                continue
            name = f"{plain.path}/{kind}"
            if not isinstance(variable.parameter, nn.Parameter):
                raise PruningError(
                    f"{name}: expected a parameter, got {type(variable.parameter).__name__}. "
                    "Remove the parametrization (torch.nn.utils.parametrize.remove_parametrizations"
                    " or prune.remove) before pruning."
                )
            inner = kind == MATRICES[1]
            found.append(Matrix(name=name, variable=variable, gates=plain.gates, recurrent=inner))
        is_recurrent = isinstance(plain.module, (nn.RNNBase, nn.RNNCellBase))
        if found or is_recurrent:
            yield plain.path, is_recurrent, found
