"""What compression does with networks that are no chains: it works, or says what works."""

import numpy as np
import pytest

from edgernn.errors import DistillationError, PruningError, UnsupportedModelError
from edgernn_export.keras_reader import read_keras
from edgernn_export.quantizer.quantizer import quantize
from tests.support.models.float import stream
from tests.support.models.keras_networks import network
from tests.support.training.qat_sequences import CASES, fed

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
    with pytest.raises(DistillationError, match=r"expected one of inputs, got 2\. .* distil_from="):
        Distiller(student=network("Add-2"), teacher=model)


@pytest.mark.filterwarnings("ignore::edgernn.errors.EdgeRnnWarning")
def test_integers_of_a_decoder_learn_from_a_teacher_of_two_inputs():
    """The cure of the refusal above, with a teacher that is another network."""
    from edgernn_export.compress.qat import qat_model

    case = CASES["handed over"]
    student, teacher, given = case.network(1), case.network(2), fed(case.given(4, 1))
    model = qat_model(student, case.calibration(), distil_from=teacher)
    model.compile("adam", run_eagerly=True)
    model.fit(given, epochs=1, batch_size=4, verbose=0)
    answers = [np.asarray(one(given)) for one in (model, teacher)]
    divergence = (answers[1] * np.log(answers[1] / answers[0])).sum(axis=-1).mean()
    assert np.isclose(model.evaluate(given, verbose=0), divergence, rtol=1e-3)


@pytest.mark.filterwarnings("ignore::edgernn.errors.EdgeRnnWarning")
@pytest.mark.parametrize(
    "name",
    ["both", *(pytest.param(n, marks=pytest.mark.long) for n in ("masked", "pair dot"))],
)
def test_masks_both_directions_and_decoders_are_pruned(name):
    """Half of the recurrent kernels, as of any network; and none of what was pruned comes back."""
    from edgernn_export.compress.pruning import MagnitudePruning

    case = CASES[name]
    model, given = case.network(), fed(case.given(8, 1))
    model.compile("sgd", "mse", run_eagerly=True)
    pruning = MagnitudePruning(0.5, end_step=1, frequency=1, matrices=["recurrent_kernel"])
    targets = np.zeros(model(given).shape)
    model.fit(given, targets, epochs=1, batch_size=4, verbose=0, callbacks=[pruning])
    kernels = [v for v in model.trainable_variables if v.path.endswith("recurrent_kernel")]
    sizes = [kernel.shape[0] * kernel.shape[1] for kernel in kernels]
    kept = sum(np.count_nonzero(np.asarray(kernel)) for kernel in kernels)
    assert len(kernels) > 1
    assert abs(kept / sum(sizes) - 0.5) < 0.05
