"""The pruning callback in model.fit: zeros, schedules, gates, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgernn.errors import PruningError
from edgernn_export.compress.pruning.keras_matrices import find_matrices
from tests.support.models.keras import sequential
from tests.support.models.registered import inner_widths
from tests.support.training.pruning_runs import fit, matrix, network, pruner

pytestmark = [pytest.mark.sampled(2), pytest.mark.tf]


def watch(act: Any) -> Any:
    """A callback that acts after every batch; placed last, it sees what the others left."""
    import keras

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            act(self.model)

    return Watch()


def test_is_a_keras_callback_and_fit_is_unchanged() -> None:
    import keras

    pruning = pruner(0.25)
    assert isinstance(pruning, keras.callbacks.Callback)
    history = fit(network(graph=True), pruning, epochs=2)
    assert len(history.history["loss"]) == 2
    assert pruning.step == 8
    assert pruning.finished


def test_zeros_stay_zero_after_every_batch_and_density_falls_by_the_schedule() -> None:
    model, pruning, seen = network(graph=True), pruner(0.2), []

    def look(model: Any) -> None:
        for name, mask in pruning.masks.items():
            assert np.all(matrix(model, name)[~mask] == 0.0)
        seen.append(pruning.masks["rnn/recurrent_kernel"].sum())

    fit(model, pruning, watch(look))
    # 400 weights at 0.2 + 0.8 (1 - t/8)^3 for t = 2, 4, 6, 8, rounded up.
    at = {0: 400, 2: 215, 4: 120, 6: 85, 8: 80}
    assert seen == [at[min(step, 8) // 2 * 2] for step in range(1, 13)]
    assert np.count_nonzero(matrix(model, "rnn/recurrent_kernel")) == 80
    assert np.count_nonzero(matrix(model, "rnn/kernel")) == 24
    assert np.all(matrix(model, "head/kernel") != 0.0)


def test_without_the_callback_momentum_revives_pruned_weights() -> None:
    """What the callback is for: one mask at the start does not last."""
    model, once = network(), pruner(0.5, end_step=0)
    fit(model, once, epochs=1)
    assert np.count_nonzero(matrix(model, "rnn/kernel")) == 60
    fit(model, epochs=1)
    assert np.count_nonzero(matrix(model, "rnn/kernel")) == 120


@pytest.mark.filterwarnings("ignore:pruning. .* keeps:edgernn.errors.EdgeRnnWarning")
def test_masks_of_the_first_step_are_of_the_largest_weights() -> None:
    """Keras's transposed kernel: 8x4 blocks lie in rows of units, gate by gate."""
    model = network(units=10)
    before = matrix(model, "rnn/recurrent_kernel").astype(np.float64)
    pruning = pruner(0.5, end_step=0, pattern="8x4")
    fit(model, pruning, epochs=1)
    sizes = {}
    for gate in range(4):
        for top, down in ((0, 8), (8, 2)):
            for left, across in ((0, 4), (4, 4), (8, 2)):
                rows, columns = (
                    slice(gate * 10 + top, gate * 10 + top + down),
                    slice(left, left + across),
                )
                sizes[rows.start, rows.stop, left, left + across] = np.abs(
                    before[rows, columns]
                ).mean()
    expected = np.zeros((40, 10), bool)
    for top, end, left, right in sorted(sizes, key=sizes.get)[-12:]:
        expected[top:end, left:right] = True
    assert np.array_equal(pruning.masks["rnn/recurrent_kernel"], expected)


@pytest.mark.parametrize(
    "kind, asked",
    [
        ("LSTM", {"i": 0.1, "f": 0.5, "g": 0.3, "o": 1.0}),
        ("GRU", {"z": 0.2, "n": 0.6}),
        ("SimpleRNN", {"h": 0.3}),
    ],
)
def test_density_per_gate(kind, asked) -> None:
    gates = {"LSTM": "ifgo", "GRU": "zrn", "SimpleRNN": "h"}[kind]
    model, pruning = network(kind), pruner(asked)
    fit(model, pruning)
    kept = (matrix(model, "rnn/recurrent_kernel") != 0).reshape(len(gates), 10, 10).sum(axis=(1, 2))
    assert kept.tolist() == [round(100 * asked.get(gate, 1.0)) for gate in gates]
    report = pruning.densities()["rnn/recurrent_kernel"]
    assert report == {"all": kept.sum() / (100 * len(gates))} | dict(
        zip(gates, kept / 100, strict=True)
    )
    assert pruning.report().startswith("batch 12 of 8, unstructured\nmatrix")


