"""Magnitude pruning of convolutions: blocks are those of the integer model, and stay zero."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgernn.cli import main
from edgernn.errors import PruningError
from edgernn.model.storage import Storage
from edgernn_export import quantize
from edgernn_export.compress.pruning import MagnitudePruning, densities
from tests.support.models.keras import readings, sequential
from tests.support.models.stored import densified

keras = pytest.importorskip("keras", reason="pip install 'edgernn[export]'")
pytestmark = pytest.mark.tf
L = keras.layers
XS, YS = readings(8, 30), readings(8, 30, 2, seed=4)


def network(**options):
    """Convolutions whose taps, channels and filters all differ in number, and a depthwise one."""
    model = sequential(
        L.Normalization(mean=[0.5, 0.0, -0.5], variance=[1.0, 2.0, 0.5]),
        L.Conv1D(16, 5, padding="causal", activation="relu", name="first"),
        L.BatchNormalization(),
        L.Conv1D(24, 3, padding="causal", dilation_rate=2, name="dilated"),
        L.ZeroPadding1D((2, 0)),
        L.SeparableConv1D(16, 3, activation="tanh", name="separable"),
        L.Conv1D(8, 1, name="single"),
        L.GRU(6, return_sequences=True, name="gru"),
        L.Dense(2, name="head"),
    )
    model.compile(keras.optimizers.Adam(0.01, beta_1=0.95), loss="mse", **options)
    return model


NAMES = ["first", "dilated", "separable", "single"]
MATRICES = ["first/kernel", "dilated/kernel", "separable/pointwise_kernel", "single/kernel"]


def pruner(density=0.4, **options):
    defaults = {"end_step": 4, "frequency": 2, "pattern": "8x4", "layers": NAMES}
    return MagnitudePruning(density, **(defaults | options))


def fit(model, *callbacks, epochs=2):
    return model.fit(
        XS, YS, batch_size=2, epochs=epochs, shuffle=False, verbose=0, callbacks=list(callbacks)
    )


def turned(model, name):
    """A kernel [filters, taps * channels], the newest tap first, written out in loops."""
    layer, kind = name.split("/")
    kernel = np.asarray(getattr(model.get_layer(layer), kind))
    taps, channels, filters = kernel.shape
    rows = np.empty((filters, taps * channels), kernel.dtype)
    for back in range(taps):
        for channel in range(channels):
            rows[:, back * channels + channel] = kernel[taps - 1 - back, channel]
    return rows


def test_zeros_stay_zero_in_training_and_others_do_not_become_so():
    model, pruning, seen = network(), pruner(), []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            for name, mask in pruning.masks.items():
                assert not turned(self.model, name)[~mask].any()
            seen.append(pruning.masks["dilated/kernel"].mean())

    fit(model, pruning, Watch())
    assert list(pruning.masks) == MATRICES
    assert seen[0] == 1.0 > seen[1] > seen[3] == seen[-1]
    # 3 x 12 blocks at 0.4, rounded up.
    assert seen[-1] == 15 / 36
    for name, mask in pruning.masks.items():
        assert np.array_equal(turned(model, name) != 0.0, mask), name
        assert densities(model, NAMES)[name]["y"] == mask.mean()
    assert np.all(np.asarray(model.get_layer("separable").depthwise_kernel) != 0.0)


def test_blocks_that_go_have_the_smallest_weights_of_the_columns_of_the_integer_model():
    model, pruning = network(), pruner(end_step=0)
    before = {name: np.abs(turned(model, name)) for name in MATRICES}
    pruning.set_model(model)
    pruning.on_train_begin()
    for name, mask in pruning.masks.items():
        rows, columns = mask.shape
        blocks = [
            (before[name][r : r + 8, c : c + 4].mean(), mask[r : r + 8, c : c + 4])
            for r in range(0, rows, 8)
            for c in range(0, columns, 4)
        ]
        assert all(part.all() or not part.any() for _, part in blocks)
        gone = [size for size, part in blocks if not part.any()]
        assert gone
        assert max(gone) <= min(size for size, part in blocks if part.all())


@pytest.mark.parametrize("precision", ["w8a8", "w8a16"])
@pytest.mark.filterwarnings("ignore::edgernn.LongMemoryWarning")
def test_the_integer_model_has_the_zeros_and_stores_tiles(precision):
    model, pruning = network(), pruner(0.3)
    fit(model, pruning)
    sparse = quantize(model, XS, precision, progress=False)
    dense = quantize(model, XS, precision, sparse="never", progress=False)
    by_name = {layer.name: layer for layer in sparse.layers}
    for name, mask in pruning.masks.items():
        (term,) = by_name[name.partition("/")[0]].out.terms
        assert term.storage is Storage.SPARSE8, name
        assert not term.weights[~mask].any()
        assert np.mean(term.weights[mask] != 0) > 0.8
    assert densified(sparse).layers == dense.layers


def test_a_saved_state_goes_on_with_its_convolutions(tmp_path):
    whole = network()
    one = pruner(end_step=6)
    fit(whole, one, epochs=1)
    one.save(tmp_path / "state.npz")
    resumed = MagnitudePruning.resume(tmp_path / "state.npz")
    fit(whole, resumed, epochs=1)
    assert resumed.step == 8
    assert not any(turned(whole, name)[~mask].any() for name, mask in resumed.masks.items())
    assert resumed.masks["dilated/kernel"].mean() < one.masks["dilated/kernel"].mean() < 1.0
    other = network()
    with pytest.raises(
        PruningError, match="expected zeros at the weights masked by the saved state"
    ):
        fit(other, MagnitudePruning.resume(tmp_path / "state.npz"))


def test_the_command_prunes_convolutions_that_are_named(tmp_path, capsys):
    source, pruned = tmp_path / "network.keras", tmp_path / "sparse.keras"
    network().save(source)
    command = ["prune", str(source), "--magnitude", "--density", "0.3", "-o", str(pruned)]
    assert main([*command, *(f"--layer={name}" for name in NAMES), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["densities"]
    assert list(told) == MATRICES
    model = keras.saving.load_model(pruned)
    for name in MATRICES:
        assert 0.2 < np.mean(turned(model, name) != 0.0) == told[name]["all"] <= 0.5
    assert np.all(np.asarray(model.get_layer("gru").cell.kernel) != 0.0)


@pytest.mark.parametrize(
    ("layers", "name", "message"),
    [
        (
            lambda: [L.DepthwiseConv1D(1, name="a"), L.GRU(3)],
            "a",
            "every weight is a separate constant",
        ),
        (lambda: [L.Dense(3), L.Dropout(0.1, name="a"), L.GRU(3)], "a", r"got 'a' \(Dropout\)"),
    ],
)
def test_what_has_no_matrix_is_refused_with_the_reason(layers, name, message):
    model = sequential(*layers())
    expected = "expected names of recurrent or Dense layers or convolutions"
    with pytest.raises(PruningError, match=f"{expected}.*{message}"):
        densities(model, [name])


def test_tables_are_refused_with_the_reason():
    model = keras.Sequential([keras.Input((None,)), L.Embedding(9, 4, name="table"), L.GRU(3)])
    with pytest.raises(
        PruningError, match=r"Embedding\)\. Tables are stored in full, so that a row"
    ):
        densities(model, ["table"])


def test_a_network_of_convolutions_alone_has_them_named():
    model = sequential(L.Conv1D(4, 3, padding="causal", name="conv"), L.Dense(2))
    with pytest.raises(PruningError, match="Name Dense layers and convolutions in layers"):
        densities(model)
    assert list(densities(model, ["conv"])) == ["conv/kernel"]
