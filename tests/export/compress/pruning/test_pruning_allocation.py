"""Who gets how many of the weights that stay: matrices, gates, kernel against recurrent kernel."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgernn.errors import EdgeRnnWarning, PruningError
from edgernn_export.compress.pruning.allocation import allocate
from edgernn_export.compress.pruning.keras_matrices import Matrix
from edgernn_export.compress.pruning.masks import kept_count
from tests.support.training.pruning_runs import fit, matrix, network, pruner


def cell(inputs: int, units: int, gates: str = "zrn", layer: str = "gru") -> list[Matrix]:
    """Kernel and recurrent kernel of shapes alone."""
    return [
        Matrix(
            name=f"{layer}/{kind}",
            variable=SimpleNamespace(shape=(columns, len(gates) * units)),
            gates=tuple(gates),
            recurrent=kind != "kernel",
        )
        for kind, columns in (("kernel", inputs), ("recurrent_kernel", units))
    ]


def shares(matrices: Any, asked: Any, allocation: str, pattern: str = "8x4", initial: float = 1.0):
    return allocate(matrices, asked, allocation=allocation, pattern=pattern, initial=initial)


def test_one_number_is_that_of_matrices_or_of_gates() -> None:
    found = cell(6, 64)
    assert shares(found, {"": 0.1}, "matrix") == {m.name: {"": 0.1} for m in found}
    assert shares(found, {"": 0.1}, "gate") == {m.name: dict.fromkeys("zrn", 0.1) for m in found}
    asked = {"z": 0.2, "n": 0.3}
    for allocation in ("matrix", "gate"):
        assert shares(found, asked, allocation) == {m.name: asked for m in found}


@pytest.mark.parametrize(
    "inputs, units, pattern, density, kernel, state",
    [
        # HAPT: 8 x 2 and 8 x 16 blocks; 15 of 144 stay, 10 : 24 of them.
        (6, 64, "8x4", 0.1, (4, 16), (11, 128)),
        # FSDD: 8 x 5 and 8 x 16; 17 of 168, 13 : 24.
        (20, 64, "8x4", 0.1, (6, 40), (11, 128)),
        # At one half the kernel is full: 72 - 16 are left for the states.
        (6, 64, "8x4", 0.5, (16, 16), (56, 128)),
        # More inputs than units: the recurrent kernel is the denser one.
        (96, 8, "unstructured", 0.1, (73, 768), (11, 64)),
        # Each matrix keeps a group.
        (4, 8, "8x4", 0.01, (1, 1), (1, 2)),
    ],
)
def test_kernels_share_by_the_sums_of_their_sides(
    inputs: int, units: int, pattern: str, density: float, kernel: Any, state: Any
) -> None:
    found = shares(cell(inputs, units), {"": density}, "erdos-renyi", pattern)
    for name, (kept, groups) in (("gru/kernel", kernel), ("gru/recurrent_kernel", state)):
        assert found[name] == dict.fromkeys("zrn", kept / groups)
        assert kept_count(kept / groups, groups) == kept


def test_no_share_is_empty_too_large_or_changes_the_total() -> None:
    for inputs, units in ((1, 1), (1, 40), (6, 64), (70, 9), (33, 17)):
        for initial in (1.0, 0.4, 0.07):
            for density in (1.0, 0.5, 0.33, 0.07, 0.001):
                if density > initial:
                    continue
                found = shares(cell(inputs, units), {"n": density}, "erdos-renyi", "4x4", initial)
                down, sides = -(-units // 4), (-(-inputs // 4), -(-units // 4))
                groups = [down * across for across in sides]
                kept = [
                    round(found[name]["n"] * count)
                    for name, count in zip(found, groups, strict=True)
                ]
                asked = Fraction(str(density))
                assert sum(kept) == max(2, math.ceil(asked * sum(groups)))
                for stay, count in zip(kept, groups, strict=True):
                    assert 1 <= stay <= math.ceil(Fraction(str(initial)) * count)


def test_cells_share_with_themselves_alone() -> None:
    first, second = cell(6, 64, layer="a"), cell(64, 32, layer="b")
    both = shares([*first, *second], {"": 0.1}, "erdos-renyi")
    assert both == shares(first, {"": 0.1}, "erdos-renyi") | shares(
        second, {"": 0.1}, "erdos-renyi"
    )
    # Of a kernel alone, and where two of four stay in every group, there is nothing to share.
    assert shares(first[:1], {"": 0.1}, "erdos-renyi") == shares(first[:1], {"": 0.1}, "gate")
    assert shares(first, {"": 0.5}, "erdos-renyi", "2:4") == shares(first, {"": 0.5}, "gate")


@pytest.mark.tf
@pytest.mark.parametrize("allocation, candidate", [("matrix", 0), ("gate", 1), ("erdos-renyi", 1)])
def test_gates_of_small_weights_keep_theirs(allocation: str, candidate: int) -> None:
    """A gate whose weights are the smallest loses all its blocks where gates compete."""
    model = network("GRU", units=16)
    for kind in ("kernel", "recurrent_kernel"):
        variable = getattr(model.get_layer("rnn").cell, kind)
        values = np.asarray(variable).copy()
        values[:, 32:] *= 1e-3
        variable.assign(values)
    pruning = pruner(0.1, end_step=0, pattern="8x4", allocation=allocation)
    pruning.set_model(model)
    if candidate:
        pruning.on_train_begin()
    else:
        text = r"rnn/kernel: gate n keeps 0\.0 % of its weights instead of 10\.0 %; rnn/rec"
        with pytest.warns(EdgeRnnWarning, match=text):
            pruning.on_train_begin()
    for kind in ("kernel", "recurrent_kernel"):
        blocks = matrix(model, f"rnn/{kind}")[32:].reshape(2, 8, -1).any(axis=(1, 2))
        assert np.count_nonzero(blocks) == candidate


@pytest.mark.tf
def test_without_a_word_no_gate_starves() -> None:
    """The default: gates of every kind of cell keep what was asked for, however small they are."""
    from edgernn_export.compress.pruning import MagnitudePruning

    for kind in ("LSTM", "GRU"):
        model = network(kind, units=16)
        cell = model.get_layer("rnn").cell
        for variable in (cell.kernel, cell.recurrent_kernel):
            values = np.asarray(variable).copy()
            values[:, :16] *= 1e-3
            variable.assign(values)
        pruning = MagnitudePruning(0.2, end_step=0)
        pruning.set_model(model)
        pruning.on_train_begin()
        gates = 4 if kind == "LSTM" else 3
        kernel, states = (m.reshape(gates, -1) for m in pruning.masks.values())
        # 3 columns and 16 of 16 units: 61 of 304 weights a gate, 19 : 32 of them.
        assert kernel.sum(axis=1).tolist() == [23] * gates
        assert states.sum(axis=1).tolist() == [38] * gates


@pytest.mark.tf
def test_the_shares_come_back_with_a_saved_state(tmp_path: Path) -> None:
    from edgernn_export.compress.pruning import MagnitudePruning

    options = {"end_step": 6, "frequency": 2, "allocation": "erdos-renyi", "initial_density": 0.6}
    whole, pruning = network("GRU"), pruner(0.2, **options)
    fit(whole, pruning, epochs=2)
    parts, begun = network("GRU"), pruner(0.2, **options)
    fit(parts, begun, epochs=1)
    begun.save(tmp_path / "state.npz")
    resumed = MagnitudePruning.resume(tmp_path / "state.npz")
    fit(parts, resumed, epochs=1)
    for name, mask in pruning.masks.items():
        np.testing.assert_array_equal(resumed.masks[name], mask)
    # 3 columns and 10 of 10 units: 26 of 130 weights a gate, 13 : 20 of them.
    assert pruning.masks["rnn/kernel"].reshape(3, -1).sum(axis=1).tolist() == [10] * 3
    assert pruning.masks["rnn/recurrent_kernel"].reshape(3, -1).sum(axis=1).tolist() == [16] * 3


@pytest.mark.tf
def test_an_unknown_allocation_is_refused() -> None:
    with pytest.raises(
        PruningError, match="allocation: expected one of matrix, gate, erdos-renyi, got 'erk'"
    ):
        pruner(0.5, allocation="erk")
