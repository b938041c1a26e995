"""A distiller in compile and fit: what is trained, on which loss, and what is left of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.export.compress.distillation.test_distillation_losses import divergence, softmax
from tests.support.models.keras import answer, randomised
from tests.support.training.distillation_runs import (
    LABELS,
    VALUES,
    XS,
    compiled,
    cross_entropy,
    distiller,
    first_loss,
    fit,
    network,
    teacher,
)

pytestmark = pytest.mark.tf

RNG = np.random.default_rng(8)


def weights_of(model: Any) -> list[np.ndarray]:
    return [np.array(weight) for weight in model.get_weights()]


def same(ours: list[np.ndarray], theirs: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def probabilities(model: Any, head: str, temperature: float) -> np.ndarray:
    """The model's answers at a temperature, from its own outputs in float64."""
    outputs = answer(model, XS)
    return softmax((np.log(outputs) if head == "softmax" else outputs) / temperature)


@pytest.mark.parametrize("ours", ["linear", "softmax"])
@pytest.mark.parametrize("theirs", ["linear", "softmax"])
@pytest.mark.parametrize("steps", [False, True])
def test_loss_of_classes(ours, theirs, steps):
    student, tutor = network(4, head=ours, steps=steps), teacher(head=theirs, steps=steps)
    labels = RNG.integers(3, size=(16, 5)) if steps else LABELS
    weights = RNG.uniform(0.5, 2.0, size=labels.shape).astype(np.float32)
    soft = divergence(probabilities(tutor, theirs, 2.5), probabilities(student, ours, 2.5))
    picked = np.take_along_axis(probabilities(student, ours, 1.0), labels[..., None], -1)[..., 0]
    expected = np.mean(weights * (0.6 * 2.5**2 * soft - 0.4 * np.log(picked)))
    model = distiller(student, tutor, task="classes", temperature=2.5, alpha=0.6)
    compiled(model, cross_entropy(ours == "linear"))
    got = first_loss(model, XS, labels, sample_weight=weights)
    assert got == pytest.approx(expected, rel=1e-4)


def test_loss_of_one_sigmoid():
    student, tutor = (
        make(head="sigmoid", outputs=1) for make in (lambda **o: network(4, **o), teacher)
    )
    p, q = (np.concatenate([y, 1 - y], -1) for y in (answer(tutor, XS), answer(student, XS)))
    chosen = np.where(LABELS == 0, q[:, 0], q[:, 1])
    expected = np.mean(0.5 * divergence(p, q) - 0.5 * np.log(chosen))
    model = compiled(distiller(student, tutor, temperature=1.0, alpha=0.5), "binary_crossentropy")
    assert model.task == "binary"
    got = first_loss(model, XS, (LABELS == 0)[:, None])
    assert got == pytest.approx(expected, rel=1e-4)


def test_loss_of_values_is_the_compiled_loss_against_the_teacher():
    student, tutor = network(4, steps=True), teacher(steps=True)
    ours, theirs = answer(student, XS), answer(tutor, XS)
    expected = 0.8 * np.abs(ours - theirs).mean() + 0.2 * np.abs(ours - VALUES).mean()
    model = compiled(distiller(student, tutor, task="values", alpha=0.8), "mae")
    assert first_loss(model, XS, VALUES) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("ours, theirs", [(True, True), (False, False), (False, True)])
def test_hidden_states_are_compared_through_the_projection(ours, theirs):
    import keras

    student, tutor = network(4, steps=ours), teacher(steps=theirs)
    states = [
        answer(keras.Model(m.inputs[0], m.get_layer("rnn").output), XS) for m in (student, tutor)
    ]
    if ours != theirs:
        states[1] = states[1][:, -1]
    model = distiller(student, tutor, task="values", alpha=0.0, hidden_weight=0.25)
    kernel = np.asarray(model.projection.kernel, np.float64)
    targets = VALUES if ours else VALUES[:, 0]
    expected = np.mean((answer(student, XS) - targets) ** 2)
    expected += 0.25 * np.mean((states[0] @ kernel - states[1]) ** 2)
    compiled(model, "mse")
    assert first_loss(model, XS, targets) == pytest.approx(expected, rel=1e-5)
    assert not np.array_equal(np.asarray(model.projection.kernel), kernel)