def test_gate_names_are_those_of_the_integer_model() -> None:
    """Zeroing a gate's largest rows in Keras's order i f c o moves that gate's density alone."""
    from edgernn_export.compress.pruning import densities

    model = network("LSTM")
    kernel = model.get_layer("rnn").cell.kernel
    values = np.asarray(kernel).copy()
    values[:, 20:30] = 0.0
    kernel.assign(values)
    row = densities(model)["rnn/kernel"]
    assert row == {"all": 0.75, "i": 1.0, "f": 1.0, "g": 0.0, "o": 1.0}


@pytest.mark.parametrize("pattern", ["unstructured", "4x1", "8x4", "2:4"])
def test_diagonal_of_the_recurrent_kernel_is_kept_on_request(pattern) -> None:
    model = network("GRU")
    pruning = pruner(0.5, pattern=pattern, keep_diagonal=True)
    fit(model, pruning)
    masks = pruning.masks["rnn/recurrent_kernel"].reshape(3, 10, 10)
    assert np.all(np.einsum("gii->gi", masks))
    assert masks.mean() < 0.65
    assert np.all(np.einsum("gii->gi", matrix(model, "rnn/recurrent_kernel").reshape(3, 10, 10)))


def test_named_layers_and_matrices_alone_are_pruned() -> None:
    model = network()
    fit(model, pruner(0.5, layers=["head"]), pruner(0.1, matrices=["kernel"]))
    counts = [
        np.count_nonzero(matrix(model, name))
        for name in ("head/kernel", "rnn/kernel", "rnn/recurrent_kernel")
    ]
    assert counts == [10, 12, 400]


@pytest.mark.filterwarnings("ignore:pruning. .* keeps:edgernn.errors.EdgeRnnWarning")
def test_cells_in_rnn_layers_nested_models_and_one_unit() -> None:
    import keras

    layers = keras.layers
    inner = keras.Sequential(
        [keras.Input((None, 4)), layers.RNN(layers.GRUCell(6), return_sequences=True, name="rnn")],
        name="inner",
    )
    stack = [layers.LSTMCell(5, name="a"), layers.SimpleRNNCell(4, name="b")]
    model = sequential(
        layers.RNN(stack, return_sequences=True, name="stack"),
        inner,
        layers.LSTM(1, return_sequences=True, name="one"),
        layers.Dense(2),
    )
    model.compile("adam", "mse", run_eagerly=True)
    pruning = pruner(0.4, end_step=4, pattern="4x1")
    fit(model, pruning, epochs=1)
    names = {f"{layer}/{kind}" for layer in ("stack/a", "stack/b", "rnn", "one")
             for kind in ("kernel", "recurrent_kernel")}  # fmt: skip
    assert set(pruning.masks) == names
    assert pruning.masks["one/recurrent_kernel"].sum() == 2
    assert pruning.masks["stack/a/recurrent_kernel"].shape == (20, 5)


def test_layers_of_one_name_are_refused() -> None:
    import keras

    inner = keras.Sequential([keras.Input((None, 2)), keras.layers.Dense(2, name="head")])
    model = keras.Sequential([keras.Input((None, 2)), keras.layers.Dense(2, name="head"), inner])
    with pytest.raises(PruningError, match="'head/kernel' twice"):
        find_matrices(model, ["head"])


def test_averaging_optimizers_do_not_revive_zeros() -> None:
    import keras

    model = network()
    averaging = keras.optimizers.Adam(0.02, use_ema=True, ema_momentum=0.9)
    model.compile(averaging, loss="mse", run_eagerly=True)
    fit(model, pruner(0.3))
    assert np.count_nonzero(matrix(model, "rnn/recurrent_kernel")) == 120


