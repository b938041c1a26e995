"""Callbacks of a distiller: pruning, checkpoints, and those that act on the student itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgernn.errors import DistillationError, PruningError
from tests.support.models.keras import answer
from tests.support.training.distillation_runs import (
    LABELS,
    XS,
    compiled,
    cross_entropy,
    distiller,
    fit,
    network,
    teacher,
)
from tests.support.training.pruning_runs import matrix, pruner

pytestmark = pytest.mark.tf


def on_student(callback: Any) -> Any:
    from edgernn_export.compress.distillation import OnStudent

    return OnStudent(callback)


@pytest.mark.filterwarnings("ignore:pruning. rnn/kernel. gate")  # of three inputs
@pytest.mark.parametrize("wrapped", [False, True])
def test_pruning_prunes_the_student_and_no_more(wrapped):
    student, tutor = network(10), teacher()
    pruning = pruner(0.25, end_step=4, pattern="8x4")
    model = distiller(student, tutor, task="classes", hidden_weight=0.5)
    compiled(model, cross_entropy())
    fit(model, XS, LABELS, on_student(pruning) if wrapped else pruning, epochs=4)
    assert pruning.finished
    assert set(pruning.masks) == {"rnn/kernel", "rnn/recurrent_kernel"}
    for name, mask in pruning.masks.items():
        assert np.all(matrix(student, name)[~mask] == 0.0)
        assert mask.mean() < 0.4
    assert np.all(np.asarray(model.projection.kernel) != 0.0)
    assert np.all(np.asarray(tutor.get_layer("rnn").cell.kernel) != 0.0)


def test_a_callback_on_the_student_has_its_model_and_the_optimizer():
    import keras

    seen: list[Any] = []

    class Look(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen.append(self.model)

        def on_train_batch_end(self, batch, logs=None):
            seen.append(float(self.model.optimizer.learning_rate))

        def on_epoch_end(self, epoch, logs=None):
            seen.append(sorted(logs))
            self.model.stop_training = epoch == 1

    student = network(4)
    model = compiled(distiller(student, teacher(), task="classes"), cross_entropy(), 0.25)
    others = [on_student(keras.callbacks.Callback()) for _ in range(2)]
    history = fit(model, XS, LABELS, others[0], on_student(Look()), others[1], epochs=5)
    assert seen == [student] + 2 * [0.25, 0.25, ["loss"]]
    assert len(history.history["loss"]) == 2
    assert student.optimizer is None


def test_on_student_passes_on_whether_the_callback_is_finished():
    import keras

    pruning = pruner(0.5, end_step=4)
    wrapped = on_student(pruning)
    assert not wrapped.finished
    model = compiled(distiller(network(4), teacher(), task="classes"), cross_entropy())
    fit(model, XS, LABELS, wrapped)
    assert wrapped.finished
    assert on_student(keras.callbacks.Callback()).finished


def test_group_lasso_shrinks_the_student():
    from edgernn_export.compress.structured import GroupLasso

    lasso = GroupLasso(1.0)
    model = compiled(distiller(network(10), teacher(), task="classes"), cross_entropy(), 0.05)
    fit(model, XS, LABELS, on_student(lasso), epochs=4)
    assert lasso.step == 8
    norms = lasso.norms()["rnn"]
    assert 0 < np.count_nonzero(norms) < 10


@pytest.mark.filterwarnings("ignore:pruning. .* keeps:edgernn.errors.EdgeRnnWarning")
def test_pruning_quantization_and_the_teacher_in_one_training():
    from edgernn_export.compress.qat import integer_model, qat_model
    from edgernn_export.training import outputs

    labels = np.repeat(LABELS[:, None], 5, axis=1)
    student = qat_model(network(10, steps=True), calibration=XS)
    before = student.get_weights()
    pruning = pruner(0.5, end_step=2, pattern="8x4")
    model = distiller(student, teacher(steps=True), task="classes", hidden_weight=0.5)
    history = fit(compiled(model, cross_entropy()), XS, labels, pruning, epochs=3)
    # States are compared as real numbers, not as codes of 2**15 steps.
    assert history.history["loss"][-1] < history.history["loss"][0] < 10.0
    assert not np.array_equal(student.get_weights()[0], before[0])
    for name, mask in pruning.masks.items():
        assert np.all(matrix(student, name)[~mask] == 0.0)
        assert mask.mean() < 0.6
    # What was trained is what the integers answer (to the rounding of a float32 product).
    assert np.allclose(outputs(integer_model(student), XS), answer(student, XS), rtol=1e-5)


def test_several_batches_in_one_step_are_refused_through_it():
    model = distiller(network(4), teacher(), task="classes")
    model.compile("adam", loss=cross_entropy(), steps_per_execution=2)
    with pytest.raises(PruningError, match="expected steps_per_execution=1, got 2"):
        fit(model, XS, LABELS, on_student(pruner(0.5)))


def test_on_student_without_a_distiller_is_refused():
    with pytest.raises(DistillationError, match="expected a Distiller, got a model without"):
        fit(compiled(network(4), cross_entropy()), XS, LABELS, on_student(pruner(0.5)))


@pytest.mark.parametrize("weights_only", [False, True])
def test_checkpoints_hold_the_student(tmp_path, weights_only):
    import keras

    path = tmp_path / ("best.weights.h5" if weights_only else "best.keras")
    student = network(4)
    model = distiller(student, teacher(), task="classes", hidden_weight=0.5)
    keeping = keras.callbacks.ModelCheckpoint(path, save_weights_only=weights_only)
    fit(compiled(model, cross_entropy()), XS, LABELS, keeping, epochs=1)
    expected = answer(student, XS)
    if weights_only:
        saved = network(4, "GRU")
        saved.load_weights(path)
        model.load_weights(path)
    else:
        saved = keras.saving.load_model(path)
    assert type(saved) is keras.Sequential
    assert np.array_equal(answer(saved, XS), expected)
    assert np.array_equal(answer(student, XS), expected)


def test_early_stopping_restores_the_best_student():
    import keras

    student = network(4)
    stop = keras.callbacks.EarlyStopping("loss", mode="max", patience=1, restore_best_weights=True)
    model = compiled(distiller(student, teacher(), task="classes", hidden_weight=0.5),
                     cross_entropy())  # fmt: skip
    seen: list[np.ndarray] = []
    look = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(answer(student, XS))
    )
    fit(model, XS, LABELS, look, stop, epochs=6)
    assert len(seen) == 2
    assert np.array_equal(answer(student, XS), seen[0])
