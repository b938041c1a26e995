"""Pruning runs that stop, are saved, and go on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgernn.errors import PruningError
from tests.support.training.pruning_runs import fit, matrix, network, pruner

pytestmark = pytest.mark.tf


@pytest.mark.parametrize("pattern", ["unstructured", "8x4", "2:4"])
def test_a_resumed_run_equals_an_uninterrupted_one(pattern, tmp_path: Path) -> None:
    import keras

    options = {"end_step": 9, "frequency": 2, "pattern": pattern, "keep_diagonal": True}
    whole, pruning = network("GRU", graph=True), pruner(0.5, **options)
    fit(whole, pruning, epochs=3)

    first, interrupted = network("GRU", graph=True), pruner(0.5, **options)
    fit(first, interrupted, epochs=1)
    first.save(tmp_path / "model.keras")
    interrupted.save(tmp_path / "state.npz")
    del first, interrupted

    from edgernn_export.compress.pruning import MagnitudePruning, densities

    second = keras.saving.load_model(tmp_path / "model.keras")
    resumed = MagnitudePruning.resume(tmp_path / "state.npz")
    assert resumed.step == 4
    assert densities(second)["rnn/kernel"]["all"] < 1.0
    fit(second, resumed, epochs=3, initial_epoch=1)
    assert resumed.step == pruning.step == 12
    assert resumed.masks.keys() == pruning.masks.keys()
    for name, mask in pruning.masks.items():
        assert np.array_equal(resumed.masks[name], mask)
        assert np.array_equal(matrix(second, name), matrix(whole, name))


def test_a_second_fit_goes_on() -> None:
    whole, pruning = network(), pruner(0.2)
    fit(whole, pruning, epochs=2)
    parts, again = network(), pruner(0.2)
    fit(parts, again, epochs=1)
    fit(parts, again, epochs=1)
    assert again.step == pruning.step
    assert all(np.array_equal(again.masks[n], m) for n, m in pruning.masks.items())


def test_another_model_is_refused() -> None:
    pruning = pruner(0.5)
    fit(network(), pruning, epochs=1)
    with pytest.raises(PruningError, match="expected the model of the earlier fit"):
        fit(network(), pruning, epochs=1)


def test_a_state_of_another_model_is_refused(tmp_path: Path) -> None:
    from edgernn_export.compress.pruning import MagnitudePruning

    pruning = pruner(0.5)
    fit(network(), pruning, epochs=1)
    pruning.save(tmp_path / "state")
    with pytest.raises(
        PruningError, match="rnn/kernel: expected zeros at the weights masked by the saved state"
    ):
        fit(network(), MagnitudePruning.resume(tmp_path / "state"))
    with pytest.raises(PruningError, match="expected the matrices"):
        fit(network(units=9), MagnitudePruning.resume(tmp_path / "state"))


def test_bad_state_files_are_refused(tmp_path: Path) -> None:
    from edgernn_export.compress.pruning import MagnitudePruning

    for content in (b"", b"PK\x03\x04", b"no state"):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(PruningError, match="bad: expected a pruning state"):
            MagnitudePruning.resume(tmp_path / "bad")
    np.savez(tmp_path / "other.npz", weights=np.ones(3))
    with pytest.raises(PruningError, match=r"other\.npz: expected a pruning state"):
        MagnitudePruning.resume(tmp_path / "other.npz")
    with pytest.raises(FileNotFoundError):
        MagnitudePruning.resume(tmp_path / "none")
