"""What compression does with networks that are no chains: it works, or says what works."""

import numpy as np
import pytest

from edgernn.errors import DistillationError, PruningError, UnsupportedModelError
from edgernn_export.keras_reader import read_keras
from edgernn_export.quantizer.quantizer import quantize
from tests.support.models.float import stream
from tests.support.models.keras_networks import network

keras = pytest.importorskip("keras", reason="pip install 'edgernn[export]'")
pytestmark = pytest.mark.tf


def test_magnitude_pruning_prunes_every_layer():
    from edgernn_export.compress.pruning import MagnitudePruning

    model = network("two inputs")
    model.compile("sgd", ["mse", "mse"])
    xs = stream(320, 5).reshape(8, 40, 5).astype(np.float32)
    ys = [np.zeros((8, 40, 2)), np.full((8, 40, 3), 1 / 3)]
    pruning = MagnitudePruning(0.5, end_step=1, frequency=1)
    model.fit([xs[..., :3], xs[..., 3:]], ys, epochs=2, verbose=0, callbacks=[pruning])
    gru = next(layer for layer in read_keras(model).layers if layer.kind == "gru")
    share = np.mean([np.mean(m != 0) for m in (gru.kernel, gru.recurrent)])
    assert 0.4 < share < 0.6
    integer = quantize(model, xs.astype(np.float64), progress=False)
    (zero,) = (layer for layer in integer.layers if layer.kind == "gru_after")
    assert np.mean([np.mean(t.weights == 0) for a in zero.affines.values() for t in a.terms]) > 0.35


@pytest.mark.parametrize("name", ["Add-2", "shared"])
def test_structured_pruning_says_what_to_do(name):
    from edgernn_export.compress.structured import remove_units

    with pytest.raises(
        UnsupportedModelError, match=r"expected (one input tensor|a layer used once)"
    ):
        remove_units(network(name), fraction=0.5)


@pytest.mark.parametrize(
    ("make", "got"),
    [
        (
            lambda x, gru: gru(x[..., :2]),
            r"expected a layer, got the operation GetItem\. Structured",
        ),
        (
            lambda x, gru: gru(x)[..., 1:3],
            r"expected a layer, got the operation GetItem\. Structur",
        ),
        (
            lambda x, gru: gru(x) + x,
            r"expected one input tensor, got 2\. Structured pruning supports",
        ),
    ],
)
def test_structured_pruning_refuses_operations(make, got):
    from edgernn_export.compress.structured import remove_units

    given = keras.Input((None, 3))
    hidden = make(given, keras.layers.GRU(3, return_sequences=True))
    with pytest.raises(UnsupportedModelError, match=got):
        remove_units(keras.Model(given, keras.layers.Dense(2)(hidden)), fraction=0.5)


def test_structured_pruning_takes_one_input():
    from edgernn_export.compress.structured import remove_units

    with pytest.raises(
        PruningError, match=r"got 2 and 2\. Structured pruning supports only chains"
    ):
        remove_units(network("two inputs"), fraction=0.5)


def test_distillation_takes_one_input():
    from edgernn_export.compress.distillation import Distiller

    model = network("two inputs")
    with pytest.raises(DistillationError, match="expected one of inputs, got 2"):
        Distiller(student=network("Add-2"), teacher=model)
