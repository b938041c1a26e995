"""Kernels of low rank: one layer becomes a narrow linear Dense and itself.

W [I, G*H] is replaced by U [I, R] V [R, G*H], the form that FastGRNN trains (Kusupati et al. 2018,
section 3.2); here U and V come from the singular value decomposition, which is the nearest matrix
of that rank (Eckart & Young 1936).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgernn.errors import PruningError
from edgernn.model.formats import FloatArray
from edgernn_export.compress.checks import MATRICES, choice, fraction_asked, one_of, whole_number
from edgernn_export.compress.structured.keras_chain import Block, KerasChain, read_chain
from edgernn_export.compress.structured.rebuilt_layers import Copy, copy_layer, rebuild
from edgernn_export.keras_reader.findings import owner_of

#: Share of the sum of squared singular values that stays where nothing is asked.
_ENERGY = 0.95


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Factorized:
    """A model with one kernel in two factors.

    Attributes:
        model: the new keras.Model, not compiled.
        layer: name of the layer that holds V; the new Dense before it holds U.
        dense: name of that new layer.
        rank: columns of U.
        energy: share of the sum of squared singular values that stays.
        parameters_before: weights of the kernel, I * G*H.
        parameters_after: weights of both factors, R * (I + G*H).
    """

    model: Any
    layer: str
    dense: str
    rank: int
    energy: float
    parameters_before: int
    parameters_after: int

    @property
    def parameters_saved(self) -> int:
        """Weights that are gone."""
        return self.parameters_before - self.parameters_after


def factorize(
    model: Any,
    layer: str,
    *,
    rank: int | None = None,
    energy: float | None = None,
    matrix: str = "kernel",
) -> Factorized:
    """Replace the input kernel of a recurrent or Dense layer by two factors of lower rank.

    Both factors take the roots of the singular values: their weights and what passes between them
    have similar ranges, which suits their quantization.

    Args:
        model: a built Sequential or Functional keras.Model; it is not changed.
        layer: name of a SimpleRNN, LSTM, GRU, RNN, Dense or TimeDistributed(Dense) layer.
        rank: columns of the first factor.
        energy: share of the sum of squared singular values that stays at least, in (0, 1]; 0.95 if
            rank and energy are omitted.
        matrix: "kernel"; "recurrent_kernel" is refused.

    Raises:
        UnsupportedModelError: the Keras reader refuses the model.
        PruningError: a setting or name is refused, or the rank saves nothing.
    """
    one_of(rank=rank, energy=energy)
    choice("matrix", matrix, MATRICES)
    chain = read_chain(model)
    block = chain.blocks[chain.block(layer)]
    if matrix == MATRICES[1]:
        raise PruningError(
            f"{owner_of(block.layer)}: expected the kernel to factorize, got its recurrent "
            "kernel. The integer model does not support factorized recurrent kernels; remove "
            "units instead."
        )
    if hasattr(block.core, "kernel_size"):
        raise PruningError(
            f"{owner_of(block.layer)}: expected a recurrent or Dense layer, got "
            f"{type(block.core).__name__}. Train a SeparableConv1D, or prune magnitudes instead."
        )
    kernel = np.asarray(block.core.kernel, dtype=np.float64)
    left, values, right = np.linalg.svd(kernel, full_matrices=False)
    squares = np.square(values)
    chosen = _rank(squares, rank, energy)
    after = chosen * sum(kernel.shape)
    _check_saving(block, kernel.shape, chosen, after)
    roots = np.sqrt(values[:chosen])
    name = _free_name(chain, f"{layer}_low_rank")
    factors = (left[:, :chosen] * roots, roots[:, None] * right[:chosen])
    total = float(squares.sum())
    return Factorized(
        model=_in_two(chain, block, name, factors),
        layer=layer,
        dense=name,
        rank=chosen,
        energy=float(squares[:chosen].sum()) / total if total else 1.0,
        parameters_before=kernel.size,
        parameters_after=after,
    )


def _rank(squares: FloatArray, rank: int | None, energy: float | None) -> int:
    """The given rank, or the smallest with enough of the squared singular values."""
    if rank is not None:
        whole_number("rank", rank, least=1, cure="A rank is a number of singular values.")
        return min(rank, squares.size)
    share = fraction_asked("energy", _ENERGY if energy is None else energy)
    # Rounding in the last digits must not ask for one more than all.
    enough = np.cumsum(squares) >= share * squares.sum() * (1.0 - 1e-12)
    return int(np.argmax(enough)) + 1


def _check_saving(block: Block, shape: tuple[int, ...], rank: int, after: int) -> None:
    inputs, rows = shape
    if after < inputs * rows:
        return
    most = (inputs * rows - 1) // (inputs + rows)
    cure = f"Pass a rank of at most {most}." if most else "Do not factorize this kernel."
    raise PruningError(
        f"{owner_of(block.layer)}: expected a rank that saves weights, got {rank}, which makes "
        f"{inputs * rows} weights {after}. {cure}"
    )


def _free_name(chain: KerasChain, wanted: str) -> str:
    names = {layer.name for layer in chain.model._flatten_layers()}
    name, count = wanted, 1
    while name in names:
        count += 1
        name = f"{wanted}_{count}"
    return name


def _in_two(
    chain: KerasChain, block: Block, name: str, factors: tuple[FloatArray, FloatArray]
) -> Any:
    """The model with a linear Dense of the first factor before the layer of the second."""
    import keras

    first, second = factors

    def copy(layer: Any) -> list[Copy]:
        whole = copy_layer(layer)
        if layer is not block.layer:
            return [whole]
        narrow = keras.layers.Dense(
            first.shape[1], use_bias=False, name=name, dtype=layer.dtype_policy
        )
        return [
            Copy(layer=narrow, values={"kernel": first}),
            replace(whole, values={**whole.values, "kernel": second}),
        ]

    return rebuild(chain.model, copy)