def test_a_teacher_of_every_step_teaches_its_last_to_a_student_of_streams():
    student, tutor = network(4), teacher(steps=True)
    expected = np.mean((answer(student, XS) - answer(tutor, XS)[:, -1]) ** 2)
    model = compiled(distiller(student, tutor, task="values", alpha=1.0), "mse")
    assert first_loss(model, XS, VALUES[:, 0]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("alpha", [0.0, 0.7, 1.0])
def test_regularisation_counts_once(alpha):
    import keras

    student, tutor = network(4), teacher()
    model = compiled(distiller(student, tutor, task="classes", alpha=alpha), cross_entropy())
    plain = first_loss(model, XS, LABELS)
    regular = network(4)
    regular.get_layer("head").kernel.regularizer = keras.regularizers.L2(0.1)
    penalty = 0.1 * np.sum(np.asarray(regular.get_layer("head").kernel) ** 2)
    model = compiled(distiller(regular, tutor, task="classes", alpha=alpha), cross_entropy())
    assert first_loss(model, XS, LABELS) == pytest.approx(plain + penalty, rel=1e-5)


def test_the_teacher_stays_as_it_is_bit_for_bit_and_the_student_learns():
    student, tutor = network(4), teacher()
    before, start = weights_of(tutor), weights_of(student)
    model = distiller(student, tutor, task="classes", hidden_weight=1.0)
    assert [v.path for v in model.trainable_variables[-1:]] == ["projection/kernel"]
    assert len(model.trainable_variables) == len(student.trainable_variables) + 1
    history = fit(compiled(model, cross_entropy(), run_eagerly=False), XS, LABELS, epochs=10)
    assert same(before, weights_of(tutor))
    assert not any(np.array_equal(a, b) for a, b in zip(start, weights_of(student), strict=True))
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert len(student.weights) == len(start)


@pytest.mark.parametrize("kind", ["LSTM", "SimpleRNN"])
def test_alpha_0_is_plain_training_bit_for_bit(kind):
    plain, student = network(4, kind), network(4, kind)
    fit(compiled(plain, cross_entropy()), XS, LABELS)
    model = distiller(student, teacher(), task="classes", alpha=0.0)
    fit(compiled(model, cross_entropy()), XS, LABELS)
    assert same(weights_of(plain), weights_of(student))


def test_a_teacher_that_is_asked_once_trains_the_same_student():
    students = []
    for once in (False, True):
        student = network(4)
        model = distiller(student, teacher(), task="classes", hidden_weight=0.5, precompute=once)
        model.projection.kernel.assign(np.full((4, 8), 0.1))
        compiled(model, cross_entropy(), metrics=["accuracy"])
        history = fit(model, XS, LABELS, validation_data=(XS, LABELS))
        students.append((weights_of(student), history.history))
    (ours, told), (theirs, asked) = students
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(ours, theirs, strict=True))
    for name in ("accuracy", "val_loss"):
        assert np.allclose(told[name], asked[name], atol=1e-5)


def test_the_teacher_infers_while_the_student_trains():
    """Dropout of the teacher is off, noise of the student is on."""
    import keras

    tutor = keras.Sequential([teacher(), keras.layers.Dropout(0.9), keras.layers.Softmax()])
    student = keras.Sequential(
        [
            keras.Input((None, 3)),
            keras.layers.GaussianNoise(1.0),
            network(4),
            keras.layers.Softmax(),
        ]
    )
    still, p = answer(student, XS), answer(tutor, XS)
    model = compiled(
        distiller(student, tutor, alpha=1.0, temperature=1.0), cross_entropy(False), 0.0
    )
    losses = [first_loss(model, XS, LABELS) for _ in range(2)]
    assert losses[0] != losses[1]
    student.layers[0].stddev = 0.0
    got = first_loss(model, XS, LABELS)
    assert got == pytest.approx(np.mean(divergence(p, still)), rel=1e-4)


def test_evaluation_reports_the_compiled_loss():
    student = network(4)
    model = compiled(distiller(student, teacher(), task="classes"), cross_entropy(),
                     metrics=["accuracy"])  # fmt: skip
    compiled(student, cross_entropy(), metrics=["accuracy"])
    assert np.allclose(
        model.evaluate(XS, LABELS, verbose=0), student.evaluate(XS, LABELS, verbose=0)
    )
    assert np.array_equal(model.predict(XS, verbose=0), student.predict(XS, verbose=0))


def test_a_model_class_of_ones_own_can_be_the_student():
    import keras

    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = network(4)

        def call(self, x):
            return self.inner(x)

        def compute_output_shape(self, shape):
            return self.inner.compute_output_shape(shape)

    student = Own()
    student(XS)
    model = distiller(student, teacher(), task="classes", student_head="linear")
    before = weights_of(student)
    fit(compiled(model, cross_entropy()), XS, LABELS, epochs=1)
    assert not same(before, weights_of(student))


def test_a_student_learns_more_from_a_perfect_teacher_than_from_faulty_labels():
    """Labels are the teacher's classes, 40 % of them drawn at random; mean over five seeds."""
    import keras

    rng = np.random.default_rng(0)
    x = rng.normal(size=(96 + 400, 6, 3)).astype(np.float32)
    tutor = teacher()
    truth = answer(tutor, x).argmax(axis=-1)
    faulty = np.where(rng.random(len(x)) < 0.4, rng.integers(3, size=len(x)), truth)[:96]
    passes = np.concatenate([x[:96]] * 40)  # in one epoch, which is quicker than forty
    labels = np.concatenate([faulty] * 40)
    errors = {}
    for alpha in (0.0, 0.7):
        student = network(6, "SimpleRNN")
        model = distiller(student, tutor, task="classes", alpha=alpha, precompute=True)
        model.compile(keras.optimizers.SGD(0.1), loss=cross_entropy())
        found = []
        for seed in range(5):
            randomised(student, seed)
            model.fit(passes, labels, batch_size=32, shuffle=False, verbose=0)
            found.append(np.mean(answer(student, x[96:]).argmax(axis=-1) != truth[96:]))
        errors[alpha] = np.array(found)
    assert errors[0.7].mean() < 0.6 * errors[0.0].mean(), errors