@pytest.mark.parametrize(
    "final, options, words",
    [
        (0.5, {"layers": ["gru_7"]}, "got 'gru_7'. This model has 'rnn', 'head'"),
        (0.5, {"layers": ["rnn", "rnn"]}, "'rnn/kernel' twice"),
        (0.5, {"layers": ["head"], "matrices": ["recurrent_kernel"]}, "recurrent_kernel to prune"),
        ({"c": 0.5}, {}, "rnn/kernel: expected gates among i, f, g, o, got 'c'"),
        ({"h": 0.5}, {}, "got 'h'"),
    ],
)
def test_unknown_names_are_refused_by_name(final, options, words) -> None:
    with pytest.raises(PruningError, match=words):
        fit(network(), pruner(final, **options))


@pytest.mark.parametrize(
    "final, options, words",
    [
        (0.0, {}, "got 0"),
        (0.5, {"pattern": "3x3"}, "pattern: expected one of unstructured, 2:4, .* got '3x3'"),
        (0.5, {"norm": "l3"}, "norm: expected one of l1, l2, got 'l3'"),
        (0.5, {"end_step": -1}, "end_step"),
    ],
)
def test_settings_are_refused_at_once(final, options, words) -> None:
    with pytest.raises(PruningError, match=words):
        pruner(final, **options)


def test_nan_weights_are_refused() -> None:
    model = network()
    kernel = model.get_layer("rnn").cell.recurrent_kernel
    values = np.asarray(kernel).copy()
    values[3, 5] = np.nan
    kernel.assign(values)
    with pytest.raises(PruningError, match="rnn/recurrent_kernel: expected finite weights, got 1 "):
        fit(model, pruner(0.5))


def test_several_batches_in_one_step_are_refused() -> None:
    with pytest.raises(PruningError, match="expected steps_per_execution=1, got 2"):
        fit(network(steps_per_execution=2), pruner(0.5))


def test_an_unused_callback_has_nothing_to_tell(tmp_path: Path) -> None:
    pruning = pruner(0.5)
    for ask in (lambda: pruning.masks, pruning.report, lambda: pruning.save(tmp_path / "x")):
        with pytest.raises(PruningError, match="was used in fit"):
            ask()


def test_importing_loads_no_keras() -> None:
    import edgernn_export.compress.pruning as package

    with pytest.raises(AttributeError, match="no attribute 'MagnitudePrune'"):
        package.MagnitudePrune  # noqa: B018
    assert package.MagnitudePruning is package.MagnitudePruning


def test_registered_cells_have_a_matrix_for_each_term() -> None:
    import keras

    from edgernn_export import quantize
    from edgernn_export.cells import RegisteredCell
    from edgernn_export.compress.pruning import MagnitudePruning

    xs = np.random.default_rng(0).normal(size=(32, 12, 3))
    ys = xs.sum(axis=(1, 2))[:, None]
    for kind, names in (
        ("peephole_lstm", {"own/gates_x": "ifgo", "own/gates_h": "ifgo"}),
        ("minimal_gru", {"own/f_x": "f", "own/f_h": "f", "own/n_x": "n", "own/n_rh": "n"}),
        ("layer_norm_lstm", {"own/gates_x_x": "ifgo", "own/gates_h_h": "ifgo"}),
        ("min_gru", {"own/z_x": "z", "own/n_x": "n"}),
        (
            "projected_lstm",
            {"own/gates_x": "ifgo", "own/gates_h": "ifgo", "own/projection_rh": "projection"},
        ),
    ):
        cell = RegisteredCell(kind, 8, inner_widths(kind, 8))
        model = keras.Sequential(
            [keras.Input((12, 3)), keras.layers.RNN(cell, name="own"), keras.layers.Dense(1)]
        )
        found = find_matrices(model)
        assert {m.name: "".join(m.gates) for m in found} == names
        model.compile("adam", "mse")
        pruning = MagnitudePruning(0.25, end_step=4, frequency=1)
        model.fit(xs, ys, epochs=4, batch_size=16, verbose=0, callbacks=[pruning])
        left = sum(np.count_nonzero(m.read()) for m in found)
        assert left <= np.ceil(0.25 * sum(m.read().size for m in found)) + len(found)
        layer = quantize(model, xs, stream="window", progress=False).layers[0]
        terms = [term for affine in layer.affines.values() for term in affine.terms]
        assert sum(np.count_nonzero(term.weights) for term in terms) <= left
